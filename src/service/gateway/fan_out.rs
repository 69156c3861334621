//! The fan-out: every planned agency asked at once, one section from each.
//!
//! All share one deadline and none waits for another. Whatever has not come by
//! then is a TIMEOUT section, and its question is cancelled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant as TokioInstant, sleep_until};
use tonic::Code;

use crate::clock;
use crate::domain::catalogue::Catalogue;
use crate::domain::grant::VerifiedGrant;
use crate::domain::plan::{Fetch, Plan};
use crate::domain::reason::Reason;
use crate::domain::section::{Section, SectionStatus};
use crate::service::agencies::client::AgencyClient;
use crate::service::agencies::outcome::{Arrival, Failure};
use crate::service::agencies::replies::{Gather, Reply, Woken};
use crate::service::agencies::request::Question;
use crate::service::agencies::stream::Asking as UnderWay;
use crate::service::gateway::proved::Proved;
use crate::service::traced::{self, Open};
use crate::telemetry::traced::current;
use crate::wire::proto::pb;
use crate::wire::{section, trace};

/// The most that is kept of a deadline for merging, the record and the way back. On a busy
/// machine the record's disk alone takes tens of milliseconds, and an answer that comes too
/// late loses every section instead of the one that was waited for.
const KEPT: Duration = Duration::from_millis(100);

/// What every agency is told about one request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The grant, of which each agency gets its own part alone.
    pub grant: &'a VerifiedGrant,
    /// The catalogue by which the items are numbered.
    pub catalogue: &'a Arc<Catalogue>,
    /// When the gateway stops waiting.
    pub until: Instant,
    /// The consumer's proof, of which each agency gets its own entry alone.
    pub proof: Option<&'a Proved>,
}

/// A section, and the time from its question to its answer.
pub type Timed = (Section, Duration);

/// Asks every agency of a plan. The sections come in the order of the plan.
pub async fn fan_out(plan: &Plan, clients: &[Arc<AgencyClient>], asked: Asked<'_>) -> Vec<Timed> {
    let began = clock::now();
    let gather = Gather::new(plan.fetches.len());
    // None where the request's spans are not taken.
    let steps = plan.fetches.iter().map_while(|fetch| traced::section(&fetch.agency));
    let steps: Vec<Open> = steps.collect();
    let questions = questions(plan, &asked, &steps);
    let asking = Asking { plan, clients, gather, questions };
    let mut under_way: Vec<Option<UnderWay>> = plan.fetches.iter().map(|_| None).collect();
    let mut connecting = FuturesUnordered::new();
    for (at, slot) in under_way.iter_mut().enumerate() {
        match asking.ask(at) {
            Ok(asked) => *slot = asked,
            Err(reply) => connecting.push(asking.connected(at, reply)),
        }
    }
    let mut deadline = std::pin::pin!(sleep_until(TokioInstant::from_std(asked.until)));
    loop {
        let put = tokio::select! {
            biased;
            woken = asking.gather.woken() => match woken {
                Woken::All => break,
                Woken::Missed(missed) => asking.again(missed),
            },
            Some((at, asked)) = connecting.next(), if !connecting.is_empty() => {
                vec![(at, Ok(asked))]
            }
            () = &mut deadline => break,
        };
        for (at, asked) in put {
            match (asked, under_way.get_mut(at)) {
                (Ok(asked), Some(slot)) => *slot = asked,
                (Ok(_), None) => {}
                (Err(reply), _) => connecting.push(asking.connected(at, reply)),
            }
        }
    }
    let arrivals = asking.gather.arrivals();
    for (asked, arrival) in under_way.into_iter().zip(&arrivals) {
        if let (Some(asked), Some(_)) = (asked, arrival) {
            asked.answered();
        }
    }
    let sections = plan.fetches.iter().zip(&asking.questions).zip(arrivals);
    let section = |((fetch, question), arrival): ((&Fetch, &Question), Option<Arrival>)| {
        let Some(arrival) = arrival else {
            let elapsed = clock::now().saturating_duration_since(began);
            return (bare(fetch, SectionStatus::Timeout, Reason::Deadline), elapsed);
        };
        let client = clients.get(fetch.place);
        let Arrival { at, outcome } = arrival;
        if let Some(reason) = client.and_then(|client| client.barred()) {
            // Found while the answer was on its way.
            let section = bare(fetch, SectionStatus::Unavailable, reason);
            return (section, at.saturating_duration_since(began));
        }
        let section = match outcome {
            Ok(response) => believe(response, fetch, question.last().hash, asked.catalogue),
            Err(failure) => {
                let (status, reason) = status_of(&failure);
                bare(fetch, status, reason)
            }
        };
        (section, at.saturating_duration_since(began))
    };
    let timed: Vec<Timed> = sections.map(section).collect();
    for (step, (section, took)) in steps.into_iter().zip(&timed) {
        step.end_as(section, *took);
    }
    timed
}

/// The questions of one request, and whom they go to.
struct Asking<'a> {
    plan: &'a Plan,
    clients: &'a [Arc<AgencyClient>],
    gather: Arc<Gather>,
    questions: Vec<Question>,
}

impl Asking<'_> {
    /// Puts one question.
    ///
    /// # Errors
    /// The reply, while the agency's first connection is still under way.
    fn ask(&self, at: usize) -> Result<Option<UnderWay>, Reply> {
        let reply = self.gather.reply(at);
        match (self.client(at), self.questions.get(at)) {
            (Some(client), Some(question)) => client.ask(question, reply),
            _ => {
                reply.fail(Failure::NoWay(Reason::NotConfigured));
                Ok(None)
            }
        }
    }

    /// Puts a question once it is known whether there is a way.
    async fn connected(&self, at: usize, mut reply: Reply) -> (usize, Option<UnderWay>) {
        while let (Some(client), Some(question)) = (self.client(at), self.questions.get(at)) {
            client.known().await;
            match client.ask(question, reply) {
                Ok(asked) => return (at, asked),
                Err(unused) => reply = unused,
            }
        }
        (at, None)
    }

    /// Puts questions again: whole where the agency has forgotten the grant, and where
    /// a stream was lost as the budget allows.
    fn again(
        &self,
        missed: Vec<(usize, Failure)>,
    ) -> Vec<(usize, Result<Option<UnderWay>, Reply>)> {
        let again = |(at, failure)| {
            let (client, question) = (self.client(at)?, self.questions.get(at)?);
            let asked = match failure {
                Failure::Forgotten => client.ask_whole(question, self.gather.again(at)),
                _ => client.ask_again(question, || self.gather.again(at))?,
            };
            Some((at, asked))
        };
        missed.into_iter().filter_map(again).collect()
    }

    fn client(&self, at: usize) -> Option<&Arc<AgencyClient>> {
        self.clients.get(self.plan.fetches.get(at)?.place)
    }
}

/// One question for each fetch; each agency gets its own part of the grant alone.
fn questions(plan: &Plan, asked: &Asked<'_>, steps: &[Open]) -> Vec<Question> {
    let common = pb::FetchSectionRequest {
        request_id: asked.request_id.to_owned(),
        consumer: asked.grant.client().to_string(),
        ..Default::default()
    };
    // Where no step is told of by itself they share what is said of the trace.
    let common_trace = trace::encode(current());
    let question = |(at, fetch): (usize, &Fetch)| {
        let trace = steps.get(at).map(|step| trace::encode(Some(step.context())));
        let proof = asked.proof.and_then(|proof| proof.for_agency(&fetch.agency));
        let message = pb::FetchSectionRequest { proof, ..common.clone() };
        Question::new(message, asked.grant.part(&fetch.agency), asked.until)
            .defined_by(fetch.items, asked.catalogue)
            .traced(trace.unwrap_or_else(|| common_trace.clone()))
    };
    plan.fetches.iter().enumerate().map(question).collect()
}

fn believe(
    response: Bytes,
    fetch: &Fetch,
    request: section::RequestHash,
    catalogue: &Catalogue,
) -> Section {
    let question =
        section::Question { agency: &fetch.agency, asked: &fetch.items, request, catalogue };
    let believed = section::decode(response, &question);
    believed.map(|section| section.heard_of(&fetch.heard)).unwrap_or_else(|disbelief| {
        tracing::warn!(agency = %fetch.agency, reason = %disbelief.reason(), "section not believed: {disbelief}");
        bare(fetch, SectionStatus::Invalid, disbelief.reason())
    })
}

/// A failed exchange as a section's status. An agency's own words do not get
/// into our answer: known reasons are named, the rest by their code.
fn status_of(failure: &Failure) -> (SectionStatus, Reason) {
    match failure {
        Failure::StreamLost => (SectionStatus::Unavailable, Reason::LaneLost),
        Failure::Hung => (SectionStatus::Unavailable, Reason::AgencyHung),
        Failure::WindowFull => (SectionStatus::Unavailable, Reason::WindowFull),
        Failure::NoWay(Reason::Deadline) => (SectionStatus::Timeout, Reason::Deadline),
        Failure::NoWay(reason) => (SectionStatus::Unavailable, *reason),
        Failure::TooLarge => (SectionStatus::Invalid, Reason::SectionTooLarge),
        Failure::WrongEcho => (SectionStatus::Invalid, Reason::WrongEcho),
        // It came when there was no time left to show the grant whole.
        Failure::Forgotten => (SectionStatus::Timeout, Reason::Deadline),
        Failure::Refused { code, reason } => {
            let reason = Reason::stated_by_agency(reason).unwrap_or(match code {
                Code::PermissionDenied | Code::Unauthenticated | Code::AlreadyExists => {
                    Reason::AgencyDenied
                }
                Code::DeadlineExceeded => Reason::Deadline,
                Code::ResourceExhausted => Reason::AgencyOverloaded,
                Code::Unavailable => Reason::AgencyUnavailable,
                _ => Reason::AgencyRefused,
            });
            (reason.section_status(), reason)
        }
    }
}

fn bare(fetch: &Fetch, status: SectionStatus, reason: Reason) -> Section {
    Section::without_values(fetch.agency.clone(), fetch.items, status, Some(reason))
}

/// Until when sections are waited for, so that the answer leaves by `until`.
pub fn sections_until(until: Instant, now: Instant) -> Instant {
    let left = until.saturating_duration_since(now);
    now + left.saturating_sub((left / 10).min(KEPT))
}
