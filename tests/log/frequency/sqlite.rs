//! SQLite: the cases of every database, and what can happen to a file.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tributary::domain::audit::{Decision, Record};
use tributary::domain::reason::Reason;
use tributary::store::frequency::{CounterError, Counters, Recount, Release, TablesError};

use super::support::{Ask, Section, counted, everything, recorded, release, start};
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

#[test]
fn no_use_is_given_back_whatever_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    laws::no_use_is_given_back_whatever_is_lost(48, folder.path());
}

/// Of a long log every use of a grant that may still be used is counted again, and the newest
/// requests alone are remembered.
#[tokio::test]
async fn uses_of_long_ago_are_counted_again_and_their_requests_forgotten() {
    let (_folder, section) = fresh();
    let mut own = Recount::at_start(Duration::from_secs(10), start());
    let over = -8 * 86_400;
    for (grant, at, request) in
        [("over", 0, "0"), ("old", 0, "1"), ("old", 79, "2"), ("new", 80, "3"), ("new", 150, "4")]
    {
        let expires = if grant == "over" { over } else { 86_400 };
        let ask = Ask::new(grant, request).at(at).expires(expires);
        own.see(&recorded(&ask, Release::Counted { used: 2 }));
    }
    assert_eq!((own.records(), own.windows()), (5, 2));
    let counters = section.try_open_with(own).await.unwrap();
    let ask = |grant, request| Ask::new(grant, request).limit(2).at(150);
    assert_eq!(counted(&counters, &ask("old", "5")).await, Release::Exhausted);
    assert_eq!(counted(&counters, &ask("old", "1").limit(3)).await, Release::Counted { used: 3 });
    assert_eq!(counted(&counters, &ask("over", "0")).await, Release::Counted { used: 1 });
    assert_eq!(counted(&counters, &ask("new", "6")).await, Release::Exhausted);
    assert_eq!(counted(&counters, &ask("new", "4")).await, Release::Repeated { times: 2 });
}

/// Counters that were begun anew counted from one: what both lots of records have adds up, and
/// what was taken back is one use.
#[tokio::test]
async fn uses_that_were_counted_from_one_again_add_up() {
    let (_folder, section) = fresh();
    let mut records = Vec::new();
    for (number, used) in [(0, 1), (1, 2), (2, 3), (3, 1), (4, 2)] {
        let ask = Ask::new("twice", &format!("request-{number}"));
        records.push(recorded(&ask, Release::Counted { used }));
    }
    let mut back = records[4].clone();
    if let Record::Section(section) = &mut back {
        section.decision = Decision::Withheld(Reason::GrantRevoked.into());
    }
    records.push(back);
    assert_eq!(section.count_again(everything(&records)).await, 1);
    assert_eq!(section.count_again(everything(&records)).await, 0, "once is enough");
    let counters = section.open().await;
    let ask = |request| Ask::new("twice", request).limit(6);
    assert_eq!(counted(&counters, &ask("one more")).await, Release::Counted { used: 6 });
    assert_eq!(counted(&counters, &ask("and another")).await, Release::Exhausted);
}

/// Counters are new until something was counted in them, or counted again.
#[tokio::test]
async fn counters_are_new_until_something_is_counted() {
    let (folder, section) = fresh();
    let none = async || Counters::hold_nothing(&section.config(), Path::new("/")).await.unwrap();
    assert!(none().await);
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "looking makes nothing");
    drop(section.open().await);
    assert!(none().await);
    section.count_again(everything(&[])).await;
    assert!(!none().await);
    let (_folder, section) = fresh();
    counted(&section.open().await, &Ask::new("a", "1")).await;
    assert!(!Counters::hold_nothing(&section.config(), Path::new("/")).await.unwrap());
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
