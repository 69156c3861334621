//! PostgreSQL: the cases of every database, several replicas, and a server that
//! goes away. Without TRIBUTARY_TEST_POSTGRES each test says that it is skipped;
//! `scripts/test-postgres` gives one.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tributary::clock;
use tributary::domain::audit::Record;
use tributary::store::frequency::{CounterError, Counters, Recount, Release, TablesError};

use super::support::{Ask, Section, counted, everything, recorded, release, start};
use super::{cases, crash, laws};
use crate::kit::proxy::Proxy;

const SERVER: &str = "TRIBUTARY_TEST_POSTGRES";

/// The server's address, or a line that says that a test is skipped.
pub fn server(test: &str) -> Option<String> {
    let server = std::env::var(SERVER).ok();
    if server.is_none() {
        // Past the harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {SERVER} is not set");
    }
    server
}

/// A database of its own on the server, by its address.
pub async fn fresh(server: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("counters_{}_{number}", std::process::id());
    let mut connection = PgConnection::connect(server).await.unwrap();
    // From the template that nobody is connected to.
    let statement = format!("create database {name} template template0");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (host, _) = server.rsplit_once('/').unwrap();
    format!("{host}/{name}")
}

async fn run(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn number(url: &str, statement: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let number = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

async fn replicas(section: &Section) -> [Counters; 3] {
    // All at once: each finds that there are no tables.
    tokio::join!(section.open(), section.open(), section.open()).into()
}

#[tokio::test]
async fn the_table_holds() {
    let Some(server) = server("the_table_holds") else { return };
    let section = Section::postgres(&fresh(&server).await);
    cases::the_table_holds(&[section.open().await]).await;
}

#[tokio::test]
async fn the_table_holds_for_replicas() {
    let Some(server) = server("the_table_holds_for_replicas") else { return };
    let section = Section::postgres(&fresh(&server).await);
    cases::the_table_holds(&replicas(&section).await).await;
}

#[tokio::test]
async fn the_table_holds_over_restarts() {
    let Some(server) = server("the_table_holds_over_restarts") else { return };
    let section = Section::postgres(&fresh(&server).await);
    cases::the_table_holds_over_restarts(&section).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_once_on_replicas() {
    let Some(server) = server("at_once_on_replicas") else { return };
    let url = fresh(&server).await;
    let replicas = replicas(&Section::postgres(&url)).await;
    cases::the_limit_is_exact_at_once(&replicas).await;
    cases::a_request_is_one_use_at_once(&replicas).await;
    cases::crossing_orders_stay_exact(&replicas).await;
    let left = "select (select count(*) from uses where used = 0) \
                + (select count(*) from releases where times = 0)";
    assert_eq!(number(&url, left).await, 0, "rows that were not needed are left");
}

#[tokio::test]
async fn uses_are_remembered_until_the_grant_expires() {
    let Some(server) = server("uses_are_remembered") else { return };
    let section = Section::postgres(&fresh(&server).await);
    cases::uses_are_remembered_until_the_grant_expires(&section.open().await).await;
}

#[tokio::test]
async fn uses_of_the_first_version_count() {
    let Some(server) = server("uses_of_the_first_version_count") else { return };
    let url = fresh(&server).await;
    let section = Section::postgres(&url);
    counted(&section.open().await, &Ask::new("old", "old-1").limit(1)).await;
    run(&url, cases::FIRST_VERSION).await;
    drop(replicas(&section).await);
    cases::uses_of_the_first_version_count(&section).await;
}

/// Whoever may not change the tables is told what their owner must do; afterwards
/// the same account goes on.
#[tokio::test]
async fn tables_of_the_first_version_that_another_account_owns() {
    let Some(server) = server("tables_of_the_first_version") else { return };
    let url = fresh(&server).await;
    counted(&Section::postgres(&url).open().await, &Ask::new("old", "old-1").limit(1)).await;
    run(&url, cases::FIRST_VERSION).await;
    // Roles are the server's, not the database's.
    let name = format!("agency_{}", std::process::id());
    let rights = format!(
        "create role {name} login password 'ruddy-duck'; \
         grant select, insert, update, delete on uses, releases to {name}"
    );
    let mut owner = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(rights)).execute(&mut owner).await.unwrap();
    let (_, host) = url.rsplit_once('@').unwrap();
    let section = Section::postgres(&format!("postgres://{name}:ruddy-duck@{host}"));
    let error = section.try_open().await.unwrap_err();
    assert!(matches!(error, CounterError::Tables(TablesError::Older)), "{error}");
    let message = error.to_string();
    let (_, remedy) = message.rsplit_once("run: ").unwrap();
    sqlx::raw_sql(AssertSqlSafe(remedy.to_owned())).execute(&mut owner).await.unwrap();
    cases::uses_of_the_first_version_count(&section).await;
    let away = format!("drop owned by {name}; drop role {name}");
    sqlx::raw_sql(AssertSqlSafe(away)).execute(&mut owner).await.unwrap();
}

#[tokio::test]
async fn tables_of_somebody_else_are_left_alone() {
    let Some(server) = server("tables_of_somebody_else") else { return };
    let url = fresh(&server).await;
    run(&url, "create table uses (thing text)").await;
    let error = Section::postgres(&url).try_open().await.unwrap_err();
    assert!(matches!(error, CounterError::Tables(TablesError::Foreign)), "{error}");
    let releases = "select count(*) from pg_class where relname = 'releases'";
    assert_eq!(number(&url, releases).await, 0);
}

#[test]
fn the_model_holds_on_replicas() {
    let Some(server) = server("the_model_holds_on_replicas") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    laws::the_model_holds(24, || Section::postgres(&runtime.block_on(fresh(&server))));
}

#[tokio::test]
async fn no_acknowledged_use_is_lost_when_the_process_is_killed() {
    let Some(server) = server("no_acknowledged_use_is_lost") else { return };
    crash::no_acknowledged_use_is_lost(&Section::postgres(&fresh(&server).await), 20).await;
}

#[tokio::test]
async fn while_the_server_is_away_nothing_is_released_and_then_it_goes_on() {
    let Some(server) = server("while_the_server_is_away") else { return };
    let url = fresh(&server).await;
    let mut proxy = Proxy::start(&url).await;
    let counters = Section::postgres(&proxy.url(&url)).open().await;
    assert_eq!(counted(&counters, &Ask::new("g", "1")).await, Release::Counted { used: 1 });
    proxy.stop().await;
    for request in ["2", "3", "1"] {
        let error = release(&counters, &Ask::new("g", request)).await.unwrap_err();
        assert!(matches!(error, CounterError::Database(_)), "{error}");
    }
    proxy.resume().await;
    assert_eq!(counted(&counters, &Ask::new("g", "2")).await, Release::Counted { used: 2 });
    assert_eq!(counted(&counters, &Ask::new("g", "1")).await, Release::Repeated { times: 2 });
    assert_eq!(counted(&counters, &Ask::new("g", "3")).await, Release::Exhausted);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let Some(server) = server("a_server_that_says_nothing") else { return };
    let url = fresh(&server).await;
    let mut proxy = Proxy::start(&url).await;
    let counters = Section::postgres(&proxy.url(&url)).open().await;
    proxy.freeze();
    let start = clock::now();
    let error = release(&counters, &Ask::new("g", "1")).await.unwrap_err();
    assert!(matches!(error, CounterError::Timeout), "{error}");
    // The caller would wait for a minute and a half.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    proxy.stop().await;
    proxy.resume().await;
    assert_eq!(counted(&counters, &Ask::new("g", "2")).await, Release::Counted { used: 1 });
}

#[tokio::test]
async fn a_connection_that_died_meanwhile_costs_nobody_a_use() {
    let Some(server) = server("a_connection_that_died") else { return };
    let url = fresh(&server).await;
    let counters = Section::postgres(&url).open().await;
    assert_eq!(counted(&counters, &Ask::new("g", "1")).await, Release::Counted { used: 1 });
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where datname = current_database() and application_name = 'tributary-counters'";
    assert_eq!(number(&url, ended).await, 1);
    assert_eq!(counted(&counters, &Ask::new("g", "2")).await, Release::Counted { used: 2 });
    assert_eq!(counted(&counters, &Ask::new("g", "3")).await, Release::Exhausted);
}

#[tokio::test]
async fn a_lock_is_waited_for_and_not_for_ever() {
    let Some(server) = server("a_lock_is_waited_for") else { return };
    let url = fresh(&server).await;
    let counters = Section::postgres(&url).open().await;
    counted(&counters, &Ask::new("g", "1")).await;
    let mut holder = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("begin; lock table uses").execute(&mut holder).await.unwrap();
    let start = clock::now();
    let error = release(&counters, &Ask::new("g", "2")).await.unwrap_err();
    assert!(matches!(error, CounterError::Database(_)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    assert_eq!(counted(&counters, &Ask::new("g", "2")).await, Release::Counted { used: 2 });
}

#[tokio::test]
async fn while_writing_fails_nothing_is_released_and_nothing_counted() {
    let Some(server) = server("while_writing_fails") else { return };
    let url = fresh(&server).await;
    let counters = Section::postgres(&url).open().await;
    run(
        &url,
        "create function full_disk() returns trigger language plpgsql as \
         $$ begin raise 'full'; end $$; \
         create trigger full_disk before update on releases \
         for each row execute function full_disk()",
    )
    .await;
    let error = release(&counters, &Ask::new("g", "1")).await.unwrap_err();
    assert!(matches!(error, CounterError::Database(_)), "{error}");
    assert_eq!(number(&url, "select count(*) from uses").await, 0);
    run(&url, "drop trigger full_disk on releases").await;
    assert_eq!(counted(&counters, &Ask::new("g", "1")).await, Release::Counted { used: 1 });
}

const CHILD: &str = "TRIBUTARY_TEST_PASSWORD_CHILD";

/// Not a test of its own: a process that has the password in its environment.
#[tokio::test]
async fn password_child() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let outcome = counted(&Section::postgres(&url).open().await, &Ask::new("g", "1")).await;
    println!("{outcome:?}");
}

#[tokio::test]
async fn the_password_may_come_from_the_environment() {
    let Some(server) = server("the_password_may_come_from_the_environment") else { return };
    let url = fresh(&server).await;
    let (user, host) = url.rsplit_once('@').unwrap();
    let (user, password) = user.rsplit_once(':').unwrap();
    let child = |password: &str| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["frequency::postgres::password_child", "--exact", "--nocapture"])
            .env(CHILD, format!("{user}@{host}"))
            .env("PGPASSWORD", password)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let said = child("ruddy-duck");
    assert!(said.contains("password authentication failed") && !said.contains("ruddy"), "{said}");
    let said = child(password);
    assert!(said.contains("Counted { used: 1 }") && !said.contains(password), "{said}");
}

#[tokio::test]
async fn an_error_never_says_the_password() {
    let Some(server) = server("an_error_never_says_the_password") else { return };
    let (_, host) = server.rsplit_once('@').unwrap();
    let section = Section::postgres(&format!("postgres://tributary:ruddy-duck@{host}"));
    let error = section.try_open().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("ruddy"), "{error:?}");
}

/// Two replicas, each with a log of its own, and their database is lost: whichever starts first
/// gives back what its log has, and the other one's start the rest. Counting again from both
/// logs then finds nothing to add.
#[tokio::test]
async fn a_lost_database_is_counted_again_from_the_logs_of_all_replicas() {
    let Some(server) = server("a_lost_database_is_counted_again") else { return };
    let section = Section::postgres(&fresh(&server).await);
    let replicas = [section.open().await, section.open().await];
    let mut logs = [Vec::new(), Vec::new()];
    for number in 0..5_usize {
        let ask = Ask::new("shared", &format!("request-{number}")).limit(9);
        let outcome = counted(&replicas[number % 2], &ask).await;
        logs[number % 2].push(recorded(&ask, outcome));
    }
    let last = Ask::new("alone", "request-5").limit(1);
    logs[1].push(recorded(&last, counted(&replicas[1], &last).await));
    drop(replicas);

    let url = fresh(&server).await;
    let section = Section::postgres(&url);
    let none = Counters::hold_nothing(&section.config(), Path::new("/")).await.unwrap();
    assert!(none);
    let own = |log: &[Record]| {
        let mut own = Recount::at_start(Duration::from_secs(10), start());
        log.iter().for_each(|record| own.see(record));
        own
    };
    let first = section.try_open_with(own(&logs[0])).await.unwrap();
    let ask = |grant, request| Ask::new(grant, request).limit(6);
    assert_eq!(counted(&first, &ask("shared", "one more")).await, Release::Counted { used: 6 });
    let second = section.try_open_with(own(&logs[1])).await.unwrap();
    assert_eq!(counted(&second, &ask("shared", "and another")).await, Release::Exhausted);
    assert_eq!(counted(&first, &ask("alone", "again").limit(1)).await, Release::Exhausted);
    assert_eq!(section.count_again(everything(logs.iter().flatten())).await, 0);
    assert!(!Counters::hold_nothing(&section.config(), Path::new("/")).await.unwrap());

    let elsewhere = Section::postgres(&fresh(&server).await);
    assert_eq!(elsewhere.count_again(everything(logs.iter().flatten())).await, 2);
    let counters = elsewhere.open().await;
    assert_eq!(counted(&counters, &ask("shared", "6")).await, Release::Counted { used: 6 });
}
