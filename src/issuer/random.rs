//! Random bytes from aws-lc.

use crate::domain::grant::base64;

/// The machine gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine's random number generator failed; nothing was issued")]
pub struct RandomError;

/// `N` random bytes.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

/// 128 random bits as text: a salt or a grant's number.
pub(super) fn token() -> Result<String, RandomError> {
    Ok(base64::encode(&bytes::<16>()?))
}
