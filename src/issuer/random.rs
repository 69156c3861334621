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

/// 128 random bits as text.
pub(super) fn token() -> Result<String, RandomError> {
    Ok(base64::encode(&bytes::<16>()?))
}

/// A grant's number: a token that no command line takes for an option.
pub(super) fn number() -> Result<String, RandomError> {
    loop {
        let token = token()?;
        if !token.starts_with('-') {
            return Ok(token);
        }
    }
}
