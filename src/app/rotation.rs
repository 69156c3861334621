//! What may change while a process runs and says who is believed: the own
//! certificate and key, trust anchors, revocation lists, issuers' pins.
//!
//! The files are looked at twice a second and taken once they have settled. What
//! cannot be read changes nothing and raises an alarm in the log. One exception: a
//! revocation list that stays unreadable closes its own trust domain, since nobody
//! knows then who was revoked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::serving::folder_of;
use super::watching::Rounds;
use super::{StartError, statuses};
use crate::clock;
use crate::config::faults::Faults;
use crate::config::file::FileError;
use crate::config::grants::{Grants, GrantsConfig};
use crate::config::link::LinkConfig;
use crate::config::reload::{LastGood, Look, Watch};
use crate::domain::catalogue::Catalogue;
use crate::domain::finding::causes;
use crate::domain::peer::TrustDomain;
use crate::domain::reason::Reason;
use crate::link::tls::LinkTls;
use crate::link::trust::{BadList, TrustLoadError};
use crate::service::status_lists::StatusPoll;

/// How long a revocation list may be half written before its trust domain is
/// closed.
const HALF_WRITTEN: Duration = Duration::from_secs(5);

/// A role's configuration file, read again for what of it may change.
pub(super) struct Changing {
    pub(super) link: LinkConfig,
    pub(super) grants: GrantsConfig,
    /// None yet; it knows the lines of the file.
    pub(super) faults: Faults,
}

impl Changing {
    /// What was read, unless something is wrong with the file.
    pub(super) fn of(
        read: Option<(LinkConfig, GrantsConfig)>,
        faults: Faults,
    ) -> Result<Self, FileError> {
        match read {
            Some((link, grants)) if faults.count() == 0 => Ok(Self { link, grants, faults }),
            _ => Err(faults.refuse().into()),
        }
    }
}

/// Reads a configuration file as its role does.
pub(super) type Read = fn(&Path) -> Result<Changing, FileError>;

/// The link's files, watched. Made before they are read for the first time, so
/// that no change falls in between.
pub(super) struct LinkWatch {
    path: PathBuf,
    read: Read,
    own: Watch,
    trust: Watch,
}

impl LinkWatch {
    pub(super) fn new(path: &Path, read: Read, config: &LinkConfig) -> Self {
        let own = Watch::new(config.own_files(), "");
        let trust = Watch::new(trust_files(path, config), "");
        Self { path: path.to_owned(), read, own, trust }
    }

    /// Keeps what `tls` uses up to date.
    pub(super) fn start(self, tls: LinkTls, rounds: &Rounds) {
        let mut links = Links { watch: self, tls, alarms: Vec::new(), close_at: None };
        rounds.keep_looking(move || links.look());
    }
}

fn trust_files(path: &Path, config: &LinkConfig) -> Vec<PathBuf> {
    let mut files = config.trust_files();
    files.push(path.to_owned());
    files
}

struct Links {
    watch: LinkWatch,
    tls: LinkTls,
    /// Trust domains of which nobody is believed, as last told.
    alarms: Vec<(TrustDomain, String)>,
    /// When a revocation list that cannot be read closes its domain.
    close_at: Option<Instant>,
}

impl Links {
    fn look(&mut self) {
        if self.watch.own.look() == Look::Settled {
            self.renew();
        }
        if self.watch.trust.look() == Look::Settled {
            self.reload(BadList::Keep);
        } else if self.close_at.is_some_and(|moment| clock::now() >= moment) {
            self.reload(BadList::Close);
        }
        self.alarm();
    }

    fn renew(&self) {
        let identity = self.tls.identity();
        match identity.reload(clock::utc()) {
            Ok(()) => tracing::info!(
                until = %identity.not_after(),
                "the new certificate is in force for new connections"
            ),
            Err(error) => tracing::error!(
                reason = %Reason::CertificateKept,
                error = causes(&error),
                until = %identity.not_after(),
                "the changed certificate or key cannot be used; the old pair stays in force"
            ),
        }
    }

    fn reload(&mut self, bad: BadList) {
        let config = match (self.watch.read)(&self.watch.path) {
            Ok(changing) => changing.link,
            Err(error) => return kept(Reason::TrustKept, &error),
        };
        self.watch.trust.follow(trust_files(&self.watch.path, &config));
        let trust = self.tls.trust();
        let (store, faults) = trust.current().reload(&config.trust, bad);
        trust.replace(store);
        for fault in &faults {
            kept(Reason::TrustKept, fault);
        }
        if faults.is_empty() {
            tracing::info!("trust anchors and revocation lists were read again");
        }
        let unreadable = faults.iter().any(|fault| matches!(fault, TrustLoadError::Lists { .. }));
        self.close_at = (unreadable && bad == BadList::Keep)
            .then(|| self.close_at.unwrap_or_else(|| clock::now() + HALF_WRITTEN));
    }

    /// Says once when nobody of a trust domain is believed any more, and once when
    /// that is over.
    fn alarm(&mut self) {
        let alarms = self.tls.trust().current().alarms(clock::process().now().latest);
        for alarm @ (domain, problem) in &alarms {
            if !self.alarms.contains(alarm) {
                tracing::error!(
                    reason = %Reason::TrustDomainClosed,
                    %domain,
                    problem,
                    "nobody of this trust domain is believed until a current revocation list is installed"
                );
            }
        }
        for (domain, _) in &self.alarms {
            if alarms.iter().all(|(other, _)| other != domain) {
                tracing::info!(%domain, "the trust domain is believed again");
            }
        }
        self.alarms = alarms;
    }
}

/// The pinned issuers' files, watched; made before they are read.
pub(super) struct PinsWatch {
    path: PathBuf,
    read: Read,
    files: Watch,
}

impl PinsWatch {
    pub(super) fn new(path: &Path, read: Read, config: &GrantsConfig) -> Self {
        let files = Watch::new(pins_files(path, config), "");
        Self { path: path.to_owned(), read, files }
    }

    /// Keeps `good` and the lists that are fetched up to date.
    pub(super) fn start(
        self,
        good: Arc<LastGood<Grants>>,
        statuses: Arc<StatusPoll>,
        catalogue: Arc<Catalogue>,
        rounds: &Rounds,
    ) {
        let mut pins = Pins { watch: self, good, statuses, catalogue };
        rounds.keep_looking(move || pins.look());
    }
}

fn pins_files(path: &Path, config: &GrantsConfig) -> Vec<PathBuf> {
    let mut files = config.issuer_files(folder_of(path));
    files.push(path.to_owned());
    files
}

struct Pins {
    watch: PinsWatch,
    good: Arc<LastGood<Grants>>,
    statuses: Arc<StatusPoll>,
    catalogue: Arc<Catalogue>,
}

impl Pins {
    fn look(&mut self) {
        if self.watch.files.look() != Look::Settled {
            return;
        }
        let loaded = self.load();
        match self.good.offer(loaded) {
            Ok(_) => tracing::info!("issuers' pins and purposes were read again"),
            Err(error) => kept(Reason::PinsKept, &error),
        }
    }

    fn load(&mut self) -> Result<Grants, StartError> {
        let Changing { grants: config, mut faults, .. } = (self.watch.read)(&self.watch.path)?;
        self.watch.files.follow(pins_files(&self.watch.path, &config));
        let grants = config.load(folder_of(&self.watch.path), &self.catalogue, &mut faults);
        let grants = faults.finish(grants).map_err(FileError::from)?;
        self.statuses.replace(statuses::plan(&grants)?)?;
        Ok(grants)
    }
}

fn kept(reason: Reason, error: &dyn std::error::Error) {
    let error = causes(error);
    tracing::error!(
        %reason,
        error,
        "a changed file cannot be used; the last good one stays in force"
    );
}
