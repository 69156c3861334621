//! Tests of [`super`].

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::clock;

/// A pool over a new database with one table.
async fn pool(folder: &std::path::Path) -> Pool {
    let path = folder.join("x.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute("create table t (a integer)").await.unwrap();
    Pool::new(&path, 1, 10, Duration::from_secs(1))
}

#[tokio::test]
async fn a_connection_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    let mut lease = pool.lease(clock::now() + Duration::from_secs(5)).await.unwrap();
    for statement in ["insert into t values (1)", "create table u (a)", "drop table t"] {
        let refused = lease.connection().execute(statement).await.unwrap_err();
        assert_eq!(fault(&refused).reason, Reason::Schema, "{refused}");
    }
}

#[tokio::test]
async fn a_statement_past_its_deadline_is_stopped_inside_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    let mut lease = pool.lease(clock::now() + Duration::from_secs(1)).await.unwrap();
    let endless =
        "with recursive c(n) as (select 1 union all select n + 1 from c) select max(n) from c";
    let running = lease.connection().execute(endless);
    let ended = tokio::time::timeout(Duration::from_secs(90), running).await;
    let stopped = ended.expect("the statement runs on").unwrap_err();
    assert_eq!(fault(&stopped).reason, Reason::Timeout);
}

#[tokio::test]
async fn a_replaced_file_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    let until = clock::now() + Duration::from_secs(5);
    pool.lease(until).await.unwrap().keep();
    std::fs::rename(folder.path().join("x.db"), folder.path().join("old.db")).unwrap();
    let gone = pool.lease(until).await.err().unwrap();
    assert_eq!(gone.reason, Reason::Down);
    let path = folder.path().join("x.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    options.connect().await.unwrap().execute("create table fresh (a)").await.unwrap();
    let mut lease = pool.lease(until).await.unwrap();
    lease.connection().execute("select a from fresh").await.unwrap();
}

#[tokio::test]
async fn a_connection_is_used_again_unless_its_statement_failed() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    let until = clock::now() + Duration::from_secs(5);
    let mut lease = pool.lease(until).await.unwrap();
    // A setting of the connection shows which one it is.
    lease.connection().execute("pragma cache_size = 77").await.unwrap();
    lease.keep();
    let mut lease = pool.lease(until).await.unwrap();
    assert_eq!(cache_size(&mut lease).await, 77);
    drop(lease);
    assert_ne!(cache_size(&mut pool.lease(until).await.unwrap()).await, 77);
}

async fn cache_size(lease: &mut crate::source::pool::Lease<'_>) -> i64 {
    sqlx::query_scalar("pragma cache_size").fetch_one(lease.connection()).await.unwrap()
}
