//! A folder as it was at a git revision, written to a temporary folder by `git`
//! itself. Symbolic links are written as plain files, so that none leads out of
//! the folder; the repository's index and work tree are left alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clock;
use crate::domain::flows::acceptance::Authors;
use crate::domain::flows::places::FilePlace;
use crate::files;

/// How long one call of git may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Most files of a revision's folder.
const MAX_FILES: usize = 10_000;

/// Why a revision cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// Neither a folder nor a revision.
    #[error("`{0}` is neither a folder nor a git revision such as main, HEAD~1 or v1:city")]
    Neither(String),
    /// Git does not run.
    #[error("cannot run git: {0}")]
    Run(std::io::Error),
    /// Git refuses.
    #[error("git {doing}: {said}")]
    Git {
        /// What it was to do.
        doing: &'static str,
        /// What it said.
        said: String,
    },
    /// Git hangs.
    #[error("git {0} took longer than a minute and was ended")]
    Timeout(&'static str),
    /// Too large for a federation's configuration.
    #[error(
        "`{0}` holds more than {MAX_FILES} files: name the federation's folder, as in main:city"
    )]
    TooMany(String),
}

/// A side of a comparison, at hand as a folder.
#[derive(Debug)]
pub struct Revision {
    folder: PathBuf,
    /// Where the folder stands in its repository, or as it was named: what reports
    /// put before a file's name.
    pub prefix: String,
    /// What it is: the folder's name, or the revision with its commit.
    pub label: String,
    /// The commit, of a revision.
    pub commit: Option<String>,
    _kept: Option<tempfile::TempDir>,
}

impl Revision {
    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder, or else a revision `REV` or `REV:PATH` of the repository around
    /// `repository`; without a path of its own, `path` in it.
    ///
    /// # Errors
    /// [`RevisionError`].
    pub fn open(side: &str, repository: &Path, path: &str) -> Result<Self, RevisionError> {
        if Path::new(side).is_dir() {
            let prefix = side.trim_end_matches('/').trim_start_matches("./").to_owned();
            let prefix = if prefix == "." { String::new() } else { prefix };
            let label = side.to_owned();
            return Ok(Self { folder: side.into(), prefix, label, commit: None, _kept: None });
        }
        let (revision, path) = side.split_once(':').unwrap_or((side, path));
        if revision.is_empty() || revision.starts_with('-') {
            return Err(RevisionError::Neither(side.escape_default().to_string()));
        }
        let path = path.trim_start_matches("./").trim_matches('/');
        let path = if path == "." { "" } else { path };
        let tree = format!("{revision}:./{path}");
        let git = Git { repository, index: None };
        let tree = git.run("rev-parse", &["rev-parse", "--verify", "--quiet", &tree]).map_err(
            |error| match error {
                RevisionError::Git { .. } => {
                    RevisionError::Neither(side.escape_default().to_string())
                }
                error => error,
            },
        )?;
        let commit = format!("{revision}^{{commit}}");
        let full = git.run("rev-parse", &["rev-parse", "--verify", &commit])?;
        let commit = git.run("rev-parse", &["rev-parse", "--short", &commit])?;
        let files = git.run("ls-tree", &["ls-tree", "-r", "--name-only", &tree])?;
        if files.lines().count() > MAX_FILES {
            return Err(RevisionError::TooMany(side.escape_default().to_string()));
        }
        let kept = tempfile::Builder::new().prefix("tributary-review-").tempdir();
        let kept = kept.map_err(RevisionError::Run)?;
        let index = kept.path().join("index");
        let folder = kept.path().join("tree");
        std::fs::create_dir(&folder).map_err(RevisionError::Run)?;
        let git = Git { repository, index: Some(&index) };
        git.run("read-tree", &["read-tree", &tree])?;
        let prefix = format!("--prefix={}/", folder.display());
        let links = "core.symlinks=false";
        git.run("checkout-index", &["-c", links, "checkout-index", "--all", "--force", &prefix])?;
        Ok(Self {
            folder,
            prefix: path.to_owned(),
            label: format!("{side} ({commit})"),
            commit: Some(full),
            _kept: Some(kept),
        })
    }
}

/// Where the paths of a repository's commits start: the folder that git is run in may
/// lie below its root.
fn paths(git: &Git<'_>, prefix: &str, file: &str) -> Result<String, RevisionError> {
    let below = git.run("rev-parse", &["rev-parse", "--show-prefix"])?;
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(format!(":(top){below}{prefix}{file}"))
}

/// Most commits whose authors are looked at.
const MAX_COMMITS: usize = 2000;

/// Who wrote the commits between two sides, by their addresses and by the keys that
/// signed them. That a signature holds is not asked: whoever shows a key as theirs is
/// taken by their word.
///
/// # Errors
/// Git's, or more commits than anybody looks at.
pub fn authors(
    repository: &Path,
    [old, new]: [&str; 2],
    prefix: &str,
) -> Result<Authors, RevisionError> {
    let git = Git { repository, index: None };
    let path = paths(&git, prefix, "")?;
    let path = path.trim_end_matches('/').to_owned();
    let path = if path == ":(top)" { ":(top).".to_owned() } else { path };
    let range = format!("{old}..{new}");
    let said = git.run("log", &["log", "--format=%H %ae %ce", &range, "--", &path])?;
    let mut authors = Authors::default();
    for (at, line) in said.lines().enumerate() {
        if at >= MAX_COMMITS {
            return Err(RevisionError::TooMany(range));
        }
        let mut words = line.split(' ');
        let Some(commit) = words.next() else { continue };
        authors.emails.extend(words.map(str::to_lowercase));
        let text = git.run("cat-file", &["cat-file", "commit", commit])?;
        authors.keys.extend(signing_key(&text));
    }
    Ok(authors)
}

/// The Ed25519 key of a commit's SSH signature (OpenSSH's PROTOCOL.sshsig): the magic,
/// a version, and the public key as a string of strings.
fn signing_key(commit: &str) -> Option<[u8; 32]> {
    let (_, rest) = commit.split_once("-----BEGIN SSH SIGNATURE-----")?;
    let (body, _) = rest.split_once("-----END SSH SIGNATURE-----")?;
    let body: String = body.split_whitespace().collect();
    let bytes = data_encoding::BASE64.decode(body.as_bytes()).ok()?;
    let rest = bytes.strip_prefix(b"SSHSIG\x00\x00\x00\x01")?;
    let (key, _) = string(rest)?;
    let (kind, rest) = string(key)?;
    let (public, _) = string(rest)?;
    if kind == b"ssh-ed25519" { public.try_into().ok() } else { None }
}

/// A string with its length before it, and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

/// Which commit wrote a line, or took one out of a file: its short name and its author.
/// Nothing where git does not know.
pub fn commit_of(
    repository: &Path,
    sides: [Option<&str>; 2],
    prefix: &str,
    place: &FilePlace,
    removed: bool,
) -> Option<String> {
    let git = Git { repository, index: None };
    let [old, new] = sides;
    let path = paths(&git, prefix, &place.file).ok()?;
    let named = "--format=%h of %an";
    let new = new?;
    if removed || place.line == 0 {
        let range = old.map_or_else(|| new.to_owned(), |old| format!("{old}..{new}"));
        let said = git.run("log", &["log", "-1", named, &range, "--", &path]).ok()?;
        return Some(said).filter(|said| !said.is_empty());
    }
    let lines = format!("{0},{0}", place.line);
    let path = path.strip_prefix(":(top)").unwrap_or(&path).to_owned();
    let top = git.run("rev-parse", &["rev-parse", "--show-toplevel"]).ok()?;
    let git = Git { repository: Path::new(&top), index: None };
    let blame = git.run("blame", &["blame", "--porcelain", "-L", &lines, new, "--", &path]).ok()?;
    let commit = blame.split_whitespace().next()?.trim_start_matches('^').to_owned();
    git.run("log", &["log", "-1", named, &commit]).ok()
}

struct Git<'a> {
    repository: &'a Path,
    index: Option<&'a Path>,
}

impl Git<'_> {
    /// Runs git and gives what it says, without the last line's end.
    fn run(&self, doing: &'static str, arguments: &[&str]) -> Result<String, RevisionError> {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.repository).args(arguments);
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
        if let Some(index) = self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        command.stdin(Stdio::null());
        // Files, so that neither pipe can fill while the other is read.
        let out = tempfile::NamedTempFile::new().map_err(RevisionError::Run)?;
        let err = tempfile::NamedTempFile::new().map_err(RevisionError::Run)?;
        command.stdout(out.reopen().map_err(RevisionError::Run)?);
        command.stderr(err.reopen().map_err(RevisionError::Run)?);
        let mut child = command.spawn().map_err(RevisionError::Run)?;
        let until = clock::now() + WITHIN;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(RevisionError::Run)? {
                break status;
            }
            if clock::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                return Err(RevisionError::Timeout(doing));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let read = |file: &tempfile::NamedTempFile| {
            files::read(file.path(), files::LARGE)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        if !status.success() {
            let said = read(&err).map_err(RevisionError::Run)?.trim().replace('\n', "; ");
            return Err(RevisionError::Git { doing, said });
        }
        Ok(read(&out).map_err(RevisionError::Run)?.trim_end().to_owned())
    }
}
