//! The conformance kit: numbered checks of somebody else's server, made as the
//! gateway or the agency beside it would ask.
//!
//! Two levels: `source`, of a `SourceService`, and `enforcing`, of a whole
//! `AgencyService`. What the server does not announce is skipped, and said. The
//! numbers are fixed: a check that goes takes its number with it. Nothing here
//! prints; and no finding repeats a person's number or a value.

pub mod enforcing;
pub mod plan;
mod raw;
pub mod source;

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::clock;

/// The longest that one check may take.
const CHECK_WITHIN: Duration = Duration::from_secs(60);

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A `SourceService` gives right rows.
    Source,
    /// An `AgencyService` enforces what ours does.
    Enforcing,
}

impl Level {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Enforcing => "enforcing",
        }
    }
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and why.
    Failed(String),
    /// It could not be made, and why.
    Skipped(String),
}

impl Outcome {
    /// Its name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "SKIPPED",
        }
    }

    /// Why it did not pass.
    pub fn why(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(why) | Self::Skipped(why) => why,
        }
    }
}

/// Number and title of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Title {
    /// Its number, which never changes.
    pub number: u16,
    /// What must hold.
    pub text: &'static str,
}

/// One check's result.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Which check.
    pub title: Title,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// The results of one level, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Report {
    /// The level.
    pub level: Level,
    /// One for each check.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many passed, failed, were skipped.
    pub fn counts(&self) -> [usize; 3] {
        let of = |name| self.findings.iter().filter(|f| f.outcome.as_str() == name).count();
        [of("PASSED"), of("FAILED"), of("SKIPPED")]
    }

    /// Whether no check failed.
    pub fn holds(&self) -> bool {
        self.counts()[1] == 0
    }
}

/// Every check of a level.
pub fn list(level: Level) -> Vec<Title> {
    match level {
        Level::Source => source::CHECKS.iter().map(|check| check.title).collect(),
        Level::Enforcing => enforcing::CHECKS.iter().map(|check| check.title).collect(),
    }
}

/// Why a check did not pass.
#[derive(Debug, Clone)]
enum Stop {
    Failed(String),
    Skipped(String),
}

/// What a check gives.
type Verdict<T = ()> = Result<T, Stop>;

/// One check of a server, made with a bench of type `B`.
struct Check<B: 'static> {
    title: Title,
    run: for<'a> fn(&'a B) -> BoxFuture<'a, Verdict>,
}

/// A row of a table of checks.
const fn check<B>(
    number: u16,
    text: &'static str,
    run: for<'a> fn(&'a B) -> BoxFuture<'a, Verdict>,
) -> Check<B> {
    Check { title: Title { number, text }, run }
}

fn failed<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(why.into()))
}

fn skipped<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(why.into()))
}

fn ensure(holds: bool, otherwise: impl Into<String>) -> Verdict {
    if holds { Ok(()) } else { failed(otherwise) }
}

async fn run_all<B>(level: Level, checks: &[Check<B>], bench: &B) -> Report {
    let mut findings = Vec::with_capacity(checks.len());
    for check in checks {
        let started: Instant = clock::now();
        let verdict = tokio::time::timeout(CHECK_WITHIN, (check.run)(bench)).await;
        let outcome = match verdict {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Stop::Failed(why))) => Outcome::Failed(why),
            Ok(Err(Stop::Skipped(why))) => Outcome::Skipped(why),
            Err(_) => Outcome::Failed(format!("not done after {}s", CHECK_WITHIN.as_secs())),
        };
        findings.push(Finding { title: check.title, outcome, took: started.elapsed() });
    }
    Report { level, findings }
}
