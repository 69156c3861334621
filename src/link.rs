//! Links: mutually authenticated TLS 1.3 between identities, and nothing else.
//!
//! | file | what lives there |
//! | --- | --- |
//! | [`certificate`] | reading one certificate's identity and times |
//! | [`crypto`] | the cryptography of all of them |
//! | [`identity`] | our own certificate and key, reloadable |
//! | [`trust`] | whom we believe: the one verification for both directions |
//! | [`tls`] | the rustls configurations over both |
//! | [`validity`] | how long an open connection may go on |
//! | [`listen`] | the accept loop of every port |
//! | [`accept`] | inbound: who is let in; [`connection`] serves one connection |
//! | [`budget`] | bytes that peers make us hold, counted |
//! | [`frames`] | frames as they come in, counted |
//! | [`coalesce`] | small writes go out together |
//! | [`panic`] | a panicking handler answers INTERNAL |
//! | [`unread`] | an answer that nobody reads is let go |
//! | [`connect`] | outbound: one connection a call |
//! | [`https`] | beside the links: public signed documents, server authentication only |
//! | [`pki`] | the development certificate authorities |
//!
//! What an identity may *do* is not decided here: that is the policy's business.
//! There is no DNS-name check of servers, except in [`https`]: an identity is the one SPIFFE id in the
//! certificate, and the caller says which one it expects.

pub mod accept;
pub mod budget;
pub mod certificate;
mod coalesce;
pub mod connect;
mod connection;
mod cooling;
pub mod crypto;
mod frames;
pub mod https;
pub mod identity;
pub mod limits;
mod listen;
mod panic;
mod pause;
pub mod pki;
pub mod tls;
pub mod trust;
pub mod unread;
pub mod validity;
