//! What an endpoint does, case by case, in virtual time.

use super::*;
use crate::clock;

const LONG: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(2);

fn up(streams: usize, now: Instant) -> Endpoint {
    let mut endpoint = Endpoint::new(streams, now, 7);
    for _ in 0..streams {
        assert!(endpoint.begin(now));
        endpoint.opened();
    }
    endpoint
}

#[test]
fn a_change_is_told_once_with_its_cause() {
    let mut now = clock::now();
    let mut endpoint = up(2, now);
    assert_eq!(endpoint.state(), State::Up { streams: 2 });
    assert_eq!(endpoint.lost(now, LONG, Reason::Ended, false), None, "one of two");
    let change = endpoint.lost(now, LONG, Reason::Ended, false).unwrap();
    assert!(matches!(change.to, State::Opening { last: Some(Reason::Ended), .. }));
    let mut told = 0;
    for _ in 0..100 {
        now = endpoint.due().unwrap();
        assert!(endpoint.begin(now) && !endpoint.begin(now), "one attempt at a time");
        told += usize::from(endpoint.failed(now, Reason::Unreachable).is_some());
    }
    assert_eq!(told, 1);
    assert!(endpoint.failed(now, Reason::Untrusted).is_some(), "another cause");
    assert!(endpoint.begin(endpoint.due().unwrap()));
    assert!(matches!(endpoint.opened(), Some(Change { to: State::Up { streams: 1 }, .. })));
}

#[test]
fn row_58_it_is_tried_often_in_the_first_while_and_less_later() {
    let start = clock::now();
    let mut endpoint = up(1, start);
    endpoint.lost(start, LONG, Reason::Ended, true);
    let mut now = start;
    while now < start + Duration::from_secs(60) {
        let next = endpoint.due().unwrap().max(now);
        let most = if now < start + SOON.0 { SOON.1 } else { LATER };
        assert!(next <= now + most, "{:?} at {:?}", next - now, now - start);
        now = next;
        assert!(endpoint.begin(now));
        endpoint.failed(now, Reason::Unreachable);
    }
    // An attempt that hung has waited already.
    assert!(endpoint.begin(endpoint.due().unwrap()));
    now += Duration::from_secs(10);
    endpoint.failed(now, Reason::ConnectTimeout);
    assert!(endpoint.due().unwrap() <= now + AFTER_TIMEOUT);
}

#[test]
fn row_59_questions_wait_while_every_stream_was_drained() {
    let now = clock::now();
    let mut endpoint = up(2, now);
    assert_eq!(endpoint.drained(now, LONG), None);
    assert_eq!(endpoint.drained(now, LONG).unwrap().to, State::Draining);
    assert_eq!(endpoint.admit(now, now + DEADLINE), Err(Refused::Wait));
    let due = endpoint.due().unwrap();
    assert!(due <= now + WAIT, "{:?}", due - now);
    assert!(endpoint.begin(due));
    endpoint.opened();
    assert!(endpoint.admit(due, due + DEADLINE).is_ok());
}

#[test]
fn row_59_streams_that_are_drained_at_once_are_replaced_slower_and_slower() {
    let start = clock::now();
    let (mut endpoint, mut now, mut attempts) = (up(1, start), start, 0);
    while now < start + Duration::from_secs(10) {
        endpoint.drained(now, Duration::ZERO);
        now = endpoint.due().unwrap();
        assert!(endpoint.begin(now));
        endpoint.opened();
        attempts += 1;
    }
    assert!(attempts <= 30, "{attempts} handshakes in ten seconds");
}

#[test]
fn row_59_a_stream_drained_while_another_is_opened_is_waited_for_as_well() {
    let now = clock::now();
    let mut endpoint = up(2, now);
    endpoint.drained(now, Duration::ZERO);
    assert!(endpoint.begin(endpoint.due().unwrap()));
    endpoint.drained(now, Duration::ZERO);
    endpoint.opened();
    let due = endpoint.due().unwrap();
    assert!(due > now, "the next is opened at once");
}

#[test]
fn row_57_who_hangs_is_said_to_hang_until_something_else_is_known() {
    let now = clock::now();
    let mut endpoint = up(1, now);
    endpoint.lost(now, LONG, Reason::AgencyHung, true);
    let refusal = |endpoint: &mut Endpoint| endpoint.admit(now, now + DEADLINE);
    assert_eq!(refusal(&mut endpoint), Err(Refused::No(Reason::AgencyHung)));
    endpoint.failed(now, Reason::ConnectTimeout);
    assert_eq!(refusal(&mut endpoint), Err(Refused::No(Reason::AgencyHung)));
    endpoint.failed(now, Reason::Unreachable);
    assert_eq!(refusal(&mut endpoint), Err(Refused::No(Reason::Unreachable)));
}

#[test]
fn row_32_it_opens_lets_one_through_a_wait_and_closes_with_the_first_answer() {
    let mut now = clock::now();
    let mut endpoint = up(1, now);
    let admit = |endpoint: &mut Endpoint, now| endpoint.admit(now, now + DEADLINE);
    let older = admit(&mut endpoint, now).unwrap();
    let mut changes = Vec::new();
    for consumer in 0..5 {
        let leave = admit(&mut endpoint, now).unwrap();
        changes.extend(endpoint.settle(now, leave, consumer, Outcome::Failed));
    }
    assert_eq!(changes.len(), 1);
    let mut wait = Duration::from_millis(100);
    for _ in 0..8 {
        assert!(admit(&mut endpoint, now).is_err());
        // What is told of older questions changes nothing.
        endpoint.settle(now, older, 1, Outcome::Answered);
        endpoint.settle(now, older, 1, Outcome::Failed);
        now += wait;
        let probe = admit(&mut endpoint, now).expect("one may try");
        assert!(admit(&mut endpoint, now).is_err(), "and no other");
        assert_eq!(endpoint.settle(now, probe, 1, Outcome::Failed), None);
        wait = (wait * 2).min(Duration::from_millis(500));
    }
    now += wait;
    let probe = admit(&mut endpoint, now).unwrap();
    let closed = endpoint.settle(now, probe, 1, Outcome::Answered).unwrap();
    assert_eq!(closed.to, State::Up { streams: 1 });
    assert!(admit(&mut endpoint, now).is_ok() && admit(&mut endpoint, now).is_ok());
}

#[test]
fn an_open_circuit_that_nobody_tries_is_closed_again() {
    let now = clock::now();
    let mut endpoint = up(1, now);
    for consumer in 0..5 {
        let leave = endpoint.admit(now, now + DEADLINE).unwrap();
        endpoint.settle(now, leave, consumer, Outcome::Failed);
    }
    assert_eq!(endpoint.rest(now + Duration::from_secs(9)), None);
    let change = endpoint.rest(now + Duration::from_secs(11)).unwrap();
    assert_eq!(change.to, State::Up { streams: 1 });
}

#[test]
fn a_crash_with_many_questions_is_one_failure() {
    let now = clock::now();
    let mut endpoint = up(1, now);
    let leaves: Vec<_> = (0..200).map(|_| endpoint.admit(now, now + DEADLINE).unwrap()).collect();
    endpoint.lost(now, LONG, Reason::Ended, true);
    for leave in leaves {
        endpoint.settle(now, leave, 1, Outcome::Unknown);
    }
    assert!(endpoint.begin(endpoint.due().unwrap()));
    endpoint.opened();
    assert_eq!(endpoint.state(), State::Up { streams: 1 });
}

#[test]
fn one_consumers_failures_close_it_to_nobody_while_another_is_answered() {
    let now = clock::now();
    let mut endpoint = up(1, now);
    for nth in 0..100 {
        let (consumer, outcome) = match nth % 2 {
            0 => (1, Outcome::Failed),
            _ => (2, Outcome::Answered),
        };
        let leave = endpoint.admit(now, now + DEADLINE).expect("it stays closed");
        endpoint.settle(now, leave, consumer, outcome);
    }
}
