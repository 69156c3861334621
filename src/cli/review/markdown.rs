//! A comparison as Markdown, for a merge request's comment.

use std::fmt::Write as _;

use super::compared::{Compared, Judged, JudgedEdit, Judgement, refused, summary, what};
use super::forms;

/// Longest table: a comment has its limits, and so have readers.
const ROWS: usize = 100;

pub(super) fn render(compared: &Compared, judged: &Judgement<'_>) -> String {
    let [old, new] = &compared.labels;
    let mut text = String::from("## Data flows\n\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "`{}` → `{}`: **{}**\n", escape(old), escape(new), summary(judged));
    flows(compared, judged, &mut text);
    edits(compared, judged, &mut text);
    for line in refused(compared) {
        let _ = writeln!(text, "\nRefused: {}", escape(&line));
    }
    text
}

/// Keys that say something else: a row for each.
fn edits(compared: &Compared, judged: &Judgement<'_>, text: &mut String) {
    if judged.edits.is_empty() {
        return;
    }
    text.push_str("\n| change | what it means | from → to | blamed on | accepted |\n");
    text.push_str("| --- | --- | --- | --- | --- |\n");
    for JudgedEdit { edit, accepted, forbidden } in judged.edits.iter().take(ROWS) {
        let accepted = match accepted {
            Some(entries) => {
                entries.iter().map(|by| escape(&by.to_string())).collect::<Vec<_>>().join("<br>")
            }
            None if *forbidden => "**no**".to_owned(),
            None => "not needed".to_owned(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {accepted} |",
            edit.class.as_str().to_uppercase(),
            escape(&edit.says),
            escape(&forms::key(edit)),
            escape(&compared.at(edit.place.as_ref(), edit.edit)),
        );
    }
    if judged.edits.len() > ROWS {
        let _ = writeln!(text, "\n{} more keys; see the JSON.", judged.edits.len() - ROWS);
    }
}

fn flows(compared: &Compared, judged: &Judgement<'_>, text: &mut String) {
    let judged = &judged.flows;
    if judged.is_empty() {
        return;
    }
    text.push_str("| change | from → to | for | items | legal basis | blamed on | accepted |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    for Judged { change, accepted, forbidden } in judged.iter().take(ROWS) {
        let blames: Vec<String> =
            change.blames.iter().map(|blame| escape(&blame.to_string())).collect();
        let accepted = match accepted {
            Some(entries) => {
                entries.iter().map(|by| escape(&by.to_string())).collect::<Vec<_>>().join("<br>")
            }
            None if *forbidden => "**no**".to_owned(),
            None => "not needed".to_owned(),
        };
        let mut items = escape(&what(compared, change));
        if !change.detail.is_empty() {
            let _ = write!(items, " ({})", escape(&change.detail));
        }
        let _ = writeln!(
            text,
            "| {} | {} → {} | {} | {items} | {} | {} | {accepted} |",
            change.class.as_str().to_uppercase(),
            change.agency,
            escape(change.consumer.as_str()),
            change.purpose,
            forms::bases(&change.bases).join(", "),
            blames.join("<br>"),
        );
    }
    if judged.len() > ROWS {
        let _ = writeln!(text, "\n{} more changes; see the JSON.", judged.len() - ROWS);
    }
}

/// Keeps text from being markup or the end of a cell.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            '\n' | '\r' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}
