//! Fills the agencies' databases with synthetic people, by the agencies' own
//! mappings: what is written is what an agency of that kind would hold.
//!
//! What is true of somebody is the business of [`Life`]. Here some people are missing
//! from some agencies, some records have holes, some adverse facts have lapsed or are
//! disputed, and where two agencies hold one item they sometimes differ.

use std::path::Path;
use std::sync::{Arc, Weak};

use rusqlite::params_from_iter;
use rust_decimal::Decimal;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use time::{Date, Duration};

use super::cases::{self, CaseOutcome};
use super::city::{City, DemoError};
use super::life::{EVERYWHERE, Fact, Life, shifted};
use super::people::People;
use super::postgres::Postgres;
use crate::clock;
use crate::config::mapping::{ItemEntry, QueryEntry};
use crate::domain::catalogue::{Catalogue, Item, Survivorship};
use crate::domain::value::{Range, ValueType};

/// Rows of one statement at most, on a server.
const MAX_ROWS: usize = 8000;

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
    fn row(&self, place: usize) -> Option<Vec<Option<String>>> {
        let name = place.to_string();
        let person = Person {
            place,
            life: Life::new(self.people, place, self.today),
            outcome: CaseOutcome::of(self.people, place),
        };
        let shown = place < EVERYWHERE || person.outcome.is_some();
        let known = !self.people.draw(&["known", self.agency, &name]).percent(5) || shown;
        let unknown = person.outcome.is_some_and(|outcome| outcome.is_unknown_at(self.agency));
        let mut draw = self.people.draw(&["row", self.agency, self.query.name.get_ref(), &name]);
        let present = match self.query.ended {
            Some(_) => self.adverse(&person),
            None => draw.percent(94) || shown,
        };
        if !known || unknown || !present {
            return None;
        }
        let age = Duration::days(draw.between(1, 60));
        let mut row = vec![Some(self.people.card_number(place)), iso(self.today.checked_sub(age))];
        if self.query.ended.is_some() {
            let (ended, disputed) = self.fate(&person);
            row.push(ended.and_then(|ago| iso(self.today.checked_sub(ago))));
            row.push(Some(u8::from(disputed).to_string()));
            row.push(disputed.then(|| format!("statement-{}-{place}", self.agency)));
        }
        row.extend(self.query.items.iter().map(|(id, entry)| {
            let hole = self.people.draw(&["hole", self.agency, id, &name]).percent(4) && !shown;
            let item = self.catalogue.find(id).filter(|_| !hole)?;
            self.cell(item, entry.get_ref(), &person)
        }));
        Some(row)
    }

    /// Whether an agency has an adverse record of this table.
    fn adverse(&self, person: &Person) -> bool {
        let meant = self.query.items.contains_key(cases::ADVERSE);
        match person.outcome {
            Some(CaseOutcome::Disputed | CaseOutcome::Lapsed) => meant,
            Some(CaseOutcome::Complete) => false,
            _ => self.query.items.keys().any(|id| person.life.is_troubled(id)),
        }
    }

    /// How long ago an adverse fact ended, if it has, and whether it is disputed.
    fn fate(&self, person: &Person) -> (Option<Duration>, bool) {
        let name = person.place.to_string();
        let mut fate = self.people.draw(&["fate", self.agency, self.query.name.get_ref(), &name]);
        let ended = Duration::days(fate.between(30, person.life.adult_days().min(365 * 8)));
        let (ongoing, disputed) = (fate.percent(30), fate.percent(15));
        match person.outcome {
            Some(CaseOutcome::Disputed) => (None, true),
            // A year longer than any fact of the table may be used.
            Some(CaseOutcome::Lapsed) => {
                let items = self.query.items.keys().filter_map(|id| self.catalogue.find(id));
                let months = items.filter_map(|item| item.adverse_months).max().unwrap_or(0);
                (Some(Duration::days((i64::from(months) + 12) * 31)), false)
            }
            _ => ((!ongoing).then_some(ended), disputed),
        }
    }

    fn cell(&self, item: &Item, entry: &ItemEntry, person: &Person) -> Option<String> {
        let name = person.place.to_string();
        if let Some(text) =
            person.outcome.and_then(|outcome| outcome.written(self.agency, &item.id))
        {
            return Some(text.to_owned());
        }
        let second = item.owners.first().is_some_and(|first| first.as_str() != self.agency);
        // Parts of a sum are each owner's own.
        let could_differ = second && item.survivorship != Survivorship::Sum;
        // One person shows a conflict on every item that two agencies hold.
        let differs = match person.outcome {
            Some(CaseOutcome::Conflict) => true,
            Some(_) => false,
            None => self.people.draw(&["differs", self.agency, &item.id, &name]).percent(10),
        };
        let mut fact = person.life.fact(self.agency, item)?;
        if could_differ && differs {
            let mut draw = self.people.draw(&["value", &item.id, &name, self.agency]);
            fact = shifted(fact, item, &mut draw);
        }
        written(fact, item, entry)
    }
}

/// A person of whom a row is made.
struct Person {
    place: usize,
    life: Life,
    outcome: Option<CaseOutcome>,
}

/// A fact as the source writes it.
fn written(fact: Fact, item: &Item, entry: &ItemEntry) -> Option<String> {
    let number = |range: Range| {
        let number = match fact {
            Fact::Whole(number) => Decimal::from(number),
            Fact::Number(number) => number,
            _ => return None,
        };
        Some(number.clamp(range.minimum, range.maximum))
    };
    match (&item.value_type, fact) {
        (ValueType::Boolean, Fact::Flag(is)) => Some(u8::from(is).to_string()),
        (ValueType::Date, Fact::Day(day)) => iso(Some(day)),
        (ValueType::Code(_), code) => Some(source_code(entry, code.code_of(item)?)),
        (ValueType::Integer(range) | ValueType::Months(range), _) => {
            Some(number(*range)?.trunc().normalize().to_string())
        }
        (ValueType::Decimal(range) | ValueType::Money(_, range), _) => {
            let number = number(*range)?.round_dp(2);
            Some(match entry.scale {
                Some(scale) => {
                    (number * Decimal::from(10i64.pow(scale))).trunc().normalize().to_string()
                }
                None => number.normalize().to_string(),
            })
        }
        _ => None,
    }
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
