//! Issuers, status lists and policy, joined to what judges a grant.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::policy::Enforcing;
use crate::app::StartError;
use crate::app::rotation::PinsWatch;
use crate::app::standing::News;
use crate::app::watching::Rounds;
use crate::clock::Keeper;
use crate::config::grants::Grants;
use crate::config::reload::{LastGood, Watch};
use crate::domain::catalogue::Catalogue;
use crate::domain::policy::engine::Engine;
use crate::service::judge::Authority;
use crate::service::status_lists::{StatusPlan, StatusPoll};
use crate::service::timing;

/// How long a start waits for the first status lists.
const FIRST_LISTS_WITHIN: Duration = Duration::from_secs(10);

/// Begins to watch issuers, policy and the status lists. `cache` is how many checked
/// signatures are remembered; `known` is a time that has been, so that a clock that was set
/// back before the start revives no grant.
pub(in crate::app) async fn start(
    catalogue: &Arc<Catalogue>,
    (grants, lists, pins, cache): (Grants, StatusPlan, PinsWatch, usize),
    (news, folder): (News, &Path),
    (enforcing, engine, files): (Enforcing, Engine, Watch),
    known: OffsetDateTime,
    rounds: &Rounds,
) -> Result<Authority, StartError> {
    let time = Arc::new(Keeper::starting_at(known));
    timing::start(&time, known, rounds.stop());
    let statuses = StatusPoll::start(lists, time.clone(), rounds.stop())?;
    let mut fresh = statuses.freshness();
    let first = fresh.wait_for(|fresh| *fresh);
    if tokio::time::timeout(FIRST_LISTS_WITHIN, first).await.is_err() {
        tracing::warn!(
            "no status list yet: every grant is refused until the issuer can be reached"
        );
    }
    let engine = enforcing.start(engine, files, rounds)?;
    let grants = Arc::new(LastGood::new(grants));
    let kept = (grants.clone(), statuses.clone());
    pins.start(news, folder, kept, catalogue.clone(), rounds);
    Ok(Authority::new(catalogue.clone(), grants, statuses, engine, cache, time))
}
