//! Works on a request within its trace: the one that whoever asks names, or a new one.

use crate::domain::trace::TraceContext;
use crate::service::random;
use crate::telemetry::traced;

/// Works on a request. What is logged meanwhile has the trace's id.
pub async fn within<T>(stated: Option<TraceContext>, work: impl Future<Output = T>) -> T {
    match stated.or_else(random::trace) {
        Some(trace) => traced::within(trace, work).await,
        None => work.await,
    }
}
