//! The development certificate authorities: one for each trust domain, made in
//! a moment, so that a whole federation runs on one machine with the same
//! verification as in production.
//!
//! There is no revocation, no rotation and no protection of the authorities' keys
//! beyond file permissions: `certs/README.md` says what production uses.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::domain::peer::{PeerError, Role, SpiffeId, TrustDomain};
use crate::files;

pub mod show;

/// How long an authority lives, in days.
const AUTHORITY_DAYS: i64 = 730;

/// How far validity starts in the past, for machines whose clocks run behind.
const BACKDATED: Duration = Duration::minutes(5);

/// Why the development PKI could not do it.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file is there already.
    #[error("`{0}` exists: every certificate it issued would be void; use --force to replace it")]
    Exists(PathBuf),
    /// There is no authority yet.
    #[error("no authority for `{domain}` in `{dir}`: run `tributary pki init` first")]
    NoAuthority {
        /// Whose authority.
        domain: TrustDomain,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot use `{file}`: check the folder and its permissions")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A name that no certificate can hold.
    #[error("`{0}` is not a DNS name: use ASCII letters, digits, '-' and '.'")]
    DnsName(String),
    /// The identity has no valid name.
    #[error(transparent)]
    Name(#[from] PeerError),
    /// Validity ends before it begins, or is too long to write down.
    #[error("a validity of {0} days is not possible: use 1 to 825")]
    Days(i64),
    /// The certificate could not be made.
    #[error("cannot make a certificate or key")]
    Make(#[from] rcgen::Error),
    /// A file that was to be shown holds no certificate.
    #[error("`{file}` holds no certificate in PEM ({problem})")]
    NotACertificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub from: OffsetDateTime,
    /// Last moment.
    pub until: OffsetDateTime,
}

impl Validity {
    /// From a little before `now`, for `days` days.
    ///
    /// # Errors
    /// [`PkiError::Days`] for less than one day, or more than 825.
    pub fn days(now: OffsetDateTime, days: i64) -> Result<Self, PkiError> {
        if !(1..=825).contains(&days) {
            return Err(PkiError::Days(days));
        }
        Ok(Self { from: now - BACKDATED, until: now + Duration::days(days) })
    }
}

/// A certificate to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// What the identity acts as.
    pub role: Role,
    /// Its name within trust domain and role.
    pub name: String,
    /// DNS names, for stock clients, which check them.
    pub dns: Vec<String>,
    /// IP addresses, for the same reason.
    pub ips: Vec<IpAddr>,
    /// When it is valid.
    pub validity: Validity,
}

impl CertificateRequest {
    /// A certificate for this machine: whoever serves gets `localhost` and the
    /// loopback addresses.
    #[must_use]
    pub fn local(role: Role, name: &str, validity: Validity) -> Self {
        let serves = matches!(role, Role::Gateway | Role::Agency | Role::Issuer);
        let (dns, ips) = if serves {
            let loopback =
                [std::net::Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()];
            (vec!["localhost".to_owned()], loopback.to_vec())
        } else {
            (Vec::new(), Vec::new())
        };
        Self { role, name: name.to_owned(), dns, ips, validity }
    }
}

/// What was issued, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Whom the certificate is for.
    pub id: SpiffeId,
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM (PKCS#8), mode 0600.
    pub key: PathBuf,
}

/// One trust domain's development authority.
pub struct Authority {
    domain: TrustDomain,
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority in `dir/<domain>/ca.pem` and `ca.key`.
    ///
    /// # Errors
    /// [`PkiError::Exists`] when there is one; [`PkiError::File`] when the folder
    /// cannot be written.
    pub fn create(dir: &Path, domain: &TrustDomain, now: OffsetDateTime) -> Result<Self, PkiError> {
        let folder = dir.join(domain.as_str());
        for file in ["ca.key", "ca.pem"] {
            if folder.join(file).exists() {
                return Err(PkiError::Exists(folder.join(file)));
            }
        }
        Self::replace(dir, domain, now)
    }

    /// Makes an authority and replaces one that is there. What the old one issued
    /// is void.
    ///
    /// # Errors
    /// [`PkiError::File`] when the folder cannot be written.
    pub fn replace(
        dir: &Path,
        domain: &TrustDomain,
        now: OffsetDateTime,
    ) -> Result<Self, PkiError> {
        let folder = dir.join(domain.as_str());
        make_private_folder(&folder)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.not_before = now - BACKDATED;
        params.not_after = now + Duration::days(AUTHORITY_DAYS);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, domain.as_str());
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Tributary development authority of {domain}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;

        write(&folder.join("ca.key"), &key.serialize_pem(), PRIVATE)?;
        write(&folder.join("ca.pem"), &certificate.pem(), PUBLIC)?;
        Ok(Self { domain: domain.clone(), folder, issuer: Issuer::new(params, key) })
    }

    /// Opens the authority that [`Authority::create`] made.
    ///
    /// # Errors
    /// [`PkiError::NoAuthority`] when there is none.
    pub fn open(dir: &Path, domain: &TrustDomain) -> Result<Self, PkiError> {
        let folder = dir.join(domain.as_str());
        let read = |file: &str| {
            let file = folder.join(file);
            files::read_text(&file, files::SMALL).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => {
                    PkiError::NoAuthority { domain: domain.clone(), dir: dir.to_owned() }
                }
                _ => PkiError::File { file, source },
            })
        };
        let key = KeyPair::from_pem(&read("ca.key")?)?;
        let issuer = Issuer::from_ca_cert_pem(&read("ca.pem")?, key)?;
        Ok(Self { domain: domain.clone(), folder, issuer })
    }

    /// Where the authority's own certificate lies: what others put under `anchors`.
    pub fn anchors(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Whose authority this is.
    pub const fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Issues `<role>-<name>.pem` and `.key` beside the authority, with a new
    /// key. A pair of that name is replaced, the key first: whoever reads in
    /// between sees a pair that does not match, and keeps the old one.
    ///
    /// # Errors
    /// [`PkiError`] when a name is not valid or a file cannot be written.
    pub fn issue(&self, request: &CertificateRequest) -> Result<Issued, PkiError> {
        let id = SpiffeId::new(&self.domain, request.role, &request.name)?;
        if request.validity.until <= request.validity.from {
            let days = (request.validity.until - request.validity.from).whole_days();
            return Err(PkiError::Days(days));
        }
        let ia5 = |text: &str| {
            Ia5String::try_from(text)
                .map_err(|_| PkiError::DnsName(text.escape_default().to_string()))
        };
        let mut params = CertificateParams::default();
        params.not_before = request.validity.from;
        params.not_after = request.validity.until;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, self.domain.as_str());
        // Common names have at most 64 characters (RFC 5280, appendix A.1).
        let common: String =
            format!("{} {}", request.role, request.name).chars().take(64).collect();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names.push(SanType::URI(ia5(id.as_str())?));
        for name in &request.dns {
            params.subject_alt_names.push(SanType::DnsName(ia5(name)?));
        }
        for ip in &request.ips {
            params.subject_alt_names.push(SanType::IpAddress(*ip));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;

        let stem = format!("{}-{}", request.role, request.name);
        let issued = Issued {
            id,
            certificate: self.folder.join(format!("{stem}.pem")),
            key: self.folder.join(format!("{stem}.key")),
        };
        write(&issued.key, &key.serialize_pem(), PRIVATE)?;
        write(&issued.certificate, &certificate.pem(), PUBLIC)?;
        Ok(issued)
    }
}

/// Modes of a private key and of a certificate.
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Writes a file whole or not at all, with its mode from the first byte on.
fn write(file: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { file: file.to_owned(), source };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let mut fresh = builder.tempfile_in(folder).map_err(failed)?;
    fresh.write_all(text.as_bytes()).map_err(failed)?;
    fresh.as_file().sync_all().map_err(failed)?;
    fresh.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

fn make_private_folder(folder: &Path) -> Result<(), PkiError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|source| PkiError::File { file: folder.to_owned(), source })
}
