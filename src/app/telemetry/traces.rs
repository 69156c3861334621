//! Where the spans of a running process go: to the collector of the configuration, if the
//! program was built with what sends them.

use crate::config::telemetry::TelemetryConfig;
use crate::telemetry::spans::Spans;

/// What sends spans while the process runs.
pub(in crate::app) struct Sending {
    #[cfg(feature = "traces")]
    exporting: Option<crate::telemetry::spans::otlp::Exporting>,
}

/// Starts sending spans, if a collector is configured. The configuration was checked:
/// without the feature it names none.
#[cfg(feature = "traces")]
pub(in crate::app) fn start(
    config: Option<&TelemetryConfig>,
    service: &'static str,
) -> (Spans, Sending) {
    match config.and_then(TelemetryConfig::collector) {
        None => (Spans::default(), Sending { exporting: None }),
        Some(collector) => {
            tracing::info!(collector = %collector.address, "traces are sent");
            let (address, ratio) = (collector.address, collector.ratio);
            let (spans, exporting) = crate::telemetry::spans::otlp::start(address, service, ratio);
            (spans, Sending { exporting: Some(exporting) })
        }
    }
}

#[cfg(not(feature = "traces"))]
pub(in crate::app) fn start(_: Option<&TelemetryConfig>, _: &'static str) -> (Spans, Sending) {
    (Spans::default(), Sending {})
}

impl Sending {
    /// Sends what waits, within bounds, and ends.
    #[cfg(feature = "traces")]
    pub(in crate::app) async fn end(self) {
        if let Some(exporting) = self.exporting {
            exporting.end().await;
        }
    }

    #[cfg(not(feature = "traces"))]
    pub(in crate::app) async fn end(self) {}
}
