//! `tributary audit prune`: shows what of a log has been kept long enough, and takes it away.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::{LogArgs, source};
use crate::cli::output::say;
use crate::clock;
use crate::config::audit;
use crate::domain::audit::Timestamp;
use crate::store::disk::RealDisk;
use crate::store::prune::{self, KeptBy, PrunePlan};

/// Less than a day is a mistake.
const LEAST: Duration = Duration::from_secs(86_400);

/// Entries are pruned in whole bundles of 256, oldest first. Tiles of hashes, checkpoint and
/// names stay, so that every proof can still be made. What stays besides: uses of grants that
/// may still be used, and the newest entries, which are in write-ahead segments. The log must
/// not be open while it is pruned.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    log: LogArgs,
    /// How long entries are kept, at least a day, such as 400days
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Duration,
    /// The seed of the key that signs the log, which signs how far it is pruned
    #[arg(long, value_name = "FILE", required_if_eq("yes", "true"))]
    seed: Option<PathBuf>,
    /// Prune; without it only what would go is shown
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &PruneArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    anyhow::ensure!(args.older_than >= LEAST, "--older-than must be at least a day");
    let now = Timestamp::new(clock::utc());
    let age = u64::try_from(args.older_than.as_micros()).unwrap_or(u64::MAX);
    let cutoff = Timestamp(now.0.saturating_sub(age));
    let log = &args.log.log;
    let plan = match &args.seed {
        Some(seed) if args.yes => {
            let signing = audit::seed(seed).context("--seed")?;
            prune::prune(log, &key, &signing, (cutoff, now), &RealDisk)?
        }
        _ => prune::plan(log, &key, cutoff, now)?,
    };
    if json {
        let told = serde_json::json!({
            "entries": plan.entries, "pruned_before": plan.already, "before": plan.before,
            "until": plan.until.to_string(), "bytes": plan.bytes, "held": plan.held,
            "done": args.yes,
        });
        say!("{told}")?;
    } else {
        print(&plan, args.yes)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(plan: &PrunePlan, done: bool) -> anyhow::Result<()> {
    let PrunePlan { already, before, until, bytes, entries, held, .. } = plan;
    let (what, free) = match done {
        true => ("pruned", "are free"),
        false => ("would be pruned", "would be free"),
    };
    if before == already && *bytes == 0 {
        say!("nothing is to be pruned: of {entries} entries those before {already} are gone")?;
    } else {
        say!("entries {already} to {before} of {entries} {what}, records up to {until}")?;
        say!("{} KiB {free}", bytes / 1024)?;
    }
    match held {
        KeptBy::Age => say!("what follows is not old enough")?,
        KeptBy::Window => {
            say!("what follows is held back by a use of a grant that may still be used")?;
        }
        KeptBy::Segment => say!("what follows is what the log has written last, and stays")?,
    }
    if !done && before > already {
        say!("nothing was changed: stop the process that has the log, and repeat with --yes")?;
    }
    Ok(())
}
