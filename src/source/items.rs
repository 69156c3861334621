//! The `items` of one query, held against the catalogue.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use toml::Spanned;

use super::column::Column;
use super::mapping::Compiler;
use crate::config::mapping::{ItemEntry, QueryEntry};
use crate::domain::catalogue::Item;
use crate::domain::value::{CodeIndex, ValueType};

/// More decimal places than any ledger keeps.
const MAX_SCALE: u32 = 9;

/// Each mapped item with the name of its column.
pub(super) fn compile<'a>(
    compiler: &mut Compiler<'a>,
    query: &'a QueryEntry,
) -> Vec<(Column, &'a str)> {
    query
        .items
        .iter()
        .filter_map(|(id, entry)| {
            let item = find(compiler, query, id, entry)?;
            let column = column(compiler, query, item, entry);
            Some((column, entry.get_ref().column.as_str()))
        })
        .collect()
}

fn find<'a>(
    compiler: &mut Compiler<'a>,
    query: &'a QueryEntry,
    id: &str,
    entry: &Spanned<ItemEntry>,
) -> Option<&'a Item> {
    let catalogue = compiler.catalogue;
    let Some(item) = catalogue.find(id) else {
        let remedy = match &*catalogue.similar_to(id) {
            [] => "take the id from the catalogue's files".to_owned(),
            near => format!("did you mean {}?", listed(near)),
        };
        let id = id.escape_default();
        compiler.find(entry, format!("`{id}` is not in the catalogue: {remedy}"));
        return None;
    };
    if !compiler.owned.contains(item.number) {
        let owners: Vec<&str> = item.owners.iter().map(|owner| owner.as_str()).collect();
        let message = format!(
            "agency `{}` does not own `{id}`, which belongs to {}: \
             remove the line, or add the agency to the item's owners in the catalogue",
            compiler.agency,
            listed(&owners)
        );
        compiler.find(entry, message);
    }
    let name = query.name.get_ref();
    if let Some(other) = compiler.mapped.insert(item.number, name) {
        let message = format!("`{id}` is mapped twice, in `{other}` and `{name}`: keep one");
        compiler.find(entry, message);
    }
    Some(item)
}

fn column(
    compiler: &mut Compiler<'_>,
    query: &QueryEntry,
    item: &Item,
    entry: &Spanned<ItemEntry>,
) -> Column {
    let id = &*item.id;
    let kind = item.value_type.name();
    let ItemEntry { column, codes, currency, scale, unit, dates } = entry.get_ref();
    compiler.column_name(entry, column);

    match (item.currency(), currency) {
        (Some(needed), None) => compiler.find(
            entry,
            format!(
                "`{id}` is money: state the column's currency, `currency = \"{}\"`",
                needed.as_str()
            ),
        ),
        (Some(needed), Some(stated)) if needed.as_str() != stated => compiler.find(
            entry,
            format!(
                "`{id}` is in {}, the column in {}: convert it in the statement",
                needed.as_str(),
                stated.escape_default()
            ),
        ),
        (None, Some(_)) => {
            compiler.find(entry, format!("`{id}` is of type {kind}: remove `currency`"));
        }
        _ => {}
    }
    match (scale, &item.value_type) {
        (None, _) => {}
        (Some(scale), ValueType::Decimal(_) | ValueType::Money(..)) => {
            if *scale > MAX_SCALE {
                compiler.find(entry, format!("`scale` is {scale}: use 0 to {MAX_SCALE}"));
            }
        }
        (Some(_), _) => compiler.find(
            entry,
            format!("`{id}` is of type {kind}: `scale` is for decimal and money, remove it"),
        ),
    }
    if let Some(unit) = unit.as_deref().filter(|unit| *unit != &*item.unit) {
        let message = match &*item.unit {
            "" => format!("`{id}` has no unit: remove `unit`"),
            needed => format!(
                "`{id}` is in {needed}, the column in {}: convert it in the statement",
                unit.escape_default()
            ),
        };
        compiler.find(entry, message);
    }
    if dates.is_some() && item.value_type != ValueType::Date {
        compiler.find(
            entry,
            format!("`{id}` is of type {kind}: `dates` is for items of type date, remove it"),
        );
    }
    if let (Some(months), None) = (item.adverse_months, &query.ended) {
        compiler.find(
            entry,
            format!(
                "`{id}` is adverse and lapses after {months} months: name the column with the day \
                 on which the fact ended, `ended = \"ended_on\"`, in query `{}`",
                query.name.get_ref()
            ),
        );
    }
    Column {
        number: item.number,
        id: item.id.clone(),
        value_type: item.value_type.clone(),
        codes: self::codes(compiler, item, entry, codes.as_ref()),
        scale: scale.unwrap_or_default(),
        dates: dates.unwrap_or(query.dates),
        adverse_months: item.adverse_months,
        unfit: AtomicU64::new(0),
    }
}

/// What the column writes, sorted; without a map it writes the catalogue's codes.
fn codes(
    compiler: &mut Compiler<'_>,
    item: &Item,
    entry: &Spanned<ItemEntry>,
    map: Option<&BTreeMap<String, String>>,
) -> Box<[(Box<str>, CodeIndex)]> {
    let is_code = matches!(item.value_type, ValueType::Code(_));
    let mut codes: Vec<(Box<str>, CodeIndex)> = Vec::new();
    match map {
        Some(_) if !is_code => {
            let kind = item.value_type.name();
            let message = format!(
                "`{}` is of type {kind}: `codes` is for items of type code, remove it",
                item.id
            );
            compiler.find(entry, message);
        }
        Some(map) => {
            if map.is_empty() {
                compiler
                    .find(entry, format!("`codes` of `{}` is empty: fill or remove it", item.id));
            }
            for (written, code) in map {
                match item.code_index(code) {
                    Some(index) => codes.push((written.as_str().into(), index)),
                    None => {
                        let known: Vec<&str> = item.codes.iter().map(|code| &*code.code).collect();
                        let message = format!(
                            "`{}` has no code `{}`: use one of {}",
                            item.id,
                            code.escape_default(),
                            listed(&known)
                        );
                        compiler.find(entry, message);
                    }
                }
            }
        }
        None => codes.extend(
            item.codes.iter().zip(0u8..).map(|(code, index)| (code.code.clone(), CodeIndex(index))),
        ),
    }
    codes.sort();
    codes.into()
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
