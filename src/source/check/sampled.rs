//! What a sample of a query's rows shows, as findings about the mapping's lines.

use std::ops::Range;

use super::{Notes, Severity};
use crate::config::mapping::QueryEntry;
use crate::source::cell::Unfit;
use crate::source::query::Query;
use crate::source::sample::{ItemSampled, QuerySample};

/// Says what does not fit, and lists all items.
pub(super) fn findings(
    entry: &QueryEntry,
    query: &Query,
    sampled: QuerySample,
    notes: &mut Notes<'_>,
) {
    if let Some(message) = sampled.lost_rows(query) {
        let tolerated = sampled.lost_share() <= entry.subject_others;
        let severity = if tolerated { Severity::Note } else { Severity::Error };
        notes.add(severity, entry.subject.span().start, message);
    }
    for (role, column, reason, count) in &sampled.roles {
        let at = role_at(entry, role).start;
        let message = format!(
            "`{role}`, column `{column}`: {count} of {} sampled rows are unusable: {reason}",
            sampled.rows
        );
        // A moment without a zone is no row's fault.
        let all = *count == sampled.rows || *reason == Unfit::Zone;
        notes.add(if all { Severity::Error } else { Severity::Warning }, at, message);
    }
    for item in &sampled.items {
        let Some(line) = entry.items.get(&*item.id) else { continue };
        let unfit: usize = item.unfit.iter().map(|(_, count)| count).sum();
        if unfit == 0 {
            continue;
        }
        let zone = item.unfit.iter().any(|(reason, _)| *reason == Unfit::Zone);
        let all = item.fit == 0 || zone;
        let severity = if all { Severity::Error } else { Severity::Warning };
        notes.add(severity, line.span().start, of_item(item));
    }
    notes.checked.sampled.extend(sampled.items);
}

/// How many cells fit, how many do not, and why.
fn of_item(item: &ItemSampled) -> String {
    let unfit: usize = item.unfit.iter().map(|(_, count)| count).sum();
    let seen = unfit + item.fit;
    let why: Vec<String> =
        item.unfit.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
    format!(
        "`{}`, column `{}`: {unfit} of {seen} sampled cells are no value of it ({})",
        item.id,
        item.column,
        why.join("; ")
    )
}

fn role_at(entry: &QueryEntry, role: &str) -> Range<usize> {
    let named = match role {
        "ended" => entry.ended.as_ref().map(|column| column.span()),
        "disputed" => entry.disputed.as_ref().map(|column| column.span()),
        "statement" => entry.statement.as_ref().map(|column| column.span()),
        _ => None,
    };
    named.unwrap_or_else(|| entry.as_of.span())
}
