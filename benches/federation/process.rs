//! What a process costs, from `/proc`, and on which cores it may run.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, ensure};

/// Ticks a second in `/proc/PID/stat`; 100 on every Linux, for programs.
const TICKS: u32 = 100;

/// User and system time of a process so far.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let text = read(pid, "stat")?;
    // The name in parentheses may hold spaces; utime and stime are the 12th and
    // 13th fields after it.
    let fields = text.rsplit_once(')').context("no stat line")?.1.split_ascii_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    Ok(Duration::from_secs(ticks.into()) / TICKS)
}

/// CPU time of several processes together.
pub fn cpu_of_all(pids: &[u32]) -> anyhow::Result<Duration> {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

/// Most memory that a process has had resident, in MiB.
pub fn peak_memory(pid: u32) -> anyhow::Result<f64> {
    mebibytes(pid, "VmHWM:")
}

/// What it has resident now, in MiB.
pub fn memory(pid: u32) -> anyhow::Result<f64> {
    mebibytes(pid, "VmRSS:")
}

fn mebibytes(pid: u32, name: &str) -> anyhow::Result<f64> {
    let text = read(pid, "status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes: f64 = line
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .with_context(|| format!("no {name} in /proc/PID/status"))?;
    Ok(kibibytes / 1024.0)
}

/// How many cores this machine lets us use: asked once, before this process is put on
/// some of them.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Lets every thread of a process run on these cores alone: `1`, `0-3`.
pub fn pin(pid: u32, cores: &str) -> anyhow::Result<()> {
    let done = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", cores, &pid.to_string()])
        .output()
        .context("cannot run `taskset`: install util-linux")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "process {pid} cannot be put on core {cores}: {}", said.trim());
    Ok(())
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| path)
}
