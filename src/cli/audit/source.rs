//! Where the subcommands read from: a log's folder, a key, an export.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

pub(in crate::cli) use crate::cli::logs::key;
use crate::cli::logs::{self, Named};
use crate::cli::output::tell;
use crate::domain::audit::export::Line;
use crate::domain::audit::reconcile::{LogLine, Rereadable};
use crate::domain::audit::{SignedCheckpoint, VerifyingKey};
use crate::files;
use crate::store::proof::published;
use crate::store::walk::{Fault, FaultKind, WalkedEntry, walk};

/// Reads a signed checkpoint from a file.
pub(super) fn checkpoint(path: &Path, key: &VerifyingKey) -> anyhow::Result<SignedCheckpoint> {
    let note = files::read_text(path, files::SMALL)
        .with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
    Ok(key.verify(&note)?)
}

/// Goes through a log and hands over every record as a line. The exit code tells
/// whether the log was whole; what is wrong with it goes to standard error.
pub(super) fn lines(
    log: &Named,
    with_tags: bool,
    progress: &mut Progress,
    on_line: &mut dyn FnMut(Line) -> std::io::Result<()>,
) -> anyhow::Result<u8> {
    super::gone::say_of(&log.folder, &log.key)?;
    let mut written = Ok(());
    let walked =
        walk(&log.folder, Some(&log.key), &mut |WalkedEntry { index, record, .. }| {
            progress.entry();
            if let (Some(record), true) = (record, written.is_ok()) {
                let line = Line::new(log.origin(), index, record, with_tags);
                written = on_line(line);
            }
        })?;
    progress.end();
    written.context("cannot write the records")?;
    Ok(exit_code(&walked.faults))
}

/// A log that is held against others: a folder, or an export.
#[derive(Debug)]
pub(in crate::cli) enum Source {
    /// A log's folder.
    Folder(Named),
    /// A file with a line of JSON for each record.
    Export(PathBuf),
}

/// Longest line of an export, in bytes.
const LONGEST_LINE: u64 = files::SMALL;

/// A log that says nothing about others.
#[derive(Debug, thiserror::Error)]
#[error("the log in {} is not sound: run `tributary audit verify` first: {first}", .folder.display())]
pub(super) struct Unsound {
    folder: PathBuf,
    first: Fault,
    /// Whether it was published anew meanwhile: then it may be read again.
    pub(super) has_moved: bool,
}

impl Source {
    /// What is named, one after the other: exports, logs, and folders that hold several.
    /// What is named twice is taken once.
    pub(in crate::cli) fn all(
        paths: &[PathBuf],
        keys: &[VerifyingKey],
        taken: &BTreeSet<PathBuf>,
    ) -> anyhow::Result<Vec<Self>> {
        let (folders, exports): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.iter().cloned().partition(|path| path.is_dir());
        let mut known = BTreeSet::new();
        let exports = exports.into_iter().filter(|path| known.insert(logs::place(path)));
        let named = logs::folders(&folders, taken)?;
        let named = named.iter().map(|folder| Named::new(folder, keys, false));
        let named = named.collect::<anyhow::Result<Vec<_>>>()?;
        logs::refuse_copies(&named)?;
        Ok(named.into_iter().map(Self::Folder).chain(exports.map(Self::Export)).collect())
    }

    /// The log, if it is a folder.
    pub(in crate::cli) const fn folder(&self) -> Option<&Named> {
        match self {
            Self::Folder(log) => Some(log),
            Self::Export(_) => None,
        }
    }

    /// Where those are that are folders.
    pub(in crate::cli) fn places(sources: &[Self]) -> BTreeSet<PathBuf> {
        let folders = sources.iter().filter_map(Self::folder);
        folders.map(|log| logs::place(&log.folder)).collect()
    }

    fn lines(path: &Path, take: &mut dyn FnMut(LogLine<'_>)) -> anyhow::Result<()> {
        let shown = path.display();
        let failed = || format!("cannot read the export {shown}");
        let mut file = BufReader::new(files::open(path, files::EXPORT).with_context(failed)?);
        let mut text = Vec::new();
        for at in 1_u64.. {
            text.clear();
            let most = LONGEST_LINE + 1;
            let read = file.by_ref().take(most).read_until(b'\n', &mut text);
            if read.with_context(failed)? == 0 {
                break;
            }
            ensure!(text.len() as u64 <= LONGEST_LINE, "line {at} of {shown} is too long");
            let line: Line = serde_json::from_slice(&text)
                .with_context(|| format!("line {at} of {shown} is not of an export"))?;
            take(LogLine::Exported(&line));
        }
        Ok(())
    }
}

impl Rereadable for Source {
    type Error = anyhow::Error;

    fn each(&self, take: &mut dyn FnMut(LogLine<'_>)) -> anyhow::Result<()> {
        let log = match self {
            Self::Folder(log) => log,
            Self::Export(path) => return Self::lines(path, take),
        };
        let walked =
            walk(&log.folder, Some(&log.key), &mut |WalkedEntry { index, record, .. }| {
                if let Some(record) = record {
                    take(LogLine::Verified { origin: log.origin(), index, record });
                }
            })?;
        if let Some(first) = walked.faults.into_iter().next() {
            let now = published(&log.folder, &log.key);
            let has_moved = now.is_ok_and(|now| Some(now) != walked.checkpoint);
            bail!(Unsound { folder: log.folder.clone(), first, has_moved });
        }
        Ok(())
    }
}

/// Tells what is wrong, and the exit code for it.
pub(super) fn exit_code(faults: &[Fault]) -> u8 {
    for fault in faults {
        tell!("{fault}");
    }
    if faults.is_empty() {
        0
    } else if faults.iter().any(|fault| fault.kind == FaultKind::Changed) {
        2
    } else {
        3
    }
}

/// Of several logs' exit codes that which says most: tampered, an error, incomplete, sound.
pub(in crate::cli) fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let weight = |code: &u8| [0, 3, 1, 2].iter().position(|known| known == code);
    codes.into_iter().max_by_key(weight).unwrap_or_default()
}

/// A count on standard error, once a second, where a person looks at it.
pub(in crate::cli) struct Progress {
    next: Option<Instant>,
    told: bool,
    /// Entries, of all logs that were read.
    entries: u64,
}

impl Progress {
    pub(in crate::cli) fn new() -> Self {
        let person = std::io::stderr().is_terminal();
        let next = person.then(|| crate::clock::now() + Duration::from_secs(1));
        Self { next, told: false, entries: 0 }
    }

    /// One more entry was read.
    pub(in crate::cli) fn entry(&mut self) {
        self.entries += 1;
        self.tell(self.entries);
    }

    /// So many entries were read.
    pub(in crate::cli) fn tell(&mut self, entries: u64) {
        if entries.is_multiple_of(4096)
            && let Some(next) = self.next
            && crate::clock::now() >= next
        {
            self.next = Some(next + Duration::from_secs(1));
            self.told = true;
            let mut err = std::io::stderr();
            let _ = write!(err, "\r{entries} entries read").and_then(|()| err.flush());
        }
    }

    pub(in crate::cli) fn end(&mut self) {
        if std::mem::take(&mut self.told) {
            tell!("");
        }
    }
}
