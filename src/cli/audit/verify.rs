//! `audit verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::{LogArgs, place, source};
use crate::cli::output::say;
use crate::config::mirror::Place;
use crate::store::verify::{Report, Rollback, Verdict, verify};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    log: LogArgs,
    /// A signed checkpoint of this log from outside, such as the one a peer keeps.
    #[arg(long)]
    known: Option<PathBuf>,
    #[command(flatten)]
    store: place::StoreArgs,
}

pub(super) fn run(args: &VerifyArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    let place = place::of(&args.log.log)?;
    let (fetched, log);
    match &place {
        Place::Folder(folder) => log = folder.as_path(),
        Place::Bucket { .. } => {
            fetched = tempfile::tempdir().context("cannot make a folder to fetch it to")?;
            place::bring(&*args.store.open(&place)?, &key, fetched.path())?;
            log = fetched.path();
        }
    }
    anyhow::ensure!(
        log.join("checkpoint").exists() || log.join("wal").exists(),
        "{} holds no audit log: name the folder that has `checkpoint` and `tile` in it",
        log.display()
    );
    let known = args.known.as_ref().map(|path| source::checkpoint(path, &key)).transpose()?;
    let mut progress = source::Progress::new();
    let report = verify(log, &key, known.as_ref(), &mut |entries| progress.tell(entries))?;
    progress.end();
    if json {
        say!("{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report)?;
    }
    Ok(ExitCode::from(report.verdict.exit_code()))
}

fn print(report: &Report) -> anyhow::Result<()> {
    let verdict = match report.verdict {
        Verdict::Sound => "sound",
        Verdict::Tampered => "TAMPERED",
        Verdict::Incomplete => "INCOMPLETE",
    };
    say!("{}: {verdict}", report.origin)?;
    say!("entries    {} ({} published)", report.entries, report.published)?;
    say!("root       {}", report.root)?;
    match report.rollback {
        Rollback::NotExcluded => {
            say!("rollback   not excluded: give a checkpoint from outside with --known")?;
        }
        Rollback::ExcludedUpTo(size) => say!("rollback   excluded up to entry {size}")?,
        Rollback::Found => say!("rollback   FOUND")?,
    }
    if report.mirror {
        say!("mirror     it ends with its checkpoint; what was written later is in the log alone")?;
    }
    if let Some(pruned) = &report.pruned {
        say!("pruned     {}", pruned.words)?;
    }
    if report.unfinished_write {
        say!("tail       an unfinished write, for which nobody has a receipt")?;
    }
    for fault in &report.faults {
        say!("fault      {fault}")?;
    }
    Ok(())
}
