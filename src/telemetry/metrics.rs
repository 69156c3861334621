//! What is counted and measured, and its text for whoever reads it.
//!
//! What happens often is counted where it happens, by atomics behind handles that are made
//! beforehand ([`AgencyMeter`], [`Metrics::call`]); what is merely so is looked up when it
//! is read ([`sheet`]). Labels are closed: agencies of the configuration, methods of the
//! protocol, codes, statuses and reasons. Nobody who asks can make a series, and none names
//! a person, a grant, a request or whoever asked.

pub mod names;
pub mod sheet;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use self::names::Name;
use self::sheet::{Look, Looks};
use crate::domain::catalogue::AgencyId;
use crate::domain::reason::Reason;
use crate::domain::section::SectionStatus;

/// Upper bounds in seconds. Of those that OpenTelemetry advises, the ones that matter
/// here: a request takes some milliseconds, and its deadline is a few seconds.
const BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];

/// What a method is called that the protocol does not have, as OpenTelemetry has it.
const OTHER: &str = "_OTHER";

/// A histogram of times.
pub fn times() -> Histogram {
    Histogram::new(BOUNDS)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    rpc_method: Arc<str>,
    rpc_response_status_code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuestionLabels {
    agency: Arc<str>,
    rpc_response_status_code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SectionLabels {
    agency: Arc<str>,
    status: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgencyLabel {
    agency: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

type Times<L> = Family<L, Histogram, fn() -> Histogram>;

fn family<L: Clone + std::hash::Hash + Eq>() -> Times<L> {
    Family::new_with_constructor(times)
}

/// The counts of one process.
#[derive(Debug)]
pub struct Metrics {
    methods: HashSet<Arc<str>>,
    other: Arc<str>,
    calls: Times<CallLabels>,
    questions: Times<QuestionLabels>,
    sections: Family<SectionLabels, Counter>,
    section_times: Times<AgencyLabel>,
    refusals: Family<ReasonLabel, Counter>,
}

impl Metrics {
    /// Nothing counted yet. `methods` are the paths of the calls that the process knows.
    pub fn new(methods: impl IntoIterator<Item = String>) -> Arc<Self> {
        let methods = methods.into_iter();
        Arc::new(Self {
            methods: methods.map(|path| path.trim_start_matches('/').into()).collect(),
            other: OTHER.into(),
            calls: family(),
            questions: family(),
            sections: Family::default(),
            section_times: family(),
            refusals: Family::default(),
        })
    }

    /// A method's name as a label: that of a path, if the protocol has it.
    pub fn method(&self, path: &str) -> Arc<str> {
        let known = self.methods.get(path.trim_start_matches('/'));
        known.unwrap_or(&self.other).clone()
    }

    /// A call has ended, of a method as [`Metrics::method`] names it, with a code of
    /// gRPC's names.
    pub fn call(&self, rpc_method: Arc<str>, code: &'static str, took: Duration) {
        let labels = CallLabels { rpc_method, rpc_response_status_code: code };
        self.calls.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A request was refused as a whole.
    pub fn refused(&self, reason: Reason) {
        self.refusals.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    /// What is counted of an agency.
    pub fn agency(self: &Arc<Self>, agency: &AgencyId) -> AgencyMeter {
        let agency: Arc<str> = agency.as_str().into();
        let label = AgencyLabel { agency: agency.clone() };
        let took = self.section_times.get_or_create_owned(&label);
        AgencyMeter { agency, took, metrics: self.clone() }
    }

    /// Makes what is counted readable, with what is looked up beside it and the histograms
    /// that others keep.
    pub fn readable(
        &self,
        looks: Vec<Look>,
        kept: impl IntoIterator<Item = (&'static Name, Histogram)>,
    ) -> Readable {
        let mut registry = Registry::default();
        register(&mut registry, &names::RPC_SERVER, self.calls.clone());
        register(&mut registry, &names::RPC_CLIENT, self.questions.clone());
        register(&mut registry, &names::SECTIONS, self.sections.clone());
        register(&mut registry, &names::SECTION_TIME, self.section_times.clone());
        register(&mut registry, &names::REFUSALS, self.refusals.clone());
        for (name, histogram) in kept {
            register(&mut registry, name, histogram);
        }
        registry.register_collector(Box::new(Looks(looks)));
        Readable(registry)
    }
}

fn register(registry: &mut Registry, name: &Name, metric: impl Metric) {
    match name.unit() {
        Some(unit) => registry.register_with_unit(name.stem, name.help, unit, metric),
        None => registry.register(name.stem, name.help, metric),
    }
}

/// What is counted of one agency.
#[derive(Debug, Clone)]
pub struct AgencyMeter {
    agency: Arc<str>,
    took: Histogram,
    metrics: Arc<Metrics>,
}

impl AgencyMeter {
    /// A section came of a question, or none did.
    pub fn section(&self, status: SectionStatus, reason: Option<Reason>, took: Duration) {
        let reason = reason.map_or("", Reason::as_str);
        let (agency, status) = (self.agency.clone(), status.as_str());
        self.metrics.sections.get_or_create(&SectionLabels { agency, status, reason }).inc();
        self.took.observe(took.as_secs_f64());
    }

    /// A question to it has ended.
    pub fn question(&self, code: &'static str, took: Duration) {
        let labels = QuestionLabels { agency: self.agency.clone(), rpc_response_status_code: code };
        self.metrics.questions.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// Metrics as they are read.
#[derive(Debug)]
pub struct Readable(Registry);

/// The media type of OpenMetrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Readable {
    /// The text and its media type: OpenMetrics for whoever takes it, else the older text
    /// of Prometheus, which its `promtool` reads.
    ///
    /// # Errors
    /// A metric that cannot be written.
    pub fn read(&self, accept: &str) -> Result<(&'static str, String), fmt::Error> {
        let mut told = String::new();
        if accept.contains("application/openmetrics-text") {
            text::encode(&mut told, &self.0)?;
            Ok((OPEN_METRICS, told))
        } else {
            prometheus_text::encode(&mut told, &self.0)?;
            Ok((prometheus_text::CONTENT_TYPE, told))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_series_comes_of_what_a_caller_chooses() {
        let metrics = Metrics::new(["/tributary.v1.ProfileService/GetProfile".to_owned()]);
        for number in 0..10_000 {
            let path = format!("/canary.{number}/Canary");
            metrics.call(metrics.method(&path), "OK", Duration::from_millis(number));
        }
        let profile = metrics.method("/tributary.v1.ProfileService/GetProfile");
        metrics.call(profile, "OK", Duration::from_millis(3));
        let (_, told) = metrics.readable(Vec::new(), []).read("").unwrap();
        assert!(!told.to_lowercase().contains("canary"), "{told}");
        let counts = told.lines().filter(|line| line.contains("duration_seconds_count{"));
        assert_eq!(counts.count(), 2, "{told}");
        assert!(told.contains("rpc_method=\"_OTHER\""), "{told}");
    }

    #[test]
    fn both_texts_are_told_by_what_is_taken() {
        let metrics = Metrics::new([]);
        metrics.refused(Reason::GrantExpired);
        let look: Look = Box::new(|sheet| {
            sheet.put(&names::LOG_WRITTEN, Vec::new(), 7.0);
            sheet.put(&names::READY, Vec::new(), 1.0);
        });
        let readable = metrics.readable(vec![look], [(&names::LOG_SYNC, times())]);
        let (media, told) =
            readable.read("application/openmetrics-text;version=1.0.0,*/*").unwrap();
        assert_eq!(media, OPEN_METRICS);
        assert!(told.ends_with("# EOF\n"), "{told}");
        for line in [
            "tributary_refusals_total{reason=\"GRANT_EXPIRED\"} 1",
            "tributary_audit_log_written_bytes_total 7.0",
            "tributary_ready 1.0",
            "tributary_audit_log_sync_duration_seconds_count 0",
        ] {
            assert!(told.lines().any(|told| told == line), "{line}: {told}");
        }
        let (media, told) = readable.read("text/plain").unwrap();
        assert!(media.starts_with("text/plain") && !told.contains("EOF"), "{media}: {told}");
    }
}
