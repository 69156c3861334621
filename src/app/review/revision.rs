//! A folder as it was at a git revision, written to a temporary folder by `git`
//! itself. Symbolic links are written as plain files, so that none leads out of
//! the folder; the repository's index and work tree are left alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::clock;
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
            return Ok(Self { folder: side.into(), prefix, label: side.to_owned(), _kept: None });
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
            _kept: Some(kept),
        })
    }
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
