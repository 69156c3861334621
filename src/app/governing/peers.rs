//! Peers' logs as they are pinned: their keys and successor notes are read again when the
//! configuration or one of these files changes, and each peer's that cannot be read stays as it was.

use std::sync::Arc;

use super::kept;
use crate::app::standing::{Changing, News};
use crate::app::watching::Rounds;
use crate::config::audit::PinnedLogs;
use crate::domain::reason::Reason;
use crate::service::audit::monitor::Witnesses;

/// Keeps what is known of peers' logs up to date.
pub(in crate::app) fn keep(news: News, witnesses: &Arc<Witnesses>, rounds: &Rounds) {
    let witnesses = witnesses.clone();
    let files = |now: &Changing| now.audit.peer.iter().flat_map(|peer| peer.logs.clone()).collect();
    news.follow(rounds, files, move |now| look(now, &witnesses));
}

fn look(now: &Changing, witnesses: &Witnesses) {
    let mut faults = now.faults.clone();
    let judged = now.audit.peers(&mut faults);
    let pinned = judged.into_iter().filter_map(|(pinned, sound)| {
        if sound {
            return Some(pinned);
        }
        let logs = witnesses.peer(&pinned.identity)?.logs().to_vec();
        Some(PinnedLogs { logs, ..pinned })
    });
    witnesses.replace(pinned.collect());
    if faults.count() > 0 {
        kept(Reason::PartyKept, &faults.refuse());
    }
}
