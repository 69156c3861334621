//! Spans: what is told of one step of a request to whoever collects traces. They wait in a
//! bounded queue for a task of its own, [`otlp`], which the feature `traces` builds; what
//! finds no room is dropped and counted, so that no collector holds up a request.
//!
//! A span names the call and its code, an agency, a section's status and a reason. It names
//! no person, grant, request, item or whoever asked.

#[cfg(feature = "traces")]
pub mod otlp;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::domain::catalogue::AgencyId;
use crate::domain::reason::Reason;
use crate::domain::trace::{Ratio, SpanId, TraceId};

/// Spans that wait at most: some 400 KiB.
pub const ROOM: usize = 2048;

/// Which step of a request a span tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A consumer's request, at the gateway; it asked so many agencies.
    Profile {
        /// How many agencies were asked.
        asked: usize,
    },
    /// The question to one agency, at the gateway.
    Section(AgencyId),
    /// The question, at that agency.
    Answer(AgencyId),
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// A section's status, or a code of gRPC's names.
    pub word: &'static str,
    /// Why, where it is not what was wanted.
    pub reason: Option<Reason>,
    /// Whether somebody has failed: a refusal is no failure of who refuses.
    pub failed: bool,
}

/// One step of a request.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The step that it came from; of a new trace's first none.
    pub parent: Option<SpanId>,
    /// What it was.
    pub step: Step,
    /// When it began.
    pub began: OffsetDateTime,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

/// Takes spans, or none where none are collected. Clones share the queue.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Span>,
    ratio: Ratio,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Spans {
    /// Takes a share of traces, for whoever reads the queue.
    pub fn queued(ratio: Ratio) -> (Self, mpsc::Receiver<Span>) {
        let (queue, waiting) = mpsc::channel(ROOM);
        let (exported, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        (Self(Some(Arc::new(Shared { queue, ratio, exported, dropped }))), waiting)
    }

    /// Whether this trace's spans are taken.
    pub fn takes(&self, trace: &TraceId) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.ratio.keeps(trace))
    }

    /// Takes a span, or counts it where there is no room.
    pub fn put(&self, span: Span) {
        if let Some(shared) = &self.0
            && shared.queue.try_send(span).is_err()
        {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts what a collector took, and what it did not.
    pub fn told(&self, exported: u64, dropped: u64) {
        if let Some(shared) = &self.0 {
            shared.exported.fetch_add(exported, Ordering::Relaxed);
            shared.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }

    /// How many a collector took, and how many were dropped.
    pub fn counts(&self) -> Option<(u64, u64)> {
        let shared = self.0.as_ref()?;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Some((read(&shared.exported), read(&shared.dropped)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_bounded_and_counted() {
        let (spans, waiting) = Spans::queued(Ratio::ALL);
        let trace = TraceId::new([1; 16]).unwrap();
        assert!(spans.takes(&trace) && !Spans::default().takes(&trace));
        let span = Span {
            trace,
            id: SpanId::new([2; 8]).unwrap(),
            parent: None,
            step: Step::Profile { asked: 7 },
            began: OffsetDateTime::UNIX_EPOCH,
            took: Duration::from_millis(3),
            outcome: Outcome { word: "OK", reason: None, failed: false },
        };
        for _ in 0..ROOM + 500 {
            spans.put(span.clone());
        }
        assert_eq!((spans.counts(), waiting.len()), (Some((0, 500)), ROOM));
        spans.told(40, 2);
        drop(waiting);
        spans.put(span.clone());
        assert_eq!(spans.counts(), Some((40, 503)));
        Spans::default().put(span);
        assert_eq!(Spans::default().counts(), None);
    }
}
