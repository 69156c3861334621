//! Signed checkpoints: C2SP tlog-checkpoint in a C2SP signed note, Ed25519.
//!
//! The note's form is `signed_note`'s; the signature is made and checked by
//! aws-lc-rs, as all our cryptography. Signatures under other names, such as
//! witnesses' cosignatures, are kept and not looked at.
//!
//! Sources: <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-checkpoint>.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::BASE64;
use signed_note::{Note, Signer, Verifier, VerifierList, key_id};
use tlog_tiles::checkpoint::Checkpoint as TlogCheckpoint;

use super::tree::Hash;

/// Signature type of an Ed25519 note key.
const ED25519_TYPE: u8 = 1;

/// Longest note that is looked at.
const MAX_NOTE_BYTES: usize = 16 * 1024;

/// Longest note of another kind that is looked at.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// Why a key or a signed checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not an origin.
    #[error(
        "`{0}` is not a log's origin: use 1 to 128 letters, digits, '.', '-', '_', ':' and '/', such as gateway.city.example/audit/2026"
    )]
    Origin(String),
    /// Not a private key.
    #[error(
        "the log's signing key is not an Ed25519 key in PKCS #8: make one with `openssl genpkey -algorithm ed25519`"
    )]
    SigningKey,
    /// Not a note verifier key.
    #[error("this is not a log's public key of the form ORIGIN+HASH+BASE64 (C2SP signed-note)")]
    VerifyingKey,
    /// Not a signed checkpoint.
    #[error("this is not a signed checkpoint (C2SP tlog-checkpoint): {0}")]
    Form(&'static str),
    /// The note is of another log.
    #[error(
        "the checkpoint is of the log `{found}`, not of `{expected}`: check which log and key belong together"
    )]
    OtherOrigin {
        /// The log that was meant.
        expected: String,
        /// The log that the note names.
        found: String,
    },
    /// The signature is missing or wrong.
    #[error("the checkpoint of `{0}` is not signed with the pinned key")]
    Signature(String),
}

/// A log's name: one for each volume and year.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/')
        };
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            let shown: String = text.chars().take(128).collect();
            return Err(NoteError::Origin(shown.escape_default().to_string()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The private key with which a log signs its checkpoints.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Takes the key's 32-byte seed (RFC 8032).
    ///
    /// # Errors
    /// [`NoteError::SigningKey`] for a seed of another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self, NoteError> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| NoteError::SigningKey)
    }

    /// The public key as it verifies the notes of one log.
    ///
    /// # Errors
    /// [`NoteError::SigningKey`] for a public key that is not 32 bytes long.
    pub fn verifying_key(&self, origin: &Origin) -> Result<VerifyingKey, NoteError> {
        let public = self.0.public_key().as_ref().try_into().map_err(|_| NoteError::SigningKey)?;
        Ok(VerifyingKey::new(origin.clone(), public))
    }

    /// Signs a checkpoint.
    ///
    /// # Errors
    /// [`NoteError`] never for a checkpoint of a valid origin.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedCheckpoint, NoteError> {
        let signer = NoteSigner { key: self, verifier: self.verifying_key(&checkpoint.origin)? };
        let mut note = Note::new(checkpoint.text()?.as_slice(), &[])
            .map_err(|_| NoteError::Form("its text"))?;
        note.add_sigs(&[&signer]).map_err(|_| NoteError::Form("its signature"))?;
        let text = String::from_utf8(note.to_bytes()).map_err(|_| NoteError::Form("its text"))?;
        Ok(SignedCheckpoint { checkpoint: checkpoint.clone(), note: text.into() })
    }
}

impl SigningKey {
    /// Signs a text that is no checkpoint, under a name.
    ///
    /// # Errors
    /// [`NoteError`] for a text that a note cannot have: empty, or without its last line's
    /// end.
    pub fn sign_text(&self, name: &Origin, text: &str) -> Result<String, NoteError> {
        let signer = NoteSigner { key: self, verifier: self.verifying_key(name)? };
        let mut note = Note::new(text.as_bytes(), &[]).map_err(|_| NoteError::Form("its text"))?;
        note.add_sigs(&[&signer]).map_err(|_| NoteError::Form("its signature"))?;
        String::from_utf8(note.to_bytes()).map_err(|_| NoteError::Form("its text"))
    }
}

struct NoteSigner<'a> {
    key: &'a SigningKey,
    verifier: VerifyingKey,
}

impl Signer for NoteSigner<'_> {
    fn name(&self) -> &str {
        self.verifier.origin.as_str()
    }

    fn key_id(&self) -> u32 {
        self.verifier.id
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.key.0.sign(message).as_ref().to_vec())
    }
}

/// A log's public key, bound to its origin; written `ORIGIN+HASH+BASE64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    origin: Origin,
    id: u32,
    public: [u8; 32],
}

impl VerifyingKey {
    /// Binds a public key to a log.
    pub fn new(origin: Origin, public: [u8; 32]) -> Self {
        let typed = [&[ED25519_TYPE], public.as_slice()].concat();
        let id = key_id(origin.as_str(), &typed);
        Self { origin, id, public }
    }

    /// The log.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The 32 bytes of it.
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The names under which a note says that it is signed; nothing for what is no note.
    pub fn signers(note: &str) -> Option<Vec<String>> {
        if note.len() > MAX_TEXT_BYTES {
            return None;
        }
        Note::from_bytes(note.as_bytes()).ok()?;
        let signed = note.lines().rev().map_while(|line| line.strip_prefix("— "));
        Some(signed.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect())
    }

    /// The text of a signed note that is no checkpoint, if this key signed it.
    ///
    /// # Errors
    /// [`NoteError`] when it is malformed or not signed.
    pub fn verify_text(&self, note: &str) -> Result<String, NoteError> {
        let read = Note::from_bytes(note.as_bytes()).map_err(|_| NoteError::Form("its text"))?;
        read.verify(&VerifierList::new(vec![Box::new(self.clone())]))
            .map_err(|_| NoteError::Signature(self.origin.to_string()))?;
        String::from_utf8(read.text().to_vec()).map_err(|_| NoteError::Form("its text"))
    }

    /// Reads a signed checkpoint of this log and checks the signature.
    ///
    /// # Errors
    /// [`NoteError`] when it is malformed, of another log or not signed.
    pub fn verify(&self, note: &str) -> Result<SignedCheckpoint, NoteError> {
        let signed = SignedCheckpoint::parse_unverified(note)?;
        if signed.checkpoint.origin != self.origin {
            return Err(NoteError::OtherOrigin {
                expected: self.origin.to_string(),
                found: signed.checkpoint.origin.to_string(),
            });
        }
        Note::from_bytes(note.as_bytes())
            .and_then(|note| note.verify(&VerifierList::new(vec![Box::new(self.clone())])))
            .map_err(|_| NoteError::Signature(self.origin.to_string()))?;
        Ok(signed)
    }
}

impl Verifier for VerifyingKey {
    fn name(&self) -> &str {
        self.origin.as_str()
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[ED25519_TYPE], self.public.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.origin, self.id, BASE64.encode(&typed))
    }
}

impl FromStr for VerifyingKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(origin), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifyingKey);
        };
        let typed = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::VerifyingKey)?;
        let Some((&ED25519_TYPE, public)) = typed.split_first() else {
            return Err(NoteError::VerifyingKey);
        };
        let public = public.try_into().map_err(|_| NoteError::VerifyingKey)?;
        let key = Self::new(origin.parse()?, public);
        if format!("{:08x}", key.id) != id {
            return Err(NoteError::VerifyingKey);
        }
        Ok(key)
    }
}

/// A log's state: its size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many entries it has.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
}

impl Checkpoint {
    fn text(&self) -> Result<Vec<u8>, NoteError> {
        TlogCheckpoint::new(self.origin.as_str(), self.size, self.root.into(), "")
            .map(|checkpoint| checkpoint.to_bytes())
            .map_err(|_| NoteError::Form("its text"))
    }
}

/// A checkpoint with its signatures, as it stands in a file or on the wire.
///
/// One that [`VerifyingKey::verify`] or [`SigningKey::sign`] gave is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Arc<str>,
}

impl SignedCheckpoint {
    /// Reads a note without looking at its signatures: for logs whose key is not
    /// at hand, where the reader is told so.
    ///
    /// # Errors
    /// [`NoteError::Form`] when it is not a checkpoint in a note.
    pub fn parse_unverified(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::Form("it is longer than 16 KiB"));
        }
        let parsed =
            Note::from_bytes(note.as_bytes()).map_err(|_| NoteError::Form("not a signed note"))?;
        if parsed.to_bytes() != note.as_bytes() {
            return Err(NoteError::Form("the note is not in its canonical form"));
        }
        let checkpoint = TlogCheckpoint::from_bytes(parsed.text())
            .map_err(|_| NoteError::Form("the note's text is no checkpoint"))?;
        if !checkpoint.extension().is_empty() {
            return Err(NoteError::Form("it has extension lines, which no log of ours writes"));
        }
        let checkpoint = Checkpoint {
            origin: checkpoint.origin().parse()?,
            size: checkpoint.size(),
            root: (*checkpoint.hash()).into(),
        };
        Ok(Self { checkpoint, note: note.into() })
    }

    /// What is signed.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    pub fn as_str(&self) -> &str {
        &self.note
    }
}
