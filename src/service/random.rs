//! Random bytes for ids and blinds, or a refusal: never a predictable stand-in.

use crate::domain::reason::Reason;
use crate::domain::trace::{SpanId, TraceContext};
use crate::wire::refusal::Refusal;

/// A random id: 32 hexadecimal digits.
///
/// # Errors
/// As [`sixteen`].
pub fn id() -> Result<String, Refusal> {
    Ok(format!("{:032x}", u128::from_be_bytes(sixteen()?)))
}

/// Sixteen random bytes.
///
/// # Errors
/// `INTERNAL` when the system gives none.
pub fn sixteen() -> Result<[u8; 16], Refusal> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Refusal::new(Reason::NoRandomness, "the system's random generator failed"))?;
    Ok(bytes)
}

/// A trace of its own for a request that names none; without randomness it has none.
pub fn trace() -> Option<TraceContext> {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    TraceContext::of_random(bytes)
}

/// A step of a trace.
pub fn span() -> Option<SpanId> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    SpanId::new(bytes)
}
