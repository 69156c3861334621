//! Tests of [`super`].

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::clock;
use crate::source::cell::{Cell, MAX_TEXT};

/// Sessions, one at a time, of a new database with one table.
fn sessions(folder: &Path) -> SqliteSessions {
    let path = folder.join("x.db");
    Connection::open(&path).unwrap().execute_batch("create table t (a integer)").unwrap();
    SqliteSessions::new(&path, 1, 10, Duration::from_secs(1))
}

async fn run(sessions: &SqliteSessions, statement: &'static str) -> Result<i64, SourceError> {
    let until = clock::now() + Duration::from_secs(90);
    let first = move |connection: &Connection| {
        let first = connection.prepare(statement)?.query([])?.next()?.map(|row| row.get(0));
        first.unwrap_or(Ok(0))
    };
    sessions.run(until, move |connection| first(connection).map_err(|error| fault(&error))).await
}

const ENDLESS: &str =
    "with recursive c(n) as (select 1 union all select n + 1 from c) select max(n) from c";

#[tokio::test]
async fn a_connection_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = sessions(folder.path());
    for statement in ["insert into t values (1)", "create table u (a)", "drop table t"] {
        let refused = run(&sessions, statement).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Schema, "{refused}");
    }
}

#[tokio::test]
async fn a_statement_past_its_deadline_is_stopped_inside_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = sessions(folder.path());
    let until = clock::now() + Duration::from_secs(1);
    let running = sessions.run(until, |connection| {
        let ran = connection.query_row(ENDLESS, [], |_| Ok(()));
        ran.map_err(|error| fault(&error))
    });
    let ended = tokio::time::timeout(Duration::from_secs(90), running).await;
    let stopped = ended.expect("the statement runs on").unwrap_err();
    assert_eq!(stopped.reason, Reason::Timeout);
}

#[tokio::test]
async fn a_statement_that_nobody_awaits_is_stopped_and_its_connection_closed() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = sessions(folder.path());
    run(&sessions, "pragma cache_size = 77").await.unwrap();
    let (begun, mut begins) = tokio::sync::mpsc::channel(1);
    let (ended, ends) = mpsc::sync_channel(1);
    let running = sessions.run(clock::now() + Duration::from_secs(900), move |connection| {
        begun.blocking_send(()).unwrap();
        let ran = connection.query_row(ENDLESS, [], |_| Ok(()));
        ended.send(ran.map_err(|error| fault(&error).reason)).unwrap();
        // As one that came to its end just then.
        Ok(())
    });
    tokio::select! {
        _ = running => panic!("an endless statement ended"),
        _ = begins.recv() => {}
    }
    let stopped = tokio::task::spawn_blocking(move || ends.recv_timeout(Duration::from_secs(90)));
    assert_eq!(stopped.await.unwrap(), Ok(Err(Reason::Timeout)));
    // The one place is free again.
    assert_ne!(run(&sessions, "pragma cache_size").await.unwrap(), 77);
}

#[tokio::test]
async fn a_replaced_file_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = sessions(folder.path());
    run(&sessions, "select a from t").await.unwrap();
    std::fs::rename(folder.path().join("x.db"), folder.path().join("old.db")).unwrap();
    let gone = run(&sessions, "select a from t").await.unwrap_err();
    assert_eq!(gone.reason, Reason::Down);
    let fresh = Connection::open(folder.path().join("x.db")).unwrap();
    fresh.execute_batch("create table fresh (a)").unwrap();
    run(&sessions, "select a from fresh").await.unwrap();
}

#[tokio::test]
async fn a_connection_is_used_again_unless_its_statement_failed() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = sessions(folder.path());
    // A setting of the connection shows which one it is.
    run(&sessions, "pragma cache_size = 77").await.unwrap();
    assert_eq!(run(&sessions, "pragma cache_size").await.unwrap(), 77);
    run(&sessions, "select nothing").await.unwrap_err();
    assert_ne!(run(&sessions, "pragma cache_size").await.unwrap(), 77);
}

/// Keeps what it is given, as words.
#[derive(Default)]
struct Kept(Vec<Vec<String>>);

impl RowSink for Kept {
    fn row(&mut self, cells: &[Cell<'_>]) -> std::ops::ControlFlow<()> {
        let word = |cell: &Cell<'_>| match cell {
            Cell::Integer(number) => number.to_string(),
            Cell::Real(number) => format!("{number:?}"),
            Cell::Text(text) => format!("`{text}`"),
            other => format!("{other:?}"),
        };
        self.0.push(cells.iter().map(word).collect());
        std::ops::ControlFlow::Continue(())
    }
}

fn kept(statement: &str, most: usize) -> Vec<Vec<String>> {
    let connection = Connection::open_in_memory().unwrap();
    let mut statement = connection.prepare(statement).unwrap();
    let names: Vec<String> = (0..statement.column_count()).map(|at| at.to_string()).collect();
    let all: Vec<Box<str>> = names.iter().map(|name| name.as_str().into()).collect();
    let mut kept = Kept::default();
    let block = Block::read(statement.query([]).unwrap(), names, most).unwrap();
    block.give(&mut Named::new(&all, |one, other| one == other, &mut kept)).unwrap();
    kept.0
}

#[test]
fn a_block_gives_each_cell_as_the_database_holds_it() {
    let rows = kept(
        "select 'a', 1, null, 1.5, 'bc' union all
         select '', -7, x'00', cast(x'ff' as text), 'd\u{e9}'",
        2,
    );
    assert_eq!(rows, [["`a`", "1", "Null", "1.5", "`bc`"], ["``", "-7", "Other", "Other", "`dé`"]]);
}

#[test]
fn a_block_ends_with_the_first_row_too_many() {
    let endless = "with recursive c(n) as (select 1 union all select n + 1 from c) select n from c";
    assert_eq!(kept(endless, 3), [["1"], ["2"], ["3"], ["4"]]);
}

#[test]
fn a_text_that_is_too_long_is_cut_and_stays_too_long() {
    for (text, length) in [("x", MAX_TEXT), ("é", MAX_TEXT), ("语", MAX_TEXT / 3 * 3 + 3)] {
        let rows = kept(&format!("select replace(hex(zeroblob({MAX_TEXT})), '0', '{text}')"), 1);
        let cut = rows[0][0].len() - 2;
        assert!(cut > MAX_TEXT && cut <= length + 4, "{text}: {cut}");
    }
    let whole = kept(&format!("select replace(hex(zeroblob({})), '00', 'xx')", MAX_TEXT / 2), 1);
    assert_eq!(whole[0][0].len() - 2, MAX_TEXT);
}
