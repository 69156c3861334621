//! What the serving commands share: logging, announcing the address, stopping.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use super::output;
use super::signals::Orders;
use crate::app::StartError;
use crate::telemetry::{self, LogFormat};

/// How long a stop may take: connections and the log have 20 seconds of their own.
const STOP_WITHIN: Duration = Duration::from_secs(23);

/// Whoever started the process kills it after so long, with half a second for the log.
const _: () = assert!(STOP_WITHIN.as_millis() + 500 < 25_000, "a stop ends within 25 seconds");

/// How long blocking work that nobody waits for may still take at the end.
const LEFT_WORK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// Log as JSON, one object a line. TRIBUTARY_LOG sets the level
    #[arg(long)]
    json_log: bool,
}

impl LogArgs {
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let format = if self.json_log { LogFormat::Json } else { LogFormat::Text };
        telemetry::start(format).context("cannot start the thread that writes the log")
    }
}

/// How a role runs, and how else than by a signal it is told to stop.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Threads that answer requests [default: half the cores, at least one; the
    /// database's and the audit log's threads have the others]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Stop when standard input ends, so as not to outlive the parent
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl RunArgs {
    /// A request that changes threads costs more than it gains, and the stores
    /// have threads of their own: measured in docs/adr/0012.
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or(cores.div_ceil(2), NonZeroUsize::get)
    }
}

/// Runs a role until a signal comes. The line on standard output, `ROLE listening
/// on ADDRESS`, is for whoever started the process with port 0.
pub(super) fn serve<F>(
    role: &'static str,
    how: RunArgs,
    run: impl FnOnce(Box<dyn FnOnce(SocketAddr) + Send>, watch::Receiver<bool>) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = Result<(), StartError>>,
{
    let orders = Orders { within: STOP_WITHIN, stdin: how.until_stdin_closes, hangup_stops: false };
    let stopped = orders.take().context("cannot wait for signals")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(how.threads())
        .enable_all()
        .build()?;
    // A pipe that nobody reads holds up this thread alone.
    let announce = move |address| {
        std::thread::spawn(move || output::say!("{role} listening on {address}"));
    };
    let done = runtime.block_on(run(Box::new(announce), stopped));
    // A look-up or a read that hangs is left behind.
    runtime.shutdown_timeout(LEFT_WORK);
    telemetry::end();
    done?;
    Ok(ExitCode::SUCCESS)
}
