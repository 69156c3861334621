//! `tributary gateway`: runs the gateway, or checks its configuration.

pub(super) mod check;

use std::path::PathBuf;
use std::process::ExitCode;

use super::run::{LogArgs, RunArgs, serve};

/// Runs the gateway until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct GatewayArgs {
    #[command(subcommand)]
    command: Option<GatewayCommand>,
    /// The configuration file; examples/city/gateway.toml is one to copy
    #[arg(short, long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Subcommand)]
enum GatewayCommand {
    /// Say everything that is wrong with a configuration, and start nothing
    Check(check::GatewayCheckArgs),
}

pub(super) fn run(args: GatewayArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(GatewayCommand::Check(args)) => check::run(&args),
        None => {
            args.log.start()?;
            let config = args.config.unwrap_or_default();
            serve("gateway", args.run, |ready, stop| crate::app::gateway::run(&config, ready, stop))
        }
    }
}
