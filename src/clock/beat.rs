//! Looks that come again and again, all at the same moments: whoever looks every half second
//! is woken together with everybody else who does, so that an idle process is woken once
//! for all of them.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::now;

/// From where all count.
static BEGAN: LazyLock<Instant> = LazyLock::new(now);

/// Sleeps until the next moment that is a multiple of `every` since the process began: no
/// longer than `every`.
pub async fn beat(every: Duration) {
    tokio::time::sleep(until_beat(every)).await;
}

/// What is left until then.
pub fn until_beat(every: Duration) -> Duration {
    left(now().saturating_duration_since(*BEGAN), every)
}

/// What is left of the span that began at the last multiple.
fn left(since: Duration, every: Duration) -> Duration {
    let past = since.as_nanos().checked_rem(every.as_nanos()).unwrap_or_default();
    every.saturating_sub(Duration::from_nanos(u64::try_from(past).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_of_one_length_fall_together_and_none_is_longer() {
        let ms = Duration::from_millis;
        assert_eq!(left(ms(0), ms(500)), ms(500));
        assert_eq!(left(ms(1), ms(500)), ms(499));
        assert_eq!(left(ms(499), ms(500)), ms(1));
        assert_eq!(left(ms(500), ms(500)), ms(500));
        assert_eq!(ms(1_234) + left(ms(1_234), ms(500)), ms(1_500));
        assert_eq!(ms(1_234) + left(ms(1_234), ms(250)), ms(1_250));
        assert_eq!(left(ms(7), Duration::ZERO), Duration::ZERO);
    }
}
