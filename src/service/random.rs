//! Random bytes for ids and blinds, or a refusal: never a predictable stand-in.

use tonic::Code;

use crate::wire::refusal::Refusal;

/// Sixteen random bytes.
///
/// # Errors
/// `INTERNAL` when the system gives none.
pub fn sixteen() -> Result<[u8; 16], Refusal> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        Refusal::new(Code::Internal, "NO_RANDOMNESS", "the system's random generator failed")
    })?;
    Ok(bytes)
}
