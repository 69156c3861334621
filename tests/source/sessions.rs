//! What a session is taken to keep, and what becomes of it: poolers that give it to
//! others, servers that end it, limits and rights of its account.

use std::net::SocketAddr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tributary::domain::reason::Reason;
use tributary::domain::section::SectionStatus;
use tributary::domain::value::Value;
use tributary::source::{Held, Holdings};

use crate::kit::waiting::{becomes, until};
use crate::pooler::Pooler;
use crate::shared::ask;
use crate::site::{Kind, Site};
use crate::town::{held, level_from};

/// A query of levels and one of tenures, of one shape over two tables.
const QUERIES: &str = "
[[query]]
name = 'levels'
sql = 'select person_id, updated_on, n from levels where person_id in {subjects}'
subject = 'person_id'
as_of = 'updated_on'
[query.items]
'work.job.level' = 'n'

[[query]]
name = 'tenures'
sql = 'select person_id, updated_on, n from tenures where person_id in {subjects}'
subject = 'person_id'
as_of = 'updated_on'
[query.items]
'work.job.tenure_months' = 'n'
";

async fn two_tables(site: &Site) {
    for (table, value) in [("levels", 7), ("tenures", 360)] {
        site.run(&format!(
            "create table {table} (person_id varchar(20) primary key, updated_on date, n int)"
        ))
        .await;
        site.run(&format!("insert into {table} values ('p1', '2025-01-15', {value})")).await;
        site.let_read(table).await;
    }
}

fn authority(url: &str) -> SocketAddr {
    let (_, rest) = url.rsplit_once('@').unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

fn value(held_now: Held) -> Value {
    let (items, missing) = held(held_now);
    assert!(items.len() == 1 && missing.is_empty(), "{items:?} {missing:?}");
    *items[0].value.expose()
}

fn schema() -> Held {
    Held::Failed { status: SectionStatus::Unavailable, reason: Reason::SourceSchema }
}

/// Another client of a pooler, which knows no parameter that the pooler must overlook.
async fn client(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.extra_float_digits(None).connect().await.unwrap()
}

/// Many questions at once, of both queries.
async fn all_are_right(holdings: &Holdings, what: &str) {
    for round in 0..20 {
        let asking = (0..12).map(|at| async move {
            let (item, right) = [(5, Value::Integer(7)), (70, Value::Months(360))][at % 2];
            (value(ask(holdings, "p1", &[item]).await), right)
        });
        for (found, right) in futures_util::future::join_all(asking).await {
            assert_eq!(found, right, "{what}, round {round}");
        }
    }
}

/// Settings that another client of the pooler sees.
async fn seen(other: &mut PgConnection) -> Vec<String> {
    let settings =
        ["statement_timeout", "transaction_read_only", "row_security", "timezone", "search_path"];
    let settings = settings.map(|setting| format!("current_setting('{setting}')"));
    let text = format!("select concat_ws(' ', {}) as seen", settings.join(", "));
    let row = other.fetch_one(sqlx::raw_sql(AssertSqlSafe(text))).await.unwrap();
    let prepared = "select count(*)::text from pg_prepared_statements";
    let prepared = other.fetch_one(sqlx::raw_sql(prepared)).await.unwrap();
    vec![row.get(0), prepared.get(0)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_nothing_is_mixed_and_nothing_stays_in_its_sessions() {
    for mode in ["transaction", "session"] {
        let what = format!("pgbouncer in {mode} mode");
        let Some(site) = Site::new(Kind::Postgres, &what).await else { return };
        two_tables(&site).await;
        let server = authority(&site.url);
        let password = std::fs::read_to_string(site.folder().join("password")).unwrap();
        let (_, account) = site.url.rsplit_once('/').unwrap();
        let size = if mode == "transaction" { 2 } else { 8 };
        let accounts = [(account, password.trim())];
        let Some(pooler) = Pooler::start((mode, size), server, &accounts, &what).await else {
            return;
        };
        let pooled = pooler.address().to_string();
        let url = site.url.replace(&server.to_string(), &pooled);
        let mut other = client(&url).await;
        let before = seen(&mut other).await;
        let holdings = site.open(&(site.source(&url, "statement_timeout = \"60s\"") + QUERIES));
        holdings.check().await.unwrap();
        all_are_right(&holdings, &what).await;
        for _ in 0..8 {
            assert_eq!(seen(&mut other).await, before, "{what}");
        }
        other.close().await.unwrap();
    }
}

/// A pooler's other client leaves its session where names lead elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_client_left_in_a_poolers_session_leads_nowhere_else() {
    const WHAT: &str = "another client's settings";
    let Some(site) = Site::new(Kind::Postgres, WHAT).await else { return };
    two_tables(&site).await;
    let (_, account) = site.url.rsplit_once('/').unwrap();
    site.run("create schema elsewhere").await;
    site.run("create table elsewhere.levels as select person_id, updated_on, 3 as n from levels")
        .await;
    site.run(&format!("grant usage on schema elsewhere to {account}")).await;
    site.run(&format!("grant select on elsewhere.levels to {account}")).await;
    let server = authority(&site.url);
    let password = std::fs::read_to_string(site.folder().join("password")).unwrap();
    let accounts = [(account, password.trim())];
    let Some(pooler) = Pooler::start(("transaction", 1), server, &accounts, WHAT).await else {
        return;
    };
    let url = site.url.replace(&server.to_string(), &pooler.address().to_string());
    let mut other = client(&url).await;
    other.execute("set search_path = elsewhere").await.unwrap();
    let row = other.fetch_one(sqlx::raw_sql("select n from levels")).await.unwrap();
    assert_eq!(row.try_get_raw(0).unwrap().as_str().unwrap(), "3", "the session is led elsewhere");
    let holdings = site.open(&(site.source(&url, "statement_timeout = \"60s\"") + QUERIES));
    assert_eq!(value(ask(&holdings, "p1", &[5]).await), Value::Integer(7));
}

#[tokio::test]
async fn rows_that_are_hidden_from_the_account_are_no_people_without_a_record() {
    const WHAT: &str = "row-level security";
    let Some(site) = Site::new(Kind::Postgres, WHAT).await else { return };
    two_tables(&site).await;
    site.run("alter table levels enable row level security").await;
    let holdings = site.open(&(site.source(&site.url, "") + QUERIES));
    assert_eq!(ask(&holdings, "p1", &[5]).await, schema());
    assert_eq!(value(ask(&holdings, "p1", &[70]).await), Value::Months(360));
    let said = holdings.check().await.unwrap_err();
    assert!(said[0].to_string().contains("row_security = \"meant\""), "{}", said[0]);
    // Where it is meant, what the policy shows is all there is.
    let meant = site.source(&site.url, "row_security = \"meant\"") + QUERIES;
    assert_eq!(ask(&site.open(&meant), "p1", &[5]).await, Held::NoRecord);
    site.run("create policy ours on levels using (person_id = 'p1')").await;
    assert_eq!(value(ask(&site.open(&meant), "p1", &[5]).await), Value::Integer(7));
    assert_eq!(
        ask(&site.open(&(site.source(&site.url, "") + QUERIES)), "p1", &[5]).await,
        schema()
    );
}

#[tokio::test]
async fn a_stricter_limit_of_the_account_stays_in_force() {
    for site in Site::each(Kind::SERVERS, "an account's own limit").await {
        let kind = site.kind;
        two_tables(&site).await;
        let account = site.url.rsplit_once('/').unwrap().1;
        // What the session's limit is, in tenths of a second.
        let (limit, changes) = match kind {
            Kind::Postgres => (
                "(extract(epoch from current_setting('statement_timeout')::interval) * 10)::int",
                [
                    format!("alter role {account} set statement_timeout = '700ms'"),
                    format!("alter role {account} set statement_timeout = '70s'"),
                    format!("alter role {account} reset statement_timeout"),
                ],
            ),
            _ => (
                "cast(@@max_statement_time * 10 as signed)",
                [0.7, 70.0, 0.0].map(|limit| {
                    format!("alter user {account}@127.0.0.1 with max_statement_time {limit}")
                }),
            ),
        };
        let query = level_from(&format!(
            "select person_id, updated_on, {limit} as level from levels where person_id in {{subjects}}"
        ));
        let mapping = site.source(&site.url, "statement_timeout = \"2s\"") + &query;
        for (change, tenths) in changes.iter().zip([7, 20, 20]) {
            site.run(change).await;
            let holdings = site.open(&mapping);
            // A machine that is busy may need longer than the limit.
            let asked = async || ask(&holdings, "p1", &[5]).await;
            let answer =
                until("an answer in time", asked, |held| !matches!(held, Held::Failed { .. }))
                    .await;
            assert_eq!(value(answer), Value::Integer(tenths), "{kind:?}: {change}");
        }
    }
}

#[tokio::test]
async fn a_session_that_the_server_ended_costs_no_section() {
    for site in Site::each(Kind::SERVERS, "sessions that were ended").await {
        let kind = site.kind;
        two_tables(&site).await;
        let account = site.url.rsplit_once('/').unwrap().1.to_owned();
        let (others, end) = match kind {
            Kind::Postgres => (
                format!("select 1, count(*) from pg_stat_activity where usename = '{account}'"),
                format!(
                    "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{account}'"
                ),
            ),
            _ => (
                format!(
                    "select 1, count(*) from information_schema.processlist where user = '{account}'"
                ),
                format!("kill connection user {account}@127.0.0.1"),
            ),
        };
        let mapping = site.source(&site.url, "statement_timeout = \"60s\"") + QUERIES;
        let holdings = site.open(&mapping);
        for _ in 0..4 {
            assert_eq!(value(ask(&holdings, "p1", &[5]).await), Value::Integer(7), "{kind:?}");
            site.run(&end).await;
            becomes("the end of its sessions", 0, async || site.number(&others).await).await;
        }
        // By itself, since nothing was asked for a while.
        let idle = match kind {
            Kind::Postgres => format!("alter role {account} set idle_session_timeout = '50ms'"),
            _ => "set global wait_timeout = 1".to_owned(),
        };
        site.run(&idle).await;
        let holdings = site.open(&mapping);
        for _ in 0..2 {
            assert_eq!(value(ask(&holdings, "p1", &[5]).await), Value::Integer(7), "{kind:?}");
            becomes("the end of an idle session", 0, async || site.number(&others).await).await;
        }
        assert_eq!(value(ask(&holdings, "p1", &[5]).await), Value::Integer(7), "{kind:?}");
        if kind == Kind::Mariadb {
            site.run("set global wait_timeout = 28800").await;
        }
        let failed: u64 = holdings.counts().iter().map(|query| query.failed).sum();
        assert_eq!(failed, 0, "{kind:?}");
    }
}

#[tokio::test]
async fn an_account_that_can_write_is_asked_nothing_unless_that_is_stated() {
    for site in Site::each(Kind::SERVERS, "an account that can write").await {
        let kind = site.kind;
        two_tables(&site).await;
        let account = site.url.rsplit_once('/').unwrap().1;
        let to = if kind == Kind::Postgres {
            account.to_owned()
        } else {
            format!("{account}@127.0.0.1")
        };
        site.run(&format!("grant update on levels to {to}")).await;
        let holdings = site.open(&(site.source(&site.url, "") + QUERIES));
        assert_eq!(ask(&holdings, "p1", &[5]).await, schema(), "{kind:?}");
        let rights = holdings.writable().await.unwrap().unwrap();
        assert!(rights.contains("levels"), "{kind:?}: {rights}");
        let stated = site.source(&site.url, "account_may_write = true") + QUERIES;
        let answer = ask(&site.open(&stated), "p1", &[5]).await;
        assert_eq!(value(answer), Value::Integer(7), "{kind:?}");
        site.run(&format!("revoke update on levels from {to}")).await;
        // Looked at again: a right that was taken back takes nothing but a question.
        assert_eq!(value(ask(&holdings, "p1", &[5]).await), Value::Integer(7), "{kind:?}");
    }
}

#[tokio::test]
async fn a_statement_that_cannot_be_a_part_is_asked_in_a_session_of_its_own() {
    for site in Site::each(Kind::SQL, "a statement of its own").await {
        let kind = site.kind;
        two_tables(&site).await;
        // Two columns of one name, which no part of a statement may have on MySQL.
        let text = "select l.person_id, l.updated_on, l.n as level, t.n as level from levels l \
                    join tenures t on t.person_id = l.person_id where l.person_id in {subjects}";
        let query = level_from(text);
        let own = query.replace("subject =", "wrapped = false\nsubject =");
        let holdings = site.open(&(site.source(&site.url, "") + &own));
        holdings.check().await.unwrap();
        for _ in 0..3 {
            assert_eq!(value(ask(&holdings, "p1", &[5]).await), Value::Integer(7), "{kind:?}");
            assert_eq!(ask(&holdings, "nobody", &[5]).await, Held::NoRecord, "{kind:?}");
        }
        if kind == Kind::Mariadb {
            let holdings = site.open(&(site.source(&site.url, "") + &query));
            assert_eq!(ask(&holdings, "p1", &[5]).await, schema());
        }
        let missing = own.replace("= 'level'", "= 'nowhere'");
        let holdings = site.open(&(site.source(&site.url, "") + &missing));
        assert_eq!(ask(&holdings, "p1", &[5]).await, schema(), "{kind:?}");
        assert!(holdings.check().await.unwrap_err()[0].to_string().contains("nowhere"), "{kind:?}");
    }
}

#[tokio::test]
async fn an_account_of_a_kind_that_the_driver_lacks_is_named() {
    const WHAT: &str = "an account of MariaDB's kind ed25519";
    let Some(site) = Site::new(Kind::Mariadb, WHAT).await else { return };
    two_tables(&site).await;
    site.run("install plugin if not exists ed25519 soname 'auth_ed25519'").await;
    let account = site.url.rsplit_once('/').unwrap().1;
    let kind = "identified via ed25519 using password('synthetic-word')";
    site.run(&format!("alter user {account}@127.0.0.1 {kind}")).await;
    let holdings = site.open(&(site.source(&site.url, "") + QUERIES));
    let down = Held::Failed { status: SectionStatus::Unavailable, reason: Reason::SourceDown };
    assert_eq!(ask(&holdings, "p1", &[5]).await, down);
    let said = holdings.check().await.unwrap_err()[0].to_string();
    assert!(said.contains("`client_ed25519`") && said.contains("alter user"), "{said}");
}
