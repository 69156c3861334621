//! `audit subject`: who asked about the person to whom some tags belong.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};

use super::{find, gone};
use crate::cli::logs::LogsArgs;
use crate::cli::output::say;
use crate::config::catalogue;
use crate::domain::audit::Query;
use crate::domain::audit::access::AccessReport;
use crate::domain::audit::export::Line;
use crate::store::verify::PrunedReport;

#[derive(Debug, Args)]
pub(super) struct SubjectSearchArgs {
    #[command(flatten)]
    logs: LogsArgs,
    /// A tag of the person, as `tributary grant inspect` and `grant tags` print it;
    /// may be repeated
    #[arg(long = "tag", value_name = "TAG", required = true, allow_hyphen_values = true)]
    tags: Vec<String>,
    #[command(flatten)]
    index: find::IndexArgs,
    #[command(flatten)]
    names: NamesArgs,
}

/// How items are named.
#[derive(Debug, Args)]
pub(super) struct NamesArgs {
    /// The catalogue's folder: items are then named, beside their numbers
    #[arg(long, value_name = "FOLDER")]
    catalogue: Option<PathBuf>,
}

pub(super) fn run(args: &SubjectSearchArgs, json: bool) -> anyhow::Result<ExitCode> {
    let names = args.names.load()?;
    let query = Query { tags: find::tags(&args.tags)?, ..Query::default() };
    let logs = args.logs.open()?;
    let mut lines = Vec::new();
    let code = find::each(&logs, &args.index, &query, &mut |log, index, record| {
        let origin = if logs.len() > 1 { log.origin() } else { "" };
        lines.push(Line::new(origin, index, record, false));
        Ok(())
    })?;
    let mut report = AccessReport::of_logs(lines);
    report.name_items(|number| names.get(&number).cloned());
    let gone = logs.iter().map(|log| gone::of(&log.folder, &log.key));
    let gone: Vec<PrunedReport> =
        gone.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect();
    print(&report, json, &gone)?;
    Ok(ExitCode::from(code))
}

impl NamesArgs {
    /// Ids of the items by their numbers; none without a catalogue.
    pub(super) fn load(&self) -> anyhow::Result<HashMap<u16, String>> {
        let Some(folder) = &self.catalogue else { return Ok(HashMap::new()) };
        let catalogue = catalogue::load(folder)?;
        let items = catalogue.items().iter();
        Ok(items.map(|item| (item.number.get(), item.id.to_string())).collect())
    }
}

/// Prints a report: JSON, or a table. `gone` is what was pruned, of each log.
pub(super) fn print(
    report: &AccessReport,
    json: bool,
    gone: &[PrunedReport],
) -> anyhow::Result<()> {
    if json {
        let requests = &report.requests;
        match gone {
            [] => say!("{}", serde_json::to_string_pretty(report)?)?,
            [only] => say!("{:#}", serde_json::json!({ "requests": requests, "pruned": only }))?,
            all => say!("{:#}", serde_json::json!({ "requests": requests, "pruned": all }))?,
        }
        return Ok(());
    }
    if report.requests.is_empty() {
        say!("nobody asked, as far as this log goes")?;
    }
    for gone in gone {
        say!("{}\n", gone.words)?;
    }
    for request in &report.requests {
        let purpose = request.purpose.as_deref().unwrap_or("no purpose stated");
        let basis = request.legal_basis.as_deref().unwrap_or("no legal basis stated");
        say!("{}  {} asked", request.time, request.consumer)?;
        say!("for {purpose}, by {basis}; request {}", request.request)?;
        let mut table = Table::new();
        let _ = table.load_style(presets::NOTHING);
        table.set_header(["agency", "what came of it", "items", "record"]);
        for asked in &request.agencies {
            let outcome = match asked.decision.as_str() {
                "OK" => "disclosed".to_owned(),
                other => {
                    let reason = asked.reason.as_deref().map(|reason| format!(" ({reason})"));
                    format!("not disclosed: {other}{}", reason.unwrap_or_default())
                }
            };
            table.add_row([
                asked.agency.clone(),
                outcome,
                asked.items.describe(),
                place(&asked.log, asked.index),
            ]);
        }
        for refused in &request.refused {
            let reason = refused.reason.as_deref().unwrap_or("no reason stated");
            table.add_row([
                refused.agency.clone().unwrap_or_else(|| "-".into()),
                format!("refused: {reason}"),
                refused.items.describe(),
                place(&refused.log, refused.index),
            ]);
        }
        say!("{table}\n")?;
    }
    Ok(())
}

/// Where a record stands: its index, and its log where there are several.
fn place(log: &str, index: u64) -> String {
    match log {
        "" => index.to_string(),
        log => format!("{index} of {log}"),
    }
}
