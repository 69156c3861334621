//! The kill switch of an agency: `enabled` in its file.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use crate::app::watching::Rounds;
use crate::config::file::{self, FileError};
use crate::domain::reason::Reason;

/// Watches `enabled` in an agency's file, in rounds that nothing keeps waiting: whatever else
/// is read meanwhile, it is closed within a second. A file that cannot be read, or is none of
/// an agency's, changes nothing.
pub(in crate::app) fn kill_switch(path: &Path, enabled: bool, rounds: &Rounds) -> Arc<AtomicBool> {
    let switch = Arc::new(AtomicBool::new(enabled));
    let mut watched = Watched {
        path: path.to_owned(),
        switch: switch.clone(),
        before: None,
        settled: None,
        failures: 0,
    };
    rounds.keep_looking(move || watched.look());
    switch
}

/// The keys that are looked at; the rest of the file is not for now.
#[derive(Deserialize)]
struct Switch {
    /// In every agency's file, so that an empty one says nothing.
    #[serde(rename = "id")]
    _id: String,
    #[serde(default = "on")]
    enabled: bool,
}

const fn on() -> bool {
    true
}

struct Watched {
    path: PathBuf,
    switch: Arc<AtomicBool>,
    before: Option<String>,
    /// The file as it was when it had settled: only another one is read again.
    settled: Option<Stamp>,
    failures: u32,
}

/// What tells one state of the file from another.
#[derive(PartialEq, Eq)]
struct Stamp(u64, u64, (i64, i64), (i64, i64));

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let state = std::fs::metadata(path).ok()?;
        let (changed, written) =
            ((state.ctime(), state.ctime_nsec()), (state.mtime(), state.mtime_nsec()));
        Some(Self(state.ino(), state.len(), changed, written))
    }
}

impl Watched {
    fn look(&mut self) {
        // Before it is read: what changes meanwhile has another stamp.
        let stamp = Stamp::of(&self.path);
        if stamp.is_some() && stamp == self.settled {
            return;
        }
        let (text, enabled) = match self.read() {
            Ok(read) => read,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                // The first time it may be half written.
                if self.failures == 2 {
                    tracing::error!(
                        reason = %Reason::SwitchKept,
                        "the kill switch cannot be read and stays as it is: {error}"
                    );
                }
                (self.before, self.settled) = (None, None);
                return;
            }
        };
        self.failures = 0;
        // Closed at once; opened only by a file that nobody is still writing, since
        // one that ends before the key says the same as one without it.
        let settled = self.before.as_ref() == Some(&text);
        self.settled = stamp.filter(|_| settled);
        self.before = Some(text);
        if (settled || !enabled) && self.switch.swap(enabled, Ordering::AcqRel) != enabled {
            tracing::warn!(enabled, "the administrator turned the kill switch");
        }
    }

    fn read(&self) -> Result<(String, bool), FileError> {
        let text = file::read_text(&self.path)?;
        let Switch { enabled, .. } = file::parse_toml(&self.path, &text)?;
        Ok((text, enabled))
    }
}
