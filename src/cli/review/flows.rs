//! `review flows`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};
use serde_json::json;

use super::forms;
use crate::app::review;
use crate::domain::flows::diff::frequency;
use crate::domain::flows::federation::Federation;
use crate::domain::flows::open::{Flow, flows};
use crate::domain::item::ItemSet;
use crate::domain::purpose::LegalBasis;

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review flows examples/city
  tributary review flows examples/city --consumer scoring-service --items
  tributary review flows examples/city --csv > flows.csv

A flow is open when the gateway's rules and the agency's rules open it and the
agency offers the item. Agencies whose file is not at hand are marked; their
flows are an upper bound. Exit codes: 0 listed, 1 error.";

#[derive(Debug, Args)]
pub(super) struct FlowsArgs {
    /// The federation's folder: gateway.toml and agencies/, or review.toml
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Flows to this consumer alone: its SPIFFE id, or the name at its end
    #[arg(long)]
    consumer: Option<String>,
    /// Flows for this purpose alone
    #[arg(long)]
    purpose: Option<String>,
    /// Flows of these items alone: an id, lending.*, or *
    #[arg(long, value_name = "PATTERN")]
    item: Option<String>,
    /// List each item
    #[arg(long)]
    items: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, a line for each item
    #[arg(long)]
    csv: bool,
}

pub(super) fn run(args: &FlowsArgs) -> anyhow::Result<ExitCode> {
    let federation = review::load(&args.folder)?;
    let mut found = flows(&federation);
    select(args, &federation, &mut found)?;
    let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
    if args.json {
        let listed: Vec<_> = found.iter().map(|flow| forms::flow(&federation, flow)).collect();
        let report = json!({ "federation": forms::digests(&federation), "flows": listed });
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else if args.csv {
        csv(&federation, &found, &mut out)?;
    } else {
        tables(args, &federation, &found, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn select(args: &FlowsArgs, federation: &Federation, flows: &mut Vec<Flow>) -> anyhow::Result<()> {
    if let Some(pattern) = &args.item {
        let items = federation.catalogue.select(pattern).ok_or_else(|| {
            let pattern = pattern.escape_default();
            anyhow::anyhow!("`{pattern}` names no item of the catalogue; try lending.* or *")
        })?;
        for flow in flows.iter_mut() {
            flow.items = flow.items.and(&items);
        }
    }
    flows.retain(|flow| {
        !flow.items.is_empty()
            && args.consumer.as_ref().is_none_or(|wanted| {
                wanted == flow.consumer.as_str() || wanted == flow.consumer.name()
            })
            && args.purpose.as_ref().is_none_or(|wanted| wanted == flow.purpose.as_str())
    });
    Ok(())
}

/// The names in it have passed narrow alphabets: none needs quoting.
fn csv(federation: &Federation, flows: &[Flow], out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "consumer,purpose,agency,basis,item,sensitivity,gateway_rules,agency_rules,grantable,\
         max_lifetime_days,max_frequency"
    )?;
    for flow in flows {
        let condition = &flow.condition;
        let days = condition.max_lifetime.map(|life| life.whole_days().to_string());
        let uses: Vec<String> =
            condition.max_frequency.iter().map(|most| frequency(*most)).collect();
        for item in flow.items.iter() {
            let id = federation.catalogue.item(item).map_or("", |item| &item.id);
            writeln!(
                out,
                "{},{},{},{},{id},{},{},{},{},{},{}",
                flow.consumer,
                flow.purpose,
                flow.agency,
                flow.basis,
                flow.sensitivity.as_str(),
                flow.rules.gateway.join(" "),
                flow.rules.agency.as_ref().map_or_else(String::new, |rules| rules.join(" ")),
                condition.grantable(),
                days.as_deref().unwrap_or_default(),
                uses.join(" and "),
            )?;
        }
    }
    Ok(())
}

/// What a row has in common, within a consumer and a purpose.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row<'a> {
    category: &'a str,
    agency: &'a str,
    bases: Vec<LegalBasis>,
    grantable: bool,
    rules: String,
}

fn tables(
    args: &FlowsArgs,
    federation: &Federation,
    flows: &[Flow],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Flow>> = BTreeMap::new();
    for flow in flows {
        let group = groups.entry((flow.consumer.as_str(), flow.purpose.as_str())).or_default();
        group.push(flow);
    }
    if groups.is_empty() {
        writeln!(out, "nothing can flow")?;
    }
    for ((consumer, purpose), flows) in groups {
        let all = flows.iter().fold(ItemSet::EMPTY, |all, flow| all.or(&flow.items));
        writeln!(out, "{consumer}\n  for {purpose}: {} items", all.len())?;
        let mut table = Table::new();
        table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header([
            "category",
            "agency",
            "items",
            "legal basis",
            "opened by",
        ]);
        for (row, items) in rows(federation, &flows) {
            let count = match args.items {
                true => short(federation, &items).join("\n"),
                false => items.len().to_string(),
            };
            let mut bases = forms::bases(&row.bases).join(", ");
            if !row.grantable {
                bases.push_str(" (no issuer)");
            }
            table.add_row([row.category, row.agency, &count, &bases, &row.rules]);
        }
        writeln!(out, "{table}\n")?;
    }
    for agency in federation.agencies.iter().filter(|agency| agency.own.is_none()) {
        writeln!(out, "{}: its own file is not here, so this is an upper bound", agency.id)?;
    }
    Ok(())
}

/// Flows by category; the same items on several bases make one row.
fn rows<'a>(federation: &'a Federation, flows: &[&'a Flow]) -> BTreeMap<Row<'a>, ItemSet> {
    let mut bases: BTreeMap<(&str, &str, bool, String, u16), Vec<LegalBasis>> = BTreeMap::new();
    for flow in flows {
        let rules = rules(flow);
        for item in flow.items.iter() {
            let Some(known) = federation.catalogue.item(item) else { continue };
            let grantable = flow.condition.grantable();
            let key =
                (known.category(), flow.agency.as_str(), grantable, rules.clone(), item.get());
            bases.entry(key).or_default().push(flow.basis);
        }
    }
    let mut rows: BTreeMap<Row<'_>, ItemSet> = BTreeMap::new();
    for ((category, agency, grantable, rules, item), mut bases) in bases {
        bases.sort();
        let row = Row { category, agency, bases, grantable, rules };
        if let Some(item) = crate::domain::item::ItemNumber::new(u32::from(item)) {
            rows.entry(row).or_default().insert(item);
        }
    }
    rows
}

/// The gateway's rules and the agency's.
fn rules(flow: &Flow) -> String {
    let gateway = flow.rules.gateway.join(", ");
    match &flow.rules.agency {
        Some(agency) => format!("{gateway} + {}", agency.join(", ")),
        None => format!("{gateway} + ?"),
    }
}

/// Names without their category.
fn short(federation: &Federation, items: &ItemSet) -> Vec<String> {
    let name = |number| {
        let id = federation.catalogue.item(number).map_or("", |item| &*item.id);
        id.rsplit('.').next().unwrap_or_default().to_owned()
    };
    items.iter().map(name).collect()
}
