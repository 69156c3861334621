//! The index's rows: what of an entry can be searched by, how it is read from the
//! log, and how it stands in the database.

use std::path::PathBuf;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, split_bundle};
use crate::domain::audit::{Dictionary, Edge, Entry, Hash, Query, Record, leaf_hash};
use crate::store::proof::{ProveError, read_tile};

/// The kind of a row that is a dictionary entry, and of any other.
const NAME: i64 = 1;
const RECORD: i64 = 2;

/// Rows of one statement; SQLite takes 32,766 values.
const STATEMENT_ROWS: usize = 2000;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) index: i64,
    pub(super) leaf: Vec<u8>,
    pub(super) kind: i64,
    pub(super) time: Option<i64>,
    pub(super) request: Option<String>,
    pub(super) peer: Option<String>,
    pub(super) agency: Option<String>,
    pub(super) tag: Option<Vec<u8>>,
}

impl Row {
    fn new(index: u64, leaf: Hash, record: Option<&Record>) -> Self {
        let mut row = Self {
            index: clamp(index),
            leaf: leaf.0.to_vec(),
            kind: if record.is_some() { RECORD } else { NAME },
            time: record.map(|record| clamp(record.time().0)),
            request: None,
            peer: None,
            agency: None,
            tag: None,
        };
        match record {
            Some(Record::Section(section)) => {
                row.request = Some(section.request.to_string());
                row.peer = Some(section.consumer.to_string());
                row.agency = section.agency.as_ref().map(ToString::to_string);
                row.tag = section.subject.map(|tag| tag.expose().to_vec());
            }
            Some(Record::Refusals(refusals)) => row.peer = Some(refusals.peer.to_string()),
            Some(Record::Search(search)) => row.peer = Some(search.reviewer.to_string()),
            Some(Record::Started { .. } | Record::Stopped { .. }) | None => {}
        }
        row
    }

    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            index: row.try_get(0)?,
            leaf: row.try_get(1)?,
            kind: row.try_get(2)?,
            time: row.try_get(3)?,
            request: row.try_get(4)?,
            peer: row.try_get(5)?,
            agency: row.try_get(6)?,
            tag: row.try_get(7)?,
        })
    }
}

/// An index or a time as SQLite holds it; none comes near the limit.
pub(super) fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A way through the published entries of a log.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) log: PathBuf,
    /// The size of the checkpoint under which it reads.
    pub(super) size: u64,
    pub(super) edge: Edge,
    pub(super) dictionary: Dictionary,
}

impl Reading {
    /// The rows of the next so many bundles; none at the end. Blocking.
    pub(super) fn rows(&mut self, bundles: u64) -> Result<Vec<Row>, ProveError> {
        let mut rows = Vec::new();
        for _ in 0..bundles {
            let at = self.edge.size();
            if at >= self.size {
                break;
            }
            let number = at / TILE_WIDTH;
            let bundle = read_tile(&self.log, self.size, Shelf::Entries, number)?;
            let left = usize::try_from((self.size - number * TILE_WIDTH).min(TILE_WIDTH));
            let known = usize::try_from(at % TILE_WIDTH).unwrap_or_default();
            for entry in split_bundle(&bundle).take(left.unwrap_or_default()).skip(known) {
                rows.push(self.row(entry.ok_or(ProveError::Tiles)?)?);
            }
            if self.edge.size() == at {
                return Err(ProveError::Tiles);
            }
        }
        Ok(rows)
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Row, ProveError> {
        let (index, leaf) = (self.edge.size(), leaf_hash(bytes));
        let entry = Entry::decode(bytes).map_err(|_| ProveError::Tiles)?;
        self.dictionary.learn(index, &entry).map_err(|_| ProveError::Tiles)?;
        let record = self.dictionary.resolve(&entry).map_err(|_| ProveError::Tiles)?;
        self.edge.push(leaf).map_err(|_| ProveError::Tiles)?;
        Ok(Row::new(index, leaf, record.as_ref()))
    }
}

pub(super) async fn insert(
    database: &mut SqliteConnection,
    rows: &[Row],
) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(STATEMENT_ROWS) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "insert into entry (idx, leaf, kind, time, request, peer, agency, tag) ",
        );
        insert.push_values(rows, |mut values, row| {
            values
                .push_bind(row.index)
                .push_bind(&row.leaf)
                .push_bind(row.kind)
                .push_bind(row.time)
                .push_bind(&row.request)
                .push_bind(&row.peer)
                .push_bind(&row.agency)
                .push_bind(&row.tag);
        });
        insert.build().execute(&mut *database).await?;
    }
    Ok(())
}

/// The rows of the entries from one index to before another.
pub(super) async fn range(
    database: &mut SqliteConnection,
    from: u64,
    to: u64,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query(
        "select idx, leaf, kind, time, request, peer, agency, tag from entry \
         where idx >= $1 and idx < $2 order by idx",
    );
    let rows = rows.bind(clamp(from)).bind(clamp(to)).fetch_all(database).await?;
    rows.iter().map(Row::read).collect()
}

/// Indexes of the dictionary entries.
pub(super) async fn names(database: &mut SqliteConnection) -> Result<Vec<u64>, sqlx::Error> {
    let rows = sqlx::query("select idx from entry where kind = $1 order by idx").bind(NAME);
    let rows = rows.fetch_all(database).await?;
    rows.iter().map(|row| Ok(row.try_get::<i64, _>(0)?.unsigned_abs())).collect()
}

/// Index and leaf hash of the records that answer a query, the first `limit` from an
/// index on.
pub(super) async fn find(
    database: &mut SqliteConnection,
    query: &Query,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, Vec<u8>)>, sqlx::Error> {
    let mut find = QueryBuilder::<Sqlite>::new("select idx, leaf from entry where kind = ");
    find.push_bind(RECORD).push(" and idx >= ").push_bind(clamp(from));
    let equal = [
        (" and request = ", query.request.as_ref().map(ToString::to_string)),
        (" and peer = ", query.consumer.as_ref().map(ToString::to_string)),
        (" and agency = ", query.agency.as_ref().map(ToString::to_string)),
    ];
    for (condition, wanted) in equal {
        if let Some(wanted) = wanted {
            find.push(condition).push_bind(wanted);
        }
    }
    for (condition, time) in [(" and time >= ", query.since), (" and time < ", query.until)] {
        if let Some(time) = time {
            find.push(condition).push_bind(clamp(time.0));
        }
    }
    if !query.tags.is_empty() {
        let mut tags = find.push(" and tag in (").separated(", ");
        for tag in &query.tags {
            tags.push_bind(tag.expose().to_vec());
        }
        find.push(")");
    }
    find.push(" order by idx limit ").push_bind(clamp(limit as u64));
    let rows = find.build().fetch_all(database).await?;
    rows.iter().map(|row| Ok((row.try_get::<i64, _>(0)?.unsigned_abs(), row.try_get(1)?))).collect()
}
