//! Two sides of a comparison and what is said of each change. How it is printed is
//! the business of the files beside it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use time::Date;

use super::forms::By;
use super::{Sides, forms};
use crate::app::review;
use crate::app::review::revision::{Revision, authors, commit_of};
use crate::domain::catalogue::Catalogue;
use crate::domain::flows::acceptance::{
    Authors, Expected, Refusal, Statement, digest_of, digest_of_all,
};
use crate::domain::flows::change::{Change, Class, Edit};
use crate::domain::flows::diff::diff;
use crate::domain::flows::edits::{Edited, combine, edits};
use crate::domain::flows::federation::Federation;
use crate::domain::flows::lock::Lock;
use crate::domain::flows::places::FilePlace;

/// Most lines whose commit is asked for: each is a question to git.
const MOST_COMMITS: usize = 200;

/// Both sides, read.
pub(super) struct Compared {
    pub old: Federation,
    pub new: Federation,
    pub labels: [String; 2],
    /// What stands before a file's name of the new side.
    pub prefix: String,
    pub changes: Vec<Change>,
    pub edits: Vec<Edited>,
    pub lock: Lock,
    pub today: Date,
    pub signed: Vec<Result<Statement, Refusal>>,
    /// Who wrote the change, where its commits are known.
    authors: Authors,
    /// Digests of both sides.
    digests: [String; 2],
    history: Option<History>,
}

/// Where the commits are, if the new side is one.
struct History {
    repository: PathBuf,
    sides: [Option<String>; 2],
    known: RefCell<BTreeMap<(FilePlace, bool), Option<String>>>,
}

/// A change and what is said about it.
pub(super) struct Judged<'a> {
    pub change: &'a Change,
    pub accepted: Option<Vec<By<'a>>>,
    pub forbidden: bool,
}

/// An edit of a key and what is said about it.
pub(super) struct JudgedEdit<'a> {
    pub edit: &'a Edited,
    pub accepted: Option<Vec<By<'a>>>,
    pub forbidden: bool,
}

/// What is said about all of them.
pub(super) struct Judgement<'a> {
    pub flows: Vec<Judged<'a>>,
    pub edits: Vec<JudgedEdit<'a>>,
}

impl Judgement<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.edits.is_empty()
    }

    /// How many flows and keys must not be as they are.
    pub(super) fn forbidden(&self) -> usize {
        let flows = self.flows.iter().filter(|judged| judged.forbidden);
        let flows: usize = flows.map(|judged| judged.change.items.len()).sum();
        flows + self.edits.iter().filter(|judged| judged.forbidden).count()
    }
}

impl Compared {
    pub(super) fn read(sides: &Sides) -> anyhow::Result<Self> {
        let open = |side: &str| Revision::open(side, &sides.repository, &sides.path);
        let (old, new) = (open(&sides.old)?, open(&sides.new)?);
        let read = |revision: &Revision| {
            review::load(revision.folder()).with_context(|| format!("in {}", revision.label))
        };
        let (before, after) = (read(&old)?, read(&new)?);
        let lock = read_lock(&sides.lock)?;
        let today = crate::clock::utc().date();
        Self::new([before, after], [&old, &new], lock, today, &sides.repository)
    }

    pub(super) fn new(
        [old, new]: [Federation; 2],
        sides: [&Revision; 2],
        lock: Lock,
        today: Date,
        repository: &Path,
    ) -> anyhow::Result<Self> {
        let (changes, edits) = combine(diff(&old, &new), edits(&old, &new));
        let labels = sides.map(|side| side.label.clone());
        let [_, after] = sides;
        let prefix = after.prefix.clone();
        let commits = sides.map(|side| side.commit.clone());
        let authors = match &commits {
            [Some(from), Some(to)] if !old.acceptors.all.is_empty() => {
                Some(authors(repository, [from, to], &prefix)?)
            }
            _ => None,
        };
        let history = after.commit.is_some().then(|| History {
            repository: repository.to_owned(),
            sides: commits,
            known: RefCell::default(),
        });
        let digests = [digest_of_all(&old), digest_of_all(&new)];
        let (authors, signed) = (authors.unwrap_or_default(), Vec::new());
        let mut compared = Self {
            old,
            new,
            labels,
            prefix,
            changes,
            edits,
            lock,
            today,
            signed,
            authors,
            digests,
            history,
        };
        let expected = compared.expected();
        let notes = compared.lock.acceptance.iter();
        compared.signed = notes.map(|signed| expected.judge(&signed.note)).collect();
        Ok(compared)
    }

    /// What an acceptance is held against.
    pub(super) fn expected(&self) -> Expected<'_> {
        let [base, head] = &self.digests;
        Expected {
            acceptors: &self.old.acceptors,
            authors: &self.authors,
            base,
            head,
            today: self.today,
        }
    }

    /// Whether only a signature accepts: the side before says whose.
    pub(super) fn needs_signature(&self) -> bool {
        !self.old.acceptors.all.is_empty()
    }

    fn by_signature(&self, digest: &str) -> Option<Vec<By<'_>>> {
        let valid = self.signed.iter().filter_map(|signed| signed.as_ref().ok());
        let by: Vec<By<'_>> = valid
            .filter(|statement| statement.changes.contains(digest))
            .map(|one| By { who: &one.who, why: &one.why, until: one.until, signed: true })
            .collect();
        (!by.is_empty()).then_some(by)
    }

    /// The digest by which a flow's change is accepted.
    pub(super) fn digest(&self, change: &Change) -> String {
        digest_of(change, self.catalogues())
    }

    /// The commit that wrote a line, or took it out.
    pub(super) fn commit(&self, place: Option<&FilePlace>, edit: Edit) -> Option<String> {
        let (history, place) = (self.history.as_ref()?, place?);
        let removed = edit == Edit::Removed;
        let mut known = history.known.borrow_mut();
        if let Some(commit) = known.get(&(place.clone(), removed)) {
            return commit.clone();
        }
        if known.len() >= MOST_COMMITS {
            return None;
        }
        let [old, new] = &history.sides;
        let sides = [old.as_deref(), new.as_deref()];
        let commit = commit_of(&history.repository, sides, &self.prefix, place, removed);
        known.insert((place.clone(), removed), commit.clone());
        commit
    }

    /// A line for people: file, line and commit.
    pub(super) fn at(&self, place: Option<&FilePlace>, edit: Edit) -> String {
        let Some(place) = place else { return "a line that is not known".to_owned() };
        let mut text = match place.line {
            0 => place.file.clone(),
            line => format!("{}:{line}", place.file),
        };
        if let Some(commit) = self.commit(Some(place), edit) {
            text.push_str(&format!(", commit {commit}"));
        }
        text
    }

    /// The new catalogue first: ids are the new ones where there are any.
    pub(super) fn catalogues(&self) -> [&Catalogue; 2] {
        [&self.new.catalogue, &self.old.catalogue]
    }

    pub(super) fn judge(&self, fail_on: &[Class]) -> Judgement<'_> {
        let flows = self.changes.iter().map(|change| {
            let accepted = match self.needs_signature() {
                true => self.by_signature(&self.digest(change)),
                false => self.lock.accepts(change, self.catalogues(), self.today).map(|entries| {
                    entries.iter().map(|one| By::new(&one.who, &one.why, &one.until)).collect()
                }),
            };
            let forbidden = accepted.is_none() && fail_on.contains(&change.class);
            Judged { change, accepted, forbidden }
        });
        let edits = self.edits.iter().map(|edit| {
            let accepted = match self.needs_signature() {
                true => self.by_signature(&edit.digest),
                false => self
                    .lock
                    .accepts_edit(edit, self.today)
                    .map(|one| vec![By::new(&one.who, &one.why, &one.until)]),
            };
            let forbidden = accepted.is_none() && fail_on.contains(&edit.class);
            JudgedEdit { edit, accepted, forbidden }
        });
        Judgement { flows: flows.collect(), edits: edits.collect() }
    }
}

/// What is said of acceptances that count for nothing: a line for each.
pub(super) fn refused(compared: &Compared) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, signed) in (1..).zip(&compared.signed) {
        if let Err(refusal) = signed {
            lines.push(format!("acceptance {at} of the lock file: {refusal}"));
        }
    }
    let unsigned = compared.lock.accepted.len() + compared.lock.edited.len();
    if compared.needs_signature() && unsigned > 0 {
        lines.push(format!("{unsigned} entries of the lock file: {}", Refusal::Unsigned));
    }
    lines
}

/// Reads a lock file; without one nothing is accepted.
pub(super) fn read_lock(path: &Path) -> anyhow::Result<Lock> {
    if !path.exists() {
        return Ok(Lock::default());
    }
    let lock: Lock = crate::config::file::read_toml(path)?;
    lock.check().with_context(|| format!("in {}", path.display()))?;
    Ok(lock)
}

/// How many items, and the first few of them.
pub(super) fn what(compared: &Compared, change: &Change) -> String {
    few(&forms::ids(compared.catalogues(), &change.items))
}

/// The first few of a list.
pub(super) fn few(ids: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = ids.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > SHOWN {
        text.push_str(&format!(" and {} more", ids.len() - SHOWN));
    }
    text
}

/// One line: how many flows and keys of each class, and how many are not accepted.
pub(super) fn summary(judgement: &Judgement<'_>) -> String {
    let (mut flows, mut keys) = (Vec::new(), Vec::new());
    for class in Class::ALL {
        let of = judgement.flows.iter().filter(|judged| judged.change.class == class);
        let count: usize = of.map(|judged| judged.change.items.len()).sum();
        if count > 0 {
            flows.push(format!("{count} {class}"));
        }
        let count = judgement.edits.iter().filter(|judged| judged.edit.class == class).count();
        if count > 0 {
            keys.push(format!("{count} {class}"));
        }
    }
    let flows = match flows.is_empty() {
        true => "no flow changed".to_owned(),
        false => format!("flows: {}", flows.join(", ")),
    };
    let keys = match keys.is_empty() {
        true => String::new(),
        false => format!("; keys: {}", keys.join(", ")),
    };
    let end = match judgement.forbidden() {
        0 => String::new(),
        open => format!("; {open} not accepted"),
    };
    format!("{flows}{keys}{end}")
}
