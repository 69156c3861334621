//! Whether the process at the other end of a stream still works: when it is asked, and
//! when two questions that it left unanswered mean that it hangs.
//!
//! Pure: time is an argument. A miss counts only where our own timer fired on time, so
//! that a machine that stood still does not blame its peers.

use std::time::{Duration, Instant};

/// How long nothing may come while questions wait.
const QUIET: Duration = Duration::from_millis(500);

/// How long nothing may come while none do.
const IDLE: Duration = Duration::from_secs(10);

/// How long an answer may take, and how many may be missed.
const WITHIN: Duration = Duration::from_millis(500);
const MISSES: u32 = 2;

/// An answer that is so late is doubted: little more is put until it comes.
const DOUBT: Duration = Duration::from_millis(200);

/// How often it is looked at, and how late that may be.
pub const EVERY: Duration = Duration::from_millis(100);
const ON_TIME: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    None,
    /// Ask whether it is alive.
    Ask,
    /// It hangs.
    Hung,
}

/// What is known of one stream's other end.
#[derive(Debug)]
pub struct Liveness {
    asked: Option<Instant>,
    misses: u32,
    looked: Instant,
}

impl Liveness {
    /// Nothing is known of it yet.
    pub const fn new(now: Instant) -> Self {
        Self { asked: None, misses: 0, looked: now }
    }

    /// Looks, [every](EVERY) so often. `heard` is when something last came; `waiting`
    /// is whether questions wait for it.
    pub fn look(&mut self, now: Instant, heard: Instant, waiting: bool) -> Act {
        let late = now.saturating_duration_since(self.looked) > EVERY + ON_TIME;
        self.looked = now;
        let Some(asked) = self.asked.filter(|asked| heard < *asked) else {
            (self.asked, self.misses) = (None, 0);
            let quiet = now.saturating_duration_since(heard);
            let long = if waiting { QUIET } else { IDLE };
            return match quiet >= long {
                true => self.ask(now),
                false => Act::None,
            };
        };
        if late {
            // Nor could we have read what came. It has its time again.
            self.asked = Some(now.max(asked));
            return Act::None;
        }
        if now.saturating_duration_since(asked) < WITHIN {
            return Act::None;
        }
        self.misses += 1;
        match self.misses >= MISSES {
            true => Act::Hung,
            false => self.ask(now),
        }
    }

    /// When it is to be looked at next where no question waits; none while an answer is
    /// due, for then it is looked at [all the time](EVERY).
    pub fn rests_until(&self, heard: Instant) -> Option<Instant> {
        let answered = self.asked.is_none_or(|asked| heard >= asked);
        answered.then(|| heard + IDLE)
    }

    /// Whether it has missed an answer.
    pub const fn is_missing(&self) -> bool {
        self.misses > 0
    }

    /// Whether an answer is late.
    pub fn is_doubted(&self, now: Instant) -> bool {
        self.misses > 0 || self.asked.is_some_and(|asked| now > asked + DOUBT)
    }

    const fn ask(&mut self, now: Instant) -> Act {
        self.asked = Some(now);
        Act::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Looks on time until something is to be done; gives it, and how long it took.
    fn until_act(liveness: &mut Liveness, from: Instant, heard: Instant) -> (Act, Duration) {
        let mut now = from;
        loop {
            now += EVERY;
            match liveness.look(now, heard, true) {
                Act::None => {}
                act => return (act, now - from),
            }
        }
    }

    #[test]
    fn row_57_two_misses_within_two_seconds_mean_that_it_hangs() {
        let start = clock::now();
        let mut liveness = Liveness::new(start);
        let (first, quiet) = until_act(&mut liveness, start, start);
        assert_eq!((first, quiet), (Act::Ask, QUIET));
        let (second, one) = until_act(&mut liveness, start + quiet, start);
        assert_eq!(second, Act::Ask);
        assert!(liveness.is_missing());
        let (third, two) = until_act(&mut liveness, start + quiet + one, start);
        assert_eq!(third, Act::Hung);
        assert!(quiet + one + two <= Duration::from_secs(2));
    }

    #[test]
    fn an_answer_or_a_timer_that_was_late_clears_it() {
        let start = clock::now();
        let mut liveness = Liveness::new(start);
        let (_, asked) = until_act(&mut liveness, start, start);
        // Our own process stood still for a minute: no miss.
        let woken = start + asked + Duration::from_secs(60);
        assert_eq!(liveness.look(woken, start, true), Act::None);
        assert!(!liveness.is_missing());
        // It answers.
        let heard = woken + Duration::from_millis(1);
        for nth in 1..5 {
            assert_eq!(liveness.look(woken + EVERY * nth, heard, true), Act::None);
        }
        assert!(!liveness.is_doubted(woken + QUIET));
    }

    #[test]
    fn it_rests_only_where_no_answer_is_due() {
        let start = clock::now();
        let mut liveness = Liveness::new(start);
        let end = liveness.rests_until(start).unwrap();
        assert_eq!(end, start + IDLE);
        assert_eq!(liveness.look(end, start, false), Act::Ask, "then it is asked");
        assert_eq!(liveness.rests_until(start), None);
        // The first look after a rest is no late one: nothing was due.
        let heard = end + Duration::from_millis(3);
        assert_eq!(liveness.rests_until(heard), Some(heard + IDLE));
        assert_eq!(liveness.look(end + EVERY, heard, true), Act::None);
        let (act, quiet) = until_act(&mut liveness, heard + IDLE / 2, heard);
        assert_eq!((act, quiet), (Act::Ask, EVERY), "who was silent before is asked at once");
        let (_, one) = until_act(&mut liveness, heard + IDLE / 2 + quiet, heard);
        let (act, two) = until_act(&mut liveness, heard + IDLE / 2 + quiet + one, heard);
        assert_eq!(act, Act::Hung);
        assert!(quiet + one + two <= Duration::from_secs(2));
    }

    #[test]
    fn who_is_not_asked_anything_is_looked_at_rarely() {
        let start = clock::now();
        let mut liveness = Liveness::new(start);
        let mut asked = 0;
        for nth in 1..=1_000 {
            let now = start + EVERY * nth;
            let heard = start + IDLE * (EVERY * (nth - 1)).div_duration_f64(IDLE) as u32;
            asked += usize::from(liveness.look(now, heard, false) == Act::Ask);
        }
        assert!((8..=11).contains(&asked), "{asked} in 100 seconds");
    }
}
