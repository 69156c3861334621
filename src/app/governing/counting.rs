//! The counters of uses at a start: what the audit log has and they lack is counted again
//! before anything is counted, so that no use is given back.
//!
//! Counters that are new beside a log that goes on from another are the sign of a machine
//! that was lost: then the log before is read as well, or the agency does not start. Beside a
//! new log they may be those of a new agency; nobody can tell, and a warning says what to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::StartError;
use crate::clock;
use crate::config::counters::CountersConfig;
use crate::domain::audit::{Origin, Record, VerifyingKey};
use crate::store::audit_log::AuditError;
use crate::store::frequency::{Counters, Recount};
use crate::store::walk::walk;

/// What is to be counted again.
pub(in crate::app) struct Counting {
    recount: Recount,
    /// Nothing was ever counted in them.
    are_new: bool,
    /// Whether the log has a record.
    has_begun: bool,
    /// The log from which it goes on.
    succeeds: Option<Origin>,
}

impl Counting {
    /// Looks at the counters before the log is read.
    pub(in crate::app) async fn begin(
        config: &CountersConfig,
        folder: &Path,
        deadline: Duration,
    ) -> Result<Self, StartError> {
        let are_new = Counters::hold_nothing(config, folder).await?;
        let recount = Recount::at_start(deadline, clock::process().recorded());
        Ok(Self { recount, are_new, has_begun: false, succeeds: None })
    }

    /// Takes note of the log's next record.
    pub(in crate::app) fn see(&mut self, record: &Record) {
        self.has_begun = true;
        if let Record::Succeeds { ended, .. } = record {
            self.succeeds = Some(ended.origin.clone());
        }
        self.recount.see(record);
    }

    /// Opens the counters; `before` is the log before the one that was read.
    pub(in crate::app) async fn open(
        mut self,
        config: &CountersConfig,
        folder: &Path,
        before: Option<&(PathBuf, VerifyingKey)>,
    ) -> Result<Counters, StartError> {
        match (self.are_new, self.succeeds.take()) {
            (true, Some(origin)) => self.take_in(&origin, before)?,
            (true, None) if !self.has_begun => tracing::warn!(
                "counters and audit log are both new: if this agency has released anything \
                 before, stop it and run `tributary agency recount`, or uses of grants are \
                 given back"
            ),
            _ => {}
        }
        let (counters, lacking) = Counters::open(config, folder, self.recount).await?;
        if lacking > 0 {
            tracing::warn!(
                windows = lacking,
                "the counters lacked uses that the audit log has: they are counted again"
            );
        }
        Ok(counters)
    }

    /// Reads the log before, which must be there whole and the first one.
    fn take_in(
        &mut self,
        origin: &Origin,
        before: Option<&(PathBuf, VerifyingKey)>,
    ) -> Result<(), StartError> {
        let lost = || StartError::CountersLost(origin.clone());
        let (log, key) = before.filter(|(_, key)| key.origin() == origin).ok_or_else(lost)?;
        let walked = walk(log, Some(key), &mut |step| {
            step.record.into_iter().for_each(|record| self.see(record));
        });
        let walked = walked.map_err(AuditError::from)?;
        let is_whole = walked.checkpoint.is_some() && walked.faults.is_empty();
        if is_whole && self.succeeds.is_none() { Ok(()) } else { Err(lost()) }
    }
}
