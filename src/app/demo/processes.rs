//! The demo's child processes: this very program, once for each role.
//!
//! A child ends when its standard input does, so that none outlives the demo,
//! however the demo ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::city::{City, DemoError};
use super::consent;
use crate::files;

/// How long a process may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to stop by itself.
const STOP_WITHIN: Duration = Duration::from_secs(25);

#[derive(Debug)]
pub(super) struct Processes {
    program: PathBuf,
    logs: PathBuf,
    running: HashMap<String, Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Dropping it tells the process to stop. It is kept apart from the child,
    /// whose `wait` would close it.
    stdin: Option<ChildStdin>,
    address: SocketAddr,
}

impl Processes {
    pub(super) fn new(home: &Path) -> Result<Self, DemoError> {
        let logs = home.join("logs");
        std::fs::create_dir_all(&logs)?;
        Ok(Self { program: std::env::current_exe()?, logs, running: HashMap::new() })
    }

    /// Starts a process and waits until it listens.
    pub(super) async fn start(
        &mut self,
        name: &str,
        role: &str,
        config: &Path,
    ) -> Result<SocketAddr, DemoError> {
        let mut command = Command::new(&self.program);
        command.arg(role).arg("--config").arg(config);
        self.spawn(name, command).await
    }

    /// Starts the consent service, which serves the status list.
    pub(super) async fn start_consent(&mut self, city: &City) -> Result<SocketAddr, DemoError> {
        let consent = city.consent.clone();
        let consent =
            consent.ok_or_else(|| DemoError::Inconsistent("no consent service".into()))?;
        let mut command = Command::new(&self.program);
        command.args(["grant", "serve", "--dir"]).arg(city.home.join("consent"));
        command.arg("--certificate").arg(consent.certificate).arg("--key").arg(consent.key);
        command.arg("--listen").arg(format!("127.0.0.1:{}", consent.port));
        self.spawn(consent::CONSENT, command).await
    }

    async fn spawn(&mut self, name: &str, mut command: Command) -> Result<SocketAddr, DemoError> {
        let log = std::fs::File::options().create(true).append(true).open(self.log(name))?;
        let mut child = command
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C reaches the demo alone, which stops its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let announced = async {
            let mut lines = BufReader::new(stdout?).lines();
            let line = lines.next_line().await.ok()??;
            line.rsplit(' ').next()?.parse::<SocketAddr>().ok()
        };
        let announced = tokio::time::timeout(READY_WITHIN, announced).await;
        let address = match announced {
            Ok(Some(address)) => address,
            Ok(None) => return Err(self.failed(name, "it ended at once".into())),
            Err(_) => {
                return Err(self.failed(name, format!("it did not listen within {READY_WITHIN:?}")));
            }
        };
        self.running.insert(name.to_owned(), Process { child, stdin, address });
        Ok(address)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn failed(&self, name: &str, why: String) -> DemoError {
        let text = files::read_text(&self.log(name), files::LARGE).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(8)).copied().collect::<Vec<_>>();
        DemoError::Process { name: name.to_owned(), why, log: tail.join("\n") }
    }

    pub(super) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.running.get(name).map(|process| process.address)
    }

    pub(super) fn pid(&self, name: &str) -> Option<u32> {
        self.running.get(name).and_then(|process| process.child.id())
    }

    /// Kills a process, as a crash would.
    pub(super) async fn kill(&mut self, name: &str) -> Result<(), DemoError> {
        if let Some(mut process) = self.running.remove(name) {
            process.child.kill().await?;
        }
        Ok(())
    }

    /// Stops every process, the gateway first, and waits within bounds.
    pub(super) async fn stop_all(&mut self) {
        let mut processes: Vec<(String, Process)> = self.running.drain().collect();
        processes.sort_by_key(|(name, _)| name != super::city::GATEWAY);
        for (_, process) in &mut processes {
            drop(process.stdin.take());
        }
        for (_, mut process) in processes {
            if tokio::time::timeout(STOP_WITHIN, process.child.wait()).await.is_err() {
                let _ = process.child.kill().await;
            }
        }
    }

    /// Waits until a process ends by itself.
    pub(super) async fn died(&mut self, name: &str) {
        match self.running.get_mut(name) {
            Some(process) => {
                let _ = process.child.wait().await;
            }
            None => std::future::pending().await,
        }
    }
}
