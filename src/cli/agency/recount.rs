//! `tributary agency recount`: counts uses again from audit logs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;

use crate::cli::audit::source::{Progress, worst};
use crate::cli::logs::LogsArgs;
use crate::cli::output::{say, tell};
use crate::clock;
use crate::config::counters::CountersConfig;
use crate::domain::audit::Record;
use crate::domain::catalogue::AgencyId;
use crate::files;
use crate::store::frequency::{Counters, Recount};
use crate::store::verify::{Telling, Verdict, read};

/// Puts into an agency's counters what its audit logs have of uses of grants and the counters
/// have not: after its machine was lost, or after counters were put back that are older than
/// the log. Name all its logs, or their mirrors. No count is ever lowered, and counting again
/// twice changes nothing.
///
/// Each log is verified on the way. A log that was tampered with is not counted from. From
/// one of which something is missing is counted what is there.
///
/// Exit code: 0 done; 1 error; 2 a log was tampered with, and nothing was counted; 3 something
/// is missing of a log, and what is there was counted.
///
/// Example: tributary agency recount -c lending.toml mirror --key audit.vkey --yes
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct RecountArgs {
    /// The agency's file; only its id and where it counts are read
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    logs: LogsArgs,
    /// Count; without it only what the logs have is shown
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is read of a configuration: whether the rest is sound is not asked here.
#[derive(Deserialize)]
struct Configuration {
    id: AgencyId,
    counters: CountersConfig,
}

pub(super) fn run(args: &RecountArgs) -> anyhow::Result<ExitCode> {
    let of = || format!("in {}", args.config.display());
    let text = files::read_text(&args.config, files::MEDIUM).with_context(of)?;
    let Configuration { id, counters } = toml::from_str(&text).with_context(of)?;
    let folder = args.config.parent().unwrap_or(Path::new(""));
    let mut recount = Recount::of_everything(clock::utc());
    let (mut codes, mut logs) = (Vec::new(), 0_u64);
    for log in args.logs.open()? {
        let before = recount.clone();
        let mut progress = Progress::new();
        let report = read(&log.folder, &log.key, None, &mut |told| match told {
            Telling::Anew => recount.clone_from(&before),
            Telling::Entry(step) => {
                progress.entry();
                match step.record {
                    Some(record) if is_of(record, &id) => recount.see(record),
                    _ => {}
                }
            }
        });
        progress.end();
        let report = report.with_context(|| format!("in {}", log.folder.display()))?;
        if let Some(fault) = report.faults.first() {
            tell!("tributary: the log in {} is not whole: {fault}", log.folder.display());
        }
        codes.push(report.verdict.exit_code());
        logs += 1;
    }
    let code = worst(codes);
    let counts = args.yes && code != Verdict::Tampered.exit_code();
    let (records, windows) = (recount.records(), recount.windows());
    let lacking = match counts {
        true => Some(super::super::block_on(async {
            Ok(Counters::count_again(&counters, folder, recount).await?)
        })?),
        false => None,
    };
    if args.json {
        let told = serde_json::json!({
            "agency": id, "logs": logs, "records": records, "windows": windows,
            "lacking": lacking, "done": counts,
        });
        say!("{told}")?;
        return Ok(ExitCode::from(code));
    }
    say!(
        "{id}: {logs} logs have {records} records with a count, and uses in {windows} windows of \
         grants that may still be used"
    )?;
    match lacking {
        Some(lacking) => say!("counted: the counters lacked uses in {lacking} of these windows")?,
        None if args.yes => say!("nothing was counted: a log was tampered with")?,
        None => say!("nothing was counted: repeat with --yes")?,
    }
    Ok(ExitCode::from(code))
}

/// Each agency counts for itself.
fn is_of(record: &Record, id: &AgencyId) -> bool {
    matches!(record, Record::Section(section) if section.agency.as_ref() == Some(id))
}
