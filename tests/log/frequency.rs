//! The counters of uses: exact under any concurrency, and no use that was
//! acknowledged is ever given back.

mod address;
mod cases;
mod crash;
mod laws;
mod model;
mod postgres;
mod sqlite;
mod support;
