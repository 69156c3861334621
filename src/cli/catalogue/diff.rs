//! `tributary catalogue diff`: what changed between two catalogues, and which of it
//! parties may take on different days. What counts is decided in `domain`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use crate::config::catalogue::load;
use crate::domain::catalogue::{Catalogue, Difference, FieldChange, Item, difference};

/// Prints how two catalogues differ. The exit code is 1 where that is not compatible.
pub(super) fn run(
    old: &Path,
    new: &Path,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let (old, new) = (load(old)?, load(new)?);
    let found = difference(&old, &new);
    match json {
        true => writeln!(out, "{:#}", to_json(&old, &new, &found))?,
        false => write(&old, &new, &found, out)?,
    }
    Ok(if found.is_compatible() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(
    old: &Catalogue,
    new: &Catalogue,
    found: &Difference<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let Difference { added, changed, retired } = found;
    for item in added {
        writeln!(out, "added    {:>3} {}", item.number, item.id)?;
    }
    for change in changed {
        let Item { number, id, .. } = change.item;
        let verdict = if change.is_compatible() { "" } else { ": NOT COMPATIBLE" };
        writeln!(out, "changed  {number:>3} {id}{verdict}")?;
        for FieldChange { field, old, new, compatible } in &change.fields {
            let mark = if *compatible { ' ' } else { '!' };
            writeln!(out, "           {mark} {field}: {} -> {}", shown(old), shown(new))?;
        }
    }
    for item in retired {
        writeln!(out, "retired  {:>3} {}: NOT COMPATIBLE", item.number, item.id)?;
    }
    let verdict = match (found.is_empty(), found.is_compatible()) {
        (true, _) => "every item says the same",
        (false, true) => "compatible: parties may take it on different days, and no item stops",
        (false, false) => {
            "not compatible: between two parties of which one has it, what is marked is a gap \
             CATALOGUE_DIFFERS; everything else flows"
        }
    };
    let counts = [(added.len(), "added"), (changed.len(), "changed"), (retired.len(), "retired")];
    let counts = counts.map(|(count, what)| format!("{count} {what}")).join(", ");
    writeln!(out, "{} -> {}: {counts}", old.digest(), new.digest())?;
    writeln!(out, "{verdict}")
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}

fn to_json(old: &Catalogue, new: &Catalogue, found: &Difference<'_>) -> Json {
    let named = |items: &[&Item]| -> Vec<Json> {
        let named = items.iter().map(|item| json!({ "number": item.number.get(), "id": item.id }));
        named.collect()
    };
    let changed = found.changed.iter().map(|change| {
        let fields = change.fields.iter().map(|field| {
            json!({
                "field": field.field,
                "old": field.old,
                "new": field.new,
                "compatible": field.compatible,
            })
        });
        json!({
            "number": change.item.number.get(),
            "id": change.item.id,
            "compatible": change.is_compatible(),
            "fields": fields.collect::<Vec<Json>>(),
        })
    });
    json!({
        "old": old.digest().to_string(),
        "new": new.digest().to_string(),
        "compatible": found.is_compatible(),
        "added": named(&found.added),
        "changed": changed.collect::<Vec<Json>>(),
        "retired": named(&found.retired),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::catalogue::SCHOOL;

    fn folder(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("school.toml"), text).unwrap();
        folder
    }

    fn printed(old: &str, new: &str, json: bool) -> (bool, String) {
        let (old, new) = (folder(old), folder(new));
        let mut out = Vec::new();
        let code = run(old.path(), new.path(), json, &mut out).unwrap();
        (code == ExitCode::SUCCESS, String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_is_compatible_is_told_from_what_is_not_in_words_and_by_the_exit_code() {
        let (same, text) = printed(SCHOOL, SCHOOL, false);
        assert!(
            same && text.ends_with(": 0 added, 0 changed, 0 retired\nevery item says the same\n")
        );

        let worded = SCHOOL.replace("Degree held", "Holds a degree");
        let (fits, text) = printed(SCHOOL, &worded, false);
        assert!(fits, "{text}");
        assert!(text.contains("title.en: Degree held -> Holds a degree\n"), "{text}");

        let stricter = worded.replace("ordinary", "conditional");
        let (fits, text) = printed(SCHOOL, &stricter, false);
        assert!(!fits, "{text}");
        assert!(text.contains("changed    7 school.degree.held: NOT COMPATIBLE\n"), "{text}");
        assert!(text.contains("! sensitivity: ordinary -> conditional\n"), "{text}");

        let (fits, text) = printed(SCHOOL, &SCHOOL.replace("number = 7", "number = 8"), true);
        let json: Json = serde_json::from_str(&text).unwrap();
        assert!(!fits, "{text}");
        assert_eq!(json["compatible"], false);
        let one = |number: u16| json!([{ "number": number, "id": "school.degree.held" }]);
        assert_eq!((&json["added"], &json["retired"]), (&one(8), &one(7)));
        assert_eq!(json["changed"], json!([]));
    }
}
