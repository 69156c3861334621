//! Tests of [`super`].

use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};

use super::*;
use crate::domain::sensitive::Sensitive;
use crate::source::RowSink;
use crate::source::cell::Cell;
use crate::source::testing::{WHOLE, compile};

/// A source that answers each statement when it is told to.
struct Stub {
    asked: Mutex<Vec<Vec<String>>>,
    go: Semaphore,
}

impl Source for Stub {
    fn rows<'a>(
        &'a self,
        _: usize,
        people: &'a [Key],
        _: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        async move {
            let names = people.iter().map(|person| person.expose().to_string()).collect();
            self.asked.lock().unwrap().push(names);
            self.go.acquire().await.unwrap().forget();
            for person in people {
                let mut cells = vec![Cell::Text(person.expose()), Cell::Text("2025-01-01")];
                cells.resize(13, Cell::Null);
                let _ = sink.row(&cells);
            }
            Ok(())
        }
        .boxed()
    }

    fn missing_columns(
        &self,
        _: usize,
        _: Instant,
    ) -> BoxFuture<'_, Result<Vec<SourceError>, SourceError>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

struct Bench {
    stub: Arc<Stub>,
    batcher: Batcher,
}

impl Bench {
    /// A batcher with one statement at a time.
    fn new(max_batch: usize) -> Self {
        let stub = Arc::new(Stub { asked: Mutex::default(), go: Semaphore::new(0) });
        let query = compile(WHOLE).unwrap().queries.remove(0);
        let limits = Limits { pool: 1, statement_timeout: Duration::from_secs(60), max_batch };
        let batcher = Batcher::start(0, query, stub.clone(), limits);
        Self { stub, batcher }
    }

    fn ask(&self, person: &str) -> oneshot::Receiver<Reply> {
        self.ask_until(person, clock::now() + Duration::from_secs(60))
    }

    fn ask_until(&self, person: &str, deadline: Instant) -> oneshot::Receiver<Reply> {
        let person = Sensitive::new(person.into());
        self.batcher.ask(person, self.batcher.query().items, deadline).unwrap()
    }

    /// Lets the batcher come to rest.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn asked(&self) -> Vec<Vec<String>> {
        self.stub.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_is_asked_during_a_statement_goes_into_the_next() {
    let bench = Bench::new(256);
    let first = bench.ask("a");
    bench.settle().await;
    let rest = [bench.ask("b"), bench.ask("c"), bench.ask("b")];
    bench.settle().await;
    assert_eq!(bench.asked(), [vec!["a"]], "a lone request goes at once");
    bench.stub.go.add_permits(2);
    assert!(matches!(first.await.unwrap(), Ok(PersonsRow::Row(_))));
    for answer in rest {
        assert!(matches!(answer.await.unwrap(), Ok(PersonsRow::Row(_))));
    }
    assert_eq!(bench.asked(), [vec!["a"], vec!["b", "c"]], "each person once");
    assert_eq!(bench.batcher.statements(), 2);
}

#[tokio::test]
async fn whoever_gave_up_is_not_asked_for() {
    let bench = Bench::new(256);
    let first = bench.ask("a");
    bench.settle().await;
    drop(bench.ask("gone"));
    let late = bench.ask_until("late", clock::now());
    let kept = bench.ask("kept");
    bench.stub.go.add_permits(2);
    assert!(first.await.unwrap().is_ok() && kept.await.unwrap().is_ok());
    assert_eq!(late.await.unwrap().err(), Some(Reason::Deadline));
    assert_eq!(bench.asked(), [vec!["a"], vec!["kept"]]);
}

#[tokio::test]
async fn a_statement_has_at_most_so_many_people() {
    let bench = Bench::new(3);
    let answers: Vec<_> = (0..8).map(|person| bench.ask(&person.to_string())).collect();
    bench.stub.go.add_permits(10);
    for answer in answers {
        assert!(answer.await.unwrap().is_ok());
    }
    let sizes: Vec<usize> = bench.asked().iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 2]);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let bench = Bench::new(1);
    let waiting: Vec<_> = (0..QUEUE).map(|person| bench.ask(&person.to_string())).collect();
    let deadline = clock::now() + Duration::from_secs(60);
    let refused = bench.batcher.ask(Sensitive::new("one more".into()), ItemSet::EMPTY, deadline);
    assert_eq!(refused.err(), Some(Reason::Overloaded));
    drop(waiting);
    bench.settle().await;
    let next = bench.ask("next");
    bench.stub.go.add_permits(2);
    assert!(next.await.unwrap().is_ok());
}
