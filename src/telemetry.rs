//! Logs: one line an event on standard error, as text or JSON.
//!
//! Nothing about a person is ever handed to it; `Sensitive` sees to that where a
//! value could slip in, and a panic's message is not printed, since it may quote
//! one.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::domain::reason::Reason;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `TRIBUTARY_LOG` sets the level, such as `debug` or
/// `tributary::link=debug,info`; the default is `info`.
pub fn start(format: LogFormat) {
    let filter =
        EnvFilter::try_from_env("TRIBUTARY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // A second call, as tests make it, changes nothing.
    let _ = match format {
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(ansi)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(reason = %Reason::Panic, at, "a panic was caught; its message is withheld");
    }));
}
