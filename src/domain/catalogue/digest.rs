//! The catalogue's canonical form and its digest.
//!
//! Canonical: items ascending by number, each field length-prefixed in a fixed
//! order. Comments, file names, order of entries and bundles do not count, since
//! none of them changes what an answer means. Titles and meanings do.

use aws_lc_rs::digest::{Context, SHA256};

use super::{CatalogueDigest, Item};

/// Digests items that are in ascending order of their numbers.
pub(super) fn digest(items: &[Item]) -> CatalogueDigest {
    let mut form = Form(Context::new(&SHA256));
    form.text("tributary-catalogue-v1");
    for item in items {
        form.item(item);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(form.0.finish().as_ref());
    CatalogueDigest(digest)
}

struct Form(Context);

impl Form {
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
        let range = item.range().map(|range| {
            (range.minimum.normalize().to_string(), range.maximum.normalize().to_string())
        });
        let (minimum, maximum) = range.unwrap_or_default();
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
