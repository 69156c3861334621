//! An agency's mapping as its file has it, for whoever compiles it at a start or anew.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::config::mapping::{QueryEntry, SourceEntry};
use crate::config::parties::Written as Files;
use crate::domain::catalogue::{AgencyId, Catalogue, Source};
use crate::domain::finding::Finding;
use crate::source::{Mapping, Written};

/// A mapping as its agency's file has it.
#[derive(Debug)]
pub(super) struct AsWritten {
    file: String,
    text: String,
    source: SourceEntry,
    queries: Vec<Spanned<QueryEntry>>,
}

/// The tables that a mapping is, whatever their lines.
#[derive(Debug, PartialEq, Deserialize)]
struct Tables {
    source: toml::Value,
    #[serde(default)]
    query: Vec<toml::Value>,
}

impl AsWritten {
    /// Of an agency's files.
    pub(super) fn of(
        files: &Files,
        source: SourceEntry,
        queries: Vec<Spanned<QueryEntry>>,
    ) -> Self {
        Self { file: files.path.display().to_string(), text: files.text.clone(), source, queries }
    }

    /// Holds it against a catalogue; relative paths are taken from `folder`.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn compile(
        &self,
        agency: &AgencyId,
        catalogue: &Catalogue,
        folder: &Path,
    ) -> Result<Mapping, Vec<Finding>> {
        let written = Written {
            file: Source { name: &self.file, text: &self.text },
            folder,
            source: &self.source,
            queries: &self.queries,
        };
        Mapping::compile(agency, catalogue, written)
    }

    /// Whether both say the same.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        let tables = |text| toml::from_str::<Tables>(text).ok();
        self.text == other.text
            || tables(&self.text).is_some_and(|own| Some(own) == tables(&other.text))
    }

    /// Whether its account may be able to write.
    pub(super) fn may_write(&self) -> bool {
        self.source.may_write()
    }
}
