//! Each kind's own types: what they become when they fit, and that NaN, infinity,
//! overflow and the zero date are nobody's value.

use rust_decimal::Decimal;
use time::macros::date;
use tributary::domain::section::Absence;
use tributary::domain::value::{CodeIndex, Value};

use crate::shared::ask;
use crate::site::{Kind, Site};
use crate::town::{held, numbers};

const POSTGRES: &str = "
create type sector as enum ('G', 'P', 'X');
create table typed (person_id text primary key, employed boolean, sector sector, started_on date,
  pay_fen numeric, level smallint, share double precision, tenure bigint, updated_on timestamptz)";

const MARIADB: &str = "
create table typed (person_id varchar(40) primary key, employed boolean, sector enum('G','P','X'),
  started_on date, pay_fen decimal(40,4), level tinyint unsigned, share double, tenure bigint unsigned,
  updated_on datetime)";

/// Column, a literal of its type, and what of it is wrong.
type Odd = (usize, &'static str);

const POSTGRES_ODD: &[Odd] = &[
    (2, "'X'"),
    (3, "'infinity'"),
    (3, "'-infinity'"),
    (3, "'0044-03-15 BC'"),
    (4, "'NaN'"),
    (4, "'Infinity'"),
    (4, "99999999999999999999999999999999999999"),
    (4, "1e-30"),
    (5, "21"),
    (6, "'NaN'"),
    (6, "'-Infinity'"),
    (6, "1e300"),
    (7, "9223372036854775807"),
    (7, "-1"),
];

const MARIADB_ODD: &[Odd] = &[
    (1, "2"),
    (2, "'X'"),
    (3, "'0000-00-00'"),
    (3, "'2025-00-10'"),
    (4, "99999999999999999999999999999999999.9999"),
    (4, "-1"),
    (5, "200"),
    (6, "1e300"),
    (7, "18446744073709551615"),
];

const HTTP_ODD: &[Odd] = &[
    (1, "2"),
    (1, "\"yes\""),
    (2, "[\"G\"]"),
    (3, "20250131"),
    (3, "{\"year\": 2025}"),
    (4, "1e300"),
    (4, "-0.01"),
    (5, "1.5"),
    (5, "18446744073709551616"),
    (6, "\"NaN\""),
    (7, "true"),
];

fn row(kind: Kind, person: &str) -> Vec<String> {
    let quote = |text: &str| match kind {
        Kind::Http => text.to_owned(),
        _ => format!("'{text}'"),
    };
    vec![
        quote(person),
        "true".to_owned(),
        quote("G"),
        quote("2020-02-29"),
        "1234550".to_owned(),
        "7".to_owned(),
        "0.1".to_owned(),
        "60".to_owned(),
        quote("2025-01-15 12:00:00"),
    ]
}

#[tokio::test]
async fn each_kinds_own_types_fit_or_are_nobodys() {
    for site in Site::each(&[Kind::Postgres, Kind::Mariadb, Kind::Http], "own types").await {
        let kind = site.kind;
        let odd = match kind {
            Kind::Postgres => POSTGRES_ODD,
            Kind::Mariadb => MARIADB_ODD,
            _ => HTTP_ODD,
        };
        let mut rows = vec![row(kind, "good")];
        rows.extend(odd.iter().enumerate().map(|(at, (column, literal))| {
            let mut row = row(kind, &format!("p{at}"));
            row[*column] = (*literal).to_owned();
            row
        }));
        match kind {
            Kind::Http => {
                let rows: Vec<_> =
                    rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
                site.put("typed", &rows).await;
            }
            _ => {
                site.run(if kind == Kind::Postgres { POSTGRES } else { MARIADB }).await;
                site.let_read("typed").await;
                for row in rows {
                    site.run(&format!("insert into typed values ({})", row.join(", "))).await;
                }
            }
        }
        let mapping = site.source(&site.url, "") + &site.query("typed");
        let holdings = site.open(&mapping);
        holdings.check().await.unwrap();
        let items = [1, 2, 3, 4, 5, 6, 70];
        let (found, missing) = held(ask(&holdings, "good", &items).await);
        let found: Vec<Value> = found.iter().map(|item| *item.value.expose()).collect();
        let expected = [
            Value::Boolean(true),
            Value::Code(CodeIndex(0)),
            Value::Date(date!(2020 - 02 - 29)),
            Value::Money(Decimal::new(1_234_550, 2)),
            Value::Integer(7),
            Value::Decimal(Decimal::new(1, 1)),
            Value::Months(60),
        ];
        assert_eq!((found.as_slice(), missing.len()), (&expected[..], 0), "{kind:?}");
        for (at, (column, literal)) in odd.iter().enumerate() {
            let number = items[column - 1];
            let (found, missing) = held(ask(&holdings, &format!("p{at}"), &items).await);
            let case = format!("{kind:?}: column {column} = {literal}");
            assert_eq!(numbers(&missing), [(number, Absence::Invalid)], "{case}");
            assert_eq!(found.len(), 6, "{case}");
        }
    }
}

#[tokio::test]
async fn people_in_whole_numbers_are_bound_as_such() {
    for site in Site::each(Kind::SQL, "whole numbers").await {
        let kind = site.kind;
        site.run(
            "create table counted (id bigint primary key, level varchar(9), updated_on varchar(20));
             insert into counted values (17, '3', '2025-01-15'), (0, '9', '2025-01-15')",
        )
        .await;
        site.let_read("counted").await;
        let query = "[[query]]\nname = 'counted'\nsubject_type = 'integer'\n\
             sql = 'select * from counted where id in {subjects}'\nsubject = 'id'\n\
             as_of = 'updated_on'\n[query.items]\n'work.job.level' = 'level'\n";
        let holdings = site.open(&(site.source(&site.url, "") + query));
        holdings.check().await.unwrap();
        // Some databases would take each of the others for 17 or 0.
        let asking = ["17", "017", "17x", "x", "17.0", "+17", "1e1"].map(|person| {
            let holdings = &holdings;
            async move { (person, ask(holdings, person, &[5]).await) }
        });
        for (person, answer) in futures_util::future::join_all(asking).await {
            match person {
                "17" => {
                    assert_eq!(*held(answer).0[0].value.expose(), Value::Integer(3), "{kind:?}")
                }
                other => assert_eq!(answer, tributary::source::Held::NoRecord, "{kind:?} {other}"),
            }
        }
    }
}
