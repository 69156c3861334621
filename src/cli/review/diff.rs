//! `review diff`.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::compared::{Compared, Judged, JudgedEdit, Judgement, few, refused, summary, what};
use super::{Sides, forms, markdown, sarif};
use crate::domain::flows::change::Class;

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review diff old-city examples/city
  tributary review diff origin/main HEAD --path examples/city --format markdown
  tributary review diff v1:city v2:city --fail-on opened,widened,trust

A flow that opens, widens, narrows or closes is told by its route; a key that says
something else is told once, with what it means. Exit codes: 0 nothing changed;
1 error; 2 something changed, and all of it is accepted in flows.lock or of a
class that --fail-on does not name; 3 a change that --fail-on names and nobody
accepted.";

/// Something changed, and all of it is accepted or harmless.
const CHANGED: u8 = 2;
/// Something changed that must not.
const FORBIDDEN: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    sides: Sides,
    /// Classes of change that need to be accepted: opened, widened, trust, reviewers,
    /// release, ceilings, remapped, rerouted, reclassified, narrowed, closed, operations
    /// [default: all but the last three]
    #[arg(long, value_name = "CLASSES", value_delimiter = ',', value_parser = class)]
    fail_on: Vec<Class>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
    Markdown,
    Sarif,
}

fn class(name: &str) -> Result<Class, String> {
    Class::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
        format!("`{}` is no class of change: use {}", name.escape_default(), known.join(", "))
    })
}

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let compared = Compared::read(&args.sides)?;
    let fail_on = if args.fail_on.is_empty() { Class::gated() } else { args.fail_on.clone() };
    let judged = compared.judge(&fail_on);
    let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
    match args.format {
        Format::Text => text(&compared, &judged, &mut out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &report(&compared, &judged))?;
            writeln!(out)?;
        }
        Format::Csv => csv(&compared, &judged, &mut out)?,
        Format::Markdown => out.write_all(markdown::render(&compared, &judged).as_bytes())?,
        Format::Sarif => {
            let log = sarif::render(&compared, &judged);
            serde_json::to_writer_pretty(&mut out, &log)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::from(code(&judged)))
}

/// The exit code.
pub(super) fn code(judged: &Judgement<'_>) -> u8 {
    if judged.is_empty() {
        0
    } else if judged.forbidden() > 0 {
        FORBIDDEN
    } else {
        CHANGED
    }
}

/// The comparison as JSON.
pub(super) fn report(compared: &Compared, judged: &Judgement<'_>) -> serde_json::Value {
    let changes: Vec<_> = judged
        .flows
        .iter()
        .map(|judged| {
            let accepted = judged.accepted.as_deref();
            let mut change =
                forms::change(compared.catalogues(), judged.change, accepted, judged.forbidden);
            if let Some(fields) = change.as_object_mut() {
                fields.insert("digest".to_owned(), compared.digest(judged.change).into());
            }
            let blames = change.get_mut("blame").and_then(serde_json::Value::as_array_mut);
            for (told, blame) in blames.into_iter().flatten().zip(&judged.change.blames) {
                let commit = compared.commit(blame.place.as_ref(), blame.edit);
                if let (Some(commit), Some(fields)) = (commit, told.as_object_mut()) {
                    fields.insert("commit".to_owned(), commit.into());
                }
            }
            change
        })
        .collect();
    let edits: Vec<_> = judged
        .edits
        .iter()
        .map(|judged| {
            let commit = compared.commit(judged.edit.place.as_ref(), judged.edit.edit);
            forms::edit(judged.edit, judged.accepted.as_deref(), judged.forbidden, commit)
        })
        .collect();
    let [old, new] = &compared.labels;
    json!({
        "old": { "label": old, "digests": forms::digests(&compared.old) },
        "new": { "label": new, "digests": forms::digests(&compared.new) },
        "changes": changes,
        "edits": edits,
        "refused_acceptances": refused(compared),
    })
}

/// A row for each flow that changed alike and for each key.
fn csv(compared: &Compared, judged: &Judgement<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([
        "class",
        "key",
        "houses",
        "says",
        "from",
        "to",
        "file",
        "line",
        "commit",
        "accepted",
        "forbidden",
    ])?;
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    for Judged { change, accepted, forbidden } in &judged.flows {
        let route = forms::route(None, &change.agency, &change.consumer, &change.purpose);
        let blame = change.blames.first();
        let place = blame.and_then(|blame| blame.place.as_ref());
        let says =
            format!("{route}: {}", forms::ids(compared.catalogues(), &change.items).join(" "));
        csv.write_record([
            change.class.as_str(),
            &blame.map(ToString::to_string).unwrap_or_default(),
            change.agency.as_str(),
            &says,
            "",
            &change.detail,
            place.map_or("", |place| &place.file),
            &place.map(|place| place.line.to_string()).unwrap_or_default(),
            &blame.and_then(|blame| compared.commit(place, blame.edit)).unwrap_or_default(),
            yes(accepted.is_some()),
            yes(*forbidden),
        ])?;
    }
    for JudgedEdit { edit, accepted, forbidden } in &judged.edits {
        let place = edit.place.as_ref();
        csv.write_record([
            edit.class.as_str(),
            &edit.key,
            &edit.houses.join(" "),
            &edit.says,
            edit.from.as_deref().unwrap_or_default(),
            edit.to.as_deref().unwrap_or_default(),
            place.map_or("", |place| &place.file),
            &place.map(|place| place.line.to_string()).unwrap_or_default(),
            &compared.commit(place, edit.edit).unwrap_or_default(),
            yes(accepted.is_some()),
            yes(*forbidden),
        ])?;
    }
    Ok(csv.flush()?)
}

fn text(compared: &Compared, judged: &Judgement<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    for Judged { change, accepted, forbidden } in &judged.flows {
        let route =
            forms::route(Some(change.class), &change.agency, &change.consumer, &change.purpose);
        writeln!(out, "{route}: {}", what(compared, change))?;
        writeln!(out, "    on {}", forms::bases(&change.bases).join(", "))?;
        if !change.detail.is_empty() {
            writeln!(out, "    {}", change.detail)?;
        }
        for blame in &change.blames {
            match compared.commit(blame.place.as_ref(), blame.edit) {
                Some(commit) => writeln!(out, "    by {blame}, commit {commit}")?,
                None => writeln!(out, "    by {blame}")?,
            }
        }
        if !change.through.is_empty() {
            writeln!(out, "    through {}, unchanged", change.through.join(", "))?;
        }
        for entry in accepted.iter().flatten() {
            writeln!(out, "    accepted by {entry}")?;
        }
        if *forbidden {
            writeln!(out, "    NOT ACCEPTED")?;
        }
    }
    for JudgedEdit { edit, accepted, forbidden } in &judged.edits {
        writeln!(out, "{} {}", edit.class.as_str().to_uppercase(), edit.says)?;
        writeln!(out, "    {}", forms::key(edit))?;
        if !edit.items.is_empty() && edit.names.first() != edit.items.first() {
            writeln!(out, "    of {}", few(&edit.items))?;
        }
        writeln!(out, "    by {}", compared.at(edit.place.as_ref(), edit.edit))?;
        for entry in accepted.iter().flatten() {
            writeln!(out, "    accepted by {entry}")?;
        }
        if *forbidden {
            writeln!(out, "    NOT ACCEPTED")?;
        }
    }
    for line in refused(compared) {
        writeln!(out, "REFUSED {line}")?;
    }
    let gap = if judged.is_empty() { "" } else { "\n" };
    Ok(writeln!(out, "{gap}{}", summary(judged))?)
}
