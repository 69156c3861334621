//! What is told of a running process: its log, its metrics ([`metrics`]), the pages on
//! which they stand ([`http`]), and the spans of its requests ([`spans`]). The log is one
//! line an event on standard error, as text or JSON. No line waits for who reads it.
//!
//! How many there are is not for strangers to decide, see [`limit`].
//!
//! Nothing about a person is ever handed to it; `Sensitive` sees to that where a
//! value could slip in, and a panic's message is not printed, since it may quote
//! one.

pub mod http;
mod limit;
mod lines;
pub mod metrics;
pub mod spans;
pub mod traced;

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use limit::Limit;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use crate::domain::reason::Reason;
use lines::Lines;

/// The lines of this process, once logging has started.
static LINES: OnceLock<Lines> = OnceLock::new();

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Of the process: what it writes is one log.
static LIMIT: OnceLock<Limit> = OnceLock::new();

/// Starts logging. `TRIBUTARY_LOG` sets the level, such as `debug` or
/// `tributary::link=debug,info`; the default is `info`.
///
/// # Errors
/// The system has no thread left.
pub fn start(format: LogFormat) -> io::Result<()> {
    let lines = Lines::start(io::stderr())?;
    let lines = LINES.get_or_init(|| lines).clone();
    let filter =
        EnvFilter::try_from_env("TRIBUTARY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let limit = LIMIT.get_or_init(|| {
        let limit = Limit::default();
        // Without the thread counts are told at the end.
        let _ = limit.tell();
        limit
    });
    let limit = limit.clone();
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A second call, as tests make it, changes nothing.
    let _ = registry
        .with(traced::layer(format == LogFormat::Json, ansi, lines).with_filter(limit))
        .try_init();
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(reason = %Reason::Panic, at, "a panic was caught; its message is withheld");
    }));
    Ok(())
}

/// Writes a line that is no event on standard error: after the events before it where
/// logging has started, else at once.
pub fn tell(line: &str) {
    let line = format!("{line}\n");
    match LINES.get() {
        Some(lines) => lines.put(line.as_bytes()),
        // Nobody is left to be told that nobody can be told.
        None => drop(io::Write::write_all(&mut io::stderr(), line.as_bytes())),
    }
}

/// Waits for the lines so far, before the process ends; no longer than `within`.
pub fn flush(within: Duration) {
    if let Some(lines) = LINES.get() {
        lines.flush(within);
    }
}

/// Tells what was counted and not yet told, before the process ends.
pub fn end() {
    if let Some(limit) = LIMIT.get() {
        limit.write(true);
    }
}
