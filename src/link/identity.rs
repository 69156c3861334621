//! Our own identity: a certificate chain and its private key, checked when they
//! are read, and replaceable while connections go on.
//!
//! Deciding *when* to reload is the caller's business.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

use super::certificate::{CertificateError, Claim};
use super::crypto;
use crate::config::pem::{self, PemError};
use crate::config::private_file::{self, PrivateFileError};
use crate::domain::peer::SpiffeId;
use crate::files;

/// Why our own certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read `{file}`: check that it exists and that this user may read it")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than its owner can read the private key.
    #[error(
        "private key `{file}` has mode {mode:04o}, so others than its owner may use it: \
         run `chmod 600 {file}`, and replace the key if others could have read it"
    )]
    KeyReadableByOthers {
        /// The key file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file is not the PEM that was expected.
    #[error("`{file}` cannot be used")]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: PemError,
    },
    /// The certificate names no identity of ours.
    #[error("certificate `{file}` cannot identify this process")]
    Certificate {
        /// The certificate file.
        file: PathBuf,
        /// The rule it breaks.
        source: CertificateError,
    },
    /// Key and certificate do not belong together.
    #[error(
        "private key `{key}` and certificate `{certificate}` cannot be used together: \
         issue or install the pair anew"
    )]
    Pair {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        certificate: PathBuf,
        /// What the TLS library said.
        source: rustls::Error,
    },
    /// The certificate is expired.
    #[error("certificate `{file}` of {id} expired on {not_after}: issue it anew")]
    Expired {
        /// The certificate file.
        file: PathBuf,
        /// Whom it is for.
        id: SpiffeId,
        /// When it expired.
        not_after: OffsetDateTime,
    },
    /// The certificate is not valid yet.
    #[error(
        "certificate `{file}` of {id} is not valid before {not_before}: \
         check this machine's clock, or wait"
    )]
    NotYetValid {
        /// The certificate file.
        file: PathBuf,
        /// Whom it is for.
        id: SpiffeId,
        /// When it becomes valid.
        not_before: OffsetDateTime,
    },
    /// A reload brought another identity.
    #[error(
        "certificate `{file}` is for {found}, but this process runs as {running}: \
         the old certificate stays in use; restart to change the identity"
    )]
    OtherIdentity {
        /// The certificate file.
        file: PathBuf,
        /// Who we are.
        running: SpiffeId,
        /// Who the new certificate says.
        found: Box<SpiffeId>,
    },
}

/// A certificate chain and its key, found usable.
#[derive(Debug, Clone)]
struct Identity {
    claim: Claim,
    pair: Arc<CertifiedKey>,
}

impl Identity {
    fn load(certificate: &Path, key: &Path, now: OffsetDateTime) -> Result<Self, IdentityError> {
        let private = read_key(key)?;
        let chain = read_chain(certificate)?;
        let claim = Claim::read(leaf(certificate, &chain)?).map_err(|source| {
            IdentityError::Certificate { file: certificate.to_owned(), source }
        })?;
        if now > claim.not_after {
            return Err(IdentityError::Expired {
                file: certificate.to_owned(),
                id: claim.id,
                not_after: claim.not_after,
            });
        }
        if now < claim.not_before {
            return Err(IdentityError::NotYetValid {
                file: certificate.to_owned(),
                id: claim.id,
                not_before: claim.not_before,
            });
        }
        let pair =
            CertifiedKey::from_der(chain, private, &crypto::provider()).map_err(|source| {
                IdentityError::Pair {
                    key: key.to_owned(),
                    certificate: certificate.to_owned(),
                    source,
                }
            })?;
        Ok(Self { claim, pair: Arc::new(pair) })
    }
}

/// Our identity as links use it: always the latest pair that was found usable.
#[derive(Debug)]
pub struct OwnIdentity {
    /// Certificate and key.
    files: Mutex<[PathBuf; 2]>,
    current: ArcSwap<Identity>,
}

impl OwnIdentity {
    /// Reads certificate chain and key.
    ///
    /// # Errors
    /// [`IdentityError`] when the pair cannot be used at `now`; then the process
    /// should not start.
    pub fn load(
        certificate: &Path,
        key: &Path,
        now: OffsetDateTime,
    ) -> Result<Arc<Self>, IdentityError> {
        let current = ArcSwap::from_pointee(Identity::load(certificate, key, now)?);
        let files = Mutex::new([certificate.to_owned(), key.to_owned()]);
        Ok(Arc::new(Self { files, current }))
    }

    /// Reads these files with the next [`reload`](Self::reload). Whether they are others.
    pub fn move_to(&self, certificate: &Path, key: &Path) -> bool {
        let files = [certificate.to_owned(), key.to_owned()];
        let before = std::mem::replace(&mut *self.files.lock(), files.clone());
        before != files
    }

    /// Reads the same files again. New connections use what they hold; open ones
    /// keep what they were made with.
    ///
    /// # Errors
    /// [`IdentityError`] when the new pair cannot be used (one that is only half
    /// written does not match): the old one stays.
    pub fn reload(&self, now: OffsetDateTime) -> Result<(), IdentityError> {
        let [certificate, key] = self.files.lock().clone();
        let fresh = Identity::load(&certificate, &key, now)?;
        let running = self.id();
        if fresh.claim.id != running {
            return Err(IdentityError::OtherIdentity {
                file: certificate,
                running,
                found: Box::new(fresh.claim.id),
            });
        }
        self.current.store(Arc::new(fresh));
        Ok(())
    }

    /// Who we are.
    pub fn id(&self) -> SpiffeId {
        self.current.load().claim.id.clone()
    }

    /// From when to when the certificate now in use is valid.
    pub fn validity(&self) -> (OffsetDateTime, OffsetDateTime) {
        let current = self.current.load();
        (current.claim.not_before, current.claim.not_after)
    }

    /// When the certificate now in use expires.
    pub fn not_after(&self) -> OffsetDateTime {
        self.current.load().claim.not_after
    }
}

impl ResolvesServerCert for OwnIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().pair))
    }
}

impl ResolvesClientCert for OwnIdentity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().pair))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub(super) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let text = files::read(file, files::MEDIUM)
        .map_err(|source| IdentityError::Read { file: file.to_owned(), source })?;
    pem::chain(&text).map_err(|source| IdentityError::Pem { file: file.to_owned(), source })
}

/// The first of a chain.
pub(super) fn leaf<'a>(
    file: &Path,
    chain: &'a [CertificateDer<'static>],
) -> Result<&'a CertificateDer<'static>, IdentityError> {
    let source = PemError::Nothing("certificate");
    chain.first().ok_or_else(|| IdentityError::Pem { file: file.to_owned(), source })
}

pub(super) fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let text = private_file::read(file, files::SMALL).map_err(|error| match error {
        PrivateFileError::Read(source) => IdentityError::Read { file: file.to_owned(), source },
        PrivateFileError::Shared(mode) => {
            IdentityError::KeyReadableByOthers { file: file.to_owned(), mode }
        }
    })?;
    pem::private_key(&text).map_err(|source| IdentityError::Pem { file: file.to_owned(), source })
}
