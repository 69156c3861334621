//! The signed catalogue that a gateway hands on: its note, and the files that the note names.
//!
//! The gateway believes nothing of the note, and who fetches believes nothing of the gateway:
//! it is handed on as it is, as long as it is about the catalogue in force.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use crate::domain::catalogue_note::{CatalogueNote, NotedFile};

/// What is handed on now, if anything is.
#[derive(Debug, Default)]
pub struct Published(ArcSwapOption<SignedFiles>);

impl Published {
    /// What is handed on.
    pub fn now(&self) -> Option<Arc<SignedFiles>> {
        self.0.load_full()
    }

    /// Hands on this from now on, or nothing.
    pub fn put(&self, signed: Option<SignedFiles>) {
        self.0.store(signed.map(Arc::new));
    }
}

/// A note, and the files that it names.
#[derive(Debug)]
pub struct SignedFiles {
    note: String,
    noted: CatalogueNote,
    files: HashMap<[u8; 32], Bytes>,
}

impl SignedFiles {
    /// Of a note that was read as `noted`, and the files that it names.
    pub fn new(note: String, noted: CatalogueNote, texts: Vec<(String, String)>) -> Self {
        let by_digest = |(_, text): (String, String)| {
            (NotedFile::of(text.as_bytes()).0, Bytes::from(text.into_bytes()))
        };
        Self { note, noted, files: texts.into_iter().map(by_digest).collect() }
    }

    /// The note as it was signed.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// What it says.
    pub const fn noted(&self) -> &CatalogueNote {
        &self.noted
    }

    /// The file with this digest.
    pub fn file(&self, sha256: &[u8]) -> Option<Bytes> {
        self.files.get(sha256).cloned()
    }
}
