//! Every metric that there is: its name, unit, kind and help, in one place. Boards, alert
//! rules and `docs/operations.md` are held against this list by a test.
//!
//! Names follow OpenTelemetry's conventions as Prometheus writes them
//! (`rpc.server.call.duration` is `rpc_server_call_duration_seconds`); what those have no
//! name for begins with `tributary_`.

use prometheus_client::registry::Unit;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises, and begins again at a start.
    Counter,
    /// A value of now.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Things, or a state as 0 or 1.
    Things,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Name {
    /// Without unit and `_total`.
    pub stem: &'static str,
    /// What a value counts.
    pub of: Of,
    /// What it is.
    pub kind: MetricKind,
    /// What it tells, without a full stop.
    pub help: &'static str,
}

impl Name {
    const fn new(kind: MetricKind, of: Of, stem: &'static str, help: &'static str) -> Self {
        Self { stem, of, kind, help }
    }

    /// Its unit, as the registry writes it.
    pub const fn unit(&self) -> Option<Unit> {
        match self.of {
            Of::Things => None,
            Of::Seconds => Some(Unit::Seconds),
            Of::Bytes => Some(Unit::Bytes),
        }
    }

    /// The name of all its series together, as the older text of Prometheus has it.
    pub fn family(&self) -> String {
        let series = self.series();
        let name = series.first().map(String::as_str).unwrap_or_default();
        name.strip_suffix("_bucket").unwrap_or(name).to_owned()
    }

    /// The names of its series, as a query writes them.
    pub fn series(&self) -> Vec<String> {
        let unit = self.unit().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        let endings: &[&str] = match self.kind {
            MetricKind::Counter => &["_total"],
            MetricKind::Gauge => &[""],
            MetricKind::Histogram => &["_bucket", "_sum", "_count"],
        };
        endings.iter().map(|ending| format!("{}{unit}{ending}", self.stem)).collect()
    }
}

macro_rules! names {
    ($($name:ident = $kind:ident $of:ident $stem:literal $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $name: Name = Name::new(MetricKind::$kind, Of::$of, $stem, $help);
        )+

        /// Every metric.
        pub const ALL: &[&Name] = &[$(&$name),+];
    };
}

names! {
    RPC_SERVER = Histogram Seconds "rpc_server_call_duration"
        "How long calls took that came in, to the end of their answer";
    RPC_CLIENT = Histogram Seconds "rpc_client_call_duration"
        "How long questions to agencies took, by the code that their outcome has";
    SECTIONS = Counter Things "tributary_sections"
        "Sections by agency, status and reason";
    SECTION_TIME = Histogram Seconds "tributary_section_duration"
        "How long sections took, from the question to its answer or its end";
    REFUSALS = Counter Things "tributary_refusals"
        "Requests that were refused as a whole, by reason";
    IN_FLIGHT = Gauge Things "tributary_requests_in_flight"
        "Requests under way";
    IN_FLIGHT_LIMIT = Gauge Things "tributary_requests_limit"
        "Requests that may be under way";
    AGENCY_IN_FLIGHT = Gauge Things "tributary_agency_in_flight"
        "Questions under way to an agency";
    AGENCY_LIMIT = Gauge Things "tributary_agency_limit"
        "Questions that may be under way to an agency now";
    ENDPOINT_STATE = Gauge Things "tributary_agency_endpoint_state"
        "1 in the state that an endpoint of an agency has: up, opening, draining, or circuit_open";
    STREAM_AGE = Gauge Seconds "tributary_agency_stream_age"
        "Age of the oldest stream to an endpoint of an agency";
    LIST_AGE = Gauge Seconds "tributary_status_list_age"
        "Age of the oldest status list that is held of an issuer, by its iat";
    LIST_FRESH = Gauge Things "tributary_status_list_fresh"
        "1 while no status list of an issuer is missing or too old";
    CERTIFICATE_LEFT = Gauge Seconds "tributary_certificate_remaining"
        "Time until the own link certificate, or the last anchor of a trust domain, runs out";
    CERTIFICATE_LIFE = Gauge Seconds "tributary_certificate_lifetime"
        "Whole life of the own link certificate";
    CRL_LEFT = Gauge Seconds "tributary_crl_remaining"
        "Time until the first revocation list of a trust domain is to be renewed";
    LOG_APPEND = Histogram Seconds "tributary_audit_log_append_duration"
        "How long requests waited for their records to be on disk";
    LOG_SYNC = Histogram Seconds "tributary_audit_log_sync_duration"
        "How long the disk took for one sync of the audit log";
    LOG_QUEUE = Gauge Things "tributary_audit_log_queue_depth"
        "Requests that wait for the audit log's writer";
    LOG_QUEUE_LIMIT = Gauge Things "tributary_audit_log_queue_limit"
        "Requests that may wait for the audit log's writer";
    LOG_ENTRIES = Gauge Things "tributary_audit_log_entries"
        "Entries of the audit log";
    LOG_WRITTEN = Counter Bytes "tributary_audit_log_written"
        "Bytes that were appended to the audit log since the start";
    LOG_DAMAGED = Gauge Things "tributary_audit_log_damaged"
        "Places that were damaged when the audit log was last looked through";
    DISK_FREE = Gauge Bytes "tributary_audit_log_disk_free"
        "Room that is left on the disk of the audit log";
    DISK_SIZE = Gauge Bytes "tributary_audit_log_disk_size"
        "Size of the disk of the audit log";
    MIRROR_BEHIND = Gauge Things "tributary_audit_mirror_behind"
        "Published entries of the audit log that its mirror does not have";
    MIRROR_AGE = Gauge Seconds "tributary_audit_mirror_age"
        "How long ago the mirror of the audit log had all that was published";
    PEER_LOG = Gauge Things "tributary_peer_log_sound"
        "1 where a peer's pinned audit log goes on from what was seen of it, 0 where it contradicts that";
    COUNTERS_WAITING = Gauge Things "tributary_counters_waiting"
        "Uses of grants that wait to be counted";
    COUNTERS_LIMIT = Gauge Things "tributary_counters_limit"
        "Uses of grants that may wait to be counted";
    POLICY = Gauge Things "tributary_policy_info"
        "1 for the policy in force, by its digest";
    POLICY_STALE = Gauge Things "tributary_policy_stale"
        "1 while a changed policy does not load and the last good one stays in force";
    CATALOGUE = Gauge Things "tributary_catalogue_info"
        "1 for the catalogue in force, by its digest";
    CATALOGUE_STALE = Gauge Things "tributary_catalogue_stale"
        "1 while a changed catalogue cannot be used and the last good one stays in force";
    READY = Gauge Things "tributary_ready"
        "1 while the process would answer";
    NOT_READY = Gauge Things "tributary_not_ready_reason"
        "1 for each reason why the process would not answer";
    SPANS_EXPORTED = Counter Things "tributary_spans_exported"
        "Spans that the collector of traces took";
    SPANS_DROPPED = Counter Things "tributary_spans_dropped"
        "Spans that were dropped: the collector of traces was away, slow or full";
    BUILD = Gauge Things "tributary_build_info"
        "1 for the version that runs, and its role";
    STARTED = Gauge Seconds "tributary_uptime"
        "Time since the process started";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_written_as_a_query_has_them() {
        assert_eq!(SECTIONS.series(), ["tributary_sections_total"]);
        assert_eq!(RPC_SERVER.series()[0], "rpc_server_call_duration_seconds_bucket");
        assert_eq!(LOG_WRITTEN.series(), ["tributary_audit_log_written_bytes_total"]);
        assert_eq!(CRL_LEFT.series(), ["tributary_crl_remaining_seconds"]);
    }

    #[test]
    fn no_two_metrics_have_one_name() {
        let mut stems: Vec<&str> = ALL.iter().map(|name| name.stem).collect();
        stems.sort_unstable();
        stems.dedup();
        assert_eq!(stems.len(), ALL.len());
    }
}
