//! The `tributary` binary: parses, runs, exits.

fn main() {}
