//! Fills the agencies' databases with synthetic people, by the agencies' own
//! mappings: what is written is what an agency of that kind would hold.
//!
//! Some people are missing from some agencies, some records have holes, some
//! adverse facts have lapsed or are disputed, and where two agencies hold one
//! item they sometimes differ.

use std::path::Path;
use std::sync::{Arc, Weak};

use rusqlite::params_from_iter;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use time::{Date, Duration};

use super::city::{City, DemoError};
use super::people::People;
use super::postgres::Postgres;
use crate::clock;
use crate::config::mapping::{ItemEntry, QueryEntry};
use crate::domain::catalogue::{Catalogue, Item};
use crate::domain::value::{Range, ValueType};

/// Rows of one statement at most, on a server.
const MAX_ROWS: usize = 8000;

/// The first people are in every agency's records, so that a demo has somebody
/// to show.
pub(super) const EVERYWHERE: usize = 10;

/// How many people get a grant of the demo.
pub(super) const SHOWN: usize = 200;

/// Fills every agency's database, all at once, each on a thread of its own.
pub(super) async fn fill(city: &City, people: People) -> Result<(), DemoError> {
    let agencies = city.agencies.iter().map(|agency| fill_agency(city, agency, people));
    futures_util::future::try_join_all(agencies).await.map(|_| ())
}

async fn fill_agency(city: &City, agency: &str, people: People) -> Result<(), DemoError> {
    let config = city.load_agency(agency)?;
    let (name, file) = (agency.to_owned(), city.database(agency));
    let catalogue = Arc::clone(&city.catalogue);
    let awaited = Arc::new(());
    let asker = Arc::downgrade(&awaited);
    let filled = tokio::task::spawn_blocking(move || {
        let today = clock::today();
        let tables = config.query.iter().map(|query| Table {
            agency: &name,
            query: query.get_ref(),
            catalogue: &catalogue,
            people,
            today,
        });
        fill_file(&file, City::schema(&name), tables, &asker)
    });
    let filled = filled.await.map_err(std::io::Error::from)?;
    drop(awaited);
    filled.map_err(|error| DemoError::Database { agency: agency.to_owned(), source: error.into() })
}

/// Blocking.
fn fill_file<'a>(
    file: &Path,
    schema: &str,
    tables: impl Iterator<Item = Table<'a>>,
    asker: &Weak<()>,
) -> rusqlite::Result<()> {
    let mut database = rusqlite::Connection::open(file)?;
    database.pragma_update(None, "journal_mode", "off")?;
    let transaction = database.transaction()?;
    transaction.execute_batch(schema)?;
    for table in tables {
        table.fill(&transaction, asker)?;
    }
    transaction.commit()?;
    database.close().map_err(|(_, error)| error)
}

/// Fills every agency's database on a server.
pub(super) async fn fill_postgres(
    city: &City,
    people: People,
    server: &mut Postgres,
) -> Result<(), DemoError> {
    let password = server.write_password(&city.home.join("data"))?;
    for agency in &city.agencies {
        let failed = |error: sqlx::Error| DemoError::Database {
            agency: agency.clone(),
            source: error.into(),
        };
        let config = city.load_agency(agency)?;
        let mut database = server.make(agency, City::schema(agency)).await?;
        let today = clock::today();
        for query in &config.query {
            let table =
                Table { agency, query: query.get_ref(), catalogue: &city.catalogue, people, today };
            table.fill_postgres(&mut database).await.map_err(failed)?;
        }
        database.close().await.map_err(failed)?;
        city.set_source(agency, &server.url(agency), &password)?;
    }
    Ok(())
}

/// One table, which in the demo is named as its query.
struct Table<'a> {
    agency: &'a str,
    query: &'a QueryEntry,
    catalogue: &'a Catalogue,
    people: People,
    today: Date,
}

impl Table<'_> {
    fn columns(&self) -> Vec<&str> {
        let mut columns = vec![self.query.subject.get_ref().as_str(), self.query.as_of.get_ref()];
        let disputed = self.query.disputed.as_ref().map(|it| it.get_ref().column.as_str());
        columns.extend(self.query.ended.as_ref().map(|it| it.get_ref().as_str()));
        columns.extend(disputed);
        columns.extend(self.query.statement.as_ref().map(|it| it.get_ref().as_str()));
        columns.extend(self.query.items.values().map(|item| item.get_ref().column.as_str()));
        columns
    }

    /// The rows of everyone whom it knows.
    fn rows(&self) -> impl Iterator<Item = Vec<Option<String>>> {
        self.people.places().filter_map(|person| self.row(person))
    }

    /// The server itself turns each text into what its column holds.
    async fn fill_postgres(&self, database: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (columns, rows) = (self.columns(), self.rows().collect::<Vec<_>>());
        let name = self.query.name.get_ref();
        let insert = format!(
            "insert into {name} select * from json_populate_recordset(null::{name}, $1::json)"
        );
        for chunk in rows.chunks(MAX_ROWS) {
            let objects = chunk.iter().map(|row| {
                let cells = columns.iter().zip(row);
                cells
                    .map(|(column, cell)| ((*column).to_owned(), cell.as_deref().into()))
                    .collect::<serde_json::Map<String, serde_json::Value>>()
            });
            let objects: Vec<_> = objects.map(serde_json::Value::Object).collect();
            sqlx::query(AssertSqlSafe(insert.as_str()))
                .bind(serde_json::Value::Array(objects).to_string())
                .persistent(false)
                .execute(&mut *database)
                .await?;
        }
        Ok(())
    }

    /// Stops where it is when nobody awaits it any more: the demo was stopped.
    fn fill(&self, database: &rusqlite::Connection, asker: &Weak<()>) -> rusqlite::Result<()> {
        let columns = self.columns();
        // Names out of the demo's own files; every value is bound.
        let mut insert = database.prepare(&format!(
            "insert into {} ({}) values ({})",
            self.query.name.get_ref(),
            columns.join(", "),
            vec!["?"; columns.len()].join(", ")
        ))?;
        for row in self.rows().take_while(|_| asker.strong_count() > 0) {
            insert.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    /// A person's row, unless the agency has none.
    fn row(&self, person: usize) -> Option<Vec<Option<String>>> {
        let name = person.to_string();
        let featured = person < EVERYWHERE;
        let known = !self.people.draw(&["known", self.agency, &name]).percent(5) || featured;
        let adverse = self.query.ended.is_some();
        let mut draw = self.people.draw(&["row", self.agency, self.query.name.get_ref(), &name]);
        let present = if adverse { draw.percent(12) } else { draw.percent(94) || featured };
        if !known || !present {
            return None;
        }
        let age = Duration::days(draw.between(1, 60));
        let mut row = vec![Some(self.people.card_number(person)), iso(self.today.checked_sub(age))];
        if adverse {
            let mut fate =
                self.people.draw(&["fate", self.agency, self.query.name.get_ref(), &name]);
            let ended = Duration::days(fate.between(30, 365 * 8));
            let ongoing = fate.percent(30);
            row.push(if ongoing { None } else { iso(self.today.checked_sub(ended)) });
            let disputed = fate.percent(15);
            row.push(Some(u8::from(disputed).to_string()));
            row.push(disputed.then(|| format!("statement-{}-{person}", self.agency)));
        }
        row.extend(self.query.items.iter().map(|(id, entry)| {
            let hole = self.people.draw(&["hole", self.agency, id, &name]).percent(4) && !featured;
            let item = self.catalogue.find(id).filter(|_| !hole)?;
            self.cell(item, entry.get_ref(), person)
        }));
        Some(row)
    }

    fn cell(&self, item: &Item, entry: &ItemEntry, person: usize) -> Option<String> {
        let name = person.to_string();
        let second = item.owners.first().is_some_and(|first| first.as_str() != self.agency);
        // Person 0 shows a conflict on every item that two agencies hold.
        let differs = second
            && (person == 0
                || self.people.draw(&["differs", self.agency, &item.id, &name]).percent(10));
        let mut draw = match differs {
            true => self.people.draw(&["value", &item.id, &name, self.agency]),
            false => self.people.draw(&["value", &item.id, &name]),
        };
        match &item.value_type {
            ValueType::Boolean => Some(u8::from(draw.percent(60)).to_string()),
            ValueType::Date => {
                let days = Duration::days(draw.between(60, 365 * 14));
                iso(self.today.checked_sub(days))
            }
            ValueType::Code(count) => {
                let mut index = draw.between(0, i64::from(*count) - 1);
                if differs && person == 0 {
                    // Another code than the first owner's, whatever was drawn.
                    let first = self.people.draw(&["value", &item.id, &name]);
                    index =
                        (first.clone().between(0, i64::from(*count) - 1) + 1) % i64::from(*count);
                }
                let code = item.codes.get(usize::try_from(index).ok()?)?;
                Some(source_code(entry, &code.code))
            }
            ValueType::Integer(range) | ValueType::Months(range) => {
                Some(number(&mut draw, *range, 0)?.to_string())
            }
            ValueType::Decimal(range) | ValueType::Money(_, range) => {
                let value = number(&mut draw, *range, 2)?;
                Some(match entry.scale {
                    Some(scale) => {
                        (value * Decimal::from(10i64.pow(scale))).trunc().normalize().to_string()
                    }
                    None => value.normalize().to_string(),
                })
            }
        }
    }
}

/// A number within a range, small ones far more often than large ones.
fn number(draw: &mut super::people::Draw, range: Range, places: u32) -> Option<Decimal> {
    let unit = Decimal::from(draw.between(0, 1_000_000)) / Decimal::from(1_000_000);
    let span = (range.maximum - range.minimum).to_i64().map(Decimal::from)?;
    let small = unit * unit * unit;
    let value = range.minimum + span * small * small;
    Some(value.round_dp(places).clamp(range.minimum, range.maximum))
}

/// What the source writes for a code of the catalogue.
fn source_code(entry: &ItemEntry, code: &str) -> String {
    let codes = entry.codes.iter().flatten();
    codes
        .clone()
        .find(|(_, catalogue)| catalogue.as_str() == code)
        .map_or_else(|| code.to_owned(), |(source, _)| source.clone())
}

fn iso(date: Option<Date>) -> Option<String> {
    let date = date?;
    Some(format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()))
}
