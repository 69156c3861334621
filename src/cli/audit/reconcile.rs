//! `audit reconcile`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::comparing::reconciled;
use super::source::Source;
use crate::cli::logs;
use crate::cli::output::say;
use crate::domain::audit::Timestamp;
use crate::domain::audit::reconcile::{Bounds, Comparison};

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// The gateway's log: a folder, an export of it, or a folder that holds several logs.
    gateway: PathBuf,
    /// The agencies' logs: folders, exports, or folders that hold several logs.
    #[arg(required = true)]
    agencies: Vec<PathBuf>,
    /// A log of another gateway, or of another year: as GATEWAY; may be repeated.
    #[arg(long = "gateway", value_name = "GATEWAY")]
    more: Vec<PathBuf>,
    /// A log's public key or a file that holds it; one for each log that is a folder.
    #[arg(long = "key")]
    keys: Vec<String>,
    /// How far the clocks of two sides may differ, in seconds.
    #[arg(long, default_value_t = 5)]
    leeway: u64,
    /// Print what both logs have alike too, and all findings of each class; else the
    /// first 10,000 of a class are printed.
    #[arg(long)]
    all: bool,
}

/// The exit code is 2 when the logs contradict each other, and 3 when they do not, but the
/// gateway says of an answer that it passed nothing of it on.
pub(super) fn run(args: &ReconcileArgs, json: bool) -> anyhow::Result<ExitCode> {
    let keys = logs::keys(&args.keys)?;
    let gateways: Vec<PathBuf> =
        std::iter::once(&args.gateway).chain(&args.more).cloned().collect();
    let gateways = Source::all(&gateways, &keys, &BTreeSet::new())?;
    let agencies = Source::all(&args.agencies, &keys, &Source::places(&gateways))?;
    let bounds = Bounds { all: args.all, ..Bounds::new(Duration::from_secs(args.leeway)) };
    let found = reconciled(&gateways, &agencies, &bounds)?;
    let shown =
        found.findings.iter().filter(|finding| args.all || finding.class != Comparison::Matched);
    let unnamed = Comparison::ALL.into_iter().filter(|class| *class != Comparison::Matched);
    let unnamed = unnamed.map(|class| (class, found.unnamed(class))).filter(|(_, many)| *many > 0);
    if json {
        let word = |class: Comparison| class.as_str().to_lowercase();
        let counts = Comparison::ALL.map(|class| (word(class), found.count(class).into()));
        let mut report: serde_json::Map<_, _> = counts.into_iter().collect();
        report.insert("findings".to_owned(), serde_json::to_value(shown.collect::<Vec<_>>())?);
        let unnamed: serde_json::Map<_, serde_json::Value> =
            unnamed.map(|(class, many)| (word(class), many.into())).collect();
        if !unnamed.is_empty() {
            report.insert("not_listed".to_owned(), unnamed.into());
        }
        say!("{:#}", serde_json::Value::Object(report))?;
    } else {
        for finding in shown {
            let (class, time) = (finding.class.as_str(), Timestamp(finding.time_us));
            let (request, agency) = (&finding.request, &finding.agency);
            say!("{class} {time} request {request} agency {agency}{}", finding.words())?;
        }
        for (class, many) in unnamed {
            say!("{} {many} more, later than these: --all lists them", class.as_str())?;
        }
        let counts = Comparison::ALL.map(|class| {
            let words = class.as_str().to_lowercase().replace('_', " ");
            format!("{} {words}", found.count(class))
        });
        say!("{}", counts.join(", "))?;
    }
    Ok(if found.contradictions() > 0 {
        ExitCode::from(2)
    } else if found.count(Comparison::Late) > 0 {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}
