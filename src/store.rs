//! placeholder
pub mod frequency;
