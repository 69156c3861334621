//! Whatever is asked, and however it falls into batches and replicas, the answers
//! are those of the model.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tributary::store::frequency::{Recount, Release};

use super::model::Model;
use crate::kit::waiting;

use super::support::{Ask, Section, counted, everything, recorded, start};

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
        let mut newest = Recount::at_start(Duration::from_secs(86_400), start());
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

/// What happens to an agency beside what it is asked.
#[derive(Debug, Clone)]
enum Event {
    Asked(Ask),
    /// A copy of the counters is made.
    Copied,
    /// The machine is lost, and with it the counters; a new log begins, and uses are counted
    /// again from all logs.
    Lost,
    /// The counters are put back from the copy, and uses are counted again.
    PutBack,
    /// The counters are gone, and the log is there: a start is enough.
    Gone,
    /// It is counted again though nothing was lost.
    Again,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => ask().prop_map(Event::Asked),
        1 => Just(Event::Copied),
        1 => Just(Event::Lost),
        1 => Just(Event::PutBack),
        1 => Just(Event::Gone),
        1 => Just(Event::Again),
    ]
}

/// Whatever is lost of the counters, and however often it is counted again: the answers are
/// those of a model that loses nothing. Each use is recorded in the log of its time.
pub fn no_use_is_given_back_whatever_is_lost(cases: u32, folder: &Path) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let number = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&prop::collection::vec(event(), 1..80), |events| {
            number.set(number.get() + 1);
            let home = folder.join(number.get().to_string());
            runtime.block_on(nothing_is_given_back(&home, events))
        })
        .unwrap();
}

async fn nothing_is_given_back(home: &Path, events: Vec<Event>) -> Result<(), TestCaseError> {
    let (ours, copy) = (home.join("ours"), home.join("copy"));
    for folder in [&ours, &copy] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let section = Section::sqlite(&ours.join("counters.db"));
    let (mut model, mut logs) = (Model::default(), vec![Vec::new()]);
    let mut counters = Some(section.open().await);
    for event in events {
        match event {
            Event::Asked(ask) => {
                let outcome = counted(counters.as_ref().unwrap(), &ask).await;
                prop_assert_eq!(outcome, model.release(&ask), "{:?}", ask);
                if matches!(outcome, Release::Counted { .. } | Release::Repeated { .. }) {
                    logs.last_mut().unwrap().push(recorded(&ask, outcome));
                }
                continue;
            }
            Event::Copied => keep(&ours, &copy),
            Event::Lost => {
                drop(counters.take());
                closed(&ours).await;
                forget(&ours);
                logs.push(Vec::new());
                section.count_again(everything(logs.iter().flatten())).await;
                counters = Some(section.open().await);
            }
            Event::PutBack => {
                drop(counters.take());
                closed(&ours).await;
                forget(&ours);
                keep(&copy, &ours);
                section.count_again(everything(logs.iter().flatten())).await;
                counters = Some(section.open().await);
            }
            Event::Gone if logs.len() == 1 => {
                drop(counters.take());
                closed(&ours).await;
                forget(&ours);
                let mut own = Recount::at_start(Duration::from_secs(86_400), start());
                logs.iter().flatten().for_each(|record| own.see(record));
                counters = Some(section.try_open_with(own).await.unwrap());
            }
            Event::Gone => {}
            // While it runs.
            Event::Again => {
                let lacking = section.count_again(everything(logs.iter().flatten())).await;
                prop_assert_eq!(lacking, 0, "nothing was lost");
            }
        }
    }
    drop(counters);
    Ok(())
}

/// Waits until nobody holds the file any more: counters that are dropped close it on their
/// own thread, and SQLite removes its log by name then, whosever it is by that time.
async fn closed(folder: &Path) {
    let open = async || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        links
            .filter_map(|link| std::fs::read_link(link.ok()?.path()).ok())
            .filter(|path| path.starts_with(folder))
            .collect::<Vec<_>>()
    };
    waiting::until("counters that are closed", open, Vec::is_empty).await;
}

/// Removes SQLite's files.
fn forget(folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
}

/// Copies SQLite's files as they are, but for the index of its log.
fn keep(from: &Path, to: &Path) {
    for name in ["counters.db", "counters.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}
