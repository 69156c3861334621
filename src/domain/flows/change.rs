//! What a difference between two federations is called, and what it is blamed on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::places::{FilePlace, Kind};
use crate::domain::catalogue::AgencyId;
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// What became of a flow: of an agency, an item, a consumer and a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It was not there on any legal basis, and is.
    Opened,
    /// It was there and needs less: another basis serves, or grants may do more.
    Widened,
    /// Whom somebody believes: authorities, roles, issuers, keys, peers.
    Trust,
    /// Who may see what of the log, and who may accept a change.
    Reviewers,
    /// How and where a release is recorded and proven.
    Release,
    /// How far a grant may go: purposes, lifetimes, frequencies, deadlines.
    Ceilings,
    /// An item is read from elsewhere, or otherwise.
    Remapped,
    /// It comes from another agency, from another server, or is chosen otherwise
    /// where several agencies hold it.
    Rerouted,
    /// The same flow carries another kind of fact: sensitivity, horizon, category,
    /// type.
    Reclassified,
    /// It is there and needs more.
    Narrowed,
    /// It was there and is not.
    Closed,
    /// How it is run: nobody gets anything else by it.
    Operations,
}

impl Class {
    /// Every class, gravest first.
    pub const ALL: [Self; 12] = [
        Self::Opened,
        Self::Widened,
        Self::Trust,
        Self::Reviewers,
        Self::Release,
        Self::Ceilings,
        Self::Remapped,
        Self::Rerouted,
        Self::Reclassified,
        Self::Narrowed,
        Self::Closed,
        Self::Operations,
    ];

    /// The classes that nobody has to accept: less flows than before, or the same.
    pub const fn is_harmless(self) -> bool {
        matches!(self, Self::Narrowed | Self::Closed | Self::Operations)
    }

    /// The classes that somebody has to accept, unless configured otherwise.
    pub fn gated() -> Vec<Self> {
        Self::ALL.into_iter().filter(|class| !class.is_harmless()).collect()
    }

    /// The word for it in reports and in `--fail-on`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Widened => "widened",
            Self::Trust => "trust",
            Self::Reviewers => "reviewers",
            Self::Release => "release",
            Self::Ceilings => "ceilings",
            Self::Remapped => "remapped",
            Self::Rerouted => "rerouted",
            Self::Reclassified => "reclassified",
            Self::Narrowed => "narrowed",
            Self::Closed => "closed",
            Self::Operations => "operations",
        }
    }

    /// The class with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How something was edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// It is new.
    Added,
    /// It says something else.
    Changed,
    /// It is gone.
    Removed,
}

impl Edit {
    /// The word for it in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }

    /// The same edit, seen from the other side.
    pub(super) const fn undone(self) -> Self {
        match self {
            Self::Added => Self::Removed,
            Self::Changed => Self::Changed,
            Self::Removed => Self::Added,
        }
    }
}

/// One line that caused a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Blame {
    /// What stands there.
    pub kind: Kind,
    /// How it was edited.
    pub edit: Edit,
    /// Its name: a rule's `@id`, an item's id, an agency.
    pub name: String,
    /// Whose file it is: `gateway` or an agency. Empty for the catalogue.
    pub house: String,
    /// The line, in the new files; in the old ones where it was removed.
    pub place: Option<FilePlace>,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind.as_str(), self.name, self.edit.as_str())?;
        match &self.place {
            Some(FilePlace { file, line: 0 }) => write!(f, " ({file})"),
            Some(FilePlace { file, line }) => write!(f, " ({file}:{line})"),
            None if self.house.is_empty() => Ok(()),
            None => write!(f, " ({})", self.house),
        }
    }
}

/// Flows that changed alike, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What became of them.
    pub class: Class,
    /// To whom.
    pub consumer: SpiffeId,
    /// For what.
    pub purpose: PurposeCode,
    /// From whom; of a reroute, from whom now.
    pub agency: AgencyId,
    /// The legal bases that are concerned.
    pub bases: Vec<LegalBasis>,
    /// The items.
    pub items: ItemSet,
    /// What exactly changed, where the class does not say it.
    pub detail: String,
    /// What caused it.
    pub blames: Vec<Blame>,
    /// Rules that did not change and that open the flow: a new item joined what was
    /// open already. Each is `house:@id`.
    pub through: Vec<String>,
    /// One key says all of it, and is told as an edit of its own.
    pub by_key: bool,
}
