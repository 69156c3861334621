//! One moment is one day, whatever the form and the kind of source: that of two
//! independent oracles, Python's zoneinfo and PostgreSQL's `at time zone`.

use std::collections::BTreeMap;
use std::process::Command;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row as _};
use time::{Date, format_description::well_known::Iso8601};
use tributary::clock;
use tributary::domain::value::Value;
use tributary::domain::zone::{Moment, Zone};
use tributary::source::{Held, Holdings};

use crate::site::{Kind, Site};
use crate::town::{item, subject};

/// Zones with half and quarter hours, with a summer time of half an hour, with one that
/// was given up, and on both sides of the line.
const ZONES: [&str; 12] = [
    "Asia/Shanghai",
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "Africa/Casablanca",
];

/// For each zone: the seconds around midnight of days that matter, those around each
/// change of the clock in two years, and some by chance.
const PYTHON: &str = r"
import random, sys
from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo
DAYS = ['1972-02-29', '1986-05-04', '1991-09-15', '1999-12-31', '2000-01-01', '2000-02-29',
        '2000-03-01', '2023-12-31', '2024-01-01', '2024-02-29', '2024-03-01', '2024-03-10',
        '2024-03-31', '2024-04-07', '2024-10-06', '2024-10-27', '2024-11-03', '2025-02-28']
for name in sys.argv[1:]:
    zone, moments = ZoneInfo(name), set()
    for day in map(date.fromisoformat, DAYS):
        start = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
        moments |= {start - 1, start}
    offset = lambda at: datetime.fromtimestamp(at, zone).utcoffset()
    hours = range(1672531200, 1735689600, 3600)
    for at in (at for at in hours if offset(at) != offset(at + 3600)):
        moments |= {at, at + 3599, at + 3600}
    chance = random.Random(name)
    moments |= {chance.randrange(0, 1735689600) for _ in range(12)}
    for at in sorted(moments):
        local = datetime.fromtimestamp(at, zone)
        print(name, at, local.date(), local.isoformat())
";

/// A moment and its day in a zone.
#[derive(Debug, Clone)]
struct Case {
    zone: &'static str,
    seconds: i64,
    day: Date,
    /// As the clocks of the zone showed it, with their offset.
    local: String,
}

fn cases() -> Vec<Case> {
    let told = Command::new("python3").args(["-c", PYTHON]).args(ZONES).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let text = String::from_utf8(told.stdout).unwrap();
    let case = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        Case {
            zone: ZONES.iter().find(|zone| **zone == words[0]).unwrap(),
            seconds: words[1].parse().unwrap(),
            day: Date::parse(words[2], &Iso8601::DATE).unwrap(),
            local: words[3].to_owned(),
        }
    };
    let cases: Vec<Case> = text.lines().map(case).collect();
    assert!(cases.len() > 12 * 40, "{} cases", cases.len());
    cases
}

/// A moment in the ways in which columns write it: the form of `dates`, and the text.
fn written(case: &Case) -> [(&'static str, String); 4] {
    let utc = time::OffsetDateTime::from_unix_timestamp(case.seconds).unwrap();
    let utc = format!("{} {:02}:{:02}:{:02}Z", utc.date(), utc.hour(), utc.minute(), utc.second());
    [
        ("YYYY-MM-DD", case.local.clone()),
        ("YYYY-MM-DD", utc),
        ("unix", case.seconds.to_string()),
        ("unix-ms", (case.seconds * 1000 + 999).to_string()),
    ]
}

fn person(case: usize, form: usize) -> String {
    format!("p{case}-{form}")
}

/// The day that is found for a person.
async fn day(holdings: &Holdings, person: &str) -> Option<Date> {
    let items = [item(3)].into_iter().collect();
    let deadline = clock::now() + std::time::Duration::from_secs(60);
    match holdings.fetch(&subject(person), &items, deadline).await {
        Held::Answered { items, .. } => match items.first()?.value.expose() {
            Value::Date(date) => Some(*date),
            other => panic!("no day: {other:?}"),
        },
        other => panic!("{person}: {other:?}"),
    }
}

/// Holds every case of a zone against what a mapping reads.
async fn compare(holdings: &Holdings, cases: &[(usize, &Case)], form: usize, what: &str) {
    let asking = cases.iter().map(|(at, case)| async move {
        let read = day(holdings, &person(*at, form)).await;
        assert_eq!(read, Some(case.day), "{what}: {} at {}", case.seconds, case.zone);
    });
    futures_util::future::join_all(asking).await;
}

#[test]
fn the_one_function_agrees_with_zoneinfo() {
    for case in cases() {
        let zone = Zone::new(case.zone).unwrap();
        assert_eq!(zone.day(Moment::from_seconds(case.seconds)), Some(case.day), "{case:?}");
    }
}

#[tokio::test]
async fn row_52_every_form_from_every_kind_of_source_is_one_day() {
    let cases = cases();
    let mut by_zone: BTreeMap<&str, Vec<(usize, &Case)>> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        by_zone.entry(case.zone).or_default().push((at, case));
    }
    for site in Site::each(Kind::ALL, "row_52").await {
        let mut rows = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            for (form, (_, text)) in written(case).into_iter().enumerate() {
                let cells = ["1", "G", &text, "1", "1", "0.1", "1", "2025-01-15"];
                let row = std::iter::once(person(at, form)).chain(cells.map(str::to_owned));
                rows.push(row.collect::<Vec<String>>());
            }
        }
        match site.kind.is_sql() {
            true => {
                for rows in rows.chunks(400) {
                    let rows: Vec<String> =
                        rows.iter().map(|row| format!("('{}')", row.join("', '"))).collect();
                    site.run(&format!("insert into job values {}", rows.join(", "))).await;
                }
            }
            false => {
                let rows: Vec<_> =
                    rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
                site.put("job", &rows).await;
            }
        }
        for (zone, cases) in &by_zone {
            for (form, (dates, _)) in written(cases[0].1).into_iter().enumerate() {
                let column = format!("{{ column = \"started_on\", dates = \"{dates}\" }}");
                let source = site.source_in(zone, &site.url, "statement_timeout = \"60s\"");
                let query = site.query("job").replace("\"started_on\"\n", &format!("{column}\n"));
                let holdings = site.open(&(source + &query));
                let what = format!("{:?}, {dates} ({form})", site.kind);
                compare(&holdings, cases, form, &what).await;
            }
        }
    }
}

#[tokio::test]
async fn row_52_a_databases_own_moments_are_the_same_days() {
    let cases = cases();
    for site in Site::each(Kind::SERVERS, "row_52, own moments").await {
        let postgres = site.kind == Kind::Postgres;
        // MariaDB's moments begin with 1970.
        let cases: Vec<(usize, &Case)> =
            cases.iter().enumerate().filter(|(_, case)| case.seconds > 0).collect();
        let kind = if postgres { "timestamptz" } else { "timestamp" };
        site.run(&format!(
            "create table moments (person_id varchar(40) primary key, started_on {kind} null, \
             updated_on date)"
        ))
        .await;
        site.let_read("moments").await;
        let rows = cases.iter().map(|(at, case)| {
            let moment = match postgres {
                true => format!("to_timestamp({})", case.seconds),
                false => format!("from_unixtime({})", case.seconds),
            };
            format!("('{}', {moment}, '2025-01-15')", person(*at, 0))
        });
        let rows = rows.collect::<Vec<_>>().join(", ");
        let utc = if postgres { "set timezone = 'UTC'" } else { "set time_zone = '+00:00'" };
        site.run(&format!("{utc}; insert into moments values {rows}")).await;
        if postgres {
            agree_with_postgres(site.owner_url(), &cases).await;
        }
        let mut statements = vec!["started_on"];
        // What the statement itself makes of a moment is of the same day.
        statements.extend(postgres.then_some("started_on::date as started_on"));
        for zone in ZONES {
            let cases: Vec<(usize, &Case)> =
                cases.iter().filter(|(_, case)| case.zone == zone).copied().collect();
            for column in &statements {
                let query = format!(
                    "[[query]]\nname = \"moments\"\nsql = \"select person_id, updated_on, {column} \
                     from moments where person_id in {{subjects}}\"\nsubject = \"person_id\"\n\
                     as_of = \"updated_on\"\n[query.items]\n\"work.job.started_on\" = \"started_on\"\n"
                );
                let source = site.source_in(zone, &site.url, "statement_timeout = \"60s\"");
                let holdings = site.open(&(source + &query));
                compare(&holdings, &cases, 0, &format!("{:?}, {column}", site.kind)).await;
            }
        }
    }
}

/// Python's days are PostgreSQL's.
async fn agree_with_postgres(address: &str, cases: &[(usize, &Case)]) {
    let mut connection = PgConnection::connect(address).await.unwrap();
    let zones: Vec<String> = cases.iter().map(|(_, case)| case.zone.to_owned()).collect();
    let moments: Vec<i64> = cases.iter().map(|(_, case)| case.seconds).collect();
    let rows = sqlx::query(
        "select (to_timestamp(moment) at time zone zone)::date::text
         from unnest($1::text[], $2::bigint[]) with ordinality as asked (zone, moment, place)
         order by place",
    )
    .bind(zones)
    .bind(moments)
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for (row, (_, case)) in rows.iter().zip(cases) {
        assert_eq!(row.get::<String, _>(0), case.day.to_string(), "{case:?}");
    }
}

#[tokio::test]
async fn a_moment_without_a_zone_is_no_day_and_a_day_needs_none() {
    for site in Site::each(&[Kind::Sqlite, Kind::Csv, Kind::Http], "no zone").await {
        let row = |person: &str, day: &str| {
            let cells = [person, "1", "G", day, "1", "1", "0.1", "1", "2025-01-15"];
            cells.map(|cell| Some(cell.to_owned())).to_vec()
        };
        site.put(
            "job",
            &[
                row("moment", "2024-03-05T00:30:00+08:00"),
                row("utc", "2024-03-04T16:30:00Z"),
                row("day", "2024-03-05"),
                row("clock", "2024-03-05 00:30:00"),
            ],
        )
        .await;
        let source = site.source(&site.url, "").replace("zone = \"Asia/Shanghai\"\n", "");
        let holdings = site.open(&(source + &site.query("job")));
        for (person, wanted) in [
            ("moment", None),
            ("utc", None),
            ("day", Some(time::macros::date!(2024 - 03 - 05))),
            ("clock", Some(time::macros::date!(2024 - 03 - 05))),
        ] {
            assert_eq!(day(&holdings, person).await, wanted, "{:?}: {person}", site.kind);
        }
    }
}
