//! The catalogue's canonical form and its digest; and each item's own, by which two
//! catalogues agree on an item though they differ in others.
//!
//! Canonical: items ascending by number, each field length-prefixed in a fixed
//! order. Comments, file names, order of entries and bundles do not count, since
//! none of them changes what an answer means. Titles and meanings do. An item's own
//! digest leaves out the texts in two languages, which only people read, and nothing else.

use aws_lc_rs::digest::{Context, SHA256};

use super::{CatalogueDigest, Item, ItemDigest};
use crate::domain::item::ItemNumber;

/// Digests items that are in ascending order of their numbers.
pub(super) fn digest(items: &[Item]) -> CatalogueDigest {
    let mut form = Form(Context::new(&SHA256));
    form.text("tributary-catalogue-v1");
    for item in items {
        form.item(item);
    }
    CatalogueDigest(form.finish())
}

/// Digests what policy, types and merging read of one item. Every field is named here, so
/// that a new one must be decided on.
pub(super) fn item_digest(item: &Item) -> ItemDigest {
    let Item {
        id,
        number,
        title: _,
        value_type,
        unit,
        owners,
        sensitivity,
        adverse_months,
        survivorship,
        meaning,
        codes,
    } = item;
    let mut form = Form(Context::new(&SHA256));
    form.text("tributary-item-v1");
    form.number(number.index());
    form.text(id);
    form.text(value_type.name());
    form.text(unit);
    form.text(item.currency().as_ref().map_or("", |currency| currency.as_str()));
    let (minimum, maximum) = form_of_range(item);
    form.text(&minimum);
    form.text(&maximum);
    form.number(owners.len());
    for owner in owners {
        form.text(owner.as_str());
    }
    form.text(sensitivity.as_str());
    form.text(&adverse_months.map(|months| months.to_string()).unwrap_or_default());
    form.text(survivorship.as_str());
    form.text(meaning);
    form.number(codes.len());
    for code in codes {
        form.text(&code.code);
    }
    ItemDigest(form.finish())
}

/// Digests several items' digests, ascending by number.
pub(super) fn of_items<'a>(items: impl Iterator<Item = (ItemNumber, &'a ItemDigest)>) -> [u8; 32] {
    let mut form = Form(Context::new(&SHA256));
    form.text("tributary-items-v1");
    for (number, digest) in items {
        form.0.update(&number.get().to_be_bytes());
        form.0.update(&digest.0);
    }
    form.finish()
}

fn form_of_range(item: &Item) -> (String, String) {
    let range = item.range().map(|range| {
        (range.minimum.normalize().to_string(), range.maximum.normalize().to_string())
    });
    range.unwrap_or_default()
}

struct Form(Context);

impl Form {
    fn finish(self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_be_bytes());
    }

    fn item(&mut self, item: &Item) {
        self.number(item.number.index());
        self.text(&item.id);
        self.text(&item.title.en);
        self.text(&item.title.zh);
        self.text(item.value_type.name());
        self.text(&item.unit);
        let (minimum, maximum) = form_of_range(item);
        self.text(&minimum);
        self.text(&maximum);
        self.number(item.owners.len());
        for owner in &item.owners {
            self.text(owner.as_str());
        }
        self.text(item.sensitivity.as_str());
        self.text(&item.adverse_months.map(|months| months.to_string()).unwrap_or_default());
        self.text(item.survivorship.as_str());
        self.text(&item.meaning);
        self.number(item.codes.len());
        for code in &item.codes {
            self.text(&code.code);
            self.text(&code.title.en);
            self.text(&code.title.zh);
        }
    }
}
