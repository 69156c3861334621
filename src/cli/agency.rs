//! `tributary agency`: runs an agency beside its own database, checks its mapping, writes
//! one to begin with, makes a new agency's folder, and counts uses again after a loss.

mod check;
mod init;
mod new;
mod recount;

use std::path::PathBuf;
use std::process::ExitCode;

use super::run::{LogArgs, RunArgs, serve};

/// Runs an agency until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct AgencyArgs {
    #[command(subcommand)]
    command: Option<AgencyCommand>,
    /// The configuration file; examples/city/agencies has seven to copy
    #[arg(short, long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Subcommand)]
enum AgencyCommand {
    /// Hold a mapping against the catalogue and the live source
    Check(check::AgencyCheckArgs),
    /// Write a starting mapping from a database's schema, a CSV file or a web answer
    Init(Box<init::InitArgs>),
    /// Make a new agency's keys and file, and what its peers' operators need of it
    New(Box<new::NewArgs>),
    /// Count the uses of grants again that audit logs have and the counters have lost
    Recount(recount::RecountArgs),
}

pub(super) fn run(args: AgencyArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(AgencyCommand::Check(args)) => check::run(&args),
        Some(AgencyCommand::Init(args)) => init::run(&args),
        Some(AgencyCommand::New(args)) => new::run(*args),
        Some(AgencyCommand::Recount(args)) => recount::run(&args),
        None => {
            args.log.start()?;
            let config = args.config.unwrap_or_default();
            serve("agency", args.run, |ready, stop| crate::app::agency::run(&config, ready, stop))
        }
    }
}
