//! A closed loop: so many requests in flight, each followed by the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tributary::clock;

use crate::process;

/// What is done for one request.
pub trait Request: Send + Sync {
    /// Does it for the person of this number, and fails unless the answer is right.
    fn ask(&self, person: usize) -> BoxFuture<'_, anyhow::Result<()>>;

    /// Statements sent so far; zero where nobody counts them.
    fn statements(&self) -> u64;
}

pub type Work = Arc<dyn Request>;

/// What one measurement gave.
pub struct Run {
    done: usize,
    took: Duration,
    cpu: Duration,
    statements: u64,
}

impl Run {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }

    /// Microseconds of this process's CPU time for each request.
    pub fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.done as f64
    }

    /// Requests for each statement.
    pub fn people_each(&self) -> f64 {
        self.done as f64 / self.statements.max(1) as f64
    }
}

/// Does the work for a while.
pub async fn run(work: &Work, in_flight: usize, length: Duration) -> anyhow::Result<Run> {
    let (statements, cpu) = (work.statements(), process::cpu(std::process::id())?);
    let begun = clock::now();
    let mut callers = JoinSet::new();
    for caller in 0..in_flight {
        callers.spawn(call(Arc::clone(work), caller, begun + length));
    }
    let mut done = 0;
    while let Some(caller) = callers.join_next().await {
        done += caller.context("a caller failed")??;
    }
    let took = begun.elapsed();
    let cpu = process::cpu(std::process::id())?.saturating_sub(cpu);
    Ok(Run { done, took, cpu, statements: work.statements() - statements })
}

async fn call(work: Work, caller: usize, until: Instant) -> anyhow::Result<usize> {
    // From another place for each caller, in steps that meet everyone.
    let mut person = caller * 7919;
    let mut done = 0;
    while clock::now() < until {
        person += 48_271;
        work.ask(person).await?;
        done += 1;
    }
    Ok(done)
}
