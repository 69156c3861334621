//! The grant issuer: the reference implementation of a consent service's or an
//! authority's side.
//!
//! Here is what needs randomness and private keys: making keys, sealing
//! subjects, signing grants and status lists, and the issuer's own records.
//! Verifying is the domain's business; asking a person for consent is nobody's
//! here.

mod files;
pub mod key_files;
mod keys;
mod mint;
mod random;
mod seal;
mod settings;
mod status;

pub use files::{FileError, read_private, read_public, write_private, write_public};
pub use keys::{PersonKeys, SealingKeyPair, SigningKey, SigningKeyError};
pub use mint::{AgencyRequest, GrantRequest, IssueError, IssuedGrant, Issuer};
pub use random::RandomError;
pub use seal::seal;
pub use settings::{IssuerSettings, RequestFile, SettingsError};
pub use status::{RecordsVersion, SignedList, StatusDirectory, StatusStateError};
