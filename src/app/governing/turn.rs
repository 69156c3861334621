//! The audit log goes on in another folder while the process runs: the configuration names
//! the next log, and says which one it succeeds. Whoever tells of the log or keeps anything
//! beside it follows.
//!
//! What cannot be done changes nothing: the log goes on as it was, and an alarm says why.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use super::{kept_as, mirror};
use crate::app::standing::{Changing, News};
use crate::app::watching::Rounds;
use crate::clock;
use crate::domain::finding::causes;
use crate::domain::reason::Reason;
use crate::service::audit::monitor::Witnesses;
use crate::service::audit::recorder::Recorder;
use crate::service::rulebook::InForce;
use crate::store::enforced::Keeper;
use crate::store::mirror::{Mirroring, Turner};

/// Makes sure that nothing but the log itself needs what the old one has.
pub(in crate::app) type Settled = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Keeps what is in force beside the log in a folder.
pub(in crate::app) type Keeping = Box<dyn Fn(&Path) -> io::Result<()> + Send>;

/// Everything that follows the log.
pub(in crate::app) struct Turning {
    // Weak, for the log is closed when its recorder goes.
    recorder: Weak<Recorder>,
    witnesses: Weak<Witnesses>,
    mirror: Option<Turner>,
    settled: Settled,
    keeping: Keeping,
}

/// Keeps the rules in force beside the log.
pub(in crate::app) fn keep_beside<M: Send + Sync + 'static>(
    keeper: Keeper,
    rules: Arc<InForce<M>>,
) -> Keeping {
    Box::new(move |log| keeper.turn(log, &rules.engine(), clock::process().recorded()))
}

impl Turning {
    pub(in crate::app) fn new(
        recorder: &Arc<Recorder>,
        witnesses: &Arc<Witnesses>,
        mirroring: Option<&Mirroring>,
        settled: Settled,
        keeping: Keeping,
    ) -> Self {
        Self {
            recorder: Arc::downgrade(recorder),
            witnesses: Arc::downgrade(witnesses),
            mirror: mirroring.map(Mirroring::turner),
            settled,
            keeping,
        }
    }

    /// Turns the log whenever the configuration names another.
    pub(in crate::app) fn keep(self, news: News, rounds: &Rounds) {
        news.follow(rounds, |_| Vec::new(), move |now| self.look(now));
    }

    fn look(&self, now: &Changing) {
        let Some(recorder) = self.recorder.upgrade() else { return };
        let current = recorder.log().folder();
        if now.audit.folder == current.dir {
            return;
        }
        match self.turn(now, &recorder) {
            Ok(()) => tracing::info!(
                from = %current.key.origin(), to = %recorder.log().folder().key.origin(),
                "the audit log goes on in another folder"
            ),
            Err(why) => kept_as(Reason::LogKept, why),
        }
    }

    fn turn(&self, now: &Changing, recorder: &Recorder) -> Result<(), String> {
        let config = &now.audit;
        let current = recorder.log().folder();
        if config.succeeds.as_ref().is_none_or(|before| before.folder != current.dir) {
            return Err(format!(
                "audit.folder is another one, and audit.succeeds does not say that the log there \
                 goes on from the one in `{}`, which is being written",
                current.dir.display()
            ));
        }
        let mut faults = now.faults.clone();
        let keys = config.judge(&mut faults).map(|(keys, _)| keys);
        let keys = faults.finish(keys).map_err(|error| causes(&error))?;
        let settled = self.settled.clone();
        let turned =
            recorder.log().turn(&config.folder, &keys.origin, keys.signing, move || settled());
        turned.map_err(|error| causes(&error))?;
        let next = recorder.log().folder();
        if let Some(witnesses) = self.witnesses.upgrade() {
            witnesses.turn(next.dir.clone(), next.key.clone(), Some((current.dir, current.key)));
        }
        if let Err(error) = (self.keeping)(&next.dir) {
            tracing::error!(%error, "what is in force cannot be kept beside the audit log");
        }
        match (&self.mirror, mirror::of(config, next.key)) {
            (Some(turner), Ok(Some(next))) => turner.turn(next),
            (None, Ok(None)) => {}
            (_, Err(error)) => tracing::error!("{}", causes(&error)),
            _ => tracing::warn!(
                "audit.mirror was begun or taken away together with the turn of the audit log: \
                 that is so from the next start on"
            ),
        }
        Ok(())
    }
}
