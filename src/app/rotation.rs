//! Keys and certificates that may change while a process runs: the own certificate and key,
//! trust anchors, revocation lists, keys that open subjects. Issuers' pins are part of the
//! rulebook ([`super::governing::rulebook`]).
//!
//! The files are looked at twice a second and taken once they have settled; what the
//! configuration says of them is heard from [`super::standing`]. What
//! cannot be read changes nothing and raises an alarm in the log. One exception: a
//! revocation list that stays unreadable closes its own trust domain, since nobody
//! knows then who was revoked.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::governing::{kept, kept_as};
use super::standing::{Changing, Heard, News};
use super::watching::Rounds;
use crate::clock;
use crate::config::link::LinkConfig;
use crate::config::reload::{LastGood, Look, Watch};
use crate::domain::finding::causes;
use crate::domain::grant::OpeningKeys;
use crate::domain::peer::TrustDomain;
use crate::domain::reason::Reason;
use crate::link::tls::LinkTls;
use crate::link::trust::{BadList, TrustLoadError};

/// How long a revocation list may be half written before its trust domain is
/// closed.
const HALF_WRITTEN: Duration = Duration::from_secs(5);

/// The link's files, watched. Made before they are read for the first time, so
/// that no change falls in between.
pub(super) struct LinkWatch {
    own: Watch,
    trust: Watch,
}

impl LinkWatch {
    pub(super) fn new(config: &LinkConfig) -> Self {
        Self {
            own: Watch::new(config.own_files(), ""),
            trust: Watch::new(config.trust_files(), ""),
        }
    }

    /// Keeps what `tls` uses up to date.
    pub(super) fn start(self, tls: LinkTls, news: News, rounds: &Rounds) {
        let mut links = Links { watch: self, tls, news, alarms: Vec::new(), close_at: None };
        rounds.keep_looking(move || links.look());
    }
}

struct Links {
    watch: LinkWatch,
    tls: LinkTls,
    news: News,
    /// Trust domains of which nobody is believed, as last told.
    alarms: Vec<(TrustDomain, String)>,
    /// When a revocation list that cannot be read closes its domain.
    close_at: Option<Instant>,
}

impl Links {
    fn look(&mut self) {
        let (mut moved, mut changed) = (false, false);
        match self.news.take() {
            Some(Heard::Changed(now)) => {
                changed = true;
                self.watch.trust = Watch::new(now.link.trust_files(), "");
                moved = self.tls.identity().move_to(&now.link.certificate, &now.link.key);
                if moved {
                    self.watch.own = Watch::new(now.link.own_files(), "");
                }
            }
            Some(Heard::Refused(why)) => kept_as(Reason::TrustKept, why),
            None => {}
        }
        if self.watch.own.look() == Look::Settled || moved {
            self.renew();
        }
        if self.watch.trust.look() == Look::Settled || changed {
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
        let config = &self.news.now().link;
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

/// Keys that open subjects, kept up to date. Paths are relative to `folder`.
pub(super) fn opening_keys(
    first: OpeningKeys,
    news: News,
    folder: &Path,
    rounds: &Rounds,
) -> Arc<LastGood<OpeningKeys>> {
    let good = Arc::new(LastGood::new(first));
    let (keys, folder, base) = (good.clone(), folder.to_owned(), folder.to_owned());
    let files = move |now: &Changing| {
        now.grants.opening_key.iter().map(|entry| base.join(&entry.file)).collect()
    };
    news.follow(rounds, files, move |now| {
        let mut faults = now.faults.clone();
        let read = now.grants.opening_keys(&folder, &mut faults);
        if let Err(error) = keys.offer(faults.finish(read)) {
            kept(Reason::PinsKept, &error);
        }
    });
    good
}
