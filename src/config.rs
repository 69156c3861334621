//! What administrators write, as shapes: parsed strictly, not yet judged.

pub mod mapping;
