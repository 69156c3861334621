//! What a role's readiness depends on: each cause for which every request would be refused,
//! and which another replica need not share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::clock::Keeper;
use crate::domain::policy::engine::Engine;
use crate::domain::reason::Reason;
use crate::service::audit::monitor::Witnesses;
use crate::service::audit::recorder::Recorder;
use crate::service::judge::Authority;
use crate::service::readiness::{Cause, Readiness};
use crate::service::status_lists::StatusPoll;
use crate::store::audit_log::Health as LogHealth;

/// The checks of both roles.
pub(in crate::app) fn checks<M: Send + Sync + 'static>(
    recorder: &Arc<Recorder>,
    witnesses: &Arc<Witnesses>,
    authority: &Authority<M>,
    stop: &watch::Receiver<bool>,
) -> Readiness {
    // Whoever asks about health does not keep the log open.
    let (recorder, witnesses) = (Arc::downgrade(recorder), witnesses.clone());
    let (rules, time) = (authority.rules().clone(), authority.time().clone());
    Readiness::new(stop.clone())
        .with("clock", move || of_clock(&time))
        .with("audit-log", move || recorder.upgrade().and_then(|recorder| of_log(&recorder)))
        .with("own-log", move || of_own_log(&witnesses))
        .with("policy", move || of_policy(&rules.engine()))
}

/// An agency that its administrator has switched off is not ready either.
pub(in crate::app) fn with_switch(readiness: Readiness, enabled: Arc<AtomicBool>) -> Readiness {
    readiness.with("switch", move || {
        let what = "the administrator has switched the agency off (`enabled = false`)";
        let off = !enabled.load(Ordering::Acquire);
        off.then_some(Cause { reason: Reason::AgencyClosed, what })
    })
}

fn of_log(recorder: &Recorder) -> Option<Cause> {
    let what = match recorder.log().health() {
        LogHealth::Ready => return None,
        LogHealth::DiskFull => "the disk of the audit log is full: make room",
        LogHealth::Poisoned(_) => {
            "the audit log is out of use after a failed write: check the disk, start again"
        }
    };
    Some(Cause { reason: Reason::AuditDown, what })
}

fn of_own_log(witnesses: &Witnesses) -> Option<Cause> {
    let what = "a peer has seen more of the audit log than there is, so that it was put back \
                to an older copy: begin a new log";
    witnesses.own_is_rolled_back().then_some(Cause { reason: Reason::LogRolledBack, what })
}

fn of_clock(time: &Keeper) -> Option<Cause> {
    let what = "the wall clock has jumped, and grants are held against both clocks until it is \
                right: look at the machine's time service";
    time.in_doubt().map(|_| Cause { reason: Reason::ClockJumped, what })
}

fn of_policy(policy: &Engine) -> Option<Cause> {
    let what = "no rule of the policy permits anything: look into the folder of the rules";
    let cause = Cause { reason: Reason::NoPolicy, what };
    (!policy.has_permits()).then_some(cause)
}

/// What health says of each issuer, as `issuer/ID`. Every replica shares it, so that it
/// takes none of them out.
pub(in crate::app) fn issuers(statuses: &StatusPoll) -> Vec<(String, ServingStatus)> {
    let issuers = statuses.issuers().into_iter();
    let status = |fresh| if fresh { ServingStatus::Serving } else { ServingStatus::NotServing };
    issuers.map(|(issuer, one)| (format!("issuer/{issuer}"), status(one.fresh))).collect()
}
