//! `tributary audit mirror`: copies once what a log has published, as a running process
//! does all the time for the place that its configuration names; or fetches the copy.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{LogArgs, place, source};
use crate::cli::output::{say, tell};
use crate::config::mirror::Place;
use crate::store::mirror::{Mirror, MirrorError};

#[derive(Debug, Args)]
pub(super) struct MirrorArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Where the copy goes: a folder that is there, empty or a mirror of this log, or
    /// s3://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    to: PathBuf,
    #[command(flatten)]
    store: place::StoreArgs,
}

pub(super) fn run(args: &MirrorArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    let (from, to) = (place::of(&args.log.log)?, place::of(&args.to)?);
    let done = match (from, to) {
        (Place::Folder(log), to) => {
            let store = args.store.open(&to)?;
            Mirror::new(&log, key, store, None).round(&|| true)
        }
        (from @ Place::Bucket { .. }, Place::Folder(folder)) => {
            place::bring(&*args.store.open(&from)?, &key, &folder)
        }
        (Place::Bucket { .. }, Place::Bucket { .. }) => {
            anyhow::bail!("fetch it into a folder first, and mirror that")
        }
    };
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
