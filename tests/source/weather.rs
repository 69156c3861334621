//! What can befall a source, in every kind that it can befall: the section says
//! what is wrong, the others go on, and it recovers by itself.

use std::time::Duration;

use tributary::clock;
use tributary::domain::reason::Reason as Stated;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::source::{Held, Holdings};

use crate::kit::proxy::Proxy;
use crate::kit::waiting::{becomes, until};
use crate::shared::{ALL, ask, job, text};
use crate::site::{Kind, Site};
use crate::town::{held, item, numbers, subject};

pub fn failed(status: SectionStatus, reason: Stated) -> Held {
    Held::Failed { status, reason }
}

fn down() -> Held {
    failed(SectionStatus::Unavailable, Stated::SourceDown)
}

/// Asks until an answer comes that is not a failure.
async fn recovered(holdings: &Holdings, items: &[u32]) -> Held {
    let asked = async || ask(holdings, "p1", items).await;
    until("a recovery", asked, |answer| !matches!(answer, Held::Failed { .. })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_comes_back_by_itself() {
    for site in Site::each(Kind::REACHED, "a server that is away").await {
        let kind = site.kind;
        site.put("job", &[job("p1")]).await;
        let mut proxy = Proxy::start(&site.url).await;
        let mapping = site.mapping().replace(&site.url, &proxy.url(&site.url));
        proxy.stop().await;
        let holdings = site.open(&mapping);
        assert_eq!(ask(&holdings, "p1", ALL).await, down(), "{kind:?}");
        proxy.resume().await;
        assert_eq!(held(ask(&holdings, "p1", ALL).await).0.len(), 7, "{kind:?}");
        // Cut and at once back: the connections that were kept are dead.
        proxy.stop().await;
        proxy.resume().await;
        assert_eq!(held(ask(&holdings, "p1", ALL).await).0.len(), 7, "{kind:?}");
        proxy.stop().await;
        assert_eq!(ask(&holdings, "p1", ALL).await, down(), "{kind:?}");
        proxy.resume().await;
        assert_eq!(held(ask(&holdings, "p1", ALL).await).0.len(), 7, "{kind:?}");
        // From now on it accepts and says nothing.
        proxy.freeze();
        let late = failed(SectionStatus::Timeout, Stated::Deadline);
        let (all, soon) = (ALL.iter().map(|number| item(*number)).collect(), clock::now());
        let soon = soon + Duration::from_millis(700);
        assert_eq!(holdings.fetch(&subject("p1"), &all, soon).await, late, "{kind:?}");
        proxy.stop().await;
        proxy.resume().await;
        assert_eq!(held(recovered(&holdings, ALL).await).0.len(), 7, "{kind:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_without_it_and_a_right_one_is_taken_at_once() {
    for site in Site::each(Kind::LOCKED, "a wrong password").await {
        let kind = site.kind;
        site.put("job", &[job("p1")]).await;
        let password = std::fs::read_to_string(site.folder().join("password")).unwrap();
        site.password("hunter2-wrong");
        let holdings = site.holdings();
        assert_eq!(ask(&holdings, "p1", ALL).await, down(), "{kind:?}");
        let said = holdings.check().await.unwrap_err();
        let said = format!("{} {said:?}", said[0]);
        assert!(said.contains("refuses"), "{kind:?}: {said}");
        assert!(!said.contains("hunter2"), "{kind:?}: {said}");
        site.password(password.trim());
        assert_eq!(held(ask(&holdings, "p1", ALL).await).0.len(), 7, "{kind:?}");
        std::fs::remove_file(site.folder().join("password")).unwrap();
        let errors = site.holdings().check().await.unwrap_err();
        assert!(errors[0].to_string().contains("password"), "the file is named: {}", errors[0]);
    }
}

#[tokio::test]
async fn a_column_that_is_dropped_fails_its_query_alone_until_it_is_back() {
    for site in Site::each(Kind::SQL, "a dropped column").await {
        let kind = site.kind;
        site.put("job", &[job("p1")]).await;
        let updated = text("2025-01-15");
        let default = vec![text("p1"), text("2"), None, None, None, updated];
        site.put("defaults", &[default]).await;
        let holdings = site.holdings();
        assert_eq!(held(ask(&holdings, "p1", ALL).await).0.len(), 8, "{kind:?}");
        site.run("alter table job drop column level").await;
        let (items, missing) = held(ask(&holdings, "p1", &[5, 71]).await);
        assert_eq!(items[0].number, item(71), "{kind:?}: the other query goes on");
        assert_eq!(numbers(&missing), [(5, Absence::SourceMissing)], "{kind:?}");
        let schema = failed(SectionStatus::Unavailable, Stated::SourceSchema);
        assert_eq!(ask(&holdings, "p1", &[5]).await, schema, "{kind:?}");
        let errors = holdings.check().await.unwrap_err();
        assert!(errors[0].to_string().contains("level"), "{kind:?}: {}", errors[0]);
        site.run("alter table job add level integer").await;
        site.run("update job set level = 9").await;
        let (items, _) = held(recovered(&holdings, &[5]).await);
        assert_eq!(items.len(), 1, "{kind:?}");
        // The same column in another type: what was prepared no longer fits.
        let other_type = match kind {
            Kind::Postgres => "alter table job alter level type numeric",
            Kind::Mariadb => "alter table job modify level decimal(8,2)",
            _ => "update job set level = 9.0",
        };
        site.run(other_type).await;
        assert_eq!(held(ask(&holdings, "p1", &[5]).await).0.len(), 1, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_hangs_is_ended_and_stops_no_other() {
    for site in Site::each(Kind::SERVERS, "a query that hangs").await {
        let kind = site.kind;
        site.put("job", &[job("p1")]).await;
        let sleep = match kind {
            Kind::Postgres => "(select '1' from pg_sleep(60))",
            _ => "sleep(60)",
        };
        let slow = format!(
            "[[query]]\nname = 'slow'\nsql = '''select person_id, updated_on, null as ended_on, \
             {sleep} as n from job where person_id in {{subjects}}'''\nsubject = 'person_id'\n\
             as_of = 'updated_on'\nended = 'ended_on'\n[query.items]\n'work.default.count' = 'n'\n"
        );
        let source = site.source(&site.url, "statement_timeout = \"500ms\"\npool = 2");
        let holdings = site.open(&format!("{source}{}{slow}", site.query("job")));
        let late = failed(SectionStatus::Timeout, Stated::SourceTimeout);
        for _ in 0..4 {
            // On a slow machine half a second may be too little for the other as well.
            let (items, missing) = held(recovered(&holdings, &[5, 71]).await);
            assert_eq!(items[0].number, item(5), "{kind:?}");
            assert_eq!(numbers(&missing), [(71, Absence::SourceMissing)], "{kind:?}");
        }
        assert_eq!(ask(&holdings, "p1", &[71]).await, late, "{kind:?}");
        // The server ended them as well: none runs on for nobody.
        let running = match kind {
            Kind::Postgres => {
                "select pg_sleep(0.05), count(*) from pg_stat_activity where state = 'active' \
                 and datname = current_database() and query like '%pg_sleep(60)%' \
                 and pid <> pg_backend_pid()"
            }
            _ => {
                "select sleep(0.05), count(*) from information_schema.processlist \
                 where db = database() and info like '%sleep(60)%' and id <> connection_id()"
            }
        };
        let what = format!("{kind:?}: the end of every statement in the server");
        becomes(&what, 0_i64, async || site.number(running).await).await;
    }
}

#[tokio::test]
async fn a_deadline_holds_whatever_the_source_does() {
    for site in Site::each(Kind::REACHED, "a deadline").await {
        let kind = site.kind;
        site.put("job", &[job("p1")]).await;
        let proxy = Proxy::start(&site.url).await;
        proxy.freeze();
        let holdings = site.open(&site.mapping().replace(&site.url, &proxy.url(&site.url)));
        let begun = clock::now();
        let deadline = begun + Duration::from_millis(150);
        let asked = [item(5)].into_iter().collect();
        let answer = holdings.fetch(&subject("p1"), &asked, deadline).await;
        assert_eq!(answer, failed(SectionStatus::Timeout, Stated::Deadline), "{kind:?}");
        // The statement's own limit is a minute.
        assert!(begun.elapsed() < Duration::from_secs(50), "{kind:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_statement_that_writes_or_cannot_be_computed_is_refused() {
    for site in Site::each(Kind::SERVERS, "a statement that writes").await {
        let kind = site.kind;
        site.put("job", &[job("p1"), job("p2")]).await;
        // By the account that may do everything: the session alone stands before it.
        let write = match kind {
            Kind::Postgres => {
                "create function spoil() returns text language plpgsql volatile as \
                 $$ begin delete from job; return '1'; end $$"
            }
            _ => {
                "create function spoil() returns text deterministic modifies sql data \
                 begin delete from job; return '1'; end"
            }
        };
        site.run(write).await;
        let level = |what: &str| {
            format!(
                "[[query]]\nname = 'level'\nsql = '''select person_id, updated_on, {what} as level \
                 from job where person_id in {{subjects}}'''\nsubject = 'person_id'\n\
                 as_of = 'updated_on'\n[query.items]\n'work.job.level' = 'level'\n"
            )
        };
        let source =
            format!("[source.sql]\nurl = \"{}\"\naccount_may_write = true\n", site.owner_url());
        let holdings = site.open(&(source.clone() + &level("spoil()")));
        let answer = ask(&holdings, "p1", &[5]).await;
        assert_eq!(answer, failed(SectionStatus::Unavailable, Stated::SourceSchema), "{kind:?}");
        assert_eq!(site.number("select 1, count(*) from job").await, 2, "{kind:?}");
        // One person's row cannot be computed; the other's can.
        if kind == Kind::Postgres {
            let broken = level("1 / (case person_id when 'p1' then 0 else 1 end)");
            let holdings = site.open(&(source + &broken));
            let (one, other) = tokio::join!(ask(&holdings, "p1", &[5]), ask(&holdings, "p2", &[5]));
            assert_eq!(one, failed(SectionStatus::Invalid, Stated::SourceInvalid));
            assert_eq!(held(other).0.len(), 1);
        }
    }
}
