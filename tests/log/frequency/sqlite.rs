//! SQLite: the cases of every database, and what can happen to a file.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tributary::store::frequency::{CounterError, Newest, Release, TablesError};

use super::support::{Ask, Section, counted, recorded, release};
use super::{cases, crash, laws};

fn fresh() -> (TempDir, Section) {
    let folder = tempfile::tempdir().unwrap();
    let section = Section::sqlite(&folder.path().join("counters.db"));
    (folder, section)
}

fn connect(folder: &Path) -> Connection {
    Connection::open(folder.join("counters.db")).unwrap()
}

/// What the program does now and then: the newest counts go into the tables.
const IN_THE_TABLES: &str = "
insert or replace into uses
  select grant_window, used, expires from recent where grant_window is not null order by n;
insert or replace into releases
  select request, digest, first, times from recent where request is not null order by n;
delete from recent where n < (select max(n) from recent);
";

fn rows(folder: &Path, table: &str) -> u32 {
    let count = format!("select count(*) from {table}");
    connect(folder).query_row(&count, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn the_table_holds() {
    let (_folder, section) = fresh();
    cases::the_table_holds(&[section.open().await]).await;
}

#[tokio::test]
async fn the_table_holds_for_two_processes_on_one_file() {
    let (_folder, section) = fresh();
    cases::the_table_holds(&[section.open().await, section.open().await]).await;
}

#[tokio::test]
async fn the_table_holds_over_restarts() {
    let (_folder, section) = fresh();
    cases::the_table_holds_over_restarts(&section).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_once() {
    let (_folder, section) = fresh();
    let replicas = [section.open().await];
    cases::the_limit_is_exact_at_once(&replicas).await;
    cases::a_request_is_one_use_at_once(&replicas).await;
    cases::crossing_orders_stay_exact(&replicas).await;
}

#[tokio::test]
async fn uses_are_remembered_until_the_grant_expires() {
    let (_folder, section) = fresh();
    cases::uses_are_remembered_until_the_grant_expires(&section.open().await).await;
}

#[tokio::test]
async fn uses_of_the_first_version_count() {
    let (folder, section) = fresh();
    counted(&section.open().await, &Ask::new("old", "old-1").limit(1)).await;
    let database = connect(folder.path());
    database.execute_batch(IN_THE_TABLES).unwrap();
    database.execute_batch("drop table recent").unwrap();
    database.execute_batch(cases::FIRST_VERSION).unwrap();
    drop(database);
    cases::uses_of_the_first_version_count(&section).await;
}

#[tokio::test]
async fn tables_of_somebody_else_are_left_alone() {
    for statement in [
        "create table uses (thing text)",
        "create table uses (grant_window blob primary key, used integer, closes integer)",
    ] {
        let (folder, section) = fresh();
        let database = connect(folder.path());
        database.execute_batch(statement).unwrap();
        let error = section.try_open().await.unwrap_err();
        assert!(matches!(error, CounterError::Tables(TablesError::Foreign)), "{error}");
        let tables = "select count(*) from sqlite_master where type = 'table'";
        let tables: i64 = database.query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1, "{statement}");
    }
}

#[test]
fn the_model_holds() {
    let folder = tempfile::tempdir().unwrap();
    let number = AtomicU32::new(0);
    laws::the_model_holds(48, || {
        let file = format!("{}.db", number.fetch_add(1, Ordering::Relaxed));
        Section::sqlite(&folder.path().join(file))
    });
}

#[test]
fn what_the_disk_lost_is_counted_again() {
    let folder = tempfile::tempdir().unwrap();
    laws::what_the_disk_lost_is_counted_again(48, folder.path());
}

/// Only the newest counts of a long log are held in memory and counted again.
#[tokio::test]
async fn counts_of_long_ago_are_not_counted_again() {
    let (_folder, section) = fresh();
    let mut newest = Newest::new(Duration::from_secs(10));
    for (at, request) in [(0, "1"), (79, "2"), (80, "3"), (150, "4")] {
        let ask = Ask::new(if at < 80 { "old" } else { "new" }, request).at(at);
        newest.see(&recorded(&ask, Release::Counted { used: 2 }));
    }
    let counters = section.try_open_with(newest).await.unwrap();
    let ask = |grant, request| Ask::new(grant, request).limit(2).at(150);
    assert_eq!(counted(&counters, &ask("old", "5")).await, Release::Counted { used: 1 });
    assert_eq!(counted(&counters, &ask("new", "6")).await, Release::Exhausted);
    assert_eq!(counted(&counters, &ask("new", "4")).await, Release::Repeated { times: 2 });
}

#[tokio::test]
async fn no_acknowledged_use_is_lost_when_the_process_is_killed() {
    let (_folder, section) = fresh();
    crash::no_acknowledged_use_is_lost(&section, 20).await;
}

#[tokio::test]
async fn a_missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let section = Section::sqlite(&folder.path().join("none/counters.db"));
    let error = section.try_open().await.unwrap_err();
    assert!(matches!(error, CounterError::Database(_)), "{error}");
    assert!(!folder.path().join("none").exists());
}

/// By the file's own mark, which holds for the superuser too: a reader may read a
/// file whose write version it does not know, and must not write it.
#[tokio::test]
async fn a_database_that_is_read_only_is_an_error() {
    let (folder, section) = fresh();
    assert_eq!(
        counted(&section.open().await, &Ask::new("g", "1")).await,
        Release::Counted { used: 1 }
    );
    let database = connect(folder.path());
    database
        .execute_batch("pragma wal_checkpoint(truncate); pragma journal_mode = delete")
        .unwrap();
    drop(database);
    let file = fs::File::options().write(true).open(folder.path().join("counters.db")).unwrap();
    file.write_all_at(&[9], 18).unwrap();
    let error = match section.try_open().await {
        Ok(counters) => release(&counters, &Ask::new("g", "2")).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, CounterError::Database(_)), "{error}");
}

#[tokio::test]
async fn while_writing_fails_nothing_is_released_and_nothing_counted() {
    let (folder, section) = fresh();
    let counters = section.open().await;
    assert_eq!(counted(&counters, &Ask::new("g", "1")).await, Release::Counted { used: 1 });
    let database = connect(folder.path());
    let full = "create trigger full before insert on recent begin select raise(abort, 'full'); end";
    database.execute_batch(full).unwrap();
    for request in ["2", "3", "1"] {
        let error = release(&counters, &Ask::new("g", request)).await.unwrap_err();
        assert!(matches!(error, CounterError::Database(_)), "{error}");
    }
    database.execute_batch("drop trigger full").unwrap();
    assert_eq!(counted(&counters, &Ask::new("g", "2")).await, Release::Counted { used: 2 });
    assert_eq!(counted(&counters, &Ask::new("g", "1")).await, Release::Repeated { times: 2 });
}

#[tokio::test]
async fn while_another_process_holds_the_file_nothing_is_released() {
    let (folder, section) = fresh();
    let counters = section.open().await;
    let database = connect(folder.path());
    database.execute_batch("begin immediate").unwrap();
    let error = release(&counters, &Ask::new("g", "1")).await.unwrap_err();
    assert!(matches!(error, CounterError::Database(_)), "{error}");
    database.execute_batch("rollback").unwrap();
    assert_eq!(counted(&counters, &Ask::new("g", "1")).await, Release::Counted { used: 1 });
}

/// Counts are taken from the newest into the tables again and again, by both of two
/// processes on one file and with a third one that starts meanwhile; nothing is
/// forgotten and nothing counted twice.
#[tokio::test]
async fn the_newest_counts_go_into_the_tables() {
    let (folder, section) = fresh();
    let two = [section.open().await, section.open().await];
    let grants = ["even", "odd", "third"];
    let mut used = [0; 3];
    for number in 0..1500 {
        let grant = number % 3;
        used[grant] += 1;
        let ask = Ask::new(grants[grant], &format!("r-{number}")).limit(u32::MAX);
        let outcome = counted(&two[number % 2], &ask).await;
        assert_eq!(outcome, Release::Counted { used: used[grant] }, "{number}");
        if number % 100 == 99 {
            // Counted long ago, by the other, and within a minute.
            for old in [0, number / 2, number - 1] {
                let ask = Ask::new(grants[old % 3], &format!("r-{old}")).limit(u32::MAX);
                let outcome = counted(&two[(number + old) % 2], &ask).await;
                let again = matches!(outcome, Release::Repeated { .. } | Release::Conflict);
                assert!(again, "{number}, {old}: {outcome:?}");
            }
            let third = section.open().await;
            let ask = Ask::new("third", "r-2").limit(u32::MAX).items(9);
            assert_eq!(counted(&third, &ask).await, Release::Conflict, "{number}");
        }
    }
    let (newest, releases) = (rows(folder.path(), "recent"), rows(folder.path(), "releases"));
    assert!((1..1500).contains(&newest), "{newest} rows are newest");
    assert!((1000..=1500).contains(&releases), "{releases} releases are in the tables");
    let spent = Ask::new("odd", "last").limit(used[1]);
    assert_eq!(counted(&section.open().await, &spent).await, Release::Exhausted);
}

/// A file that somebody else takes in between two of our counts.
#[tokio::test]
async fn what_another_process_takes_in_is_found_in_the_tables() {
    let (folder, section) = fresh();
    let counters = section.open().await;
    for (number, request) in ["1", "2", "3"].into_iter().enumerate() {
        let outcome = counted(&counters, &Ask::new("g", request).limit(9)).await;
        assert_eq!(outcome, Release::Counted { used: number as u32 + 1 });
        connect(folder.path()).execute_batch(IN_THE_TABLES).unwrap();
        assert_eq!(rows(folder.path(), "recent"), 1);
    }
    assert_eq!(
        counted(&counters, &Ask::new("g", "1").limit(9)).await,
        Release::Repeated { times: 2 }
    );
    assert_eq!(counted(&counters, &Ask::new("g", "4").limit(3)).await, Release::Exhausted);
}
