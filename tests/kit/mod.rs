//! What the test programs share. All people are synthetic.

#![allow(dead_code, reason = "each program uses what it needs")]

pub mod bucket;
#[cfg(feature = "traces")]
pub mod collector;
pub mod demo;
pub mod federation;
pub mod files;
pub mod forged;
pub mod frames;
pub mod pages;
pub mod pki;
pub mod process;
pub mod proxy;
pub mod rogue;
pub mod rude;
pub mod sqlite_file;
pub mod waiting;
