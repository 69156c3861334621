//! Where things stand in the files of a federation, so that a change can be blamed
//! on a line. Lines are found in texts that were read already; nothing here
//! decides anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::domain::lines::line_at;

/// The name of the gateway among the houses; others have their agency's.
pub const GATEWAY: &str = "gateway";

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FilePlace {
    /// The file, from the federation's folder, with `/` between names.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// What stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A rule, by its `@id`.
    Rule,
    /// An item of the catalogue, by its id.
    Item,
    /// A name in a vocabulary.
    Vocabulary,
    /// An agency in the gateway's file.
    Route,
    /// An item in an agency's mapping.
    Mapping,
    /// An agency's kill switch.
    Switch,
    /// A pinned issuer, or a purpose's ceiling.
    Grants,
}

impl Kind {
    /// The word for it in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Item => "item",
            Self::Vocabulary => "vocabulary",
            Self::Route => "route",
            Self::Mapping => "mapping",
            Self::Switch => "kill switch",
            Self::Grants => "grants",
        }
    }
}

/// Every line that a change may be blamed on.
#[derive(Debug, Default)]
pub struct Places(BTreeMap<(Kind, String, String), FilePlace>);

impl Places {
    /// The line where `name` stands in what `house` reads. Items belong to no house.
    pub fn find(&self, kind: Kind, house: &str, name: &str) -> Option<&FilePlace> {
        let house = if kind == Kind::Item { "" } else { house };
        self.0.get(&(kind, house.to_owned(), name.to_owned()))
    }

    /// Notes a line.
    pub fn note(&mut self, kind: Kind, house: &str, name: &str, place: FilePlace) {
        let house = if kind == Kind::Item { "" } else { house };
        self.0.entry((kind, house.to_owned(), name.to_owned())).or_insert(place);
    }

    /// Notes the items of a catalogue's file.
    pub fn catalogue(&mut self, file: &str, text: &str) {
        /// What is looked at; the rest was checked before.
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            item: Vec<Spanned<Named>>,
        }
        let Ok(File { item }) = toml::from_str(text) else { return };
        for entry in item {
            let line = line_at(text, entry.span().start);
            self.note(Kind::Item, "", &entry.get_ref().id, FilePlace { file: file.into(), line });
        }
    }

    /// Notes the names of a vocabulary. They stand in quotes, one of them a name
    /// that no other list of the file has.
    pub fn vocabulary<'a>(
        &mut self,
        house: &str,
        file: &str,
        text: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        for name in names {
            if let Some(line) = line_of(text, &format!("\"{name}\"")) {
                self.note(Kind::Vocabulary, house, name, FilePlace { file: file.into(), line });
            }
        }
    }

    /// Notes what a gateway's or an agency's file says: routes, issuers, ceilings,
    /// the kill switch and the mapping of `items`.
    pub fn configuration<'a>(
        &mut self,
        house: &str,
        file: &str,
        text: &str,
        items: impl IntoIterator<Item = &'a str>,
    ) {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            agency: Vec<Spanned<Named>>,
            grants: Option<Grants>,
        }
        #[derive(Deserialize)]
        struct Grants {
            #[serde(default)]
            issuer: Vec<Spanned<Named>>,
            #[serde(default)]
            purpose: Vec<Spanned<Coded>>,
        }
        #[derive(Deserialize)]
        struct Coded {
            code: String,
        }
        let place = |line| FilePlace { file: file.to_owned(), line };
        if let Ok(File { agency, grants }) = toml::from_str(text) {
            for entry in agency {
                let at = place(line_at(text, entry.span().start));
                self.note(Kind::Route, house, &entry.get_ref().id, at);
            }
            let (issuers, purposes) =
                grants.map_or_else(Default::default, |grants| (grants.issuer, grants.purpose));
            for entry in issuers {
                let at = place(line_at(text, entry.span().start));
                self.note(Kind::Grants, house, &entry.get_ref().id, at);
            }
            for entry in purposes {
                let at = place(line_at(text, entry.span().start));
                self.note(Kind::Grants, house, &entry.get_ref().code, at);
            }
        }
        if house != GATEWAY {
            let line = text.lines().position(|line| line.starts_with("enabled"));
            self.note(Kind::Switch, house, house, place(line.map_or(1, |line| line + 1)));
        }
        for item in items {
            if let Some(line) = line_of(text, &format!("\"{item}\"")) {
                self.note(Kind::Mapping, house, item, place(line));
            }
        }
    }
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// The first line with a text, outside comments.
fn line_of(text: &str, wanted: &str) -> Option<usize> {
    text.lines()
        .position(|line| !line.trim_start().starts_with('#') && line.contains(wanted))
        .map(|at| at + 1)
}
