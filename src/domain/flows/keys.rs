//! What a change of each key of each file means: the table that gives every key its
//! class. A key that stands in no row is told as [`Class::Trust`], so that nothing is
//! silent; a test walks the configuration's types and asks for a row.
//!
//! A key is written as in its file, `[]` for each entry of a list of tables and `*`
//! for a name that the writer chose. Nothing here reads a file.

mod table;

pub use table::{IDENTITIES, NAMED};

use super::change::Class;

/// The kinds of file that a federation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// `gateway.toml`.
    Gateway,
    /// An agency's file, with its mapping.
    Agency,
    /// One domain of the catalogue.
    Catalogue,
    /// Numbers and ids that are never used again.
    Reserved,
    /// Named selections of items.
    Bundles,
    /// The names that rules may use.
    Vocabulary,
    /// An issuer's settings.
    Issuer,
    /// A request from which an issuer writes grants.
    Request,
    /// `review.toml`.
    Review,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Gateway,
        Self::Agency,
        Self::Catalogue,
        Self::Reserved,
        Self::Bundles,
        Self::Vocabulary,
        Self::Issuer,
        Self::Request,
        Self::Review,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Agency => "agency",
            Self::Catalogue => "catalogue",
            Self::Reserved => "reserved",
            Self::Bundles => "bundles",
            Self::Vocabulary => "vocabulary",
            Self::Issuer => "issuer",
            Self::Request => "request",
            Self::Review => "review",
        }
    }
}

/// How a key's value is compared, and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueForm {
    /// As it is.
    Plain,
    /// A time, however it is written.
    Span,
    /// A list whose order says nothing.
    Set,
    /// A list whose order counts.
    List,
    /// A statement: layout says nothing.
    Text,
    /// An address in which a password may stand; it is never shown.
    Address,
    /// A text in which a secret may stand; its digest is shown.
    Hidden,
    /// A file with nothing secret in it: what it holds counts, wherever it stands.
    Public,
    /// A file or folder whose content is compared by what it says.
    Followed,
    /// A table of a list, or of names, that comes and goes as one.
    Entry,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The files in which it stands.
    pub files: &'static [FileKind],
    /// The key.
    pub key: &'static str,
    /// What a change of it is.
    pub class: Class,
    /// How it is compared.
    pub form: ValueForm,
    /// What it is without being written, in the form in which it is compared.
    pub default: &'static str,
    /// What it says, for people; `{0}` is the innermost name, `{1}` the one around it.
    pub says: &'static str,
}

/// The row of a key, if it has one.
pub fn row(file: FileKind, key: &str) -> Option<&'static Row> {
    table::ROWS
        .iter()
        .flat_map(|rows| rows.iter())
        .find(|row| row.key == key && row.files.contains(&file))
}

/// Every row.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    table::ROWS.iter().flat_map(|rows| rows.iter())
}

/// The key that stands for a table of names or of a list, by which its entries are told
/// apart; `None` where the entries have no name.
pub fn identity(file: FileKind, key: &str) -> Option<&'static str> {
    IDENTITIES.iter().find(|(kind, list, _)| *kind == file && *list == key).map(|(.., by)| *by)
}

/// Whether the entries of a table are named by whoever wrote it.
pub fn named(key: &str) -> bool {
    NAMED.contains(&key)
}

/// The present name of a key that has another one of old.
pub fn renamed(file: FileKind, key: &str) -> &str {
    match (file, key) {
        (FileKind::Gateway, "agency[].endpoint") => "agency[].endpoints",
        (FileKind::Gateway, "agency[].lanes") => "agency[].connections",
        (FileKind::Agency, "query[].items.*.round") => "query[].items.*.places",
        (FileKind::Agency, "query[].disputed.round") => "query[].disputed.places",
        _ => key,
    }
}
