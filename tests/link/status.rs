//! Status lists on their way: published by the issuer, fetched by whoever checks
//! grants, over real sockets with real certificates.

mod client;
mod issuer;
mod kept;
mod poll;
mod server;
mod support;
