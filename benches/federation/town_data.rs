//! A town's records: one table an agency, everybody in it.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, QueryBuilder, Sqlite};
use tributary::app::demo::people::People;
use tributary::domain::catalogue::Catalogue;

use crate::town::{Party, Town};
use crate::town_files::column;

/// Bound values of one statement at most (SQLite's own limit is 32,766).
const MAX_BOUND: usize = 8000;

/// Makes an agency's database.
pub async fn fill(
    town: &Town,
    agency: &Party,
    catalogue: &Catalogue,
    people: People,
) -> anyhow::Result<()> {
    let owned = catalogue.items().iter();
    let owned = owned.filter(|item| item.owners.iter().any(|id| id.as_str() == agency.name));
    let items: Vec<usize> = owned.map(|item| item.number.index()).collect();
    let options = SqliteConnectOptions::new()
        .filename(town.home.join(format!("data/{}.db", agency.name)))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Off)
        .disable_statement_logging();
    let mut database = options.connect().await?;
    let columns: Vec<String> = items.iter().map(|item| column(*item)).collect();
    let declared: Vec<String> = columns.iter().map(|column| format!("{column} text")).collect();
    let create = format!(
        "create table records (person_id text not null primary key, {}, \
         updated_on text not null) without rowid",
        declared.join(", ")
    );
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut database).await?;
    let head = format!("insert into records (person_id, {}, updated_on) ", columns.join(", "));
    let mut transaction = database.begin().await?;
    let persons: Vec<usize> = people.places().collect();
    for chunk in persons.chunks((MAX_BOUND / (columns.len() + 2)).max(1)) {
        let mut insert = QueryBuilder::<Sqlite>::new(head.clone());
        insert.push_values(chunk, |mut row, person| {
            row.push_bind(people.card_number(*person));
            for item in &items {
                row.push_bind(cell(people, *person, *item));
            }
            row.push_bind("2026-03-01");
        });
        insert.build().persistent(false).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(database.close().await?)
}

/// As the catalogue's kinds follow on one another.
fn cell(people: People, person: usize, item: usize) -> String {
    let mut draw = people.draw(&["town", &person.to_string(), &item.to_string()]);
    match item % 3 {
        0 => draw.between(0, 10_000).to_string(),
        1 => {
            format!("20{:02}-0{}-1{}", draw.between(10, 24), draw.between(1, 9), draw.between(0, 9))
        }
        _ => draw.between(0, 1).to_string(),
    }
}
