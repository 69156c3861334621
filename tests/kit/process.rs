//! The real binary as a process, or another program as one, and what the system says
//! of it.

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tributary::clock;

use super::waiting::{until, within};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");

/// The binary, with nothing on its standard input.
pub fn binary() -> Command {
    let mut command = Command::new(BINARY);
    command.stdin(Stdio::null());
    command
}

/// What a command printed; it must end well.
pub fn told(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Sends a process a signal, such as `TERM`.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.unwrap().success(), "{name} to {pid}");
}

/// Killed when dropped.
pub struct Process {
    /// The line by which it said that it runs.
    pub said: String,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a command, and reads what it prints until a line that has a text; none if
    /// it ends before.
    pub fn try_until(command: &mut Command, text: &str) -> Option<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Self { said: String::new(), child: child.spawn().unwrap() };
        let out = std::io::BufReader::new(process.child.stdout.take().unwrap());
        process.said = out.lines().map_while(Result::ok).find(|line| line.contains(text))?;
        Some(process)
    }

    /// Starts what says where it listens, with its log in a file.
    pub fn logging(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut process = Self { said: String::new(), child: child.spawn().unwrap() };
        let out = std::io::BufReader::new(process.child.stdout.take().unwrap());
        let line = out.lines().map_while(Result::ok).find(|line| line.contains("listening on "));
        process.said = line.unwrap_or_else(|| panic!("{command:?}: it does not listen"));
        process
    }

    pub fn until(command: &mut Command, text: &str) -> Self {
        Self::try_until(command, text).unwrap_or_else(|| panic!("{command:?}: no `{text}`"))
    }

    /// Starts what says where it listens.
    pub fn listening(command: &mut Command) -> Self {
        Self::until(command, "listening on ")
    }

    /// A role of the binary.
    pub fn role(role: &str, config: &Path) -> Self {
        Self::listening(binary().args([role, "--config"]).arg(config))
    }

    /// One that may open so many files and sockets at once. It has as many threads
    /// on every machine, since each of them has memory of its own.
    pub fn with_descriptors(most: usize, role: &str, config: &Path) -> Self {
        let limited = format!("ulimit -n {most} && exec \"$@\"");
        let command = ["-c", &limited, "sh", BINARY, role, "--threads", "2", "--config"];
        Self::listening(Command::new("sh").args(command).arg(config))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.said.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits where nothing else has to go on.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Waits for its own end; gives its exit code, and a signal has none.
    pub async fn end(&mut self) -> Option<i32> {
        until("the end of the process", async || self.ended(), Option::is_some).await?.code()
    }

    /// Sends SIGTERM and waits; gives how long it took.
    pub async fn terminate(mut self) -> Duration {
        let began = clock::now();
        self.signal("TERM");
        let ended = tokio::task::spawn_blocking(move || self.child.wait().unwrap());
        assert_eq!(within(ended).await.unwrap().code(), Some(0));
        began.elapsed()
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
}
