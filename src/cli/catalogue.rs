//! `tributary catalogue`: checks a catalogue, lists it, shows one item, compares two.
//!
//! These read files and print. What signs a catalogue, and fetches a signed one from a
//! gateway, is in [`signed`]. `wire` serves the same facts to programs.

mod diff;
mod signed;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value as Json, json};

use crate::cli::output;
use crate::config::catalogue::{CatalogueError, load};
use crate::domain::catalogue::{Catalogue, Item, Sensitivity};

const DEFAULT_FOLDER: &str = "examples/city/catalogue";

/// Checks the catalogue of items, lists it, shows one item, compares two, signs and fetches.
#[derive(Debug, clap::Args)]
pub struct CatalogueArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check every rule that a catalogue has to keep.
    Check {
        #[command(flatten)]
        folder: Folder,
    },
    /// List the items.
    List {
        #[command(flatten)]
        folder: Folder,
        /// Only items of this domain, such as `lending`.
        #[arg(long, conflicts_with = "prefix")]
        domain: Option<String>,
        /// Only items whose id starts with this.
        #[arg(long)]
        prefix: Option<String>,
        /// Print a JSON array with one object an item.
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one item.
    Show {
        /// The item's id or number.
        item: String,
        #[command(flatten)]
        folder: Folder,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Compare two catalogues: what parties may change on different days.
    #[command(after_help = "\
The exit code is 0 where nothing that flows stops while some parties have the new catalogue and
others the old one, and 1 otherwise: a retired item, or one that means something else, is a gap
CATALOGUE_DIFFERS until both ends of a link have the same.")]
    Diff {
        /// The folder of the catalogue that is in use.
        old: PathBuf,
        /// The folder of the one that is to follow.
        new: PathBuf,
        /// Print a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make the key with which the federation's operator signs catalogues.
    Keygen(signed::CatalogueKeygenArgs),
    /// Sign a catalogue as a version: the note is put beside its files.
    Sign(signed::SignArgs),
    /// Fetch the signed catalogue of a gateway into a folder.
    #[command(after_help = signed::FETCH_HELP)]
    Fetch(Box<signed::FetchArgs>),
}

#[derive(Debug, clap::Args)]
struct Folder {
    /// The catalogue's folder.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    dir: PathBuf,
}

/// Runs the subcommand. The exit code is 1 when `check` found something, or when what
/// `diff` found is not compatible.
///
/// # Errors
/// A folder that cannot be read, or a question that names nothing in it.
pub fn run(args: CatalogueArgs) -> anyhow::Result<ExitCode> {
    answer(args.command, &mut output::stdout())
}

fn answer(command: Command, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    match command {
        Command::Check { folder } => code = check(&folder.dir, out)?,
        Command::List { folder, domain, prefix, json } => {
            let catalogue = load(&folder.dir)?;
            let items = select(&catalogue, domain.as_deref(), prefix.as_deref())?;
            if json {
                let items: Vec<Json> = items.into_iter().map(to_json).collect();
                writeln!(out, "{:#}", Json::Array(items))?;
            } else {
                write_table(&items, out)?;
            }
        }
        Command::Show { item, folder, json } => {
            let catalogue = load(&folder.dir)?;
            let item = find(&catalogue, &item)?;
            if json {
                writeln!(out, "{:#}", to_json(item))?;
            } else {
                write_item(item, out)?;
            }
        }
        Command::Diff { old, new, json } => code = diff::run(&old, &new, json, out)?,
        Command::Keygen(args) => signed::keygen(&args, out)?,
        Command::Sign(args) => signed::sign(&args, out)?,
        Command::Fetch(args) => signed::fetch(&args, out)?,
    }
    out.flush()?;
    Ok(code)
}

fn check(folder: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match load(folder) {
        Ok(catalogue) => {
            writeln!(
                out,
                "{} items in {} domains, {} agencies, digest {}: sound",
                catalogue.items().len(),
                domains(&catalogue).len(),
                catalogue.agencies().len(),
                catalogue.digest()
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Err(CatalogueError::Unsound { findings, .. }) => {
            writeln!(out, "{findings}")?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error).context("the catalogue cannot be checked"),
    }
}

fn domains(catalogue: &Catalogue) -> BTreeSet<&str> {
    catalogue.items().iter().map(Item::domain).collect()
}

fn select<'a>(
    catalogue: &'a Catalogue,
    domain: Option<&str>,
    prefix: Option<&str>,
) -> anyhow::Result<Vec<&'a Item>> {
    let wanted = |item: &&Item| {
        domain.is_none_or(|domain| item.domain() == domain)
            && prefix.is_none_or(|prefix| item.id.starts_with(prefix))
    };
    let items: Vec<&Item> = catalogue.items().iter().filter(wanted).collect();
    if items.is_empty() {
        let known: Vec<&str> = domains(catalogue).into_iter().collect();
        let shown = domain.or(prefix).unwrap_or_default().escape_debug();
        bail!("no item's id starts with `{shown}`; the domains are {}", known.join(", "));
    }
    Ok(items)
}

fn find<'a>(catalogue: &'a Catalogue, wanted: &str) -> anyhow::Result<&'a Item> {
    let by_number = || {
        let number: u16 = wanted.parse().ok()?;
        catalogue.items().iter().find(|item| item.number.get() == number)
    };
    if let Some(item) = catalogue.find(wanted).or_else(by_number) {
        return Ok(item);
    }
    let near = suggest(catalogue, wanted);
    let hint = if near.is_empty() {
        "`tributary catalogue list` has them all".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    bail!("`{}` is no item of the catalogue; {hint}", wanted.escape_debug())
}

/// Up to three ids near to a mistyped one, the nearest first.
fn suggest<'a>(catalogue: &'a Catalogue, wanted: &str) -> Vec<&'a str> {
    /// Longer than any id; what is longer still is no typing error.
    const LONGEST: usize = 80;
    if wanted.len() > LONGEST {
        return Vec::new();
    }
    let tolerated = wanted.len() / 4;
    let mut near: Vec<(usize, &str)> = catalogue
        .items()
        .iter()
        .map(|item| (distance(wanted, &item.id), &*item.id))
        .filter(|(distance, _)| *distance <= tolerated)
        .collect();
    if near.is_empty() {
        return catalogue.similar_to(wanted);
    }
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, id)| id).collect()
}

/// How many bytes must be put in, taken out or changed (Levenshtein).
pub(super) fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, a) in from.bytes().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let above = *cell;
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default().max(from.len().saturating_sub(to.len()))
}

fn write_table(items: &[&Item], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["no", "id", "title", "标题", "type", "owners", "sensitivity"]);
    // An id in two lines cannot be copied.
    table.set_constraints([ColumnConstraint::ContentWidth, ColumnConstraint::ContentWidth]);
    for item in items {
        table.add_row([
            item.number.to_string(),
            item.id.to_string(),
            item.title.en.clone(),
            item.title.zh.clone(),
            type_and_unit(item),
            owners(item),
            sensitivity(item).to_owned(),
        ]);
    }
    for line in table.to_string().lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn write_item(item: &Item, out: &mut impl Write) -> io::Result<()> {
    let range = item.range().map(|range| format!("{} to {}", range.minimum, range.maximum));
    let adverse = item.adverse_months.map(|months| match months {
        1 => "1 month after it ended".to_owned(),
        months => format!("{months} months after it ended"),
    });
    let survivorship = match item.owners.len() {
        1 => "only one owner".to_owned(),
        _ => item.survivorship.as_str().to_owned(),
    };
    let lines = [
        ("id", Some(item.id.to_string())),
        ("number", Some(item.number.to_string())),
        ("title", Some(item.title.en.clone())),
        ("标题", Some(item.title.zh.clone())),
        ("meaning", Some(item.meaning.to_string())),
        ("type", Some(type_and_unit(item))),
        ("range", range),
        ("owners", Some(owners(item))),
        ("survivorship", Some(survivorship)),
        ("sensitivity", Some(sensitivity(item).to_owned())),
        ("usable for", adverse),
    ];
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for (name, value) in lines {
        if let Some(value) = value {
            table.add_row([name.to_owned(), value]);
        }
    }
    for (at, code) in item.codes.iter().enumerate() {
        let name = if at == 0 { "codes" } else { "" };
        let meaning = format!("{} = {}, {}", code.code, code.title.en, code.title.zh);
        table.add_row([name.to_owned(), meaning]);
    }
    for line in table.to_string().lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn type_and_unit(item: &Item) -> String {
    match &*item.unit {
        "" => item.value_type.name().to_owned(),
        unit => format!("{}, {unit}", item.value_type.name()),
    }
}

fn owners(item: &Item) -> String {
    let names: Vec<&str> = item.owners.iter().map(|owner| owner.as_str()).collect();
    names.join(", ")
}

const fn sensitivity(item: &Item) -> &'static str {
    match item.sensitivity {
        Sensitivity::Ordinary => "ordinary",
        Sensitivity::Conditional => "conditional",
    }
}

fn to_json(item: &Item) -> Json {
    let codes = item.codes.iter().map(|code| {
        json!({ "code": &*code.code, "title": { "en": code.title.en, "zh": code.title.zh } })
    });
    let owners = item.owners.iter().map(|owner| owner.as_str());
    json!({
        "number": item.number.get(),
        "id": &*item.id,
        "title": { "en": item.title.en, "zh": item.title.zh },
        "meaning": &*item.meaning,
        "type": item.value_type.name(),
        "unit": &*item.unit,
        "range": item.range().map(|range| [number(range.minimum), number(range.maximum)]),
        "owners": owners.collect::<Vec<_>>(),
        "survivorship": item.survivorship.as_str(),
        "sensitivity": sensitivity(item),
        "adverse_months": item.adverse_months,
        "codes": codes.collect::<Vec<_>>(),
    })
}

/// A whole number as such, so that JSON says 20 and not 20.0.
fn number(value: Decimal) -> Json {
    match value.to_i64() {
        Some(whole) if value.fract().is_zero() => whole.into(),
        _ => value.to_f64().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(command: Command) -> String {
        let mut out = Vec::new();
        answer(command, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn city() -> Folder {
        Folder { dir: DEFAULT_FOLDER.into() }
    }

    fn show(item: &str, json: bool) -> Command {
        Command::Show { item: item.into(), folder: city(), json }
    }

    #[test]
    fn the_city_is_sound() {
        let text = printed(Command::Check { folder: city() });
        assert!(text.starts_with("493 items in 11 domains, 7 agencies, digest "), "{text}");
        assert!(text.ends_with(": sound\n"), "{text}");
    }

    #[test]
    fn a_list_has_a_line_an_item_and_a_header() {
        let list = |json| Command::List { folder: city(), domain: None, prefix: None, json };
        assert_eq!(printed(list(false)).lines().count(), 494);
        let items: Vec<Json> = serde_json::from_str(&printed(list(true))).unwrap();
        assert_eq!(items.len(), 493);
    }

    #[test]
    fn an_item_is_shown_by_id_and_by_number() {
        let text = printed(show("lending.card.utilisation_ratio", false));
        for part in ["212", "信用卡额度使用率", "decimal, ratio", "0 to 5", "only one owner"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(text, printed(show("212", false)));
        let json: Json =
            serde_json::from_str(&printed(show("lending.card.utilisation_ratio", true))).unwrap();
        assert_eq!(json["range"], json!([0, 5]));
    }

    #[test]
    fn a_mistyped_item_is_answered_with_near_ones() {
        for (wanted, near) in [
            ("lending.card.utilization_ratio", "lending.card.utilisation_ratio"),
            ("lending.utilisation_ratio", "lending.card.utilisation_ratio"),
            ("lending.card.open_counts", "did you mean lending.card.open_count "),
            ("no\nsuch", "`no\\nsuch` is no item of the catalogue; `tributary catalogue list`"),
        ] {
            let error = answer(show(wanted, false), &mut Vec::new()).unwrap_err().to_string();
            assert!(error.contains(near), "{error}");
        }
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (from, to, steps) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(from, to), steps, "{from} {to}");
        }
    }
}
