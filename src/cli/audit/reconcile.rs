//! `audit reconcile`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::source;
use crate::cli::output::say;
use crate::domain::audit::Timestamp;
use crate::domain::audit::reconcile::{Class, Side, reconcile};

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// The gateway's log: a folder, or an export of it.
    gateway: PathBuf,
    /// The agencies' logs: folders or exports.
    #[arg(required = true)]
    agencies: Vec<PathBuf>,
    /// A log's public key or a file that holds it; one for each folder.
    #[arg(long = "key")]
    keys: Vec<String>,
    /// How far the clocks of two sides may differ, in seconds.
    #[arg(long, default_value_t = 5)]
    leeway: u64,
    /// Print matched releases too.
    #[arg(long)]
    all: bool,
}

/// The exit code is 2 when a release was omitted.
pub(super) fn run(args: &ReconcileArgs, json: bool) -> anyhow::Result<ExitCode> {
    let keys = args.keys.iter().map(|key| source::key(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let gateway = source::log_or_export(&args.gateway, &keys)?;
    let agencies = args
        .agencies
        .iter()
        .map(|path| source::log_or_export(path, &keys))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let findings = reconcile(&gateway, &agencies, Duration::from_secs(args.leeway));
    let count = |class: Class| findings.iter().filter(|finding| finding.class == class).count();
    let omitted = count(Class::Omitted);
    let shown: Vec<_> =
        findings.iter().filter(|finding| args.all || finding.class != Class::Matched).collect();
    if json {
        let value = serde_json::json!({
            "matched": count(Class::Matched),
            "late": count(Class::Late),
            "crash_window": count(Class::CrashWindow),
            "omitted": omitted,
            "findings": shown,
        });
        say!("{value:#}")?;
    } else {
        for finding in shown {
            let class = match finding.class {
                Class::Matched => "MATCHED",
                Class::Late => "LATE",
                Class::CrashWindow => "CRASH_WINDOW",
                Class::Omitted => "OMITTED",
            };
            let side = match finding.missing_at {
                Some(Side::Gateway) => ", missing at the gateway",
                Some(Side::Agency) => ", missing at the agency",
                None => "",
            };
            let time = Timestamp(finding.time_us);
            say!("{class} {time} request {} agency {}{side}", finding.request, finding.agency)?;
        }
        say!(
            "{} matched, {} late, {} in a crash window, {omitted} omitted",
            count(Class::Matched),
            count(Class::Late),
            count(Class::CrashWindow)
        )?;
    }
    Ok(if omitted == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
