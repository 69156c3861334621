//! Whatever is asked, and however it falls into batches and replicas, the answers
//! are those of the model.

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::model::Model;
use crate::support::{Ask, Section, counted};

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
