//! `review diff`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;
use time::Date;

use super::{Sides, forms, markdown, sarif};
use crate::app::review;
use crate::app::review::revision::Revision;
use crate::domain::catalogue::Catalogue;
use crate::domain::flows::change::{Change, Class};
use crate::domain::flows::diff::diff;
use crate::domain::flows::federation::Federation;
use crate::domain::flows::lock::{Accepted, Lock};

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

/// Both sides, read.
pub(super) struct Compared {
    pub old: Federation,
    pub new: Federation,
    pub labels: [String; 2],
    /// What stands before a file's name of the new side.
    pub prefix: String,
    pub changes: Vec<Change>,
    pub lock: Lock,
    pub today: Date,
}

/// A change and what is said about it.
pub(super) struct Judged<'a> {
    pub change: &'a Change,
    pub accepted: Option<Vec<&'a Accepted>>,
    pub forbidden: bool,
}

impl Compared {
    pub(super) fn read(sides: &Sides) -> anyhow::Result<Self> {
        let open = |side: &str| Revision::open(side, &sides.repository, &sides.path);
        let (old, new) = (open(&sides.old)?, open(&sides.new)?);
        let read = |revision: &Revision| {
            review::load(revision.folder()).with_context(|| format!("in {}", revision.label))
        };
        let (before, after) = (read(&old)?, read(&new)?);
        let lock = read_lock(&sides.lock)?;
        let labels = [old.label, new.label];
        let today = crate::clock::utc().date();
        Ok(Self::new(before, after, labels, lock, today).within(new.prefix))
    }

    pub(super) fn new(
        old: Federation,
        new: Federation,
        labels: [String; 2],
        lock: Lock,
        today: Date,
    ) -> Self {
        let changes = diff(&old, &new);
        Self { old, new, labels, prefix: String::new(), changes, lock, today }
    }

    /// Says what stands before the names of the new side's files.
    pub(super) fn within(self, prefix: String) -> Self {
        Self { prefix, ..self }
    }

    /// The new catalogue first: ids are the new ones where there are any.
    pub(super) fn catalogues(&self) -> [&Catalogue; 2] {
        [&self.new.catalogue, &self.old.catalogue]
    }

    pub(super) fn judge(&self, fail_on: &[Class]) -> Vec<Judged<'_>> {
        let judged = self.changes.iter().map(|change| {
            let accepted = self.lock.accepts(change, self.catalogues(), self.today);
            let forbidden = accepted.is_none() && fail_on.contains(&change.class);
            Judged { change, accepted, forbidden }
        });
        judged.collect()
    }
}

/// Reads a lock file; without one nothing is accepted.
pub(super) fn read_lock(path: &Path) -> anyhow::Result<Lock> {
    if !path.exists() {
        return Ok(Lock::default());
    }
    let lock: Lock = crate::config::file::read_toml(path)?;
    lock.check().with_context(|| format!("in {}", path.display()))?;
    Ok(lock)
}

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let compared = Compared::read(&args.sides)?;
    let judged = compared.judge(&args.fail_on);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
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

/// How many items, and the first few of them.
pub(super) fn what(compared: &Compared, change: &Change) -> String {
    const SHOWN: usize = 3;
    let ids = forms::ids(compared.catalogues(), &change.items);
    let mut text = ids.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > SHOWN {
        text.push_str(&format!(" and {} more", ids.len() - SHOWN));
    }
    text
}

/// One line: how many flows of each class, and how many are not accepted.
pub(super) fn summary(judged: &[Judged<'_>]) -> String {
    let mut parts = Vec::new();
    for class in Class::ALL {
        let of = judged.iter().filter(|judged| judged.change.class == class);
        let flows: usize = of.map(|judged| judged.change.items.len()).sum();
        if flows > 0 {
            parts.push(format!("{flows} {class}"));
        }
    }
    let open: usize = judged
        .iter()
        .filter(|judged| judged.forbidden)
        .map(|judged| judged.change.items.len())
        .sum();
    let end = if open == 0 { String::new() } else { format!("; {open} not accepted") };
    match parts.is_empty() {
        true => "no flow changed".to_owned(),
        false => format!("flows: {}{end}", parts.join(", ")),
    }
}
