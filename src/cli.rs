//! The command line: one module a subcommand. Rules live on the floors below.

pub mod catalogue;
