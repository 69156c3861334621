//! `review prove`: its arguments. What it does is in [`print`].

mod print;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review prove examples/city
  tributary review prove examples/city --against old-city
  tributary review prove HEAD --against origin/main --path examples/city --format json

Needs cvc5 (on Debian: apt-get install cvc5).
Of every house's rules: no request is permitted a prohibited item; conditional
items need written consent; with --against, the change opens nothing. What holds
whatever the catalogue and what holds for the items of this catalogue are told
apart; that another catalogue would open something does not count. What is
disproved is shown with a request, and the authorizer was asked about it.
Exit codes: 0 everything that counts is proven; 1 error; 3 something is disproved;
4 nothing is disproved, and something could not be checked: no solver, no answer
in time, or none that is an answer.";

/// Something could not be checked.
const NOT_CHECKED: u8 = 4;

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// The federation: a folder, or a git revision such as main or v1:city
    #[arg(default_value = ".")]
    side: String,
    /// Prove that nothing is opened that was closed on this side
    #[arg(long, value_name = "SIDE")]
    against: Option<String>,
    /// The federation's folder inside the repository, for revisions without one
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: String,
    /// The git repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
    /// The solver: cvc5's program
    #[arg(long, value_name = "PROGRAM", default_value = "cvc5")]
    solver: PathBuf,
    /// How long the solver may take for one question, up to an hour
    #[arg(long, value_name = "TIME", value_parser = limit, default_value = "1m")]
    timeout: Duration,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn limit(text: &str) -> Result<Duration, String> {
    let limit = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match limit {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        limit if limit > Duration::from_secs(3600) => Err("must be at most 1h".to_owned()),
        limit => Ok(limit),
    }
}

pub(super) fn run(args: &ProveArgs) -> anyhow::Result<ExitCode> {
    print::run(args)
}
