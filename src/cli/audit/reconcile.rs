//! `audit reconcile`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{gone, source};
use crate::cli::output::say;
use crate::domain::audit::Timestamp;
use crate::domain::audit::reconcile::{Comparison, reconcile_all};

#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// The gateway's log: a folder, or an export of it.
    gateway: PathBuf,
    /// The agencies' logs: folders or exports.
    #[arg(required = true)]
    agencies: Vec<PathBuf>,
    /// A log of another gateway, or of another year: a folder or an export; may be
    /// repeated.
    #[arg(long = "gateway", value_name = "GATEWAY")]
    more: Vec<PathBuf>,
    /// A log's public key or a file that holds it; one for each folder.
    #[arg(long = "key")]
    keys: Vec<String>,
    /// How far the clocks of two sides may differ, in seconds.
    #[arg(long, default_value_t = 5)]
    leeway: u64,
    /// Print what both logs have alike too.
    #[arg(long)]
    all: bool,
}

/// The exit code is 2 when the logs contradict each other, and 3 when they do not, but the
/// gateway says of an answer that it passed nothing of it on.
pub(super) fn run(args: &ReconcileArgs, json: bool) -> anyhow::Result<ExitCode> {
    let keys = args.keys.iter().map(|key| source::key(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let leeway = Duration::from_secs(args.leeway);
    let mut gateways = std::iter::once(&args.gateway)
        .chain(&args.more)
        .map(|path| source::log_or_export(path, &keys))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut agencies = args
        .agencies
        .iter()
        .map(|path| source::log_or_export(path, &keys))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let paths = std::iter::once(&args.gateway).chain(&args.more).chain(&args.agencies);
    // An export does not say.
    let gone = paths
        .filter(|path| path.is_dir())
        .map(|path| gone::until(path, source::key_of(path, &keys)?.0))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut sides: Vec<&mut Vec<_>> = gateways.iter_mut().chain(&mut agencies).collect();
    gone::leave_out(&mut sides, gone.into_iter().flatten().max(), leeway);
    let gateways: Vec<&[_]> = gateways.iter().map(Vec::as_slice).collect();
    let findings = reconcile_all(&gateways, &agencies, leeway);
    let count =
        |class: Comparison| findings.iter().filter(|finding| finding.class == class).count();
    let shown: Vec<_> = findings
        .iter()
        .filter(|finding| args.all || finding.class != Comparison::Matched)
        .collect();
    if json {
        let counts =
            Comparison::ALL.map(|class| (class.as_str().to_lowercase(), count(class).into()));
        let mut report: serde_json::Map<_, _> = counts.into_iter().collect();
        report.insert("findings".to_owned(), serde_json::to_value(&shown)?);
        say!("{:#}", serde_json::Value::Object(report))?;
    } else {
        for finding in shown {
            let (class, time) = (finding.class.as_str(), Timestamp(finding.time_us));
            let (request, agency) = (&finding.request, &finding.agency);
            say!("{class} {time} request {request} agency {agency}{}", finding.words())?;
        }
        let counts = Comparison::ALL.map(|class| {
            format!("{} {}", count(class), class.as_str().to_lowercase().replace('_', " "))
        });
        say!("{}", counts.join(", "))?;
    }
    Ok(if findings.iter().any(|finding| finding.class.is_contradiction()) {
        ExitCode::from(2)
    } else if count(Comparison::Late) > 0 {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}
