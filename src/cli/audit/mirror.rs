//! `tributary audit mirror`: copies once what a log has published, as a running process
//! does all the time for the folder that its configuration names.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{LogArgs, source};
use crate::cli::output::{say, tell};
use crate::store::mirror::{Folder, Mirror, MirrorError};

#[derive(Debug, Args)]
pub(super) struct MirrorArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The folder of the copy, which must be there: empty, or a mirror of this log
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

pub(super) fn run(args: &MirrorArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    let store = Box::new(Folder::new(&args.to));
    let done = Mirror::new(&args.log.log, key, store, None).round(&|| true);
    let entries = match done {
        Ok(entries) => entries,
        Err(
            error @ (MirrorError::Longer { .. }
            | MirrorError::Forked { .. }
            | MirrorError::Other(_)),
        ) => {
            tell!("tributary: {} is left as it is: {error}", args.to.display());
            return Ok(ExitCode::from(2));
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        say!("{}", serde_json::json!({ "mirror": args.to, "entries": entries }))?;
    } else {
        say!("{} has {entries} entries", args.to.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
