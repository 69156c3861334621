//! The rulebook and the status lists, joined to what judges a grant.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::rulebook::Governing;
use crate::app::StartError;
use crate::app::watching::Rounds;
use crate::clock::Keeper;
use crate::service::judge::Authority;
use crate::service::rulebook::Rulebook;
use crate::service::status_lists::{StatusPlan, StatusPoll};
use crate::service::timing;

/// How long a start waits for the first status lists.
const FIRST_LISTS_WITHIN: Duration = Duration::from_secs(10);

/// What requests are judged by, before it is in force.
pub(in crate::app) struct First<M> {
    pub(in crate::app) rulebook: Rulebook<M>,
    pub(in crate::app) lists: StatusPlan,
    /// How many checked signatures are remembered.
    pub(in crate::app) cache: usize,
    /// A time that has been, so that a clock that was set back before the start revives no
    /// grant.
    pub(in crate::app) known: OffsetDateTime,
}

/// Begins to judge by a first rulebook and the status lists, and keeps both up to date. In
/// `prompt` nothing is read that may keep the others waiting.
pub(in crate::app) async fn start<M: Clone + Send + Sync + 'static>(
    governing: Governing<M>,
    First { rulebook, lists, cache, known }: First<M>,
    [rounds, prompt]: [&Rounds; 2],
) -> Result<Authority<M>, StartError> {
    let time = Arc::new(Keeper::starting_at(known));
    prompt.keep_looking(timing::watch(&time, known));
    let statuses = StatusPoll::start(lists, time.clone(), rounds.stop())?;
    let mut fresh = statuses.freshness();
    let first = fresh.wait_for(|fresh| *fresh);
    if tokio::time::timeout(FIRST_LISTS_WITHIN, first).await.is_err() {
        tracing::warn!(
            "no status list yet: every grant is refused until the issuer can be reached"
        );
    }
    let rules = governing.start(rulebook, statuses.clone(), rounds)?;
    Ok(Authority::new(rules, statuses, cache, time))
}
