//! CPU time of a process, from `/proc`.

use std::time::Duration;

use anyhow::Context;

/// Ticks a second in `/proc/PID/stat`; 100 on every Linux, for programs.
const TICKS: u32 = 100;

/// User and system time of a process so far.
pub fn of(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name in parentheses may hold spaces; utime and stime are the 12th and
    // 13th fields after it.
    let fields = text.rsplit_once(')').context("no stat line")?.1.split_ascii_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    Ok(Duration::from_secs(ticks.into()) / TICKS)
}
