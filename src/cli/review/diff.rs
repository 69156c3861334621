//! `review diff`.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::compared::{Compared, Judged, summary, what};
use super::{Sides, forms, markdown, sarif};
use crate::domain::flows::change::Class;
use crate::domain::flows::federation::Federation;

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review diff old-city examples/city
  tributary review diff origin/main HEAD --path examples/city --format markdown
  tributary review diff v1:city v2:city --fail-on opened,widened,rerouted

Exit codes: 0 no flow changed; 1 error; 2 flows changed, and each change is
accepted in flows.lock or of a class that --fail-on does not name; 3 a change
that --fail-on names and nobody accepted.";

/// Something changed, and all of it is accepted or harmless.
const CHANGED: u8 = 2;
/// Something changed that must not.
const FORBIDDEN: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    sides: Sides,
    /// Classes of change that need to be accepted: opened, widened, rerouted,
    /// reclassified, narrowed, closed
    #[arg(
        long, value_name = "CLASSES", value_delimiter = ',', value_parser = class,
        default_value = "opened,widened"
    )]
    fail_on: Vec<Class>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
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
    let judged = compared.judge(&args.fail_on);
    let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
    match args.format {
        Format::Text => text(&compared, &judged, &mut out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &report(&compared, &judged))?;
            writeln!(out)?;
        }
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
pub(super) fn code(judged: &[Judged<'_>]) -> u8 {
    if judged.is_empty() {
        0
    } else if judged.iter().any(|judged| judged.forbidden) {
        FORBIDDEN
    } else {
        CHANGED
    }
}

/// The comparison as JSON.
pub(super) fn report(compared: &Compared, judged: &[Judged<'_>]) -> serde_json::Value {
    let changes: Vec<_> = judged
        .iter()
        .map(|judged| {
            let accepted = judged.accepted.as_deref();
            forms::change(compared.catalogues(), judged.change, accepted, judged.forbidden)
        })
        .collect();
    let [old, new] = &compared.labels;
    json!({
        "old": { "label": old, "digests": forms::digests(&compared.old) },
        "new": { "label": new, "digests": forms::digests(&compared.new) },
        "changes": changes,
    })
}

fn text(compared: &Compared, judged: &[Judged<'_>], out: &mut dyn Write) -> anyhow::Result<()> {
    if judged.is_empty() {
        let digest = |federation: &Federation| federation.catalogue.digest();
        let text = if digest(&compared.old) == digest(&compared.new) {
            "no flow changed"
        } else {
            "no flow changed; the catalogue's text did"
        };
        return Ok(writeln!(out, "{text}")?);
    }
    for Judged { change, accepted, forbidden } in judged {
        let route =
            forms::route(Some(change.class), &change.agency, &change.consumer, &change.purpose);
        writeln!(out, "{route}: {}", what(compared, change))?;
        writeln!(out, "    on {}", forms::bases(&change.bases).join(", "))?;
        if !change.detail.is_empty() {
            writeln!(out, "    {}", change.detail)?;
        }
        for blame in &change.blames {
            writeln!(out, "    by {blame}")?;
        }
        if !change.through.is_empty() {
            writeln!(out, "    through {}, unchanged", change.through.join(", "))?;
        }
        for entry in accepted.iter().flatten() {
            writeln!(out, "    accepted by {} until {}: {}", entry.who, entry.until, entry.why)?;
        }
        if *forbidden {
            writeln!(out, "    NOT ACCEPTED")?;
        }
    }
    writeln!(out, "\n{}", summary(judged))?;
    Ok(())
}
