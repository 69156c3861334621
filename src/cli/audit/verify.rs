//! `audit verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::{place, source};
use crate::cli::logs::{Known, LogsArgs, Named};
use crate::cli::output::{say, tell};
use crate::config::mirror::Place;
use crate::domain::audit::Record;
use crate::store::succession::{self, Predecessor};
use crate::store::verify::{Report, Rollback, Telling, Verdict, read};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    logs: LogsArgs,
    /// A signed checkpoint of a log from outside, such as the one a peer keeps; one for
    /// each log.
    #[arg(long)]
    known: Vec<PathBuf>,
    #[command(flatten)]
    store: place::StoreArgs,
}

/// A report, where there are several.
#[derive(Debug, Serialize)]
struct OfLog {
    log: PathBuf,
    #[serde(flatten)]
    report: Report,
}

impl VerifyArgs {
    /// The place in object storage that is named, which is then the only one.
    fn bucket(&self) -> anyhow::Result<Option<Place>> {
        let places = self.logs.named().map(place::of).collect::<anyhow::Result<Vec<_>>>()?;
        let bucket = places.iter().find(|place| matches!(place, Place::Bucket { .. }));
        anyhow::ensure!(
            bucket.is_none() || places.len() == 1,
            "a log in object storage is verified by itself: name no other beside it"
        );
        Ok(bucket.cloned())
    }
}

pub(super) fn run(args: &VerifyArgs, json: bool) -> anyhow::Result<ExitCode> {
    let fetched = tempfile::tempdir().context("cannot make a folder to fetch it to")?;
    let logs = match args.bucket()? {
        Some(bucket) => {
            let key = args.logs.only_key()?;
            place::bring(&*args.store.open(&bucket)?, &key, fetched.path())?;
            let folder = fetched.path().to_owned();
            vec![(folder.clone(), Ok(Named { folder, key }))]
        }
        None => args.logs.each()?,
    };
    let known = Known::read(&args.known)?;
    if logs.len() > 1 {
        known.are_of(logs.iter().filter_map(|(_, named)| named.as_ref().ok()))?;
    }
    let mut progress = source::Progress::new();
    let (mut codes, mut reports) = (Vec::new(), Vec::new());
    let many = logs.len() > 1;
    let (mut read, mut successions) = (Vec::new(), Vec::new());
    for (folder, named) in logs {
        let report =
            named.and_then(|log| report(&log, &known, many, &mut successions, &mut progress));
        progress.end();
        read.push((folder, report));
    }
    for (folder, report) in read {
        let report = match report {
            Ok(mut report) => {
                succession::hold(&mut report, &successions);
                report
            }
            // The others can be verified all the same.
            Err(error) if many => {
                tell!("tributary: nothing can be said of {}: {error:#}", folder.display());
                codes.push(1);
                continue;
            }
            Err(error) => return Err(error),
        };
        codes.push(report.verdict.exit_code());
        match (json, many) {
            (true, false) => say!("{}", serde_json::to_string_pretty(&report)?)?,
            (true, true) => reports.push(OfLog { log: folder, report }),
            (false, false) => print(&report)?,
            (false, true) => {
                print(&report)?;
                say!("folder     {}\n", folder.display())?;
            }
        }
    }
    if json && many {
        say!("{}", serde_json::to_string_pretty(&reports)?)?;
    } else if many {
        let sound = codes.iter().filter(|code| **code == 0).count();
        say!("{sound} of {} logs are sound", codes.len())?;
    }
    Ok(ExitCode::from(source::worst(codes)))
}

fn report(
    log: &Named,
    known: &Known,
    many: bool,
    successions: &mut Vec<Predecessor>,
    progress: &mut source::Progress,
) -> anyhow::Result<Report> {
    let mut before = None;
    // One checkpoint and one log: that it is of another log is a finding.
    let known = if many { known.of(&log.key)? } else { known.only(&log.key)? };
    let report = read(&log.folder, &log.key, known.as_ref(), &mut |told| {
        if let Telling::Entry(step) = told {
            progress.entry();
            if let (0, Some(Record::Succeeds { ended, .. })) = (step.index, step.record) {
                before = Some(ended.clone());
            }
        }
    })?;
    let origin = log.origin().to_owned();
    successions.extend(before.map(|ended| Predecessor { origin, ended }));
    Ok(report)
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
