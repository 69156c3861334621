//! The digest of everything that decisions follow from: catalogue, vocabulary,
//! rules.
//!
//! Two engines with one digest decide alike. File names, order of files and of
//! rules, comments, layout and annotations other than `@id` do not count, since
//! none of them changes a decision. A rule's form is Cedar's JSON for it, so the
//! digest is bound to the pinned version of Cedar.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value;

use super::vocabulary::Vocabulary;
use crate::domain::catalogue::CatalogueDigest;

/// SHA-256 over catalogue, vocabulary and rules.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyDigest(pub [u8; 32]);

impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digests rules given as Cedar's JSON without annotations, by `@id`.
pub(super) fn digest(
    catalogue: CatalogueDigest,
    vocabulary: &Vocabulary,
    rules: &BTreeMap<String, Value>,
) -> PolicyDigest {
    let mut form = Form(Context::new(&SHA256));
    form.text("tributary-policy-v1");
    form.0.update(&catalogue.0);
    form.list(vocabulary.purposes.iter().map(|purpose| purpose.as_str()));
    form.list(vocabulary.consumers.iter().map(|consumer| consumer.as_str()));
    form.list(vocabulary.agencies.iter().map(|agency| agency.as_str()));
    form.number(rules.len());
    for (id, rule) in rules {
        form.text(id);
        form.rule(rule);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(form.0.finish().as_ref());
    PolicyDigest(digest)
}

struct Form(Context);

impl Form {
    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn list<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.number(texts.len());
        texts.for_each(|text| self.text(text));
    }

    fn rule(&mut self, rule: &Value) {
        match rule {
            Value::Object(fields) => {
                let fields: BTreeMap<&String, &Value> = fields.iter().collect();
                self.text("{");
                self.number(fields.len());
                for (name, value) in fields {
                    self.text(name);
                    self.rule(value);
                }
            }
            Value::Array(values) => {
                self.text("[");
                self.number(values.len());
                values.iter().for_each(|value| self.rule(value));
            }
            // A word's own JSON keeps "1", 1 and null apart.
            word => self.text(&word.to_string()),
        }
    }
}
