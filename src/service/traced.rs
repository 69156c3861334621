//! Works on a request within its trace, the one that whoever asks names or a new one, and
//! tells its steps as spans where those are taken.
//!
//! Whether they are, the trace's id and our own share say, and never whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::clock;
use crate::domain::catalogue::AgencyId;
use crate::domain::reason::{GrpcCode, Reason};
use crate::domain::section::Section;
use crate::domain::trace::{SpanId, TraceContext};
use crate::service::random;
use crate::telemetry::spans::{Outcome, Span, Spans, Step};
use crate::telemetry::traced::{self, Current, Sampled};
use crate::wire::refusal::Refusal;

/// A step under way. Dropped before its end is told, it was given up.
#[derive(Debug)]
pub struct Open {
    sampled: Arc<Sampled>,
    span: Span,
    since: Instant,
    took: Option<Duration>,
}

/// Works on a call. What is logged meanwhile has the id of its trace. It takes little more
/// room than the work, of which there may be much at once: so it is no `async` function,
/// which would hold the work twice.
pub fn call<T, E, W>(
    spans: &Spans,
    step: Step,
    stated: Option<TraceContext>,
    work: W,
    refusal: fn(&E) -> &Refusal,
) -> impl Future<Output = Result<T, E>> + use<T, E, W>
where
    W: Future<Output = Result<T, E>>,
{
    let trace = stated.or_else(random::trace);
    let taken = trace.filter(|trace| spans.takes(&trace.trace));
    let open = taken.and_then(|trace| Open::of_call(spans, step, trace, stated.is_some()));
    let current = match &open {
        Some(open) => {
            Some(Current { context: open.context(), sampled: Some(open.sampled.clone()) })
        }
        None => trace.map(|context| Current { context, sampled: None }),
    };
    traced::within(current, work).inspect(move |answered| {
        let Some(open) = open else { return };
        match answered.as_ref().map_err(refusal) {
            Ok(_) => open.end(Outcome { word: "OK", reason: None, failed: false }),
            Err(refusal) => open.end(refused(refusal.reason)),
        }
    })
}

/// The question to one agency, within the request that is worked on here, if its spans are
/// taken.
pub fn section(agency: &AgencyId) -> Option<Open> {
    let (sampled, context) = (traced::sampled()?, traced::current()?);
    let id = random::span()?;
    sampled.asked.fetch_add(1, Ordering::Relaxed);
    Some(Open::new(sampled, context, id, Some(context.parent), Step::Section(agency.clone())))
}

impl Open {
    fn of_call(spans: &Spans, step: Step, trace: TraceContext, stated: bool) -> Option<Self> {
        let (id, parent) = match stated {
            true => (random::span()?, Some(trace.parent)),
            false => (trace.parent, None),
        };
        let sampled = Arc::new(Sampled { spans: spans.clone(), asked: AtomicUsize::new(0) });
        Some(Self::new(sampled, trace, id, parent, step))
    }

    fn new(
        sampled: Arc<Sampled>,
        TraceContext { trace, .. }: TraceContext,
        id: SpanId,
        parent: Option<SpanId>,
        step: Step,
    ) -> Self {
        let outcome = Outcome { word: GrpcCode::Cancelled.as_str(), reason: None, failed: false };
        let (began, since) = (clock::utc(), clock::now());
        let took = Duration::ZERO;
        let span = Span { trace, id, parent, step, began, took, outcome };
        Self { sampled, span, since, took: None }
    }

    /// What is said to whoever is asked in this step.
    pub const fn context(&self) -> TraceContext {
        TraceContext { trace: self.span.trace, parent: self.span.id, sampled: true }
    }

    fn end(mut self, outcome: Outcome) {
        self.span.outcome = outcome;
    }

    /// A section came of it in that time, or none did.
    pub fn end_as(mut self, section: &Section, took: Duration) {
        self.took = Some(took);
        let (word, reason) = (section.status.as_str(), section.reason);
        self.end(Outcome { word, reason, failed: !section.status.is_answered() });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut span = self.span.clone();
        let took = || clock::now().saturating_duration_since(self.since);
        span.took = self.took.unwrap_or_else(took);
        if let Step::Profile { asked } = &mut span.step {
            *asked = self.sampled.asked.load(Ordering::Relaxed);
        }
        self.sampled.spans.put(span);
    }
}

/// A server has failed where the cause is its own (OpenTelemetry, "gRPC").
fn refused(reason: Reason) -> Outcome {
    let own = [GrpcCode::DeadlineExceeded, GrpcCode::Internal, GrpcCode::Unavailable];
    let (word, failed) = (reason.code().as_str(), own.contains(&reason.code()));
    Outcome { word, reason: Some(reason), failed }
}
