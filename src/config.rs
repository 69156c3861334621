//! Configuration: the shapes of files, read and checked into domain types.

pub mod grants;
pub mod key_file;
