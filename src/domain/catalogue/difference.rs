//! What changed from one catalogue to the next, and which of it two parties may have at
//! different times.
//!
//! A change is compatible where the item goes on flowing between a party that has it and
//! one that has not. Bundles are names for requests and are not compared.

use super::{Catalogue, Code, Item};

/// How two catalogues differ. Items stand ascending by number.
#[derive(Debug, Default)]
pub struct Difference<'a> {
    /// Items of the new one alone.
    pub added: Vec<&'a Item>,
    /// Items of both that do not say the same.
    pub changed: Vec<ItemChange<'a>>,
    /// Items of the old one alone.
    pub retired: Vec<&'a Item>,
}

/// An item whose entry changed.
#[derive(Debug)]
pub struct ItemChange<'a> {
    /// The item in the new catalogue.
    pub item: &'a Item,
    /// What of it changed; never empty.
    pub fields: Vec<FieldChange>,
}

/// One field of an item that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Its key in the catalogue's file.
    pub field: &'static str,
    /// What it said.
    pub old: String,
    /// What it says.
    pub new: String,
    /// Whether the item goes on flowing meanwhile.
    pub compatible: bool,
}

impl Difference<'_> {
    /// Whether nothing that flows today stops while some parties have the new catalogue
    /// and some the old one. A new item takes nothing from anybody; a retired or redefined
    /// one is a gap.
    pub fn is_compatible(&self) -> bool {
        self.retired.is_empty() && self.changed.iter().all(ItemChange::is_compatible)
    }

    /// Whether the two say the same of every item.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.retired.is_empty()
    }
}

impl ItemChange<'_> {
    /// Whether the item goes on flowing meanwhile.
    pub fn is_compatible(&self) -> bool {
        self.fields.iter().all(|field| field.compatible)
    }
}

/// Compares two catalogues, item by item.
pub fn difference<'a>(old: &'a Catalogue, new: &'a Catalogue) -> Difference<'a> {
    let mut all = Difference::default();
    for item in new.items() {
        match old.item(item.number) {
            None => all.added.push(item),
            Some(before) if before != item => {
                all.changed.push(ItemChange { item, fields: fields(before, item) });
            }
            Some(_) => {}
        }
    }
    all.retired.extend(old.items().iter().filter(|item| new.item(item.number).is_none()));
    all
}

/// The fields in which two entries differ.
fn fields(old: &Item, new: &Item) -> Vec<FieldChange> {
    let (before, now) = (written(old), written(new));
    let changes = before.into_iter().zip(now).filter(|(old, new)| old.text != new.text);
    changes
        .map(|(old, new)| FieldChange {
            field: old.field,
            old: old.text,
            new: new.text,
            compatible: !old.defines,
        })
        .collect()
}

/// One field as people read it.
struct Field {
    field: &'static str,
    text: String,
    /// Whether it is part of what the item means, and so of its digest.
    defines: bool,
}

/// Every field of an item, in the order of a catalogue's file. Each is named here, so that
/// a new one must be decided on.
fn written(item: &Item) -> Vec<Field> {
    let Item {
        id,
        number: _,
        title,
        value_type,
        unit,
        owners,
        sensitivity,
        adverse_months,
        survivorship,
        meaning,
        codes,
    } = item;
    let field = |field, text: String, defines| Field { field, text, defines };
    let list = |words: Vec<&str>| words.join(", ");
    let range = item
        .range()
        .map(|range| format!("{} to {}", range.minimum.normalize(), range.maximum.normalize()));
    let titles = |text: fn(&Code) -> &str| {
        let titles = codes.iter().map(|code| format!("{} = {}", code.code, text(code)));
        titles.collect::<Vec<String>>().join(", ")
    };
    vec![
        field("id", id.to_string(), true),
        field("title.en", title.en.clone(), false),
        field("title.zh", title.zh.clone(), false),
        field("type", value_type.name().to_owned(), true),
        field("unit", unit.to_string(), true),
        field("range", range.unwrap_or_default(), true),
        field("owners", list(owners.iter().map(|owner| owner.as_str()).collect()), true),
        field("sensitivity", sensitivity.as_str().to_owned(), true),
        field(
            "adverse_months",
            adverse_months.map(|months| months.to_string()).unwrap_or_default(),
            true,
        ),
        field("survivorship", survivorship.as_str().to_owned(), true),
        field("meaning", meaning.to_string(), true),
        field("codes", list(codes.iter().map(|code| &*code.code).collect()), true),
        field("codes.en", titles(|code| &code.title.en), false),
        field("codes.zh", titles(|code| &code.title.zh), false),
    ]
}

#[cfg(test)]
mod tests;
