//! The fan-out: every planned agency asked at once, one section from each.
//!
//! All share one deadline and none waits for another. Whatever has not come by
//! then is a TIMEOUT section, and its question is cancelled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use tokio::time::{Instant as TokioInstant, sleep_until};
use tonic::Code;

use super::lane::{Arrival, Failure};
use super::uplink::{Down, Refused, Uplink};
use crate::clock;
use crate::domain::catalogue::Catalogue;
use crate::domain::grant::VerifiedGrant;
use crate::domain::plan::{Fetch, Plan};
use crate::domain::section::{Section, SectionStatus};
use crate::wire::proto::pb;
use crate::wire::{refusal, section};

/// What every agency is told about one request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The grant, of which each agency gets its own part alone.
    pub grant: &'a VerifiedGrant,
    /// The catalogue by which the items are numbered.
    pub catalogue: &'a Catalogue,
    /// When the gateway stops waiting.
    pub until: Instant,
}

/// A section, and the time from its question to its answer.
pub type Timed = (Section, Duration);

/// Asks every agency of a plan. The sections come in the order of the plan.
pub async fn fan_out(plan: &Plan, uplinks: &[Arc<Uplink>], asked: Asked<'_>) -> Vec<Timed> {
    let began = clock::now();
    let mut sections: Vec<Option<Timed>> = vec![None; plan.fetches.len()];
    let mut question = question(&asked);
    let mut asking: FuturesUnordered<_> = plan
        .fetches
        .iter()
        .enumerate()
        .map(|(at, fetch)| {
            question.items = fetch.items.to_bytes().into();
            let sd_jwt = asked.grant.for_agency(&fetch.agency).unwrap_or_default().into();
            question.grant = Some(pb::GrantPresentation { sd_jwt });
            let request = Bytes::from(question.encode_to_vec());
            async move { (at, ask(fetch, uplinks, request, asked, began).await) }
        })
        .collect();
    let mut deadline = std::pin::pin!(sleep_until(TokioInstant::from_std(asked.until)));
    loop {
        tokio::select! {
            biased;
            next = asking.next() => match next {
                Some((at, section)) => {
                    if let Some(slot) = sections.get_mut(at) {
                        *slot = Some(section);
                    }
                }
                None => break,
            },
            () = &mut deadline => break,
        }
    }
    drop(asking);
    let late = |fetch: &Fetch| {
        let elapsed = clock::now().saturating_duration_since(began);
        (bare(fetch, SectionStatus::Timeout, "DEADLINE"), elapsed)
    };
    plan.fetches
        .iter()
        .zip(sections)
        .map(|(fetch, section)| section.unwrap_or_else(|| late(fetch)))
        .collect()
}

async fn ask(
    fetch: &Fetch,
    uplinks: &[Arc<Uplink>],
    request: Bytes,
    asked: Asked<'_>,
    began: Instant,
) -> Timed {
    let timed = |section, at: Instant| (section, at.saturating_duration_since(began));
    let Some(uplink) = uplinks.get(fetch.place) else {
        return timed(bare(fetch, SectionStatus::Unavailable, "NOT_CONFIGURED"), began);
    };
    let question = match uplink.ask(&request, asked.until).await {
        Ok(question) => question,
        Err(refused) => {
            let reason = match refused {
                Refused::Down(Down::Connecting) => "CONNECTING",
                Refused::Down(Down::Failing(reason)) => reason,
                Refused::WindowFull => "WINDOW_FULL",
            };
            return timed(bare(fetch, SectionStatus::Unavailable, reason), clock::now());
        }
    };
    let hash = question.hash();
    let mut arrival = question.arrival(asked.until).await;
    if arrival.outcome == Err(Failure::LaneLost)
        && let Some(again) = uplink.ask_again(&request, asked.until)
    {
        arrival = again.arrival(asked.until).await;
    }
    let Arrival { at, outcome } = arrival;
    if let Some(reason) = uplink.barred() {
        // Found while the answer was on its way.
        return timed(bare(fetch, SectionStatus::Unavailable, reason), at);
    }
    let section = match outcome {
        Ok(response) => believe(response, fetch, hash, asked.catalogue),
        Err(failure) => {
            let (status, reason) = status_of(&failure);
            bare(fetch, status, reason)
        }
    };
    timed(section, at)
}

/// What is the same in every agency's question; its items and its part of the
/// grant are still to be set.
fn question(asked: &Asked<'_>) -> pb::FetchSectionRequest {
    pb::FetchSectionRequest {
        request_id: asked.request_id.to_owned(),
        catalogue_digest: Bytes::copy_from_slice(&asked.catalogue.digest().0),
        consumer: asked.grant.client().to_string(),
        ..Default::default()
    }
}

fn believe(
    response: Bytes,
    fetch: &Fetch,
    request: section::RequestHash,
    catalogue: &Catalogue,
) -> Section {
    let question =
        section::Question { agency: &fetch.agency, asked: &fetch.items, request, catalogue };
    section::decode(response, &question).unwrap_or_else(|disbelief| {
        tracing::warn!(agency = %fetch.agency, reason = disbelief.reason(), "section not believed: {disbelief}");
        bare(fetch, SectionStatus::Invalid, disbelief.reason())
    })
}

/// A failed exchange as a section's status. An agency's own words do not get
/// into our answer: known reasons are named, the rest by their code.
fn status_of(failure: &Failure) -> (SectionStatus, &'static str) {
    match failure {
        Failure::LaneLost => (SectionStatus::Unavailable, "LANE_LOST"),
        Failure::WindowFull => (SectionStatus::Unavailable, "WINDOW_FULL"),
        Failure::WrongEcho => (SectionStatus::Invalid, "WRONG_ECHO"),
        Failure::Refused { code, reason } => {
            let (status, otherwise) = match code {
                Code::PermissionDenied | Code::Unauthenticated | Code::AlreadyExists => {
                    (SectionStatus::Denied, "AGENCY_DENIED")
                }
                Code::DeadlineExceeded => (SectionStatus::Timeout, "DEADLINE"),
                Code::ResourceExhausted => (SectionStatus::Unavailable, "AGENCY_OVERLOADED"),
                Code::Unavailable => (SectionStatus::Unavailable, "AGENCY_UNAVAILABLE"),
                _ => (SectionStatus::Invalid, "AGENCY_REFUSED"),
            };
            (status, refusal::known_reason(reason).unwrap_or(otherwise))
        }
    }
}

fn bare(fetch: &Fetch, status: SectionStatus, reason: &'static str) -> Section {
    Section::without_values(fetch.agency.clone(), fetch.items, status, reason)
}

/// What is kept of a deadline for merging and answering after the last section.
pub fn slice(until: Instant, now: Instant) -> Instant {
    let left = until.saturating_duration_since(now);
    let kept = (left / 10).min(Duration::from_millis(25));
    now + left.saturating_sub(kept)
}
