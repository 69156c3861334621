//! Where the answers to one request's questions come together.
//!
//! Whoever waits is woken once, when the last answer has come, and not once for
//! each: with many agencies the waking would cost more than the answers. Only an
//! answer that may be asked for again, since its stream was lost or the agency does not
//! know its grant by the digest, wakes at once. What any other means is not known here.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;
use crate::service::agencies::outcome::{Arrival, Failure};

/// The answers of one request, in the order of its questions.
#[derive(Debug)]
pub struct Gather {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Debug)]
struct State {
    arrivals: Vec<Option<Arrival>>,
    missing: usize,
    missed: Vec<(usize, Failure)>,
}

/// What woke the one who waits.
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// Every question has its answer.
    All,
    /// These questions were missed: their streams were lost, or their grants forgotten.
    /// They count as answered so, unless they are asked [again](Gather::again).
    Missed(Vec<(usize, Failure)>),
}

impl Gather {
    /// Waits for the answers to this many questions.
    pub fn new(questions: usize) -> Arc<Self> {
        let state = State {
            arrivals: std::iter::repeat_with(|| None).take(questions).collect(),
            missing: questions,
            missed: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state), woken: Notify::new() })
    }

    /// Where the answer to one question goes. There is to be one for each.
    pub fn reply(self: &Arc<Self>, place: usize) -> Reply {
        Reply { gather: self.clone(), place, given: false }
    }

    /// Takes back an answer, for a question that is asked again.
    pub fn again(self: &Arc<Self>, place: usize) -> Reply {
        self.with(|state| {
            if let Some(Some(_)) = state.arrivals.get_mut(place).map(Option::take) {
                state.missing += 1;
            }
        });
        self.reply(place)
    }

    /// Waits. Cancel safe; for one waiter.
    pub async fn woken(&self) -> Woken {
        loop {
            let woken = self.with(|state| {
                if !state.missed.is_empty() {
                    return Some(Woken::Missed(std::mem::take(&mut state.missed)));
                }
                (state.missing == 0).then_some(Woken::All)
            });
            match woken {
                Some(woken) => return woken,
                None => self.woken.notified().await,
            }
        }
    }

    /// What has come so far.
    pub fn arrivals(&self) -> Vec<Option<Arrival>> {
        self.with(|state| std::mem::take(&mut state.arrivals))
    }

    fn put(&self, place: usize, arrival: Arrival) {
        let wake = self.with(|state| {
            let Some(slot) = state.arrivals.get_mut(place) else { return false };
            if let Err(missed) = &arrival.outcome
                && missed.may_be_put_again()
            {
                state.missed.push((place, missed.clone()));
            }
            if slot.replace(arrival).is_none() {
                state.missing = state.missing.saturating_sub(1);
            }
            state.missing == 0 || !state.missed.is_empty()
        });
        if wake {
            self.woken.notify_one();
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock())
    }
}

/// The way of one answer. Dropped without one, the stream counts as lost.
#[derive(Debug)]
pub struct Reply {
    gather: Arc<Gather>,
    place: usize,
    given: bool,
}

impl Reply {
    /// Gives the answer.
    pub fn give(mut self, arrival: Arrival) {
        self.given = true;
        self.gather.put(self.place, arrival);
    }

    /// Gives the reason why there is none.
    pub fn fail(self, failure: Failure) {
        self.give(Arrival { at: clock::now(), outcome: Err(failure) });
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.given {
            let lost = Arrival { at: clock::now(), outcome: Err(Failure::StreamLost) };
            self.gather.put(self.place, lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn arrival() -> Arrival {
        Arrival { at: clock::now(), outcome: Ok(bytes::Bytes::new()) }
    }

    fn poll(gather: &Gather) -> Poll<Woken> {
        let waiting = std::pin::pin!(gather.woken());
        waiting.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn it_waits_for_the_last() {
        let gather = Gather::new(2);
        let (first, second) = (gather.reply(0), gather.reply(1));
        second.give(arrival());
        assert_eq!(poll(&gather), Poll::Pending);
        first.give(arrival());
        assert_eq!(poll(&gather), Poll::Ready(Woken::All));
        assert!(gather.arrivals().iter().all(Option::is_some));
    }

    #[test]
    fn a_forgotten_grant_is_told_at_once_and_a_refusal_is_not() {
        let gather = Gather::new(2);
        let refused =
            Failure::refused(tonic::Code::FailedPrecondition, "GRANT_UNKNOWN".into(), false);
        gather.reply(0).fail(refused);
        assert_eq!(poll(&gather), Poll::Pending);
        let forgotten =
            Failure::refused(tonic::Code::FailedPrecondition, "GRANT_UNKNOWN".into(), true);
        gather.reply(1).fail(forgotten);
        assert_eq!(poll(&gather), Poll::Ready(Woken::Missed(vec![(1, Failure::Forgotten)])));
        gather.again(1).give(arrival());
        assert_eq!(poll(&gather), Poll::Ready(Woken::All));
    }

    #[test]
    fn a_lost_stream_is_told_at_once_and_may_be_asked_again() {
        let gather = Gather::new(2);
        let first = gather.reply(0);
        drop(gather.reply(1));
        assert_eq!(poll(&gather), Poll::Ready(Woken::Missed(vec![(1, Failure::StreamLost)])));
        let again = gather.again(1);
        first.give(arrival());
        assert_eq!(poll(&gather), Poll::Pending);
        again.fail(Failure::WindowFull);
        assert_eq!(poll(&gather), Poll::Ready(Woken::All));
    }

    #[test]
    fn a_lost_stream_that_is_not_asked_again_is_an_answer() {
        let gather = Gather::new(1);
        drop(gather.reply(0));
        assert_eq!(poll(&gather), Poll::Ready(Woken::Missed(vec![(0, Failure::StreamLost)])));
        assert_eq!(poll(&gather), Poll::Ready(Woken::All));
        let arrivals = gather.arrivals();
        assert!(matches!(arrivals.as_slice(), [Some(Arrival { outcome: Err(_), .. })]));
    }

    #[test]
    fn nobody_asked_is_all_answered() {
        assert_eq!(poll(&Gather::new(0)), Poll::Ready(Woken::All));
    }
}
