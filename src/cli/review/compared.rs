//! Two sides of a comparison and what is said of each change. How it is printed is
//! the business of the files beside it.

use std::path::Path;

use anyhow::Context as _;
use time::Date;

use super::{Sides, forms};
use crate::app::review;
use crate::app::review::revision::Revision;
use crate::domain::catalogue::Catalogue;
use crate::domain::flows::change::{Change, Class};
use crate::domain::flows::diff::diff;
use crate::domain::flows::federation::Federation;
use crate::domain::flows::lock::{Accepted, Lock};

/// Both sides, read.
pub(super) struct Compared {
    pub old: Federation,
    pub new: Federation,
    pub labels: [String; 2],
    /// What stands before a file's name of the new side.
    pub prefix: String,
    pub changes: Vec<Change>,
    pub lock: Lock,
    pub today: Date,
}

/// A change and what is said about it.
pub(super) struct Judged<'a> {
    pub change: &'a Change,
    pub accepted: Option<Vec<&'a Accepted>>,
    pub forbidden: bool,
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
        let labels = [old.label, new.label];
        let today = crate::clock::utc().date();
        Ok(Self::new(before, after, labels, lock, today).within(new.prefix))
    }

    pub(super) fn new(
        old: Federation,
        new: Federation,
        labels: [String; 2],
        lock: Lock,
        today: Date,
    ) -> Self {
        let changes = diff(&old, &new);
        Self { old, new, labels, prefix: String::new(), changes, lock, today }
    }

    /// Says what stands before the names of the new side's files.
    pub(super) fn within(self, prefix: String) -> Self {
        Self { prefix, ..self }
    }

    /// The new catalogue first: ids are the new ones where there are any.
    pub(super) fn catalogues(&self) -> [&Catalogue; 2] {
        [&self.new.catalogue, &self.old.catalogue]
    }

    pub(super) fn judge(&self, fail_on: &[Class]) -> Vec<Judged<'_>> {
        let judged = self.changes.iter().map(|change| {
            let accepted = self.lock.accepts(change, self.catalogues(), self.today);
            let forbidden = accepted.is_none() && fail_on.contains(&change.class);
            Judged { change, accepted, forbidden }
        });
        judged.collect()
    }
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
    const SHOWN: usize = 3;
    let ids = forms::ids(compared.catalogues(), &change.items);
    let mut text = ids.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if ids.len() > SHOWN {
        text.push_str(&format!(" and {} more", ids.len() - SHOWN));
    }
    text
}

/// One line: how many flows of each class, and how many are not accepted.
pub(super) fn summary(judged: &[Judged<'_>]) -> String {
    let mut parts = Vec::new();
    for class in Class::ALL {
        let of = judged.iter().filter(|judged| judged.change.class == class);
        let flows: usize = of.map(|judged| judged.change.items.len()).sum();
        if flows > 0 {
            parts.push(format!("{flows} {class}"));
        }
    }
    let open: usize = judged
        .iter()
        .filter(|judged| judged.forbidden)
        .map(|judged| judged.change.items.len())
        .sum();
    let end = if open == 0 { String::new() } else { format!("; {open} not accepted") };
    match parts.is_empty() {
        true => "no flow changed".to_owned(),
        false => format!("flows: {}{end}", parts.join(", ")),
    }
}
