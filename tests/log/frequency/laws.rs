//! Whatever is asked, and however it falls into batches and replicas, the answers
//! are those of the model.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tributary::store::frequency::{Newest, Release};

use super::model::Model;
use super::support::{Ask, Section, counted, recorded};

/// A round: what is asked together, and of which replica.
type Round = (Vec<Ask>, usize);

fn ask() -> impl Strategy<Value = Ask> {
    let which = (0..3u8, 0..2u64, 0..5u32, 0..8u8, 0..2usize);
    (which, 1..3u8, 0..150i64).prop_map(|((grant, window, limit, request, who), items, at)| {
        Ask::new(&grant.to_string(), &request.to_string())
            .window(window)
            .limit(limit)
            .consumer(["scoring", "lender"][who])
            .items(items)
            .at(at)
    })
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    // More than thirty futures would not be polled in order.
    prop::collection::vec((prop::collection::vec(ask(), 1..12), 0..2usize), 1..8)
}

/// Rounds on two replicas of `section`, which gets a new database for each case.
pub fn the_model_holds(cases: u32, mut section: impl FnMut() -> Section) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let section = std::cell::RefCell::new(&mut section);
    TestRunner::new(config)
        .run(&rounds(), |rounds| {
            let section = (*section.borrow_mut())();
            runtime.block_on(holds(&section, rounds))
        })
        .unwrap();
}

async fn holds(section: &Section, rounds: Vec<Round>) -> Result<(), TestCaseError> {
    let replicas = [section.open().await, section.open().await];
    let mut model = Model::default();
    for (asks, replica) in rounds {
        let outcomes = join_all(asks.iter().map(|ask| counted(&replicas[replica], ask))).await;
        for (ask, outcome) in asks.iter().zip(outcomes) {
            prop_assert_eq!(outcome, model.release(ask), "{:?}", ask);
        }
    }
    Ok(())
}

/// The machine fails: what a file of SQLite held at some moment is left of it, and
/// the log is there whole. Then everything is as if nothing had been lost, and that
/// also if the log is read twice.
pub fn what_the_disk_lost_is_counted_again(cases: u32, folder: &Path) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let number = std::cell::Cell::new(0);
    let asks = prop::collection::vec(ask(), 1..40);
    TestRunner::new(config)
        .run(&(asks, any::<prop::sample::Index>(), any::<prop::sample::Index>()), |drawn| {
            let (asks, kept, failed) = drawn;
            number.set(number.get() + 1);
            let home = folder.join(number.get().to_string());
            let (kept, failed) = (kept.index(asks.len()), failed.index(asks.len()));
            runtime.block_on(counted_again(&home, &asks, kept.min(failed), failed))
        })
        .unwrap();
}

/// Of the asks before `failed` those before `kept` are on the disk.
async fn counted_again(
    home: &Path,
    asks: &[Ask],
    kept: usize,
    failed: usize,
) -> Result<(), TestCaseError> {
    let (before, after) = (home.join("before"), home.join("after"));
    for folder in [&before, &after] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let file = |folder: &Path| -> PathBuf { folder.join("counters.db") };
    let (mut model, mut log) = (Model::default(), Vec::new());
    let counters = Section::sqlite(&file(&before)).open().await;
    for (number, ask) in asks.iter().enumerate().take(failed) {
        if number == kept {
            keep(&before, &after);
        }
        let outcome = counted(&counters, ask).await;
        prop_assert_eq!(outcome, model.release(ask), "{:?}", ask);
        if matches!(outcome, Release::Counted { .. } | Release::Repeated { .. }) {
            log.push(recorded(ask, outcome));
        }
    }
    if kept == failed {
        keep(&before, &after);
    }
    let section = Section::sqlite(&file(&after));
    let newest = || {
        let mut newest = Newest::new(Duration::from_secs(86_400));
        log.iter().for_each(|record| newest.see(record));
        newest
    };
    drop(section.try_open_with(newest()).await.unwrap());
    let counters = section.try_open_with(newest()).await.unwrap();
    for ask in asks.iter().skip(failed) {
        prop_assert_eq!(counted(&counters, ask).await, model.release(ask), "{:?}", ask);
    }
    Ok(())
}

/// Copies SQLite's files as they are, but for the index of its log.
fn keep(from: &Path, to: &Path) {
    for name in ["counters.db", "counters.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}
