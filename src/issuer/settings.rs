//! The issuer's settings file and a request file, as people write them.

use std::path::{Path, PathBuf};
use std::time::Duration as Wait;

use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::files::{FileError, read_private, read_public};
use super::keys::{PersonKeys, SigningKey, SigningKeyError};
use super::mint::{AgencyRequest, GrantRequest, Issuer};
use super::status::{StatusDirectory, StatusStateError};
use crate::config::key_file::{KeyFileError, sealing_key, verifying_key};
use crate::config::parties::{self, Written};
use crate::domain::catalogue::AgencyId;
use crate::domain::finding::Findings;
use crate::domain::grant::{Frequency, LegalBasis, PurposeCode, base64, parse_date};
use crate::domain::lines::line_at;
use crate::domain::peer::SpiffeId;
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::{CheckDigit, SubjectError, SubjectFormat};
use crate::files::SMALL;

/// Why settings or a request cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("the settings cannot be read")]
    File(#[from] FileError),
    /// The text is not as it must be. The parser's own text would quote the
    /// line, and a request holds a person's number, so only the place is told.
    #[error("`{}` is wrong at line {line}: {message}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// What it includes, or what stands in those files, is wrong.
    #[error(transparent)]
    Parties(#[from] Findings),
    /// A private key cannot be used.
    #[error("the key `{}` cannot be used", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SigningKeyError,
    },
    /// A public key cannot be used.
    #[error("a public key cannot be used")]
    PublicKey(#[from] KeyFileError),
    /// Which of two keys would be sealed to?
    #[error("agency `{0}` has two entries under [[sealing]]: leave the one that it opens with")]
    Twice(AgencyId),
    /// The persons' secret is damaged.
    #[error("`{}` is not a secret made by `grant keygen --kind person`", .0.display())]
    Secret(PathBuf),
    /// The records cannot be used.
    #[error("the records cannot be used")]
    Records(#[from] StatusStateError),
    /// The format of card numbers is no pattern.
    #[error("`{0}` under [subject] is not a regular expression")]
    Pattern(String),
    /// The card number does not fit its format.
    #[error("the citizen-card number on standard input is refused")]
    Subject(#[from] SubjectError),
    /// A date that is none.
    #[error("`{0}` is not a date: use YYYY-MM-DD")]
    Date(String),
    /// A duration that is too long.
    #[error("`{0}` is too long a time")]
    Time(&'static str),
}

/// The format of card numbers in the settings: a mistyped number must not become
/// a grant for somebody else's data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectEntry {
    pattern: String,
    check_digit: Option<CheckDigit>,
}

/// An agency's sealing key in the settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealing {
    agency: AgencyId,
    kid: crate::domain::grant::KeyId,
    file: PathBuf,
}

/// `issuer.toml`. Paths are relative to the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    id: SpiffeId,
    signing_key: PathBuf,
    status_key: PathBuf,
    status_uri: String,
    person_secret: PathBuf,
    state: PathBuf,
    subject: SubjectEntry,
    /// Party files, such as `agencies.d/*.toml`, each with an agency's sealing key.
    #[serde(default, deserialize_with = "parties::one_or_more")]
    include: Vec<String>,
    #[serde(default)]
    sealing: Vec<Sealing>,
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    parties: Vec<PathBuf>,
}

impl IssuerSettings {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = read_public(path)?;
        let mut settings: Self = parse(path, &text)?;
        if !settings.include.is_empty() {
            let written = Written::with(path, String::from_utf8_lossy(&text).into_owned());
            let (whole, faults) = written.judge(parties::OF_ISSUER);
            settings = faults.finish(whole)?;
            settings.parties = written.parties.into_iter().map(|party| party.path).collect();
        }
        settings.folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Ok(settings)
    }

    /// The party files that are part of it.
    pub fn parties(&self) -> &[PathBuf] {
        &self.parties
    }

    /// Where the status list is published.
    pub fn status_uri(&self) -> &str {
        &self.status_uri
    }

    /// Opens the records alone: enough to revoke.
    ///
    /// # Errors
    /// [`SettingsError::Records`].
    pub fn records(&self) -> Result<StatusDirectory, SettingsError> {
        Ok(StatusDirectory::open(&self.folder.join(&self.state), &self.status_uri)?)
    }

    /// Holds a card number against the configured format.
    ///
    /// # Errors
    /// [`SettingsError::Pattern`] or [`SettingsError::Subject`], without the number.
    pub fn check_subject(&self, number: &Sensitive<String>) -> Result<(), SettingsError> {
        let format = SubjectFormat::new(&self.subject.pattern, self.subject.check_digit)
            .map_err(|_| SettingsError::Pattern(self.subject.pattern.clone()))?;
        format.parse(number.expose())?;
        Ok(())
    }

    /// The key that signs the status list.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn status_key(&self) -> Result<SigningKey, SettingsError> {
        self.signing(&self.status_key)
    }

    /// The whole issuer.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn issuer(&self) -> Result<Issuer, SettingsError> {
        let path = self.folder.join(&self.person_secret);
        let text = read_private(&path, SMALL)?;
        let secret = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| base64::decode_exact::<32>(text.trim()))
            .ok_or(SettingsError::Secret(path))?;
        let mut sealing = std::collections::BTreeMap::new();
        for one in &self.sealing {
            let key = sealing_key(&self.folder.join(&one.file))?;
            if sealing.insert(one.agency.clone(), (one.kid.clone(), key)).is_some() {
                return Err(SettingsError::Twice(one.agency.clone()));
            }
        }
        Ok(Issuer {
            id: self.id.clone(),
            signing: self.signing(&self.signing_key)?,
            sealing,
            persons: PersonKeys::new(&Sensitive::new(secret)),
            records: self.records()?,
        })
    }

    fn signing(&self, file: &Path) -> Result<SigningKey, SettingsError> {
        let path = self.folder.join(file);
        let text = read_private(&path, SMALL)?;
        SigningKey::from_jwk(&text).map_err(|source| SettingsError::Key { path, source })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposeEntry {
    code: PurposeCode,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BasisEntry {
    kind: LegalBasis,
    #[serde(rename = "ref")]
    reference: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgencyEntry {
    agency: AgencyId,
    items: Vec<String>,
    from: String,
    to: String,
}

/// `request.toml`: what a person or a statute grants. The person's number is
/// not in it; it is read from elsewhere, so that the file may be kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFile {
    audience: SpiffeId,
    client_id: SpiffeId,
    proof_key: PathBuf,
    purpose: PurposeEntry,
    legal_basis: BasisEntry,
    #[serde(with = "humantime_serde")]
    lifetime: Wait,
    #[serde(with = "humantime_serde")]
    data_life: Wait,
    frequency: Frequency,
    agency: Vec<AgencyEntry>,
    #[serde(skip)]
    folder: PathBuf,
}

impl RequestFile {
    /// Reads a request.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let mut request: Self = parse(path, &read_public(path)?)?;
        request.folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        Ok(request)
    }

    /// The request for one person, from now on.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn for_subject(
        self,
        subject: Sensitive<String>,
        now: OffsetDateTime,
    ) -> Result<GrantRequest, SettingsError> {
        let proof_key = verifying_key(&self.folder.join(&self.proof_key))?;
        let span =
            |wait: Wait, name| Duration::try_from(wait).map_err(|_| SettingsError::Time(name));
        let date = |text: String| {
            parse_date(&text).ok_or_else(|| SettingsError::Date(text.escape_default().to_string()))
        };
        let agencies = self
            .agency
            .into_iter()
            .map(|entry| {
                Ok(AgencyRequest {
                    agency: entry.agency,
                    items: entry.items,
                    from: date(entry.from)?,
                    to: date(entry.to)?,
                })
            })
            .collect::<Result<Vec<_>, SettingsError>>()?;
        Ok(GrantRequest {
            audience: self.audience,
            client: self.client_id,
            proof_key,
            purpose: self.purpose.code,
            purpose_text: self.purpose.text,
            legal_basis: self.legal_basis.kind,
            legal_basis_ref: self.legal_basis.reference,
            not_before: now,
            expires_at: now
                .checked_add(span(self.lifetime, "lifetime")?)
                .ok_or(SettingsError::Time("lifetime"))?,
            data_life: span(self.data_life, "data_life")?,
            frequency: self.frequency,
            subject,
            agencies,
        })
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, SettingsError> {
    let form = |line, message: &str| SettingsError::Form {
        path: path.to_owned(),
        line,
        message: message.to_owned(),
    };
    let text = std::str::from_utf8(bytes).map_err(|_| form(1, "it is not UTF-8"))?;
    toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        form(line_at(text, before), error.message())
    })
}
