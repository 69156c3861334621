//! The cases that hold for every database.

use std::collections::BTreeSet;

use tributary::store::frequency::Counters;
use tributary::store::frequency::Release::{self, Conflict, Counted, Exhausted, Repeated};

use super::support::{Ask, Section, counted};

type Case = (&'static str, Vec<(Ask, Release)>);

const DAY: i64 = 86_400;

/// Each case has a grant and requests of its own, so that all run on one database.
fn table() -> Vec<Case> {
    let ask = Ask::new;
    let used = |used| Counted { used };
    let times = |times| Repeated { times };
    vec![
        (
            "the limit is the limit",
            vec![
                (ask("limit", "l1"), used(1)),
                (ask("limit", "l2"), used(2)),
                (ask("limit", "l3"), Exhausted),
                (ask("limit", "l4"), Exhausted),
            ],
        ),
        (
            "a limit of none releases nothing",
            vec![(ask("none", "n1").limit(0), Exhausted), (ask("none", "n1"), used(1))],
        ),
        (
            "a new window starts anew, and the old one stays spent",
            vec![
                (ask("window", "w1").limit(1), used(1)),
                (ask("window", "w2").limit(1), Exhausted),
                (ask("window", "w3").limit(1).window(1).at(DAY), used(1)),
                (ask("window", "w4").limit(1).window(1).at(DAY), Exhausted),
                (ask("window", "w5").limit(1).at(DAY), Exhausted),
            ],
        ),
        (
            "a retry within a minute is no second use",
            vec![
                (ask("retry", "r1"), used(1)),
                (ask("retry", "r1").at(60), times(2)),
                (ask("retry", "r2").at(60), used(2)),
            ],
        ),
        (
            "a retry goes through though the uses are spent",
            vec![
                (ask("spent", "s1").limit(1), used(1)),
                (ask("spent", "s2").limit(1), Exhausted),
                (ask("spent", "s1").limit(1).at(5), times(2)),
            ],
        ),
        (
            "a retry after a minute is refused, counted from the first release",
            vec![
                (ask("late", "t1"), used(1)),
                (ask("late", "t1").at(50), times(2)),
                (ask("late", "t1").at(61), Conflict),
                (ask("late", "t2").at(61), used(2)),
            ],
        ),
        (
            "a third release is the last",
            vec![
                (ask("third", "h1"), used(1)),
                (ask("third", "h1").at(1), times(2)),
                (ask("third", "h1").at(2), times(3)),
                (ask("third", "h1").at(3), Conflict),
                (ask("third", "h1").at(4), Conflict),
                (ask("third", "h2").at(4), used(2)),
            ],
        ),
        (
            "other items under the same request id are refused and cost nothing",
            vec![
                (ask("items", "i1"), used(1)),
                (ask("items", "i1").items(2), Conflict),
                (ask("items", "i1"), times(2)),
                (ask("items", "i2").items(2), used(2)),
            ],
        ),
        (
            "another consumer may have the same request id",
            vec![
                (ask("consumer", "c1"), used(1)),
                (ask("consumer", "c1").consumer("lender"), used(2)),
                (ask("consumer", "c1"), times(2)),
            ],
        ),
        (
            "what was refused as spent is not remembered as released",
            vec![
                (ask("again", "a1").limit(1), used(1)),
                (ask("again", "a2").limit(1), Exhausted),
                (ask("again", "a2").limit(1).window(1).at(DAY), used(1)),
            ],
        ),
        (
            "grants are counted apart",
            vec![
                (ask("apart", "p1").limit(1), used(1)),
                (ask("apart2", "p2").limit(1), used(1)),
                (ask("apart", "p3").limit(1), Exhausted),
            ],
        ),
    ]
}

/// The table, each step asked of the next replica in turn.
pub async fn the_table_holds(replicas: &[Counters]) {
    let mut turn = replicas.iter().cycle();
    for (name, steps) in table() {
        for (number, (ask, expected)) in steps.into_iter().enumerate() {
            let outcome = counted(turn.next().unwrap(), &ask).await;
            assert_eq!(outcome, expected, "{name}, step {number}");
        }
    }
}

/// The table, the database opened anew for each step.
pub async fn the_table_holds_over_restarts(section: &Section) {
    for (name, steps) in table() {
        for (number, (ask, expected)) in steps.into_iter().enumerate() {
            let outcome = counted(&section.open().await, &ask).await;
            assert_eq!(outcome, expected, "{name}, step {number}");
        }
    }
}

/// Asks all at once, each in a task of its own, spread over the replicas.
async fn at_once(replicas: &[Counters], asks: impl Iterator<Item = Ask>) -> Vec<Release> {
    let tasks: Vec<_> = asks
        .zip(replicas.iter().cycle())
        .map(|(ask, counters)| {
            let counters = counters.clone();
            tokio::spawn(async move { counted(&counters, &ask).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// 64 tasks use one grant at once: exactly as many succeed as it allows.
pub async fn the_limit_is_exact_at_once(replicas: &[Counters]) {
    for (round, limit) in [1, 10, 63, 64, 100].into_iter().enumerate() {
        let grant = format!("at-once-{round}");
        let asks = (0..64).map(|n| Ask::new(&grant, &format!("{grant}-{n}")).limit(limit));
        let outcomes = at_once(replicas, asks).await;
        let numbers: BTreeSet<u32> = outcomes.iter().filter_map(used).collect();
        let expected = limit.min(64);
        assert_eq!(numbers, (1..=expected).collect(), "limit {limit}");
        let refused = outcomes.iter().filter(|outcome| **outcome == Exhausted).count();
        assert_eq!(refused, 64 - expected as usize, "limit {limit}");
    }
}

/// One request, sent 64 times at once: one use, two repeats.
pub async fn a_request_is_one_use_at_once(replicas: &[Counters]) {
    let asks = (0..64).map(|_| Ask::new("one-request", "the-same").limit(9));
    let mut outcomes = at_once(replicas, asks).await;
    outcomes.retain(|outcome| *outcome != Conflict);
    outcomes.sort_by_key(|outcome| match outcome {
        Repeated { times } => *times,
        _ => 1,
    });
    assert_eq!(outcomes, [Counted { used: 1 }, Repeated { times: 2 }, Repeated { times: 3 }]);
    let next = counted(&replicas[0], &Ask::new("one-request", "the-next").limit(9)).await;
    assert_eq!(next, Counted { used: 2 });
}

/// Many grants and few requests, asked in opposite orders: neither a deadlock nor
/// a wrong number.
pub async fn crossing_orders_stay_exact(replicas: &[Counters]) {
    let asks = (0..640u32).map(|n| {
        let grant = if n % 2 == 0 { n / 2 % 20 } else { 19 - n / 2 % 20 };
        Ask::new(&format!("crossing-{grant}"), &format!("crossing-{n}")).limit(20)
    });
    let outcomes = at_once(replicas, asks).await;
    let counted = outcomes.iter().filter_map(used).count();
    assert_eq!(counted, 20 * 20);
}

/// The uses of a grant that lives ten years are remembered for ten years, and those
/// of one that has ended are forgotten.
pub async fn uses_are_remembered_until_the_grant_expires(counters: &Counters) {
    let (short, long) = (30 * DAY, 3660 * DAY);
    let of = |grant: &str, request: &str, at| Ask::new(grant, request).limit(1).at(at);
    for (grant, expires) in [("short", short), ("long", long)] {
        let first = of(grant, &format!("{grant}-0"), 0).expires(expires);
        assert_eq!(counted(counters, &first).await, Counted { used: 1 });
    }
    // Each moment is a use away from the last by more than old rows are kept, and
    // each time whatever is old is deleted.
    for (at, of_short, of_long) in [
        (short - 1, Exhausted, Exhausted),
        (401 * DAY, Counted { used: 1 }, Exhausted),
        (long - 1, Counted { used: 1 }, Exhausted),
        (long + 8 * DAY, Counted { used: 1 }, Counted { used: 1 }),
    ] {
        for number in 0..2 * 256 {
            let other = Ask::new("other", &format!("other-{at}-{number}"));
            counted(counters, &other.limit(u32::MAX).at(at).expires(2 * long)).await;
        }
        let again = of("short", &format!("short-{at}"), at).expires(short);
        assert_eq!(counted(counters, &again).await, of_short, "short, {at}");
        let again = of("long", &format!("long-{at}"), at).expires(long);
        assert_eq!(counted(counters, &again).await, of_long, "long, {at}");
    }
}

/// The tables of the first version, which knew when a grant was last used.
pub const FIRST_VERSION: &str = "drop index uses_expires; \
    alter table uses rename column expires to latest; \
    create index uses_latest on uses (latest); \
    update uses set latest = 1790000000";

/// Uses that the first version counted still count, for as long as a grant can live.
pub async fn uses_of_the_first_version_count(section: &Section) {
    let counters = section.open().await;
    let again = Ask::new("old", "old-2").limit(1).at(401 * DAY).expires(3660 * DAY);
    for number in 0..2 * 256 {
        let other = Ask::new("other", &format!("other-{number}"));
        counted(&counters, &other.limit(u32::MAX).at(401 * DAY)).await;
    }
    assert_eq!(counted(&counters, &again).await, Exhausted);
    assert_eq!(counted(&section.open().await, &again).await, Exhausted, "opened again");
}

fn used(outcome: &Release) -> Option<u32> {
    match outcome {
        Counted { used } => Some(*used),
        _ => None,
    }
}
