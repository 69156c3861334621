//! Edits of a mapping, held against its source: whatever makes the source say something
//! else of somebody is told as remapped, and what makes it say the same is not. All people
//! are synthetic.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tributary::clock;
use tributary::config::agency::AgencyConfig;
use tributary::domain::catalogue::Source;
use tributary::domain::flows::change::Class;
use tributary::domain::flows::edits::edits;
use tributary::domain::flows::federation::Federation;
use tributary::domain::subject::SubjectFormat;
use tributary::source::{Held, Holdings, Mapping, Written};

use crate::support::City;

const FILE: &str = "agencies/lending.toml";
const PEOPLE: i64 = 4;

/// The city, and the database of its credit bureau.
fn city() -> City {
    let city = City::new();
    std::fs::create_dir_all(city.path().join("data")).unwrap();
    for file in ["lending.db", "other.db"] {
        let connection = rusqlite::Connection::open(city.path().join("data").join(file)).unwrap();
        let schema = include_str!("../../examples/city/schema/lending.sql");
        connection.execute_batch(schema).unwrap();
        fill(&connection, if file == "other.db" { 50 } else { 0 });
    }
    city
}

/// A row of everybody in each table, in which no two columns say the same.
fn fill(connection: &rusqlite::Connection, offset: i64) {
    let names = |sql: &str| -> Vec<(String, String)> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let today = clock::today();
    for (table, _) in names("select name, type from sqlite_master where type = 'table'") {
        let columns = names(&format!("select name, lower(type) from pragma_table_info('{table}')"));
        for person in 1..=PEOPLE {
            let values = columns.iter().zip(1_i64..).map(|((name, kind), nth)| {
                let number = offset + 5 * nth + person;
                match (name.as_str(), kind.as_str()) {
                    ("person_id", _) => format!("'{}'", number_of(person)),
                    ("disputed", _) => (person % 2).to_string(),
                    ("statement_ref", _) => "null".to_owned(),
                    // What ended long ago is dropped.
                    ("ended_on", _) if person == 1 => "'2001-01-01'".to_owned(),
                    ("repayment_method", _) => format!("'{}'", ["11", "12"][person as usize % 2]),
                    (_, "integer") => number.to_string(),
                    (_, "real") => format!("0.{number}"),
                    (name, _) if name.ends_with("_on") => {
                        format!("'{}'", today - time::Duration::days(number))
                    }
                    _ => "null".to_owned(),
                }
            });
            let values: Vec<String> = values.collect();
            let sql = format!("insert into {table} values ({})", values.join(", "));
            connection.execute_batch(&sql).unwrap();
        }
    }
}

fn number_of(person: i64) -> String {
    format!("synthetic-{person}")
}

/// What the source says of everybody.
async fn said(city: &City, federation: &Federation) -> BTreeMap<String, Held> {
    let path = city.path().join(FILE);
    let (config, text) = AgencyConfig::load(&path).unwrap();
    let name = path.display().to_string();
    let written = Written {
        file: Source { name: &name, text: &text },
        folder: path.parent().unwrap_or(Path::new(".")),
        source: &config.source,
        queries: &config.query,
    };
    let mapping = Mapping::compile(&config.id, &federation.catalogue, written).unwrap();
    let items = mapping.items();
    let holdings = Holdings::open(mapping);
    let format = SubjectFormat::new(".+", None).unwrap();
    let mut all = BTreeMap::new();
    for person in 1..=PEOPLE {
        let number = number_of(person);
        let until = clock::now() + Duration::from_secs(60);
        let held = holdings.fetch(&format.parse(&number).unwrap(), &items, until).await;
        let Held::Answered { items: found, .. } = &held else { panic!("{held:?}") };
        assert!(found.len() > 80, "{held:?}");
        all.insert(number, held);
    }
    all
}

fn load(city: &City) -> Federation {
    tributary::app::review::load(city.path()).unwrap_or_else(|error| panic!("{error:?}"))
}

/// What an edit is called, the text that it replaces, and by what.
const EDITS: &[(&str, &str, &str)] = &[
    (
        "another scale",
        "\"card_total_limit_fen\", currency = \"CNY\", scale = 2",
        "\"card_total_limit_fen\", currency = \"CNY\", scale = 1",
    ),
    (
        "another scale of a rate",
        "\"mortgage_rate_bp\", scale = 2",
        "\"mortgage_rate_bp\", scale = 3",
    ),
    (
        "another column",
        "\"lending.card.open_count\" = \"card_open_count\"",
        "\"lending.card.open_count\" = \"limit_raises_24m\"",
    ),
    ("another code", "\"11\" = \"equal_instalment\"", "\"11\" = \"interest_first\""),
    ("a code fewer", "\"12\" = \"equal_principal\", ", ""),
    (
        "a constant instead of a column",
        "select person_id, utilisation_ratio,",
        "select person_id, 0.5 as utilisation_ratio,",
    ),
    ("fewer rows", "from card_account where", "from card_account where card_open_count > 17 and"),
    (
        "another date",
        "as_of = \"updated_on\"\n[query.items]\n\"lending.card.util",
        "as_of = \"card_newest_opened_on\"\n[query.items]\n\"lending.card.util",
    ),
    ("no disputes", "disputed = \"disputed\"\n", ""),
    ("another end", "ended = \"ended_on\"", "ended = \"updated_on\""),
    ("another database", "data/lending.db", "data/other.db"),
    (
        "another table",
        "from vehicle_loan where",
        "from (select person_id, vehicle_open_count + 1 as vehicle_open_count, vehicle_outstanding_balance_fen, vehicle_monthly_instalment_fen, vehicle_settled_count, updated_on from vehicle_loan) where",
    ),
    ("layout of a statement", "from card_account where", "\n  from card_account\n where"),
    ("a comment", "# Adverse:", "# Said before: adverse:"),
    ("a table instead of a column", "= \"card_open_count\"", "= { column = \"card_open_count\" }"),
    (
        "codes in another order",
        "\"11\" = \"equal_instalment\", \"12\" = \"equal_principal\"",
        "\"12\" = \"equal_principal\", \"11\" = \"equal_instalment\"",
    ),
    ("more connections", "data/lending.db\"", "data/lending.db\"\npool = 3"),
    ("a shorter time", "data/lending.db\"", "data/lending.db\"\nstatement_timeout = \"9s\""),
    ("smaller batches", "data/lending.db\"", "data/lending.db\"\nmax_batch = 2"),
    ("another address", "127.0.0.1:7104", "127.0.0.1:7204"),
];

#[tokio::test(flavor = "multi_thread")]
async fn row_72_remapped_is_told_exactly_when_the_source_says_something_else() {
    let city = city();
    let text = city.read(FILE);
    let before = load(&city);
    let was = said(&city, &before).await;
    let (mut wrong, mut changed) = (Vec::new(), 0);
    for (name, from, to) in EDITS {
        city.replace(FILE, from, to);
        let after = load(&city);
        let is = said(&city, &after).await;
        city.write(FILE, &text);
        let edits = edits(&before, &after);
        let told = edits.iter().any(|edit| edit.class == Class::Remapped);
        changed += usize::from(is != was);
        if told != (is != was) {
            let says: Vec<&str> = edits.iter().map(|edit| &*edit.says).collect();
            wrong.push(format!(
                "{name}: {} and {says:?} is told",
                match told {
                    true => "the source says the same",
                    false => "the source says something else",
                }
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(changed, 12);
}
