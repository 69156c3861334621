//! The use of a grant, counted before anything is released: what the counters say, as the
//! record's line of it or as a refusal. Where uses are counted is the business of
//! [`crate::store::frequency`].

use std::time::{Duration, Instant};

use crate::clock;
use crate::domain::audit::{CountRecord, Counted};
use crate::domain::grant::VerifiedGrant;
use crate::domain::reason::Reason;
use crate::store::frequency::{CounterError, Release, Use};
use crate::wire::fetch::FetchRequest;
use crate::wire::refusal::Refusal;

use super::Agency;

/// What counting is given in any case before the counters are called down.
const COUNTING: Duration = Duration::from_secs(1);

impl Agency {
    /// Counts the use before anything is released. What comes back is to stand in the
    /// release's record: only then is the count sure to outlive the machine.
    pub(super) async fn count(
        &self,
        question: &FetchRequest,
        grant: &VerifiedGrant,
        until: Instant,
    ) -> Result<CountRecord, Refusal> {
        let now = self.parts.authority.now();
        let one = Use {
            issuer: grant.issuer(),
            jti: grant.jti().as_str(),
            window: grant.window(now),
            limit: grant.frequency().count,
            request_id: question.request_id.as_str(),
            consumer: grant.client(),
            items: &question.items,
            expires: grant.expires_at(),
            now,
        };
        let record = |counted| CountRecord {
            issuer: grant.issuer().clone(),
            window: one.window,
            expires: u64::try_from(one.expires.unix_timestamp()).unwrap_or_default(),
            counted,
        };
        let asked = clock::now();
        match self.parts.counters.release(one, until).await {
            Ok(Release::Counted { used }) => Ok(record(Counted::Use(used))),
            Ok(Release::Repeated { times }) => Ok(record(Counted::Repeat(times))),
            Ok(Release::Exhausted) => {
                let message = "the grant has been used as often as it allows in this period";
                Err(Refusal::new(Reason::FrequencyExhausted, message))
            }
            Ok(Release::Conflict) => {
                let message = "the request id was used for another request; take a new one";
                Err(Refusal::new(Reason::RequestIdReused, message))
            }
            // Who asked had left too little time; that says nothing of the counters.
            Err(CounterError::Timeout) if asked.elapsed() < COUNTING => {
                let message = "the use was not counted in the time given, so nothing is released";
                Err(Refusal::new(Reason::Deadline, message))
            }
            Err(error) => {
                tracing::error!(agency = %self.parts.id, reason = %Reason::CounterDown, "{error}");
                let message = "the agency cannot count uses now, so it releases nothing";
                Err(Refusal::new(Reason::CounterDown, message))
            }
        }
    }
}
