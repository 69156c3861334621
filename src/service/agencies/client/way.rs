//! Which of an agency's endpoints a question is put to, if any: the least busy that is up,
//! within the agency's limit. How it is put is the business of [`super`].

use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::domain::reason::Reason;
use crate::service::agencies::circuit::Leave;
use crate::service::agencies::endpoint::{Refused, State};
use crate::service::agencies::keeper::{DOUBTED, Keeper};
use crate::service::agencies::request::Question;
use crate::service::agencies::ticket::Ticket;

use super::AgencyClient;

/// The endpoint that a question was let through to.
pub(super) struct Way<'a> {
    pub(super) keeper: &'a Keeper,
    pub(super) ticket: Ticket,
}

impl AgencyClient {
    /// Which endpoint a question is put to.
    pub(super) fn way(&self, question: &Question) -> Result<Way<'_>, Refused> {
        if let Some(reason) = self.barred() {
            return Err(Refused::No(reason));
        }
        let place = self.account.enter(question.asker());
        let place = place.ok_or(Refused::No(Reason::AgencyBusy))?;
        let mut refused = Refused::No(Reason::NotConfigured);
        for keeper in self.least_busy() {
            if keeper.is_doubted() && keeper.in_flight() >= DOUBTED {
                refused = prefer(refused, Refused::No(Reason::AgencyBusy));
                continue;
            }
            match keeper.gate().admit(clock::now(), question.until()) {
                Ok(leave) => {
                    let until = self.patience(question, leave);
                    let (gate, kind) = (keeper.gate().clone(), question.kind());
                    let ticket = Ticket::new(place, gate, leave, kind, clock::now(), until);
                    return Ok(Way { keeper, ticket });
                }
                Err(why) => refused = prefer(refused, why),
            }
        }
        Err(refused)
    }

    /// Until when an answer is waited for: of a probe no longer than an agency that is
    /// well would take, and twice as long with each probe that failed, so that one that
    /// has become slow is found too.
    fn patience(&self, question: &Question, leave: Leave) -> Instant {
        let Some(failed) = leave.probe() else { return question.until() };
        let enough = self.account.usual.lock().enough(question.kind());
        let enough = enough * 2_u32.saturating_pow(failed.min(8));
        (clock::now() + enough).min(question.until())
    }

    fn least_busy(&self) -> impl Iterator<Item = &Arc<Keeper>> {
        let mut order: Vec<&Arc<Keeper>> = self.keepers.iter().collect();
        if order.len() > 1 {
            let rank = |keeper: &&Arc<Keeper>| {
                let up = matches!(keeper.gate().state(), State::Up { .. });
                (!up, keeper.is_doubted(), keeper.in_flight())
            };
            order.sort_by_cached_key(rank);
        }
        order.into_iter()
    }
}

/// Of two endpoints' refusals the one that tells more: wait, if either will soon be
/// known, and otherwise what somebody must act on, or the first that is said.
const fn prefer(before: Refused, next: Refused) -> Refused {
    match (before, next) {
        (Refused::Wait, _) | (_, Refused::Wait) => Refused::Wait,
        (Refused::No(Reason::NotConfigured), next) => next,
        (Refused::No(passes), Refused::No(lasts))
            if passes.retry_after().is_some() && lasts.retry_after().is_none() =>
        {
            next
        }
        (before, _) => before,
    }
}
