//! What `gateway` and `agency` share: logging, announcing the address, stopping.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use tokio::sync::watch;

use crate::app::{StartError, stop_signal};
use crate::telemetry::{self, LogFormat};

#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// Log as JSON, one object a line. TRIBUTARY_LOG sets the level
    #[arg(long)]
    json_log: bool,
}

impl LogArgs {
    pub(super) fn start(&self) {
        telemetry::start(if self.json_log { LogFormat::Json } else { LogFormat::Text });
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

    async fn stop(&self) {
        let signalled = async {
            if stop_signal().await.is_err() {
                std::future::pending().await
            }
        };
        let ended = async {
            if !self.until_stdin_closes {
                std::future::pending().await
            }
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
        };
        tokio::select! {
            () = signalled => {}
            () = ended => {}
        }
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(how.threads())
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            how.stop().await;
            stop.send_replace(true);
            // A signal while stopping does not wait for anybody.
            if stop_signal().await.is_ok() {
                std::process::exit(130);
            }
        });
        let announce = move |address| {
            use std::io::Write as _;
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{role} listening on {address}").and_then(|()| out.flush());
        };
        run(Box::new(announce), stopped).await?;
        Ok(ExitCode::SUCCESS)
    })
}
