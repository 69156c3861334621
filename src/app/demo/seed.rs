//! Fills the agencies' databases with synthetic people, by the agencies' own
//! mappings: what is written is what an agency of that kind would hold.
//!
//! Some people are missing from some agencies, some records have holes, some
//! adverse facts have lapsed or are disputed, and where two agencies hold one
//! item they sometimes differ.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, QueryBuilder, Sqlite};
use time::{Date, Duration};

use super::city::{City, DemoError};
use super::people::People;
use super::postgres::Postgres;
use crate::clock;
use crate::config::mapping::{ItemEntry, QueryEntry};
use crate::domain::catalogue::{Catalogue, Item};
use crate::domain::value::{Range, ValueType};

/// Bound values of one statement at most (SQLite's own limit is 32,766).
const MAX_BOUND: usize = 8000;

/// The first people are in every agency's records, so that a demo has somebody
/// to show.
pub(super) const EVERYWHERE: usize = 10;

/// How many people get a grant of the demo.
pub(super) const SHOWN: usize = 200;

/// Fills every agency's database, all at once.
pub(super) async fn fill(city: &City, people: People) -> Result<(), DemoError> {
    let agencies = city.agencies.iter().map(|agency| fill_agency(city, agency, people));
    futures_util::future::try_join_all(agencies).await.map(|_| ())
}

async fn fill_agency(city: &City, agency: &str, people: People) -> Result<(), DemoError> {
    let failed = |source| DemoError::Database { agency: agency.to_owned(), source };
    let config = city.load_agency(agency)?;
    let options = SqliteConnectOptions::new()
        .filename(city.database(agency))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Off)
        .disable_statement_logging();
    let mut database = options.connect().await.map_err(failed)?;
    sqlx::raw_sql(City::schema(agency)).execute(&mut database).await.map_err(failed)?;
    let today = clock::today();
    for query in &config.query {
        let table =
            Table { agency, query: query.get_ref(), catalogue: &city.catalogue, people, today };
        table.fill(&mut database).await.map_err(failed)?;
    }
    database.close().await.map_err(failed)
}

/// Fills every agency's database on a server.
pub(super) async fn fill_postgres(
    city: &City,
    people: People,
    server: &mut Postgres,
) -> Result<(), DemoError> {
    let password = server.write_password(&city.home.join("data"))?;
    for agency in &city.agencies {
        let failed = |source| DemoError::Database { agency: agency.clone(), source };
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
    /// Its columns, and the rows of everyone whom it knows.
    fn contents(&self) -> (Vec<&str>, Vec<Vec<Option<String>>>) {
        let mut columns = vec![self.query.subject.get_ref().as_str(), self.query.as_of.get_ref()];
        let adverse = [&self.query.ended, &self.query.disputed, &self.query.statement];
        columns.extend(adverse.into_iter().flatten().map(|column| column.get_ref().as_str()));
        columns.extend(self.query.items.values().map(|item| item.get_ref().column.as_str()));
        (columns, self.people.places().filter_map(|person| self.row(person)).collect())
    }

    /// The server itself turns each text into what its column holds.
    async fn fill_postgres(&self, database: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (columns, rows) = self.contents();
        let name = self.query.name.get_ref();
        let insert = format!(
            "insert into {name} select * from json_populate_recordset(null::{name}, $1::json)"
        );
        for chunk in rows.chunks(MAX_BOUND) {
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

    async fn fill(&self, database: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let (columns, rows) = self.contents();
        // Names out of the demo's own files; every value is bound.
        let head = format!("insert into {} ({}) ", self.query.name.get_ref(), columns.join(", "));
        let mut transaction = database.begin().await?;
        for chunk in rows.chunks((MAX_BOUND / columns.len()).max(1)) {
            let mut insert = QueryBuilder::<Sqlite>::new(head.clone());
            insert.push_values(chunk, |mut row, cells| {
                for cell in cells {
                    row.push_bind(cell);
                }
            });
            insert.build().persistent(false).execute(&mut *transaction).await?;
        }
        transaction.commit().await
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
