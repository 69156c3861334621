//! Says when the machine's clocks part, and when they agree again: one line each, whatever
//! is asked meanwhile. What becomes of the requests is for whoever asks the [`Keeper`].

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::clock::{self, Keeper};
use crate::domain::now::LEEWAY;
use crate::domain::reason::Reason;

/// What says so: to be called about twice a second. `known` is the last time of the log, of
/// which is said at once if it lies ahead.
pub fn watch(time: &Arc<Keeper>, known: OffsetDateTime) -> impl FnMut() + Send + 'static {
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
    let (time, mut since) = (time.clone(), None);
    move || match (time.in_doubt(), since) {
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
}
