//! The rules of the federation: catalogue, identities, plan, merge.
//!
//! Pure: no IO, no clock, no randomness, no gRPC. Time comes in as an argument.

pub mod audit;
pub mod catalogue;
pub mod catalogue_note;
pub mod dates;
pub mod finding;
pub mod flows;
pub mod grant;
pub mod item;
pub mod lines;
pub mod names;
pub mod now;
pub mod owners;
pub mod peer;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod purpose;
pub mod quality;
pub mod reason;
pub mod request_proof;
pub mod reviewer;
pub mod section;
pub mod sensitive;
pub mod shares;
pub mod span;
pub mod subject;
pub mod trace;
pub mod value;
pub mod zone;
