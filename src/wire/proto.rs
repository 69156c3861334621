//! The code generated from `proto/`, under the packages' own names.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/protocol.rs"));

pub use self::tributary::v1 as pb;

/// The encoded descriptors of every file, for reflection and proto3 JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
