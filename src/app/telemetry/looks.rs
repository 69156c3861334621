//! What is looked up of a running process when its metrics are read. Each look takes what
//! is known already, and asks nobody.

use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;

use crate::clock;
use crate::link::tls::LinkTls;
use crate::service::agencies::client::AgencyClient;
use crate::service::agencies::endpoint::State;
use crate::service::audit::monitor::{Standing, Witnesses};
use crate::service::audit::recorder::Recorder;
use crate::service::readiness::Readiness;
use crate::service::rulebook::InForce;
use crate::service::status_lists::StatusPoll;
use crate::store::disk;
use crate::store::frequency::Counters;
use crate::store::mirror::Mirroring;
use crate::telemetry::metrics::names::{self, Name};
use crate::telemetry::metrics::sheet::{Look, Sheet};
use crate::telemetry::metrics::{Metrics, Readable};
use crate::telemetry::spans::Spans;

/// What a process is looked at through.
pub(in crate::app) struct Looking {
    looks: Vec<Look>,
    recorder: Arc<Recorder>,
}

impl Looking {
    /// What gateway and agency have in common.
    pub(in crate::app) fn new(
        role: &'static str,
        recorder: &Arc<Recorder>,
        readiness: &Arc<Readiness>,
    ) -> Self {
        let (started, readiness) = (clock::now(), readiness.clone());
        let own = Self { looks: Vec::new(), recorder: recorder.clone() };
        let log = recorder.clone();
        own.with(move |sheet| of_process(sheet, role, started))
            .with(move |sheet| of_readiness(sheet, &readiness))
            .with(move |sheet| of_log(sheet, &log))
    }

    fn with(mut self, look: impl Fn(&mut Sheet) + Send + Sync + 'static) -> Self {
        self.looks.push(Box::new(look));
        self
    }

    /// Certificates and revocation lists.
    pub(in crate::app) fn link(self, tls: LinkTls) -> Self {
        self.with(move |sheet| of_link(sheet, &tls, clock::utc()))
    }

    /// Status lists.
    pub(in crate::app) fn statuses(self, statuses: Arc<StatusPoll>) -> Self {
        self.with(move |sheet| {
            for (issuer, standing) in statuses.issuers() {
                let labels = || vec![("issuer", issuer.to_string())];
                if let Some(age) = standing.age {
                    sheet.put(&names::LIST_AGE, labels(), age.as_seconds_f64());
                }
                sheet.put(&names::LIST_FRESH, labels(), truth(standing.fresh));
            }
        })
    }

    /// The log's mirror, where one is kept.
    pub(in crate::app) fn mirror(self, mirroring: Option<&Mirroring>) -> Self {
        let Some(look) = mirroring.map(Mirroring::look) else { return self };
        let log = self.recorder.clone();
        self.with(move |sheet| {
            let standing = look.standing();
            let behind = log.log().published().checkpoint().size.saturating_sub(standing.entries);
            // Exact up to 2^53, as every number here.
            sheet.put(&names::MIRROR_BEHIND, Vec::new(), behind as f64);
            let age = clock::now().saturating_duration_since(standing.since);
            sheet.put(&names::MIRROR_AGE, Vec::new(), age.as_secs_f64());
        })
    }

    /// Policy and catalogue in force.
    pub(in crate::app) fn rules<M: Send + Sync + 'static>(self, rules: Arc<InForce<M>>) -> Self {
        self.with(move |sheet| {
            let engine = rules.engine();
            let (policy, catalogue) = (engine.digest(), engine.catalogue().digest());
            sheet.put(&names::POLICY, vec![("digest", policy.to_string())], 1.0);
            sheet.put(&names::POLICY_STALE, Vec::new(), truth(rules.keeps_policy()));
            sheet.put(&names::CATALOGUE, vec![("digest", catalogue.to_string())], 1.0);
            sheet.put(&names::CATALOGUE_STALE, Vec::new(), truth(rules.keeps_catalogue()));
        })
    }

    /// Peers' logs.
    pub(in crate::app) fn peers(self, witnesses: Arc<Witnesses>) -> Self {
        self.with(move |sheet| {
            for peer in witnesses.peers() {
                let sound = match peer.standing() {
                    Standing::Unseen => continue,
                    standing => truth(standing == Standing::Sound),
                };
                for origin in peer.origins() {
                    sheet.put(&names::PEER_LOG, vec![("origin", origin.to_string())], sound);
                }
            }
        })
    }

    /// Requests under way.
    pub(in crate::app) fn requests(
        self,
        in_flight: impl Fn() -> (usize, usize) + Send + Sync + 'static,
    ) -> Self {
        let log = self.recorder.clone();
        self.with(move |sheet| {
            let (now, most) = in_flight();
            // It has places for more, for when more are let in.
            sheet.count(&names::LOG_QUEUE_LIMIT, log.log().capacity().min(most));
            sheet.count(&names::IN_FLIGHT, now);
            sheet.count(&names::IN_FLIGHT_LIMIT, most);
        })
    }

    /// A gateway's agencies.
    pub(in crate::app) fn agencies(
        self,
        clients: impl Fn() -> Vec<Arc<AgencyClient>> + Send + Sync + 'static,
    ) -> Self {
        self.with(move |sheet| clients().iter().for_each(|client| of_agency(sheet, client)))
    }

    /// An agency's counters.
    pub(in crate::app) fn counters(self, counters: Counters) -> Self {
        self.with(move |sheet| {
            let (now, most) = counters.waiting();
            sheet.count(&names::COUNTERS_WAITING, now);
            sheet.count(&names::COUNTERS_LIMIT, most);
        })
    }

    /// Spans, where they are sent.
    pub(in crate::app) fn spans(self, spans: Spans) -> Self {
        self.with(move |sheet| {
            if let Some((exported, dropped)) = spans.counts() {
                // Exact up to 2^53, as every number here.
                sheet.put(&names::SPANS_EXPORTED, Vec::new(), exported as f64);
                sheet.put(&names::SPANS_DROPPED, Vec::new(), dropped as f64);
            }
        })
    }

    /// All of it, with what is counted, to be read.
    pub(in crate::app) fn readable(self, metrics: &Metrics) -> Readable {
        let figures = self.recorder.log().figures();
        let kept: [(&'static Name, _); 2] = [
            (&names::LOG_APPEND, figures.appends.clone()),
            (&names::LOG_SYNC, figures.syncs.clone()),
        ];
        metrics.readable(self.looks, kept)
    }
}

const fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

fn of_process(sheet: &mut Sheet, role: &'static str, started: Instant) {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    sheet.put(&names::BUILD, vec![("version", version), ("role", role.to_owned())], 1.0);
    sheet.put(&names::STARTED, Vec::new(), started.elapsed().as_secs_f64());
}

fn of_readiness(sheet: &mut Sheet, readiness: &Readiness) {
    let causes: Vec<_> = readiness.look().into_iter().filter_map(|(_, cause)| cause).collect();
    sheet.put(&names::READY, Vec::new(), truth(causes.is_empty()));
    for cause in causes {
        sheet.put(&names::NOT_READY, vec![("reason", cause.reason.to_string())], 1.0);
    }
}

fn of_log(sheet: &mut Sheet, recorder: &Recorder) {
    let log = recorder.log();
    sheet.count(&names::LOG_QUEUE, log.figures().waiting());
    // Exact up to 2^53, as every number here.
    sheet.put(&names::LOG_ENTRIES, Vec::new(), recorder.size() as f64);
    sheet.put(&names::LOG_WRITTEN, Vec::new(), log.figures().written() as f64);
    sheet.count(&names::LOG_DAMAGED, log.figures().damaged());
    if let Ok(room) = disk::room(&log.folder().dir) {
        sheet.put(&names::DISK_FREE, Vec::new(), room.free as f64);
        sheet.put(&names::DISK_SIZE, Vec::new(), room.size as f64);
    }
}

fn of_link(sheet: &mut Sheet, tls: &LinkTls, now: OffsetDateTime) {
    let left = |until: OffsetDateTime| (until - now).as_seconds_f64();
    let own = || vec![("certificate", "own".to_owned()), ("domain", String::new())];
    let (from, until) = tls.identity().validity();
    sheet.put(&names::CERTIFICATE_LEFT, own(), left(until));
    sheet.put(&names::CERTIFICATE_LIFE, own(), (until - from).as_seconds_f64());
    for (domain, until) in tls.trust().current().anchors_until() {
        let labels = vec![("certificate", "anchor".to_owned()), ("domain", domain.to_string())];
        sheet.put(&names::CERTIFICATE_LEFT, labels, left(until));
    }
    for (domain, _, until) in tls.trust().current().lists_until() {
        sheet.put(&names::CRL_LEFT, vec![("domain", domain.to_string())], left(until));
    }
}

fn of_agency(sheet: &mut Sheet, client: &AgencyClient) {
    let agency = client.agency().to_string();
    let (now, most) = client.in_flight();
    sheet.put(&names::AGENCY_IN_FLIGHT, vec![("agency", agency.clone())], now as f64);
    sheet.put(&names::AGENCY_LIMIT, vec![("agency", agency.clone())], most as f64);
    for (endpoint, state, age) in client.endpoints(clock::now()) {
        let labels = || vec![("agency", agency.clone()), ("endpoint", endpoint.clone())];
        if let Some(age) = age {
            sheet.put(&names::STREAM_AGE, labels(), age.as_secs_f64());
        }
        let now = match state {
            State::Up { .. } => "up",
            State::Opening { .. } => "opening",
            State::Draining => "draining",
            State::Open { .. } => "circuit_open",
        };
        for state in ["up", "opening", "draining", "circuit_open"] {
            let mut labels = labels();
            labels.push(("state", state.to_owned()));
            sheet.put(&names::ENDPOINT_STATE, labels, truth(state == now));
        }
    }
}
