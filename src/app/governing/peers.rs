//! Peers' logs as they are pinned: their keys are read again when the configuration or a
//! key file changes, and each peer's that cannot be read stays as it was.

use std::path::PathBuf;
use std::sync::Arc;

use super::kept;
use crate::app::standing::{Heard, News};
use crate::app::watching::Rounds;
use crate::config::audit::{AuditConfig, PinnedLogs};
use crate::config::reload::{Look, Watch};
use crate::domain::reason::Reason;
use crate::service::audit::monitor::Witnesses;

/// Keeps what is known of peers' logs up to date.
pub(in crate::app) fn keep(
    config: &AuditConfig,
    mut news: News,
    witnesses: &Arc<Witnesses>,
    rounds: &Rounds,
) {
    let witnesses = witnesses.clone();
    let mut files = watch(config);
    rounds.keep_looking(move || {
        let changed = match news.take() {
            Some(Heard::Changed(now)) => {
                files = watch(&now.audit);
                true
            }
            Some(Heard::Refused(_)) | None => false,
        };
        if changed || files.look() == Look::Settled {
            look(&news, &witnesses);
        }
    });
}

fn watch(config: &AuditConfig) -> Watch {
    let files: Vec<PathBuf> = config.peer.iter().flat_map(|peer| peer.logs.clone()).collect();
    Watch::new(files, "")
}

fn look(news: &News, witnesses: &Witnesses) {
    let now = news.now();
    let mut faults = now.faults.clone();
    let judged = now.audit.peers(&mut faults);
    let pinned = judged.into_iter().filter_map(|(pinned, sound)| {
        if sound {
            return Some(pinned);
        }
        let keys = witnesses.peer(&pinned.identity)?.keys().to_vec();
        Some(PinnedLogs { keys, ..pinned })
    });
    witnesses.replace(pinned.collect());
    if faults.count() > 0 {
        kept(Reason::PartyKept, &faults.refuse());
    }
}
