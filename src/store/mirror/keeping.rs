//! Keeps a mirror while its log is written, on a thread of its own that nobody waits
//! for: a store that hangs holds up the mirror, and nothing else.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Mirror, MirrorError};
use crate::clock;
use crate::domain::finding::causes;

/// How long until a store that failed is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// Rounds in which the mirror of a log that has ended may fail to get the rest of it, before
/// the next log's is kept.
const ROUNDS_AFTER_THE_END: u32 = 10;

/// How it stands with a mirror.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// How many entries it has, as far as is known; 0 before the first round has ended.
    pub entries: u64,
    /// When it was last in step with what was published then; at first, when keeping began.
    pub since: Instant,
    /// What kept it from that since, in a word.
    pub trouble: Option<&'static str>,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    ending: bool,
    /// The mirror of the log in which this one has gone on.
    next: Option<Mirror>,
    /// Rounds since there is one.
    left: u32,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A mirror that is being kept. Dropping it ends the keeping, without waiting.
#[derive(Debug)]
pub struct Mirroring {
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

/// For whoever turns the log.
#[derive(Debug, Clone)]
pub struct Turner(Arc<Shared>);

impl Turner {
    /// Keeps this mirror, of the log in which the mirrored one has gone on, once the mirror
    /// that was kept has all of that.
    pub fn turn(&self, next: Mirror) {
        let mut state = self.0.state.lock();
        (state.next, state.left) = (Some(next), ROUNDS_AFTER_THE_END);
    }
}

/// What the metrics look at.
#[derive(Debug, Clone)]
pub struct MirrorLook(Arc<Shared>);

impl MirrorLook {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.0.state.lock().standing
    }
}

impl Mirroring {
    /// Keeps a mirror; it is looked at so often.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(mut mirror: Mirror, every: Duration) -> io::Result<Self> {
        let standing = Standing { entries: 0, since: clock::now(), trouble: None };
        let state = Mutex::new(State { standing, ending: false, next: None, left: 0 });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let (end, ended) = sync_channel(1);
        let own = shared.clone();
        std::thread::Builder::new().name("audit-mirror".to_owned()).spawn(move || {
            while !own.round(&mut mirror, every) {}
            let _ = end.send(());
        })?;
        Ok(Self { shared, ended })
    }

    /// For whoever wants to know how it stands.
    pub fn look(&self) -> MirrorLook {
        MirrorLook(self.shared.clone())
    }

    /// For whoever turns the log.
    pub fn turner(&self) -> Turner {
        Turner(self.shared.clone())
    }

    /// Ends it once the mirror has what the log has, or could not be given it, or after so
    /// long. Blocking.
    pub fn end(self, within: Duration) {
        self.shared.end();
        if self.ended.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the mirror of the audit log is left behind: its store takes long");
        }
    }
}

impl Drop for Mirroring {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Shared {
    fn end(&self) {
        self.state.lock().ending = true;
        self.changed.notify_all();
    }

    /// One round, and the rest after it; true when it was the last.
    fn round(&self, mirror: &mut Mirror, every: Duration) -> bool {
        // One that begins when the end is known is the last, and is finished; of a log that
        // had ended when it began it is too.
        let (is_last, has_ended) = {
            let state = self.state.lock();
            (state.ending, state.next.is_some())
        };
        let done = mirror.round(&|| is_last || !self.state.lock().ending);
        if matches!(done, Err(MirrorError::Ended)) {
            return false;
        }
        self.tell(&done);
        if has_ended && let Some(next) = self.next(done.is_ok()) {
            *mirror = next;
            return false;
        }
        if is_last {
            return true;
        }
        let rest = if done.is_ok() { every } else { every.max(AGAIN.min(every * 5)) };
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !state.ending, rest);
        false
    }

    /// The next log's mirror, if this one has all of its log, or was given long enough.
    fn next(&self, has_all: bool) -> Option<Mirror> {
        let mut state = self.state.lock();
        state.left = state.left.saturating_sub(1);
        if !has_all && state.left > 0 && !state.ending {
            return None;
        }
        let next = state.next.take()?;
        if !has_all {
            tracing::error!(
                "the mirror of the audit log that has ended lacks its last entries: run \
                 `tributary audit mirror` for it"
            );
        }
        state.standing = Standing { entries: 0, since: clock::now(), trouble: None };
        Some(next)
    }

    /// One line for each change of how it stands.
    fn tell(&self, done: &Result<u64, MirrorError>) {
        let mut state = self.state.lock();
        let standing = &mut state.standing;
        let before = (standing.trouble, standing.entries);
        match done {
            Ok(entries) => {
                *standing = Standing { entries: *entries, since: clock::now(), trouble: None };
                if before.0.is_some() || before.1 == 0 {
                    tracing::info!(entries, "the mirror of the audit log is in step");
                }
            }
            Err(error) => {
                standing.trouble = Some(error.kind());
                if before.0 == standing.trouble {
                    return;
                }
                let (kind, error_is) = (error.kind(), causes(error));
                if error.is_passing() {
                    tracing::warn!(kind, "the mirror of the audit log waits: {error_is}");
                } else {
                    tracing::error!(kind, "the mirror of the audit log is not kept: {error_is}");
                }
            }
        }
    }
}
