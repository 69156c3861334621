//! Tributary: a federation gateway that pulls one person's credit profile from
//! the agencies that hold it, over mutually authenticated links, merges it, and
//! keeps no copy.
//!
//! The modules are floors; imports go only downward, and
//! `tests/architecture` holds that:
//!
//! | floor | modules |
//! | --- | --- |
//! | 0 | [`domain`]: the rules, pure |
//! | 1 | [`wire`], [`config`], [`clock`], [`dial`], [`files`], [`outgoing`] |
//! | 2 | [`issuer`], [`link`], [`source`], [`store`], [`telemetry`]: none imports another |
//! | 3 | [`service`] |
//! | 4 | [`app`], [`cli`] |

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dial;
pub mod domain;
pub mod files;
pub mod issuer;
pub mod link;
pub mod outgoing;
pub mod service;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod wire;
