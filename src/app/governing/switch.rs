//! The kill switch of an agency: `enabled` in its file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use tokio::sync::watch;

use crate::app::watching::keep_looking;
use crate::config::file::{self, FileError};
use crate::domain::reason::Reason;

/// Watches `enabled` in an agency's file. A file that cannot be read, or is none of
/// an agency's, changes nothing.
pub(in crate::app) fn kill_switch(
    path: &Path,
    enabled: bool,
    stop: &watch::Receiver<bool>,
) -> Arc<AtomicBool> {
    let switch = Arc::new(AtomicBool::new(enabled));
    let mut watched =
        Watched { path: path.to_owned(), switch: switch.clone(), before: None, failures: 0 };
    keep_looking(stop, move || watched.look());
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
    failures: u32,
}

impl Watched {
    fn look(&mut self) {
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
                self.before = None;
                return;
            }
        };
        self.failures = 0;
        // Closed at once; opened only by a file that nobody is still writing, since
        // one that ends before the key says the same as one without it.
        let settled = self.before.as_ref() == Some(&text);
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
