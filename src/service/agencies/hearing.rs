//! Whether the silence is ours: when most endpoints miss at once, this machine or its
//! network is suspected, and no connection is ended for it.

use parking_lot::Mutex;

/// So many must miss before we suspect ourselves.
const SEVERAL: usize = 3;

/// What each endpoint of every agency hears.
#[derive(Debug, Default)]
pub struct Hearing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    heard: Vec<Heard>,
    suspected: bool,
}

/// What is heard of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heard {
    /// It has no stream.
    #[default]
    Down,
    /// It answers, or is not asked.
    Well,
    /// It missed an answer.
    Missing,
    /// It is asked no more, and its place may be another's.
    Gone,
}

impl Hearing {
    /// A place for one more endpoint.
    pub fn join(&self) -> usize {
        let heard = &mut self.0.lock().heard;
        if let Some(free) = heard.iter().position(|heard| *heard == Heard::Gone) {
            if let Some(heard) = heard.get_mut(free) {
                *heard = Heard::Down;
            }
            return free;
        }
        heard.push(Heard::Down);
        heard.len() - 1
    }

    /// What an endpoint hears now. Tells whether most miss.
    pub fn tell(&self, place: usize, now: Heard) -> bool {
        let mut state = self.0.lock();
        if let Some(heard) = state.heard.get_mut(place) {
            *heard = now;
        }
        let count = |wanted| state.heard.iter().filter(|heard| **heard == wanted).count();
        let (missing, well) = (count(Heard::Missing), count(Heard::Well));
        let most = missing >= SEVERAL && missing > well;
        if most && !state.suspected {
            tracing::warn!(
                missing,
                well,
                "most agencies do not answer at once: this machine or its network may be at \
                 fault, so no connection is ended for it"
            );
        }
        state.suspected = most;
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_57_when_most_are_silent_the_silence_is_ours() {
        let hearing = Hearing::default();
        let places: Vec<usize> = (0..7).map(|_| hearing.join()).collect();
        for place in &places {
            assert!(!hearing.tell(*place, Heard::Well));
        }
        for place in &places[..3] {
            assert!(!hearing.tell(*place, Heard::Missing), "three of seven");
        }
        assert!(hearing.tell(places[3], Heard::Missing), "four of seven");
        assert!(!hearing.tell(places[0], Heard::Well));
        // Who is down says nothing.
        for place in &places[1..] {
            hearing.tell(*place, Heard::Down);
        }
        assert!(!hearing.tell(places[1], Heard::Missing), "one alone is not most");
    }
}
