//! The gateway's and its agencies' state as a message.

use std::time::Duration;

use bytes::Bytes;
use prost_types::Timestamp;
use time::OffsetDateTime;

use super::proto::pb;
use crate::domain::catalogue::{AgencyId, CatalogueDigest};
use crate::domain::policy::engine::PolicyDigest;
use crate::domain::quality::Window;
use crate::domain::reason::Reason;

pub use pb::AgencyState;

/// One agency.
#[derive(Debug, Clone)]
pub struct AgencyNow {
    /// Which.
    pub agency: AgencyId,
    /// Where it stands.
    pub state: AgencyState,
    /// Why it is not up.
    pub reason: Option<Reason>,
    /// Questions under way, and how many may be.
    pub in_flight: (usize, usize),
    /// Of late.
    pub windows: [Window; 3],
    /// What its audit log has shown; nothing where it is not pinned.
    pub audit_log: &'static str,
    /// Endpoints that are asked, and all of them.
    pub endpoints: (usize, usize),
    /// Its items that its catalogue is not known to define as ours does.
    pub differing: Vec<String>,
}

/// Something that runs out.
#[derive(Debug, Clone)]
pub struct Expiry {
    /// `certificate`, `anchor` or `revocation list`.
    pub what: &'static str,
    /// Whose; empty for the gateway's own.
    pub trust_domain: String,
    /// When.
    pub until: OffsetDateTime,
}

/// The gateway itself.
#[derive(Debug, Clone)]
pub struct Own {
    /// Why it would answer nothing.
    pub not_ready: Vec<Reason>,
    /// What runs out.
    pub expiries: Vec<Expiry>,
    /// The catalogue in force.
    pub catalogue: CatalogueDigest,
    /// The policy in force.
    pub policy: PolicyDigest,
    /// Entries of its audit log.
    pub entries: u64,
    /// For how long it has run.
    pub uptime: Duration,
}

/// Everything as a message; what runs out first stands first.
pub fn encode(mut own: Own, agencies: Vec<AgencyNow>) -> pb::GetStatusResponse {
    own.expiries.sort_by_key(|expiry| expiry.until);
    let expiries = own.expiries.into_iter().map(|expiry| pb::Expiry {
        what: expiry.what.to_owned(),
        trust_domain: expiry.trust_domain,
        until: Some(Timestamp { seconds: expiry.until.unix_timestamp(), nanos: 0 }),
    });
    pb::GetStatusResponse {
        not_ready: own.not_ready.iter().map(ToString::to_string).collect(),
        agencies: agencies.into_iter().map(encode_agency).collect(),
        expiries: expiries.collect(),
        catalogue_digest: Bytes::copy_from_slice(&own.catalogue.0),
        policy_digest: Bytes::copy_from_slice(&own.policy.0),
        audit_log_entries: own.entries,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: duration(own.uptime),
    }
}

fn encode_agency(now: AgencyNow) -> pb::AgencyStatus {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    pb::AgencyStatus {
        agency: now.agency.to_string(),
        state: now.state.into(),
        reason: now.reason.map(|reason| reason.to_string()).unwrap_or_default(),
        in_flight: number(now.in_flight.0),
        limit: number(now.in_flight.1),
        windows: now.windows.iter().map(encode_window).collect(),
        audit_log: now.audit_log.to_owned(),
        endpoints_up: number(now.endpoints.0),
        endpoints: number(now.endpoints.1),
        differing_items: now.differing,
    }
}

fn encode_window(window: &Window) -> pb::AgencyWindow {
    let [p50, p95, p99] = window.percentiles.map_or([None; 3], |told| told.map(duration));
    pb::AgencyWindow {
        span: duration(window.span),
        questions: window.questions,
        answered: window.answered,
        p50,
        p95,
        p99,
    }
}

fn duration(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}
