//! The `[audit]` section: where the log is, its origin, and the keys beside it.

mod pins;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::faults::Faults;
use super::mirror::{Place, StoreConfig};
use super::private_file::{self, PrivateFileError};
use crate::domain::audit::{NoteError, Origin, SigningKey, VerifyingKey};
use crate::domain::grant::base64;
use crate::domain::peer::SpiffeId;
use crate::domain::sensitive::Sensitive;
use crate::files;

pub use self::pins::{PinnedLog, PinnedLogs};

/// Most logs of one peer; a question on the wire names them all.
pub const MAX_LOGS: usize = 16;

/// How often a peer may be asked: from, to.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// The section of a gateway's or an agency's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// The log's folder, of which one process at a time is the writer.
    pub folder: PathBuf,
    /// Its origin line (C2SP tlog-checkpoint): one for each volume and year, such
    /// as `gateway.city.example/2026`.
    pub origin: String,
    /// The seed of the key that signs checkpoints, mode 0600; `tributary audit
    /// keygen` makes it.
    pub key: PathBuf,
    /// The log that this one goes on from, once it has ended.
    pub succeeds: Option<SucceedsConfig>,
    /// An agency's secret for tags of persons, mode 0600. A gateway has none: its
    /// tags come from the grants.
    pub tag_key: Option<PathBuf>,
    /// Where a copy of the log is kept: a folder on another disk, or a mounted share, or
    /// `s3://BUCKET/PREFIX`.
    pub mirror: Option<PathBuf>,
    /// The object storage of such a bucket.
    pub store: Option<StoreConfig>,
    /// Where the highest checkpoint of each peer's log is kept; beside the log's own
    /// folder, with `.peers` to its name, unless set.
    pub peers_folder: Option<PathBuf>,
    /// How often each peer is asked to show its log.
    #[serde(with = "humantime_serde", default = "ten_seconds")]
    pub look_every: Duration,
    /// What follows when a peer's log contradicts what was seen of it.
    #[serde(default)]
    pub on_contradiction: OnContradiction,
    /// The peers whose logs are known.
    #[serde(default)]
    pub peer: Vec<AuditPeerConfig>,
}

const fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// The log before: it is ended, and the next one's first entry says how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SucceedsConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// Its public key, as `tributary audit keygen` makes it.
    pub log_key: PathBuf,
    /// The seed of the key that signs its checkpoints: needed until the next log has begun,
    /// and to be destroyed then.
    pub key: Option<PathBuf>,
}

/// What follows when a peer's log was forked or put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnContradiction {
    /// Nothing is disclosed to that gateway, or asked of that agency, any more.
    #[default]
    Refuse,
    /// The alarm alone.
    Alarm,
}

/// The logs of one peer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPeerConfig {
    /// Who writes them.
    pub identity: SpiffeId,
    /// Their public keys, each in a file as `tributary audit keygen` makes it: one
    /// for each replica and year, at most 16. A log that goes on from another of them may
    /// have that one's successor note in the place of its key.
    pub logs: Vec<PathBuf>,
}

/// Why the section is refused.
#[derive(Debug, thiserror::Error)]
pub enum AuditConfigError {
    /// A key file cannot be read.
    #[error("cannot read the audit key `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read a key file.
    #[error("the audit key `{}` can be read by others: run chmod 600 on it", .0.display())]
    Mode(PathBuf),
    /// A key file without a key.
    #[error("`{}` holds no key made by `tributary audit keygen`", .0.display())]
    Key(PathBuf),
    /// The origin or the key is refused.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The public key of the log before.
    #[error("`{}` is no public key of an audit log: {message}", path.display())]
    Public {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// The section's keys, read.
#[derive(Debug)]
pub struct AuditKeys {
    /// The log's origin.
    pub origin: Origin,
    /// What signs its checkpoints.
    pub signing: SigningKey,
    /// The secret for tags of persons.
    pub tag: Option<Sensitive<[u8; 32]>>,
    /// The log before.
    pub before: Option<Before>,
}

/// The log that another goes on from.
#[derive(Debug)]
pub struct Before {
    /// Its folder.
    pub folder: PathBuf,
    /// What verifies its checkpoints.
    pub key: VerifyingKey,
    /// What signs them, until it has ended.
    pub signing: Option<SigningKey>,
}

impl AuditConfig {
    /// Reads relative paths as relative to `folder`, the configuration file's own.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        self.folder = folder.join(&self.folder);
        self.key = folder.join(&self.key);
        self.succeeds = self.succeeds.map(|before| SucceedsConfig {
            folder: folder.join(before.folder),
            log_key: folder.join(before.log_key),
            key: before.key.map(|key| folder.join(key)),
        });
        self.tag_key = self.tag_key.map(|file| folder.join(file));
        self.mirror = self.mirror.map(|mirror| Place::resolved(mirror, folder));
        self.store = self.store.map(|store| store.resolved(folder));
        self.peers_folder = self.peers_folder.map(|peers| folder.join(peers));
        for peer in &mut self.peer {
            peer.logs.iter_mut().for_each(|file| *file = folder.join(&*file));
        }
        self
    }

    /// The folder of peers' checkpoints.
    pub fn peers_folder(&self) -> PathBuf {
        self.peers_folder.clone().unwrap_or_else(|| {
            let mut name = self.folder.file_name().unwrap_or_default().to_owned();
            name.push(".peers");
            self.folder.with_file_name(name)
        })
    }

    /// Reads all that the section names, and notes what is wrong with it.
    pub fn judge(&self, faults: &mut Faults) -> Option<(AuditKeys, Vec<PinnedLogs>)> {
        let origin = faults.take("audit.origin", self.origin.parse());
        let signing = faults.take("audit.key", self.signing());
        let tag = self.tag_key.as_deref().map(secret).transpose();
        let tag = faults.take("audit.tag_key", tag);
        let before = faults.count();
        self.judge_mirror(faults);
        let ended = self.judge_succeeds(faults);
        let pinned = self.peers(faults).into_iter().map(|(pinned, _)| pinned).collect();
        let keys = AuditKeys { origin: origin?, signing: signing?, tag: tag?, before: ended };
        (faults.count() == before).then_some((keys, pinned))
    }

    /// The log before, as it is named. A log that succeeds another has a folder and an origin
    /// of its own, and what was seen of peers stays where it is.
    fn judge_succeeds(&self, faults: &mut Faults) -> Option<Before> {
        let named = self.succeeds.as_ref()?;
        if named.folder == self.folder {
            let message = "must be the folder of the log before, not audit.folder";
            faults.add("audit.succeeds.folder", message.to_owned());
        }
        if self.peers_folder.is_none() {
            let message = "is missing: where the log before kept what it has seen of peers, which \
                           is its folder's name with `.peers` unless it named another";
            faults.add("audit.peers_folder", message.to_owned());
        }
        let key = faults.take("audit.succeeds.log_key", public_key(&named.log_key));
        let signing = named.key.as_deref().map(seed).transpose();
        let signing = faults.take("audit.succeeds.key", signing)?;
        let key = key?;
        if key.origin().as_str() == self.origin {
            let message = format!("is the key of `{}`, which is audit.origin too", self.origin);
            faults.add("audit.succeeds.log_key", message);
        }
        let fits = |signing: &SigningKey| {
            signing.verifying_key(key.origin()).is_ok_and(|public| public == key)
        };
        if !signing.as_ref().is_none_or(fits) {
            let message = "does not belong to audit.succeeds.log_key";
            faults.add("audit.succeeds.key", message.to_owned());
        }
        Some(Before { folder: named.folder.clone(), key, signing })
    }

    /// A copy that lies in the log, or the log in it, is none.
    fn judge_mirror(&self, faults: &mut Faults) {
        for (key, message) in self.store.iter().flat_map(StoreConfig::faults) {
            faults.add(&format!("audit.store.{key}"), message);
        }
        let place = match self.mirror.as_deref().map(Place::of).transpose() {
            Ok(place) => place,
            Err(message) => return faults.add("audit.mirror", message),
        };
        let mirror = match (place, &self.store) {
            (Some(Place::Bucket { .. }), None) => {
                let message = "is object storage: say in [audit.store] where that is";
                return faults.add("audit.mirror", message);
            }
            (None | Some(Place::Folder(_)), Some(_)) => {
                let message = "is for a mirror that `mirror` names s3://BUCKET/PREFIX";
                return faults.add("audit.store", message);
            }
            (Some(Place::Folder(mirror)), None) => mirror,
            (Some(Place::Bucket { .. }), Some(_)) | (None, None) => return,
        };
        let peers = self.peers_folder();
        let others = [("audit.folder", &self.folder), ("audit.peers_folder", &peers)];
        for (name, other) in others {
            if mirror.starts_with(other) || other.starts_with(&mirror) {
                let message = format!("must be a folder of its own, apart from {name}");
                faults.add("audit.mirror", message);
            }
        }
    }

    /// Reads the peers' public keys and successor notes. Beside each: whether they are all sound.
    pub fn peers(&self, faults: &mut Faults) -> Vec<(PinnedLogs, bool)> {
        if !(LOOK_EVERY.0..=LOOK_EVERY.1).contains(&self.look_every) {
            let message = format!("must be 100ms to 1h, not {:?}", self.look_every);
            faults.add("audit.look_every", message);
        }
        let mut pinned: Vec<(PinnedLogs, bool)> = Vec::with_capacity(self.peer.len());
        let mut origins = BTreeSet::new();
        for (at, peer) in self.peer.iter().enumerate() {
            let (identity, before) = (peer.identity.clone(), faults.count());
            if pinned.iter().any(|(known, _)| known.identity == identity) {
                let message =
                    format!("is refused: `{identity}` is listed twice: list its logs in one entry");
                faults.add(&format!("audit.peer[{at}].identity"), message);
            }
            if peer.logs.is_empty() || peer.logs.len() > MAX_LOGS {
                let message = format!("must list 1 to {MAX_LOGS} logs, not {}", peer.logs.len());
                faults.add(&format!("audit.peer[{at}].logs"), message);
                pinned.push((PinnedLogs { identity, logs: Vec::new() }, false));
                continue;
            }
            let name = format!("audit.peer[{at}].logs");
            let logs = pins::read(&name, &peer.logs, &mut origins, faults);
            pinned.push((PinnedLogs { identity, logs }, faults.count() == before));
        }
        pinned
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`AuditConfigError`].
    pub fn keys(&self) -> Result<AuditKeys, AuditConfigError> {
        Ok(AuditKeys {
            origin: self.origin.parse()?,
            signing: self.signing()?,
            tag: self.tag_key.as_deref().map(secret).transpose()?,
            before: None,
        })
    }

    fn signing(&self) -> Result<SigningKey, AuditConfigError> {
        Ok(SigningKey::from_seed(secret(&self.key)?.expose())?)
    }
}

/// A log's public key, as `tributary audit keygen` writes it.
fn public_key(path: &Path) -> Result<VerifyingKey, AuditConfigError> {
    let refused = |message| AuditConfigError::Public { path: path.to_owned(), message };
    let text = files::read_text(path, files::SMALL).map_err(|error| refused(error.to_string()))?;
    text.parse().map_err(|error: NoteError| refused(error.to_string()))
}

/// A key's seed, as `tributary audit keygen` writes it.
///
/// # Errors
/// [`AuditConfigError`].
pub fn seed(path: &Path) -> Result<SigningKey, AuditConfigError> {
    Ok(SigningKey::from_seed(secret(path)?.expose())?)
}

fn secret(path: &Path) -> Result<Sensitive<[u8; 32]>, AuditConfigError> {
    let bytes = private_file::read(path, files::SMALL).map_err(|error| match error {
        PrivateFileError::Read(source) => AuditConfigError::Read { path: path.to_owned(), source },
        PrivateFileError::Shared(_) => AuditConfigError::Mode(path.to_owned()),
    })?;
    let text = std::str::from_utf8(&bytes).ok();
    let key = text.and_then(|text| base64::decode_exact::<32>(text.trim()));
    key.map(Sensitive::new).ok_or_else(|| AuditConfigError::Key(path.to_owned()))
}
