//! Processes that the benchmark starts: this program in another role, the real
//! binary, or a peer. Each ends with us, however we end.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tonic::service::Routes;
use tributary::link::accept;
use tributary::link::limits::LinkLimits;
use tributary::link::tls::LinkTls;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A process that listens.
pub struct Server {
    pub pid: u32,
    pub address: SocketAddr,
    _child: Child,
}

impl Server {
    /// Starts this very program in another role.
    pub async fn ours(role: &str, arguments: &[&OsStr]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).args(arguments);
        Self::start(command).await.with_context(|| format!("starting `{role}`"))
    }

    /// Starts the measured binary, as its users do, but for standard input.
    pub async fn tributary(role: &str, config: &Path, log: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.arg(role).arg("--config").arg(config).arg("--until-stdin-closes");
        command.stderr(std::fs::File::options().create(true).append(true).open(log)?);
        Self::start(command).await.with_context(|| format!("{role} {}", config.display()))
    }

    /// Reads the address off the last word of the first line that it prints.
    pub async fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().context("it ended at once")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(READY_WITHIN, lines.next_line()).await;
        let line = line.map_err(|_| anyhow!("it does not listen"))??;
        let Some(line) = line else { bail!("it ended at once") };
        let address = line.rsplit(' ').next().unwrap_or_default();
        let address = address.parse().with_context(|| line.clone())?;
        Ok(Self { pid, address, _child: child })
    }
}

/// What each role of ours does: it says where it listens, and serves until
/// standard input ends. TLS and HTTP/2 are those of the gateway itself.
pub async fn serve(tls: LinkTls, routes: Routes) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let ended = standard_input_ends();
    accept::serve(listener, tls, routes.prepare(), LinkLimits::default(), ended).await;
    Ok(())
}

/// When whoever started us has ended.
pub async fn standard_input_ends() {
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}
