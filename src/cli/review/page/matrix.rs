//! The matrix: categories down, consumers and their purposes across. A mark has a
//! shape, a colour and a word.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Review;
use crate::cli::review::compared::Judged;
use crate::domain::flows::change::Class;
use crate::domain::item::ItemSet;

/// From so many columns on, the headings stand upright.
const MANY: usize = 8;

/// A column: a consumer's id and a purpose.
type Column<'a> = (&'a str, &'a str);

/// What a cell is about, as sets of items.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    declared: ItemSet,
    observed: ItemSet,
    fresh: ItemSet,
    undeclared: ItemSet,
}

/// A mark's class, shape and word.
const MARKS: [(&str, &str, &str); 4] = [
    ("x", "✕", "released and not declared: an incident"),
    ("n", "◆", "opened or widened by this change"),
    ("o", "●", "declared and released"),
    ("d", "○", "declared"),
];

impl Cell {
    fn mark(&self) -> Option<(&'static str, &'static str, &'static str, usize)> {
        let at = if !self.undeclared.is_empty() {
            0
        } else if !self.fresh.is_empty() {
            1
        } else if !self.observed.is_empty() {
            2
        } else if !self.declared.is_empty() {
            3
        } else {
            return None;
        };
        let (class, sign, word) = *MARKS.get(at)?;
        let count = match at {
            0 => self.undeclared.len(),
            _ => self.declared.len(),
        };
        Some((class, sign, word, count))
    }
}

pub(super) fn matrix(review: &Review, judged: Option<&[Judged<'_>]>) -> Markup {
    let columns = columns(review, judged);
    let categories = categories(review);
    let mut consumers: Vec<(&str, usize)> = Vec::new();
    for (consumer, _) in columns.keys() {
        match consumers.last_mut() {
            Some((last, count)) if last == consumer => *count += 1,
            _ => consumers.push((consumer, 1)),
        }
    }
    let many = columns.len() > MANY;
    html! {
        section aria-labelledby="matrix" {
            h2 #matrix { "Who can read what, for what" }
            p { "Rows are categories of items, columns are consumers and their purposes. The \
                 number says how many items of the category can flow." }
            ul.legend {
                @for (class, sign, word) in MARKS {
                    li { b class=(class) aria-hidden="true" { (sign) } " " (word) }
                }
                li { "empty: closed" }
            }
            div.scroll tabindex="0" role="group" aria-labelledby="matrix" {
                table.matrix.many[many] {
                    thead {
                        tr {
                            th rowspan="2" scope="col" { "category" }
                            @for (consumer, span) in &consumers {
                                th colspan=(span) scope="colgroup" title=(consumer) {
                                    (short(consumer))
                                }
                            }
                        }
                        tr {
                            @for (_, purpose) in columns.keys() {
                                th scope="col" { span.purpose { (breakable(purpose)) } }
                            }
                        }
                    }
                    @for (domain, categories) in &categories {
                        tbody {
                            tr.domain {
                                th colspan=(columns.len() + 1) scope="rowgroup" { (domain) }
                            }
                            @for (category, items) in categories {
                                tr {
                                    th scope="row" { (category) }
                                    @for cell in columns.values() { (mark(cell, items, many)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A code that may be broken after its underscores, and not in the middle of a word.
fn breakable(code: &str) -> Markup {
    html! { @for part in code.split_inclusive('_') { (part) wbr; } }
}

/// Of many, only the legend says what the signs mean.
fn mark(cell: &Cell, items: &ItemSet, many: bool) -> Markup {
    let cut = Cell {
        declared: cell.declared.and(items),
        observed: cell.observed.and(items),
        fresh: cell.fresh.and(items),
        undeclared: cell.undeclared.and(items),
    };
    let Some((class, sign, word, count)) = cut.mark() else { return html! { td {} } };
    let word = word.split(':').next().filter(|_| !many);
    html! { td class=(class) title=[word] { i { (sign) } (count) } }
}

fn columns<'a>(review: &'a Review, judged: Option<&'a [Judged<'_>]>) -> BTreeMap<Column<'a>, Cell> {
    let mut columns: BTreeMap<Column<'_>, Cell> = BTreeMap::new();
    for flow in &review.flows {
        let cell = columns.entry((flow.consumer.as_str(), flow.purpose.as_str())).or_default();
        cell.declared = cell.declared.or(&flow.items);
    }
    for judged in judged.into_iter().flatten() {
        let change = judged.change;
        if matches!(change.class, Class::Opened | Class::Widened) {
            let key = (change.consumer.as_str(), change.purpose.as_str());
            let cell = columns.entry(key).or_default();
            cell.fresh = cell.fresh.or(&change.items);
        }
    }
    if let Some(found) = &review.drift {
        for ((_, consumer, purpose), items) in &found.drift.observed {
            let cell = columns.entry((consumer.as_str(), purpose)).or_default();
            cell.observed = cell.observed.or(items);
        }
        for ((_, consumer, purpose), items) in &found.drift.slipped {
            let cell = columns.entry((consumer.as_str(), purpose)).or_default();
            cell.undeclared = cell.undeclared.or(items);
        }
    }
    columns
}

/// The categories of each domain, with their items.
fn categories(review: &Review) -> BTreeMap<&str, BTreeMap<&str, ItemSet>> {
    let mut domains: BTreeMap<&str, BTreeMap<&str, ItemSet>> = BTreeMap::new();
    for item in review.federation.catalogue.items() {
        let name = item.category();
        let name = name.split_once('.').map_or(name, |(_, name)| name);
        domains.entry(item.domain()).or_default().entry(name).or_default().insert(item.number);
    }
    domains
}

/// A consumer's own name, at the end of its SPIFFE id.
pub(super) fn short(consumer: &str) -> &str {
    consumer.rsplit('/').next().unwrap_or(consumer)
}
