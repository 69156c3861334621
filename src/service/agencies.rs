//! The gateway's client to its agencies: connections that are kept, questions put on
//! them, and the answers that come back.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`client`] | one agency: which endpoint is asked, and whether at all |
//! | [`keeper`], [`opening`] | one endpoint's streams: opened, replaced, ended |
//! | [`stream`], [`pending`], [`reader`] | one Exchange stream, its two directions |
//! | [`endpoint`], [`circuit`], [`liveness`] | the rules of one endpoint, pure |
//! | [`limit`], [`usual`], [`budget`] | the rules of one agency, pure |
//! | [`agreement`], [`hearing`] | what holds across endpoints, and across agencies |
//! | [`gate`], [`ticket`] | the rules as they are shared, and who tells them what |
//! | [`request`], [`replies`], [`outcome`] | one request's questions and answers |
//!
//! Which agency is asked for what is decided in [`super::gateway`].

pub mod agreement;
pub mod budget;
pub mod circuit;
pub mod client;
pub mod endpoint;
pub mod gate;
pub mod hearing;
pub mod keeper;
pub mod limit;
pub mod liveness;
mod opening;
pub mod outcome;
mod pending;
mod reader;
pub mod replies;
pub mod request;
pub mod rest;
pub mod stream;
pub mod ticket;
pub mod usual;
