//! `tributary grant serve`: publishes the status list.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::issuer::{self, Publication};
use crate::cli::run::{LogArgs, RunArgs, serve};

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The issuer's folder, with its issuer.toml
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// Where to listen, such as 127.0.0.1:8443; the path is that of `status_uri`
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The web server's certificate chain, PEM; for development, `tributary pki
    /// issue --role issuer` makes one
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    args.log.start()?;
    let publication = Publication {
        settings: args.dir.join("issuer.toml"),
        listen: args.listen,
        certificate: args.certificate,
        key: args.key,
    };
    serve("issuer", args.run, |ready, stop| issuer::run(publication, ready, stop))
}
