//! `tributary agency check`: prints what `app::checking` found.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::checking::{self, CheckReport};
use crate::cli::gateway::check::{findings_json, write_findings};
use crate::domain::sensitive::Sensitive;
use crate::source::Severity;

/// Holds an agency's mapping against its catalogue and its live source: unknown
/// items, missing columns, wrong types, a query that is not bounded by the people
/// asked about, an account that can write, a missing index. A sample of real rows is
/// read as they are served: how many cells of each item fit, how many do not and why,
/// without what is in them. Nobody is asked about but the person of --subject.
///
/// Exit code: 0 when it fits (warnings may be there), 1 when it does not, 3 when
/// the source cannot be asked, 2 for wrong usage.
///
/// Example: tributary agency check -c education.toml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct AgencyCheckArgs {
    /// The agency's file; sections that are no part of the mapping may be missing
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Look at the catalogue alone, and leave the source in peace
    #[arg(long)]
    offline: bool,
    /// Judge the rest of the file as well, and the keys, certificates, policy and logs that
    /// it names, as a start would
    #[arg(long)]
    whole: bool,
    /// Show each item of this person, who must be a test person: the number is seen in
    /// the list of processes, and the values are printed
    #[arg(long, value_name = "NUMBER", conflicts_with = "offline")]
    subject: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AgencyCheckArgs) -> anyhow::Result<ExitCode> {
    let subject = args.subject.clone().map(Sensitive::new);
    let report = super::super::block_on(async {
        Ok(checking::check(&args.config, args.offline, args.whole, subject.as_ref()).await?)
    })?;
    let mut out = crate::cli::output::stdout();
    if args.json {
        writeln!(out, "{}", json(&report))?;
    } else {
        table(&report, &mut out)?;
    }
    let invalid = report.shown.iter().any(|item| item.invalid);
    let refused = !report.rest.errors.is_empty();
    Ok(match (report.checked.unreachable, report.checked.has_errors() || invalid || refused) {
        (true, _) => ExitCode::from(3),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

fn table(report: &CheckReport, out: &mut impl Write) -> std::io::Result<()> {
    for noted in &report.checked.noted {
        let (line, severity) = (noted.line, noted.severity.as_str());
        writeln!(out, "{}:{line}: {severity}: {}", report.file, noted.message)?;
    }
    write_findings(&report.rest, out)?;
    for item in &report.checked.sampled {
        let unfit: usize = item.unfit.iter().map(|(_, count)| count).sum();
        let (fit, empty) = (item.fit, item.empty);
        let name = format!("{}, column {}", item.id, item.column);
        writeln!(out, "sample: {name}: {fit} fit, {unfit} do not, {empty} are NULL")?;
    }
    for item in &report.shown {
        let place = format!("query {}, column {}", item.query, item.column);
        let as_of = item.as_of.map_or(String::new(), |day| format!(" as of {day}"));
        match &item.outcome {
            Ok(value) => writeln!(out, "{} = {}{as_of} ({place})", item.id, value.expose())?,
            Err(why) => {
                let word = if item.invalid { "INVALID: " } else { "" };
                writeln!(out, "{}: {word}{why} ({place})", item.id)?;
            }
        }
    }
    let count =
        |severity| report.checked.noted.iter().filter(|noted| noted.severity == severity).count();
    let (errors, warnings) = (report.rest.errors.len(), report.rest.warnings.len());
    let (mapped, owned) = report.items;
    writeln!(
        out,
        "{}: {mapped} of {owned} items mapped; {} errors, {} warnings",
        report.agency,
        count(Severity::Error) + errors,
        count(Severity::Warning) + warnings
    )
}

fn json(report: &CheckReport) -> serde_json::Value {
    let noted = report.checked.noted.iter().map(|noted| {
        serde_json::json!({
            "severity": noted.severity.as_str(),
            "line": noted.line,
            "message": noted.message,
        })
    });
    let queries = report.checked.plans.iter().map(|(name, plan)| {
        serde_json::json!({
            "query": &**name,
            "cost": plan.as_ref().and_then(|plan| plan.cost),
            "rows": plan.as_ref().and_then(|plan| plan.rows),
            "read_whole": plan.as_ref().map(|plan| plan.whole.clone()).unwrap_or_default(),
        })
    });
    let sampled = report.checked.sampled.iter().map(|item| {
        let unfit = item
            .unfit
            .iter()
            .map(|(why, count)| serde_json::json!({ "why": why.to_string(), "count": count }));
        serde_json::json!({
            "item": &*item.id,
            "column": &*item.column,
            "fit": item.fit,
            "empty": item.empty,
            "unfit": unfit.collect::<Vec<_>>(),
        })
    });
    let shown = report.shown.iter().map(|item| {
        serde_json::json!({
            "item": item.id,
            "query": &*item.query,
            "column": &*item.column,
            "value": item.outcome.as_ref().ok().map(|value| value.expose().clone()),
            "why": item.outcome.as_ref().err(),
            "as_of": item.as_of.map(|day| day.to_string()),
            "invalid": item.invalid,
        })
    });
    serde_json::json!({
        "file": report.file,
        "agency": report.agency,
        "items": { "mapped": report.items.0, "owned": report.items.1 },
        "fits": !report.checked.has_errors(),
        "source_answers": !report.checked.unreachable,
        "findings": noted.collect::<Vec<_>>(),
        "rest": findings_json(&report.rest),
        "queries": queries.collect::<Vec<_>>(),
        "sample": sampled.collect::<Vec<_>>(),
        "subject": shown.collect::<Vec<_>>(),
    })
}
