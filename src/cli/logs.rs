//! Which logs a command is about: each by its folder, or a folder that holds several; with
//! the key of each.
//!
//! Logs come in the order in which they are named, and those of a folder in the order of
//! their names; one that is named twice counts once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::domain::audit::{Origin, SignedCheckpoint, VerifyingKey};
use crate::files;

/// Most logs of one command.
const MOST_LOGS: usize = 1000;

/// How far below a named folder a log may be.
const DEEP: usize = 3;

/// Most folders that are looked into for logs.
const MOST_FOLDERS: usize = 10_000;

/// The logs of a command, in any number.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// A log's folder, or a folder that holds several logs; any number of them
    #[arg(value_name = "LOG", required_unless_present = "more")]
    logs: Vec<PathBuf>,
    /// As LOG; may be repeated
    #[arg(long = "log", value_name = "LOG")]
    more: Vec<PathBuf>,
    /// A log's public key, ORIGIN+HASH+BASE64, or a file that holds it; one for each log
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
}

impl LogsArgs {
    /// What was named, as it was named.
    pub(super) fn named(&self) -> impl Iterator<Item = &Path> {
        self.logs.iter().chain(&self.more).map(PathBuf::as_path)
    }

    /// The key, where one log needs one.
    pub(super) fn only_key(&self) -> anyhow::Result<VerifyingKey> {
        match self.keys.as_slice() {
            [only] => key(only),
            keys => bail!("{} keys are given for one log: give its own", keys.len()),
        }
    }

    /// The logs with their keys.
    pub(super) fn open(&self) -> anyhow::Result<Vec<Named>> {
        let named: Vec<PathBuf> = self.logs.iter().chain(&self.more).cloned().collect();
        Named::all(&named, &self.keys)
    }

    /// The folder of each log, and its key if it has one. A log and its copy may both be
    /// there: each is looked at by itself.
    pub(super) fn each(&self) -> anyhow::Result<Vec<(PathBuf, anyhow::Result<Named>)>> {
        let named: Vec<PathBuf> = self.logs.iter().chain(&self.more).cloned().collect();
        let (folders, keys) = (folders(&named, &BTreeSet::new())?, keys(&self.keys)?);
        let is_only = folders.len() == 1;
        let named = folders.into_iter().map(|folder| {
            let named = Named::new(&folder, &keys, is_only);
            (folder, named)
        });
        Ok(named.collect())
    }
}

/// A log and its key.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Its key.
    pub(super) key: VerifyingKey,
}

impl Named {
    /// The logs that are named by their folders, or by folders that hold them.
    pub(super) fn all(named: &[PathBuf], key_texts: &[String]) -> anyhow::Result<Vec<Self>> {
        let (folders, keys) = (folders(named, &BTreeSet::new())?, keys(key_texts)?);
        let is_only = folders.len() == 1;
        let named = folders.iter().map(|folder| Self::new(folder, &keys, is_only));
        let named = named.collect::<anyhow::Result<Vec<_>>>()?;
        refuse_copies(&named)?;
        Ok(named)
    }

    /// Finds a log's key, by the origin in its checkpoint; of one log and one key, that
    /// key.
    pub(super) fn new(folder: &Path, keys: &[VerifyingKey], is_only: bool) -> anyhow::Result<Self> {
        let key = match keys {
            [only] if is_only => only,
            keys => key_of(folder, keys)?.0,
        };
        Ok(Self { folder: folder.to_owned(), key: key.clone() })
    }

    /// The log's origin.
    pub(super) fn origin(&self) -> &str {
        self.key.origin().as_str()
    }
}

/// Reads a public key: the text itself, or a file that holds it.
pub(super) fn key(text: &str) -> anyhow::Result<VerifyingKey> {
    if text.contains('+') {
        return Ok(text.parse()?);
    }
    let file = files::read_text(Path::new(text), files::SMALL)
        .with_context(|| format!("cannot read the key's file {text}"))?;
    file.parse().with_context(|| format!("in the key's file {text}"))
}

/// The key of the log in a folder, by the origin of its newest checkpoint, and that
/// checkpoint's note, of which nothing is verified yet.
fn key_of<'a>(
    folder: &Path,
    keys: &'a [VerifyingKey],
) -> anyhow::Result<(&'a VerifyingKey, String)> {
    let shown = folder.display();
    let note = files::read_text(&folder.join("checkpoint"), files::SMALL)
        .with_context(|| format!("{shown} has no checkpoint: is it a log's folder?"))?;
    let signed = SignedCheckpoint::parse_unverified(&note)
        .with_context(|| format!("in the checkpoint of the log in {shown}"))?;
    let origin = signed.checkpoint().origin.clone();
    let key = keys.iter().find(|key| *key.origin() == origin);
    let key = key
        .with_context(|| format!("no key is given for the log `{origin}` in {shown}: add --key"))?;
    Ok((key, note))
}

/// Reads keys: each the text itself, or a file that holds it.
pub(super) fn keys(texts: &[String]) -> anyhow::Result<Vec<VerifyingKey>> {
    texts.iter().map(|text| key(text)).collect()
}

/// The folders of the logs that are named; those in `taken` are left aside where a folder
/// that was named holds them.
pub(super) fn folders(
    named: &[PathBuf],
    taken: &BTreeSet<PathBuf>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Found { all: Vec::new(), known: BTreeSet::new(), looked: 0 };
    for path in named {
        if is_one(path) {
            found.add(path)?;
            continue;
        }
        ensure!(
            path.is_dir(),
            "{} holds no audit log: name the folder that has `checkpoint` and `tile` in it",
            path.display()
        );
        let before = found.known.len();
        let mut held = 0;
        found.below(path, DEEP, taken, &mut held)?;
        ensure!(
            held > 0 || found.known.len() > before,
            "{} holds no audit log, and neither does a folder in it: name the folder that has \
             `checkpoint` and `tile` in it, or one that holds such folders",
            path.display()
        );
    }
    Ok(found.all)
}

/// What is the same for two ways to one folder.
pub(super) fn place(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// Whether a folder that was named is taken for a log.
fn is_one(path: &Path) -> bool {
    path.join("checkpoint").exists() || path.join("wal").exists()
}

/// Whether a folder that was come across is one: not only something called so is in it.
fn is_log(path: &Path) -> bool {
    let has = |name: &str| path.join(name).is_dir();
    let is_mirror = || path.join("mirror").is_file();
    has("wal") || (path.join("checkpoint").is_file() && (has("tile") || is_mirror()))
}

struct Found {
    all: Vec<PathBuf>,
    known: BTreeSet<PathBuf>,
    looked: usize,
}

impl Found {
    fn add(&mut self, folder: &Path) -> anyhow::Result<()> {
        if self.known.insert(place(folder)) {
            self.all.push(folder.to_owned());
        }
        ensure!(self.all.len() <= MOST_LOGS, "more than {MOST_LOGS} logs are named");
        Ok(())
    }

    /// Takes up the logs below a folder; `held` counts those that are there.
    fn below(
        &mut self,
        folder: &Path,
        deep: usize,
        taken: &BTreeSet<PathBuf>,
        held: &mut usize,
    ) -> anyhow::Result<()> {
        let shown = folder.display();
        let failed = || format!("cannot look for logs in {shown}");
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            if !path.is_dir() {
                continue;
            }
            self.looked += 1;
            ensure!(
                self.looked <= MOST_FOLDERS,
                "more than {MOST_FOLDERS} folders would be looked into for logs: name the logs"
            );
            inside.push(path);
        }
        inside.sort();
        for path in inside {
            if is_log(&path) {
                *held += 1;
                if !taken.contains(&place(&path)) {
                    self.add(&path)?;
                }
            } else if deep > 1 {
                self.below(&path, deep - 1, taken, held)?;
            }
        }
        Ok(())
    }
}

/// Refuses two folders that hold the same log, as a log and its mirror.
pub(super) fn refuse_copies(named: &[Named]) -> anyhow::Result<()> {
    let mut origins: BTreeMap<&str, &Named> = BTreeMap::new();
    for log in named {
        if let Some(twin) = origins.insert(log.origin(), log) {
            bail!(
                "{} and {} are both the log `{}`: name one of them, or its records count twice",
                twin.folder.display(),
                log.folder.display(),
                log.origin()
            );
        }
    }
    Ok(())
}

/// Checkpoints from outside, by their logs.
#[derive(Debug)]
pub(super) struct Known(Vec<(PathBuf, String, Origin)>);

impl Known {
    /// Reads them; nothing of them is verified yet.
    pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut all: Vec<(PathBuf, String, Origin)> = Vec::with_capacity(paths.len());
        for path in paths {
            let shown = path.display();
            let note = files::read_text(path, files::SMALL)
                .with_context(|| format!("cannot read the checkpoint {shown}"))?;
            let signed = SignedCheckpoint::parse_unverified(&note)
                .with_context(|| format!("in the checkpoint {shown}"))?;
            let origin = signed.checkpoint().origin.clone();
            if let Some((twin, ..)) = all.iter().find(|(_, _, of)| *of == origin) {
                bail!("{} and {shown} are both of the log `{origin}`: give one", twin.display());
            }
            all.push((path.clone(), note, origin));
        }
        Ok(Self(all))
    }

    /// The one that is of a log, if one is.
    pub(super) fn of(&self, key: &VerifyingKey) -> anyhow::Result<Option<SignedCheckpoint>> {
        let known = self.0.iter().find(|(_, _, origin)| origin == key.origin());
        Ok(known.map(|(_, note, _)| key.verify(note)).transpose()?)
    }

    /// The only one, which a single log is held against whatever it is of; or else as
    /// [`of`](Self::of).
    pub(super) fn only(&self, key: &VerifyingKey) -> anyhow::Result<Option<SignedCheckpoint>> {
        match self.0.as_slice() {
            [(_, note, _)] => Ok(Some(key.verify(note)?)),
            _ => self.of(key),
        }
    }

    /// Refuses one that is of none of these logs.
    pub(super) fn are_of<'a>(
        &self,
        logs: impl Iterator<Item = &'a Named> + Clone,
    ) -> anyhow::Result<()> {
        for (path, _, origin) in &self.0 {
            ensure!(
                logs.clone().any(|log| log.key.origin() == origin),
                "{} is of the log `{origin}`, which is none of those that are named",
                path.display()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(at: &Path) {
        std::fs::create_dir_all(at.join("tile/entries")).unwrap();
        std::fs::create_dir_all(at.join("enforced")).unwrap();
        std::fs::write(at.join("checkpoint"), "").unwrap();
    }

    fn names(found: &[PathBuf], root: &Path) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        found.iter().map(name).collect()
    }

    #[test]
    fn logs_are_found_by_their_files_in_the_order_of_their_names_and_once() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["b/2027", "b/2026", "a", "deep/er/one", "deep/er/and/out-of-reach"] {
            log(&at(name));
        }
        // What is beside a log is none.
        std::fs::create_dir_all(at("a.peers")).unwrap();
        std::fs::write(at("a.peers/checkpoint"), "").unwrap();
        std::fs::create_dir_all(at("empty/still")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("z")).unwrap();
        let find = |named: &[&str]| {
            let named: Vec<PathBuf> = named.iter().map(|name| at(name)).collect();
            folders(&named, &BTreeSet::new())
        };
        let all = find(&[""]).unwrap();
        let found = names(&all, root.path());
        assert_eq!(found, ["a", "b/2026", "b/2027", "deep/er/one"]);
        let again = find(&["b/2027", "a", "", "z"]).unwrap();
        let found = names(&again, root.path());
        assert_eq!(found, ["b/2027", "a", "b/2026", "deep/er/one"]);
        for none in ["empty", "nowhere"] {
            let error = find(&["a", none]).unwrap_err().to_string();
            assert!(error.contains(&at(none).display().to_string()), "{error}");
        }
        let taken = BTreeSet::from([place(&at("a"))]);
        let others = folders(&[at("")], &taken).unwrap();
        assert_eq!(names(&others, root.path()), ["b/2026", "b/2027", "deep/er/one"]);
    }

    #[test]
    fn more_logs_than_a_command_takes_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..=MOST_LOGS {
            std::fs::create_dir_all(root.path().join(format!("{number}/wal"))).unwrap();
        }
        let error = folders(&[root.path().to_owned()], &BTreeSet::new()).unwrap_err();
        assert!(error.to_string().contains("more than 1000 logs"), "{error}");
    }
}
