//! The `items` of one query, held against the catalogue.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use toml::Spanned;

use super::Compiler;
use crate::config::mapping::{ItemEntry, QueryEntry};
use crate::domain::catalogue::Item;
use crate::domain::value::{CodeIndex, ValueType};
use crate::source::column::Column;
use crate::source::convert::{Days, ItemForm, NumberForm, Words};

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
    let ItemEntry { column, codes, currency, unit, dates, .. } = entry.get_ref();
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
    let figures = figures(compiler, item, entry);
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
    let form = dates.unwrap_or(query.dates);
    if item.value_type == ValueType::Date && form.is_moment() {
        compiler.need_zone(entry, &format!("`{id}`"));
    }
    let words = words(compiler, item, entry);
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
        form: ItemForm {
            value_type: item.value_type.clone(),
            codes: match item.value_type {
                ValueType::Boolean => Box::default(),
                _ => self::codes(compiler, item, entry, codes.as_ref()),
            },
            words,
            figures,
            days: Days { form, zone: compiler.zone.clone() },
        },
        adverse_months: item.adverse_months,
        unfit: AtomicU64::new(0),
    }
}

/// How the column writes numbers, if the item is one.
fn figures(compiler: &mut Compiler<'_>, item: &Item, entry: &Spanned<ItemEntry>) -> NumberForm {
    let (id, kind) = (&item.id, item.value_type.name());
    let ItemEntry { scale, places, thousands, decimal, symbol, percent, .. } = entry.get_ref();
    let exact = matches!(item.value_type, ValueType::Decimal(_) | ValueType::Money(..));
    let whole = matches!(item.value_type, ValueType::Integer(_) | ValueType::Months(_));
    for (key, stated, fits, types) in [
        ("scale", scale.is_some(), exact, "decimal and money"),
        ("places", places.is_some(), exact, "decimal and money"),
        ("decimal", decimal.is_some(), exact, "decimal and money"),
        ("symbol", symbol.is_some(), exact, "decimal and money"),
        ("percent", *percent, exact, "decimal and money"),
        ("thousands", thousands.is_some(), exact || whole, "numbers"),
    ] {
        if stated && !fits {
            let message = format!("`{id}` is of type {kind}: `{key}` is for {types}, remove it");
            compiler.find(entry, message);
        }
    }
    for (key, number) in [("scale", *scale), ("places", *places)] {
        if let Some(number) = number.filter(|number| exact && *number > MAX_SCALE) {
            compiler.find(entry, format!("`{key}` is {number}: use 0 to {MAX_SCALE}"));
        }
    }
    let sign = |c: char| c.is_alphanumeric() || c.is_control() || c == '-';
    for (key, mark) in [("thousands", *thousands), ("decimal", *decimal)] {
        if mark.is_some_and(sign) {
            compiler.find(entry, format!("`{key}` is one sign such as `,`, `.` or a blank"));
        }
    }
    if thousands.is_some() && *thousands == Some(decimal.unwrap_or('.')) {
        let message = format!("`{id}`: `thousands` and `decimal` are one sign: state both");
        compiler.find(entry, message);
    }
    let plain = |c: char| c.is_ascii_digit() || c.is_control() || matches!(c, '-' | '.' | ',');
    if symbol.as_ref().is_some_and(|text| text.is_empty() || text.contains(plain)) {
        let message = "`symbol` is what stands beside an amount, such as `¥` or `CNY`";
        compiler.find(entry, message.to_owned());
    }
    NumberForm {
        scale: scale.unwrap_or_default(),
        places: *places,
        thousands: *thousands,
        decimal: *decimal,
        symbol: symbol.as_deref().map(Into::into),
        percent: *percent,
    }
}

/// What the column of a boolean writes, if it is stated.
fn words(compiler: &mut Compiler<'_>, item: &Item, entry: &Spanned<ItemEntry>) -> Words {
    let ItemEntry { yes, no, .. } = entry.get_ref();
    if item.value_type == ValueType::Boolean {
        return stated_words(compiler, &item.id, entry);
    }
    if !yes.is_empty() || !no.is_empty() {
        let (id, kind) = (&item.id, item.value_type.name());
        let message =
            format!("`{id}` is of type {kind}: `true` and `false` are for booleans, remove them");
        compiler.find(entry, message);
    }
    Words::default()
}

/// How `disputed` is written: a boolean like an item, and nothing else.
pub(super) fn disputed(compiler: &mut Compiler<'_>, entry: &Spanned<ItemEntry>) -> Words {
    let stated = entry.get_ref();
    let bare = ItemEntry {
        column: stated.column.clone(),
        codes: stated.codes.clone(),
        yes: stated.yes.clone(),
        no: stated.no.clone(),
        ..ItemEntry::default()
    };
    if *stated != bare {
        let message =
            "`disputed` says yes or no: remove all but `column`, `true`, `false`, `codes`";
        compiler.find(entry, message.to_owned());
    }
    stated_words(compiler, "disputed", entry)
}

fn stated_words(compiler: &mut Compiler<'_>, what: &str, entry: &Spanned<ItemEntry>) -> Words {
    let ItemEntry { codes, yes, no, .. } = entry.get_ref();
    let mut words: Vec<(Box<str>, bool)> = Vec::new();
    words.extend(yes.iter().map(|word| (word.as_str().into(), true)));
    words.extend(no.iter().map(|word| (word.as_str().into(), false)));
    for (written, means) in codes.iter().flatten() {
        match means.as_str() {
            "true" => words.push((written.as_str().into(), true)),
            "false" => words.push((written.as_str().into(), false)),
            other => {
                let other = other.escape_default();
                let message =
                    format!("`{what}` is yes or no: `{other}` is neither `true` nor `false`");
                compiler.find(entry, message);
            }
        }
    }
    words.sort();
    let pairs = words.windows(2);
    if pairs.into_iter().any(|pair| matches!(pair, [one, next] if one.0 == next.0)) {
        compiler.find(entry, format!("`{what}` states one word twice: state each once"));
    }
    Words::new(words)
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
                "`{}` is of type {kind}: `codes` is for items of type code or boolean, remove it",
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
