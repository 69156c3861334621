//! `tributary gateway`: runs the gateway.

use std::path::PathBuf;
use std::process::ExitCode;

use super::run::{LogArgs, RunArgs, serve};

/// Runs the gateway until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub(super) struct GatewayArgs {
    /// The configuration file; examples/city/gateway.toml is one to copy
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: GatewayArgs) -> anyhow::Result<ExitCode> {
    args.log.start()?;
    serve("gateway", args.run, |ready, stop| crate::app::gateway::run(&args.config, ready, stop))
}
