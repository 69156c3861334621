//! When our clients ask again by themselves: what is refused for a reason that passes by
//! itself is asked again after the time that the refusal states, as long as the request's
//! own time allows it. Whatever else is refused is final.
//!
//! A profile is asked for again only while it holds nothing: when every agency says of
//! itself that it cannot answer now. One with an answered section is given as it is.

use std::time::{Duration, Instant};

use tonic::{Code, Status};

use crate::domain::reason::Reason;
use crate::wire::proto::pb;
use crate::wire::refusal::retry_after_of;

/// The shortest wait, whatever a server states.
const SHORTEST: Duration = Duration::from_millis(50);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// How often one request was asked again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    repeats: u32,
}

impl Patience {
    /// How long to wait before asking again, where a wait is `stated`: twice as long each
    /// time, and `None` when the time would be over by then.
    pub fn wait(
        &mut self,
        stated: Option<Duration>,
        now: Instant,
        until: Instant,
    ) -> Option<Duration> {
        let doubled = stated?.max(SHORTEST).saturating_mul(1 << self.repeats.min(10));
        let wait = doubled.min(LONGEST);
        if wait >= until.saturating_duration_since(now) {
            return None;
        }
        self.repeats += 1;
        Some(wait)
    }
}

/// What a refused call states.
pub fn of_status(status: &Status) -> Option<Duration> {
    passes(status.code()).then(|| retry_after_of(status))?
}

/// What a refused request of a stream states.
pub fn of_failure(failure: &pb::ProfileFailure) -> Option<Duration> {
    let stated = Duration::from_micros(failure.retry_after_micros);
    (passes(failure.code.into()) && !stated.is_zero()).then_some(stated)
}

/// What the agencies of a profile without any answer state of themselves.
pub fn of_profile(profile: &pb::GetProfileResponse) -> Option<Duration> {
    let waits = profile.sections.iter().map(|section| {
        let unavailable = section.status() == pb::SectionStatus::Unavailable;
        let reason = Reason::stated_by_agency(&section.reason).filter(|_| unavailable);
        reason.and_then(Reason::retry_after)
    });
    waits.collect::<Option<Vec<_>>>()?.into_iter().max()
}

const fn passes(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::refusal::Refusal;

    fn section(status: pb::SectionStatus, reason: Reason) -> pb::SectionReport {
        let (status, reason) = (status.into(), reason.to_string());
        pb::SectionReport { status, reason, ..Default::default() }
    }

    #[test]
    fn what_passes_is_asked_again_and_a_refusal_is_final() {
        let of = |reason| of_status(&Refusal::new(reason, "no").into_status("id"));
        assert_eq!(of(Reason::GrantStatusStale), Reason::GrantStatusStale.retry_after());
        assert!(of(Reason::GrantStatusStale).is_some());
        assert!(of(Reason::Overloaded).is_some());
        for reason in [Reason::GrantRevoked, Reason::Deadline, Reason::Panic] {
            assert_eq!(of(reason), None, "{reason}");
        }
        // Without RetryInfo it is not known when.
        assert_eq!(of_status(&Status::unavailable("no")), None);
    }

    #[test]
    fn a_profile_is_asked_for_again_only_while_it_holds_nothing() {
        use pb::SectionStatus::{Denied, Ok as Answered, Unavailable};
        let of = |sections: Vec<pb::SectionReport>| {
            of_profile(&pb::GetProfileResponse { sections, ..Default::default() })
        };
        let stale = || section(Unavailable, Reason::GrantStatusStale);
        let overloaded = || section(Unavailable, Reason::Overloaded);
        assert_eq!(of(vec![overloaded(), stale()]), Reason::GrantStatusStale.retry_after());
        assert_eq!(of(vec![stale(), section(Answered, Reason::Deadline)]), None);
        assert_eq!(of(vec![stale(), section(Denied, Reason::GrantRevoked)]), None);
        // The gateway itself tries to reach an agency again.
        assert_eq!(of(vec![section(Unavailable, Reason::Unreachable)]), None);
        assert_eq!(of(Vec::new()), None);
    }

    #[test]
    fn waits_grow_and_never_outlast_the_time_that_is_left() {
        let now = crate::clock::now();
        let until = now + Duration::from_secs(1);
        let mut patience = Patience::default();
        let stated = Some(Duration::from_millis(100));
        let mut waits = Vec::new();
        let mut at = now;
        while let Some(wait) = patience.wait(stated, at, until) {
            at += wait;
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, [100, 200, 400]);
        assert_eq!(Patience::default().wait(None, now, until), None);
        assert_eq!(Patience::default().wait(Some(Duration::ZERO), now, until), Some(SHORTEST));
    }
}
