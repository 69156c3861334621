//! The law of statements that do not mix: for questions by chance, through a proxy that
//! swaps, repeats, cuts, delays and resets answers, and poolers with few connections,
//! every outcome is what the database holds, or says that there is none and why.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rust_decimal::Decimal;
use time::Date;
use time::macros::date;
use tributary::clock;
use tributary::domain::item::ItemSet;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::domain::value::Value;
use tributary::source::{Held, Holdings};

use crate::mixing::{Chance, Mixing};
use crate::pooler::Pooler;
use crate::site::{Kind, Site};
use crate::town::{item, subject};
use crate::wire::Protocol;

/// Questions, half of them to each server.
const QUESTIONS: usize = 20_000;
const PEOPLE: usize = 200;
/// Some of whom nothing is recorded anywhere.
const ASKED_ABOUT: usize = 220;
const ASKERS: usize = 32;

/// Three tables of one shape. What one holds is no value of another, or another one;
/// the last is of a type whose bytes are as many as those of the first.
const TABLES: [(&str, u32, &str, Date, &str); 3] = [
    ("levels", 5, "work.job.level", date!(2025 - 01 - 15), "int"),
    ("tenures", 70, "work.job.tenure_months", date!(2025 - 02 - 15), "int"),
    ("shares", 6, "work.job.share", date!(2025 - 03 - 15), "real"),
];

/// What the database holds.
fn model(person: usize, item: u32) -> Option<Value> {
    if person >= PEOPLE {
        return None;
    }
    let number = i64::try_from(person).unwrap();
    match item {
        5 if !person.is_multiple_of(5) => Some(Value::Integer(number % 21)),
        70 if !person.is_multiple_of(7) => {
            Some(Value::Months(u32::try_from(number).unwrap() + 100))
        }
        // Fractions of eight: exact in every type.
        6 if !person.is_multiple_of(3) => {
            Some(Value::Decimal(Decimal::new(number % 80 * 125, 3).normalize()))
        }
        _ => None,
    }
}

fn written(value: Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Months(months) => months.to_string(),
        Value::Decimal(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn fill(site: &Site) {
    for (table, number, _, day, kind) in TABLES {
        site.run(&format!(
            "create table {table} (person_id varchar(20) primary key, updated_on date, n {kind})"
        ))
        .await;
        let rows = (0..PEOPLE).filter_map(|person| {
            let value = written(model(person, number)?);
            Some(format!("('p{person}', '{day}', {value})"))
        });
        let rows: Vec<String> = rows.collect();
        site.run(&format!("insert into {table} values {}", rows.join(", "))).await;
        site.let_read(table).await;
    }
}

fn mapping(site: &Site, url: &str) -> String {
    let lines = "statement_timeout = \"2s\"\nmax_batch = 3\npool = 6";
    let query = |(table, _, id, _, _)| {
        format!(
            "[[query]]\nname = '{table}'\nsql = 'select person_id, updated_on, n from {table} \
             where person_id in {{subjects}}'\nsubject = 'person_id'\nas_of = 'updated_on'\n\
             [query.items]\n'{id}' = 'n'\n"
        )
    };
    site.source(url, lines) + &TABLES.map(query).concat()
}

/// What came out, by what kind of outcome it was.
type Tally = BTreeMap<&'static str, usize>;

/// Holds one outcome against the model.
fn judge(person: usize, asked: &[u32], held: Held, tally: &mut Tally) -> Result<(), String> {
    let mut count = |what| *tally.entry(what).or_default() += 1;
    match held {
        Held::NoRecord => {
            count("no record");
            match asked.iter().find(|number| model(person, **number).is_some()) {
                Some(number) => Err(format!("NO_RECORD of p{person}, who has item {number}")),
                None => Ok(()),
            }
        }
        // Each has a reason, which is a word of a closed list.
        Held::Failed { status: SectionStatus::Invalid, .. } => {
            count("invalid");
            Ok(())
        }
        Held::Failed { status: SectionStatus::Unavailable | SectionStatus::Timeout, .. } => {
            count("unavailable");
            Ok(())
        }
        Held::Failed { status, reason } => Err(format!("{status:?} because of {reason:?}")),
        Held::Answered { items, missing } => {
            for found in &items {
                count("value");
                let number = u32::from(found.number.get());
                let table = TABLES.iter().find(|(_, item, ..)| *item == number);
                let day = table.map(|(_, _, _, day, _)| *day);
                let right = model(person, number) == Some(*found.value.expose());
                if !right || day != Some(found.as_of) || !asked.contains(&number) {
                    let value = found.value.expose();
                    return Err(format!(
                        "item {number} of p{person} is {value:?}, of {}",
                        found.as_of
                    ));
                }
            }
            for (number, absence) in &missing {
                let number = u32::from(number.get());
                match absence {
                    Absence::NotRecorded if model(person, number).is_some() => {
                        return Err(format!("item {number} of p{person} is not recorded"));
                    }
                    Absence::NotRecorded => count("not recorded"),
                    Absence::Invalid | Absence::SourceMissing => count("missing with a reason"),
                    other => return Err(format!("item {number} of p{person}: {other:?}")),
                }
            }
            match items.len() + missing.len() == asked.len() {
                true => Ok(()),
                false => Err(format!("of p{person} neither a value nor why not")),
            }
        }
    }
}

/// Asks so many questions, many at a time.
async fn storm(what: &str, holdings: Holdings, seed: u64, questions: usize) -> Tally {
    let (holdings, next) = (Arc::new(holdings), Arc::new(AtomicUsize::new(0)));
    let askers = (0..ASKERS as u64).map(|asker| {
        let (holdings, next, what) = (Arc::clone(&holdings), Arc::clone(&next), what.to_owned());
        tokio::spawn(async move {
            let (mut chance, mut tally) = (Chance::new(seed ^ (asker << 32)), Tally::new());
            while next.fetch_add(1, Ordering::Relaxed) < questions {
                let person = chance.below(ASKED_ABOUT);
                let some = 1 + chance.below(7);
                let asked = TABLES.iter().enumerate().filter(|(at, _)| some >> at & 1 == 1);
                let asked: Vec<u32> = asked.map(|(_, (_, number, ..))| *number).collect();
                let items: ItemSet = asked.iter().map(|number| item(*number)).collect();
                let deadline = clock::now() + Duration::from_secs(30);
                let held = holdings.fetch(&subject(&format!("p{person}")), &items, deadline).await;
                if matches!(held, Held::Failed { .. }) {
                    // While there is no connection a refusal comes at once: who asks waits.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                let judged = judge(person, &asked, held, &mut tally);
                assert!(judged.is_ok(), "{what}, seed {seed}: {}", judged.unwrap_err());
            }
            tally
        })
    });
    let mut all = Tally::new();
    for asker in futures_util::future::join_all(askers).await {
        for (what, count) in asker.unwrap() {
            *all.entry(what).or_default() += count;
        }
    }
    all
}

/// From the environment, to see a failure again; otherwise by chance.
fn seed() -> u64 {
    let given = std::env::var("TRIBUTARY_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish())
}

fn say(text: &str) {
    // Past the harness, which would keep it to itself.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn authority(url: &str) -> SocketAddr {
    let (_, rest) = url.rsplit_once('@').unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

/// Answers come through: a proxy that lets none pass would prove nothing. Their share is
/// no measure, since while there is no connection the refusals come at once, and on a busy
/// machine there is none for long.
fn enough(what: &str, tally: &Tally) {
    say(&format!("  {what}: {tally:?}"));
    let values = tally.get("value").copied().unwrap_or_default();
    assert!(values >= 64, "{what}: {tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_51_no_answer_of_postgresql_is_taken_for_anothers_behind_poolers_and_proxies() {
    const WHAT: &str = "answers mixed on PostgreSQL";
    let Some(site) = Site::new(Kind::Postgres, WHAT).await else { return };
    fill(&site).await;
    let seed = seed();
    say(&format!("{WHAT}: TRIBUTARY_CHAOS_SEED={seed}"));
    let server = authority(&site.url);
    let password = std::fs::read_to_string(site.folder().join("password")).unwrap();
    let (_, account) = site.url.rsplit_once('/').unwrap();
    for size in 1..=4 {
        let chance = Chance::new(seed ^ size);
        let behind = Mixing::start(Protocol::Postgres, server, 40, chance).await;
        let mode = ("transaction", usize::try_from(size).unwrap());
        let accounts = [(account, password.trim())];
        let pooler = Pooler::start(mode, behind.address(), &accounts, WHAT).await;
        // Without a pooler the proxies alone stand between.
        let before = pooler.as_ref().map_or(behind.address(), Pooler::address);
        let chance = Chance::new(seed ^ (size << 8));
        let front = Mixing::start(Protocol::Postgres, before, 12, chance).await;
        let url = site.url.replace(&server.to_string(), &front.address().to_string());
        let holdings = site.open(&mapping(&site, &url));
        let what = format!("{size} connections");
        let tally = storm(&what, holdings, seed ^ (size << 16), QUESTIONS / 8).await;
        enough(&what, &tally);
        say(&format!("    {:?}, {:?}", front.done(), behind.done()));
        assert!(front.done().len() > 6, "{:?}", front.done());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_51_no_answer_of_mariadb_is_taken_for_anothers_behind_proxies() {
    const WHAT: &str = "answers mixed on MariaDB";
    let Some(site) = Site::new(Kind::Mariadb, WHAT).await else { return };
    fill(&site).await;
    let seed = seed();
    say(&format!("{WHAT}: TRIBUTARY_CHAOS_SEED={seed}"));
    let server = authority(&site.url);
    let proxy = Mixing::start(Protocol::Mysql, server, 12, Chance::new(seed)).await;
    let url = site.url.replace(&server.to_string(), &proxy.address().to_string());
    let holdings = site.open(&mapping(&site, &url));
    let tally = storm("MariaDB", holdings, seed, QUESTIONS / 2).await;
    enough("MariaDB", &tally);
    say(&format!("    {:?}", proxy.done()));
    assert!(proxy.done().len() > 6, "{:?}", proxy.done());
}
