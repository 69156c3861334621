//! The trace id on log lines: whatever is logged while a request is worked on has it,
//! wherever in the code that is, and no place that logs has to know of it.
//!
//! A request carries its trace as 25 bytes beside its task; text is made of it only when a
//! line is written.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt as lines};

use super::spans::Spans;
use crate::domain::trace::TraceContext;

tokio::task_local! {
    static CURRENT: Option<Current>;
}

/// What is beside a request that is worked on.
#[derive(Debug, Clone)]
pub struct Current {
    /// Its trace, and the step of it that goes on here.
    pub context: TraceContext,
    /// Where its spans go, if they are taken.
    pub sampled: Option<Arc<Sampled>>,
}

/// A request whose spans are taken.
#[derive(Debug)]
pub struct Sampled {
    /// Where they go.
    pub spans: Spans,
    /// How many agencies it has asked.
    pub asked: AtomicUsize,
}

/// Does work of a request, in little more room than the work itself takes.
pub fn within<W: Future>(
    current: Option<Current>,
    work: W,
) -> impl Future<Output = W::Output> + use<W> {
    CURRENT.scope(current, work)
}

/// The trace of the request that is worked on here.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|current| current.as_ref().map(|current| current.context)).ok()?
}

/// Where the spans of the request go that is worked on here, if they are taken.
pub fn sampled() -> Option<Arc<Sampled>> {
    CURRENT.try_with(|current| current.as_ref()?.sampled.clone()).ok()?
}

/// What makes a line of an event and writes it to `to`: as JSON, or as text.
pub(super) fn layer<S, W>(json: bool, ansi: bool, to: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = lines::layer().with_writer(to);
    match json {
        true => Box::new(layer.json().map_event_format(|inner| Traced { inner, json })),
        false => {
            let inner = lines::format().with_ansi(ansi);
            Box::new(layer.with_ansi(ansi).event_format(Traced { inner, json }))
        }
    }
}

/// Adds the trace id to lines.
#[derive(Debug)]
struct Traced<F> {
    inner: F,
    json: bool,
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(TraceContext { trace, .. }) = current() else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.json, line.strip_suffix('}')) {
            // Where OpenTelemetry looks for it in logs that are not its own.
            (true, Some(open)) => writeln!(writer, "{open},\"trace_id\":\"{trace}\"}}"),
            _ => writeln!(writer, "{line} trace_id={trace}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::prelude::*;

    use super::*;

    /// What was written.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// A line within a trace and one after it.
    fn lines(json: bool, ansi: bool) -> Vec<String> {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry().with(layer(json, ansi, kept.clone()));
        let trace =
            TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        let work = within(Some(Current { context: trace, sampled: None }), async {
            // As far down as anybody logs.
            tokio::task::yield_now().await;
            tracing::warn!(reason = "X", "with }} and\nanother");
        });
        tracing::subscriber::with_default(subscriber, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(work);
            tracing::warn!("after");
        });
        let text = String::from_utf8(kept.0.lock().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_of_a_request_have_its_trace_id_and_others_have_none() {
        let text = lines(false, false);
        assert!(text[text.len() - 2].ends_with(" trace_id=4bf92f3577b34da6a3ce929d0e0e4736"));
        assert!(!text.last().unwrap().contains("trace_id"), "{text:?}");
        assert!(lines(false, true)[0].contains("\u{1b}["), "colours stay");

        let json = lines(true, false);
        let of = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        assert_eq!(json.len(), 2, "{json:?}");
        assert_eq!(of(&json[0])["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(of(&json[0])["fields"]["reason"], "X");
        assert_eq!(of(&json[1]).get("trace_id"), None);
    }
}
