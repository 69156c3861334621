//! A town's records: one table an agency, everybody in it.

use rusqlite::{Connection, params_from_iter};
use tributary::app::demo::people::People;
use tributary::domain::catalogue::Catalogue;

use crate::town::{Party, Town};
use crate::town_files::column;

/// Makes an agency's database. Blocking.
pub fn fill(
    town: &Town,
    agency: &Party,
    catalogue: &Catalogue,
    people: People,
) -> anyhow::Result<()> {
    let owned = catalogue.items().iter();
    let owned = owned.filter(|item| item.owners.iter().any(|id| id.as_str() == agency.name));
    let items: Vec<usize> = owned.map(|item| item.number.index()).collect();
    let mut database = Connection::open(town.home.join(format!("data/{}.db", agency.name)))?;
    database.pragma_update(None, "journal_mode", "off")?;
    let columns: Vec<String> = items.iter().map(|item| column(*item)).collect();
    let declared: Vec<String> = columns.iter().map(|column| format!("{column} text")).collect();
    let transaction = database.transaction()?;
    transaction.execute_batch(&format!(
        "create table records (person_id text not null primary key, {}, \
         updated_on text not null) without rowid",
        declared.join(", ")
    ))?;
    let mut insert = transaction.prepare(&format!(
        "insert into records (person_id, {}, updated_on) values (?, {}, '2026-03-01')",
        columns.join(", "),
        vec!["?"; columns.len()].join(", ")
    ))?;
    for person in people.places() {
        let cells = items.iter().map(|item| cell(people, person, *item));
        insert.execute(params_from_iter([people.card_number(person)].into_iter().chain(cells)))?;
    }
    drop(insert);
    Ok(transaction.commit()?)
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
