//! Says when the machine's clocks part, and when they agree again: one line each, whatever
//! is asked meanwhile. What becomes of the requests is for whoever asks the [`Keeper`].

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;

use crate::clock::{self, Keeper};
use crate::domain::now::LEEWAY;
use crate::domain::reason::Reason;

/// How often it is looked.
const LOOKS: Duration = Duration::from_millis(500);

/// Watches a keeper until `stop`. `known` is the last time of the log.
pub fn start(time: &Arc<Keeper>, known: OffsetDateTime, stop: &watch::Receiver<bool>) {
    let late = known - clock::utc();
    if late > LEEWAY {
        tracing::error!(
            reason = %Reason::ClockJumped,
            log_ends = known.format(&Rfc3339).unwrap_or_default(),
            ahead_seconds = -late.whole_seconds(),
            "the audit log ends in the future: either the clock is behind now, and has to be \
             set right, or it was ahead when the log was written, and then what expires until \
             that moment is refused; wait for it, or begin another log"
        );
    }
    tokio::spawn(watch(Arc::clone(time), stop.clone()));
}

async fn watch(time: Arc<Keeper>, mut stop: watch::Receiver<bool>) {
    let mut since = None;
    loop {
        match (time.in_doubt(), since) {
            (Some(doubt), None) => {
                since = Some(clock::now());
                tracing::error!(
                    reason = %Reason::ClockJumped,
                    ahead_seconds = doubt.ahead.whole_seconds(),
                    "the wall clock differs from the time that has elapsed: what expires is \
                     judged by the later and what begins by the earlier, until the clock is \
                     set right"
                );
            }
            (None, Some(began)) => {
                since = None;
                let seconds = clock::now().saturating_duration_since(began).as_secs();
                tracing::info!(seconds, "the wall clock agrees with the time that has elapsed");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        tokio::select! {
            // The sender being gone means the same.
            _ = stop.wait_for(|stop| *stop) => return,
            () = clock::beat(LOOKS) => {}
        }
    }
}
