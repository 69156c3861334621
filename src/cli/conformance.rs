//! `tributary conformance`: checks somebody else's server, and prints what holds.

mod output;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::app::conformance::plan::Plan;
use crate::app::conformance::{self, Level, Report, enforcing, source};
use crate::cli::output::print;
use crate::config::mapping::LocalEndpoint;

/// Exit code when a check failed.
const FAILED: u8 = 3;

/// What to check, with which plan, and how to print it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tributary conformance unix:run/source.sock --level source --plan plan.toml
  tributary conformance agency.example:7106 --level enforcing --plan plan.toml --format junit
  tributary conformance --list")]
pub(super) struct ConformanceArgs {
    /// Where the server listens: `unix:PATH` or HOST:PORT
    #[arg(required_unless_present = "list")]
    endpoint: Option<String>,
    /// What is checked
    #[arg(long, value_enum, required_unless_present = "list")]
    level: Option<LevelName>,
    /// Test people, and for `enforcing` identity and test issuer: a TOML file
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    plan: Option<PathBuf>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// List the checks with their numbers, of --level or of both
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LevelName {
    Source,
    Enforcing,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Source => Self::Source,
            LevelName::Enforcing => Self::Enforcing,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One object
    Json,
    /// For build servers
    Junit,
}

pub(super) fn run(args: &ConformanceArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        let levels = args.level.map_or_else(
            || vec![Level::Source, Level::Enforcing],
            |level| vec![Level::from(level)],
        );
        let text = match args.format {
            Format::Json => output::list_json(&levels),
            _ => output::list_table(&levels),
        };
        print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (Some(endpoint), Some(level), Some(plan)) = (&args.endpoint, args.level, &args.plan) else {
        bail!("ENDPOINT, --level and --plan are needed");
    };
    let plan = Plan::load(plan)?;
    let report = super::block_on(checked(level.into(), endpoint, plan))?;
    let text = match args.format {
        Format::Table => output::table(&report),
        Format::Json => output::json(&report, endpoint),
        Format::Junit => output::junit(&report),
    };
    print(&text)?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

async fn checked(level: Level, endpoint: &str, plan: Plan) -> anyhow::Result<Report> {
    match level {
        Level::Source => {
            let endpoint = LocalEndpoint::parse(endpoint, Path::new(""))?;
            source::run(&endpoint, plan.source()?).await.context("the endpoint cannot be used")
        }
        Level::Enforcing => Ok(enforcing::run(endpoint, plan.enforcing()?).await?),
    }
}

/// The titles of a level, for the formats.
fn titles(level: Level) -> Vec<conformance::Title> {
    conformance::list(level)
}
