//! The pages that `[telemetry]` serves: `/livez`, `/readyz`, `/metrics`; and the looks at a
//! running process of which the last one tells.

mod looks;
pub(super) mod own;
pub(super) mod traces;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use ::http::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic_health::pb::health_check_response::ServingStatus;

use super::StartError;
use super::serving;
use crate::config::telemetry::TelemetryConfig;
use crate::service::health::Health;
use crate::service::readiness::Readiness;
use crate::telemetry::http::{self, Asked, Page};
use crate::telemetry::metrics::Readable;
use crate::wire::proto::{self, DESCRIPTORS};

pub(super) use looks::Looking;

const TEXT: &str = "text/plain; charset=utf-8";

/// The methods of every service that a process may have.
pub(super) fn methods() -> Vec<String> {
    proto::methods(&[
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    ])
}

/// The port, bound before anything is served.
pub(super) struct Bound(Option<(TcpListener, SocketAddr)>);

/// Binds the port, if one is configured.
pub(super) async fn bind(config: Option<&TelemetryConfig>) -> Result<Bound, StartError> {
    match config {
        None => Ok(Bound(None)),
        Some(config) => serving::bind(config.listen).await.map(|bound| Bound(Some(bound))),
    }
}

/// The pages while they are served; dropped, they are no longer.
pub(super) struct Serving(Option<JoinHandle<()>>);

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Serving {
    /// Ends them, and returns once they look at nothing of the process any more.
    pub(super) async fn end(mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Bound {
    /// Serves the pages.
    pub(super) fn serve(
        self,
        readiness: Arc<Readiness>,
        health: Health,
        metrics: Readable,
    ) -> Serving {
        let Some((listener, address)) = self.0 else { return Serving(None) };
        tracing::info!(%address, "liveness, readiness and metrics are served");
        let find = move |asked: Asked<'_>| match asked.path {
            "/livez" => Some(page(StatusCode::OK, "alive\n".to_owned())),
            "/readyz" => Some(readyz(&readiness, &health, asked.query)),
            "/metrics" => Some(match metrics.read(asked.accept) {
                Ok((media, text)) => Page { status: StatusCode::OK, media, text },
                Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR, "not written\n".to_owned()),
            }),
            _ => None,
        };
        Serving(Some(tokio::spawn(http::serve(listener, find))))
    }
}

const fn page(status: StatusCode, text: String) -> Page {
    Page { status, media: TEXT, text }
}

/// Whether the process would answer, and if not why; with `?verbose` every check, and what
/// health says of every name. Those names take no process out.
fn readyz(readiness: &Readiness, health: &Health, query: &str) -> Page {
    let (checks, mut told) = (readiness.look(), String::new());
    let ready = checks.iter().all(|(_, cause)| cause.is_none());
    let verbose = query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="));
    // Writing to a text does not fail.
    let _ = writeln!(told, "{}", if ready { "ready" } else { "not ready" });
    for (name, cause) in &checks {
        let _ = match cause {
            Some(cause) => writeln!(told, "[-] {name}: {}: {}", cause.reason, cause.what),
            None if verbose => writeln!(told, "[+] {name}"),
            None => Ok(()),
        };
    }
    if verbose {
        for (name, status) in health.all() {
            let word = match status {
                ServingStatus::Serving => "SERVING",
                ServingStatus::NotServing => "NOT_SERVING",
                ServingStatus::Unknown | ServingStatus::ServiceUnknown => "UNKNOWN",
            };
            let _ = writeln!(told, "    {word} {}", if name.is_empty() { "\"\"" } else { &name });
        }
    }
    page(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, told)
}
