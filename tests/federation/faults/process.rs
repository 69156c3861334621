//! A role as a process of its own, and what the system says of it.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tributary::clock;

use crate::kit::federation::binary;

/// Killed when dropped.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub fn start(role: &str, config: &Path) -> Self {
        Self::spawn(binary().args([role, "--config"]).arg(config))
    }

    /// One that may open so many files and sockets at once. It has as many threads
    /// on every machine, since each of them has memory of its own.
    pub fn with_descriptors(most: usize, role: &str, config: &Path) -> Self {
        let limited = format!("ulimit -n {most} && exec \"$@\"");
        let binary = env!("CARGO_BIN_EXE_tributary");
        let command = ["-c", &limited, "sh", binary, role, "--threads", "2", "--config"];
        Self::spawn(Command::new("sh").args(command).arg(config))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self { address, child }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// The most memory that it ever had resident, in KiB.
    pub fn peak(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How long it has had a core, of all cores together.
    pub fn worked(&self) -> Duration {
        // The name before it may hold spaces. A tick is a hundredth of a second.
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().map(|nth| fields[*nth].parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Files and sockets that it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Sends SIGTERM and waits; gives how long it took.
    pub async fn terminate(mut self) -> Duration {
        let began = clock::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let ended = tokio::task::spawn_blocking(move || self.child.wait().unwrap());
        let status = crate::kit::federation::within(ended).await.unwrap();
        assert_eq!(status.code(), Some(0));
        began.elapsed()
    }
}
