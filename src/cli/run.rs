//! What `gateway` and `agency` share: logging, announcing the address, stopping.

use std::net::SocketAddr;
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

/// How else than by a signal a process is told to stop.
#[derive(Debug, clap::Args)]
pub(super) struct StopArgs {
    /// Stop when standard input ends, so as not to outlive the parent
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl StopArgs {
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
    how: StopArgs,
    run: impl FnOnce(Box<dyn FnOnce(SocketAddr) + Send>, watch::Receiver<bool>) -> F,
) -> anyhow::Result<ExitCode>
where
    F: Future<Output = Result<(), StartError>>,
{
    super::block_on(async {
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
