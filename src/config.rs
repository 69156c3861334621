//! What an operator writes down: the shapes of the configuration files, read
//! strictly, so that a misspelt key is an error and not a silent default.

pub mod policy;
pub mod reload;
