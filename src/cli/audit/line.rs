//! How a record is printed: as a line of JSON, or as a line for people.

use std::io::{self, Write};

use crate::domain::audit::export::{Line, SectionLine};

/// Writes one record; for people with its log before it, where there are several. JSON
/// always has it.
pub(super) fn write(out: &mut dyn Write, line: &Line, json: bool, of_log: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")
    } else {
        if of_log {
            let (origin, ..) = line.place();
            write!(out, "{origin} ")?;
        }
        writeln!(out, "{}", text(line))
    }
}

fn text(line: &Line) -> String {
    match line {
        Line::Section(section) => section_text(section),
        Line::Refusals { index, time, peer, reason, count, .. } => {
            format!("{index} {time} {peer} refused {count} times: {reason}")
        }
        Line::Search { index, time, reviewer, search, by, hits, .. } => {
            let by = if by.is_empty() { "nothing".to_owned() } else { by.join(", ") };
            format!("{index} {time} {reviewer} searched ({search}) by {by}: {hits} records")
        }
        Line::Started { index, time, clean, .. } => {
            let after = if *clean { "" } else { " after a stop without closing" };
            format!("{index} {time} log opened{after}")
        }
        Line::Stopped { index, time, .. } => format!("{index} {time} log closed"),
        Line::Succeeds { index, time, log, size, .. } => {
            format!("{index} {time} goes on from the log {log}, which ended with {size} entries")
        }
    }
}

fn section_text(section: &SectionLine) -> String {
    format!(
        "{} {} {} {} {} {} {} items {}",
        section.index,
        section.time,
        section.request,
        section.consumer,
        section.agency.as_deref().unwrap_or("-"),
        section.decision,
        section.reason.as_deref().unwrap_or("-"),
        numbers(&section.items)
    )
}

/// Items' numbers in a row.
pub(super) fn numbers(items: &[u16]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
