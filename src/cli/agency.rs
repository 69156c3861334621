//! `tributary agency`: runs an agency beside its own database.

use std::path::PathBuf;
use std::process::ExitCode;

use super::run::{LogArgs, StopArgs, serve};

/// Runs an agency until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub(super) struct AgencyArgs {
    /// The configuration file; examples/city/agencies has seven to copy
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    stop: StopArgs,
}

pub(super) fn run(args: AgencyArgs) -> anyhow::Result<ExitCode> {
    args.log.start();
    serve("agency", args.stop, |ready, stop| crate::app::agency::run(&args.config, ready, stop))
}
