//! The index's rows: what of an entry can be searched by, how it is read from the
//! log, and how it stands in the database.

use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, split_bundle};
use crate::domain::audit::{Dictionary, Edge, Entry, Hash, Query, Record, leaf_hash};
use crate::store::proof::{ProveError, read_tile};

/// The kind of a row that is a dictionary entry, and of any other.
const NAME: i64 = 1;
const RECORD: i64 = 2;

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

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            index: row.get(0)?,
            leaf: leaf(row)?,
            kind: row.get(2)?,
            time: row.get(3)?,
            request: row.get(4)?,
            peer: row.get(5)?,
            agency: row.get(6)?,
            tag: row.get(7)?,
        })
    }
}

/// A row's second column: what is no bytes is no leaf of the log either.
fn leaf(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec())
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

pub(super) fn insert(database: &Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let mut insert = database.prepare(
        "insert into entry (idx, leaf, kind, time, request, peer, agency, tag) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for row in rows {
        let Row { index, leaf, kind, time, request, peer, agency, tag } = row;
        insert.execute(params![index, leaf, kind, time, request, peer, agency, tag])?;
    }
    Ok(())
}

/// The rows of the entries from one index to before another.
pub(super) fn range(database: &Connection, from: u64, to: u64) -> rusqlite::Result<Vec<Row>> {
    let mut range = database.prepare(
        "select idx, leaf, kind, time, request, peer, agency, tag from entry \
         where idx >= ?1 and idx < ?2 order by idx",
    )?;
    range.query_map([clamp(from), clamp(to)], Row::read)?.collect()
}

/// Indexes of the dictionary entries.
pub(super) fn names(database: &Connection) -> rusqlite::Result<Vec<u64>> {
    let mut names = database.prepare("select idx from entry where kind = ?1 order by idx")?;
    names.query_map([NAME], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))?.collect()
}

/// Index and leaf hash of the records that answer a query, the first `limit` from an
/// index on.
pub(super) fn find(
    database: &Connection,
    query: &Query,
    from: u64,
    limit: usize,
) -> rusqlite::Result<Vec<(u64, Vec<u8>)>> {
    let mut text = "select idx, leaf from entry where kind = ? and idx >= ?".to_owned();
    let mut bound: Vec<Value> = vec![RECORD.into(), clamp(from).into()];
    let equal = [
        (" and request = ?", query.request.as_ref().map(ToString::to_string)),
        (" and peer = ?", query.consumer.as_ref().map(ToString::to_string)),
        (" and agency = ?", query.agency.as_ref().map(ToString::to_string)),
    ];
    for (condition, wanted) in equal {
        if let Some(wanted) = wanted {
            text.push_str(condition);
            bound.push(wanted.into());
        }
    }
    for (condition, time) in [(" and time >= ?", query.since), (" and time < ?", query.until)] {
        if let Some(time) = time {
            text.push_str(condition);
            bound.push(clamp(time.0).into());
        }
    }
    if !query.tags.is_empty() {
        let places = vec!["?"; query.tags.len()].join(", ");
        text += &format!(" and tag in ({places})");
        bound.extend(query.tags.iter().map(|tag| Value::from(tag.expose().to_vec())));
    }
    text.push_str(" order by idx limit ?");
    bound.push(clamp(limit as u64).into());
    let mut find = database.prepare(&text)?;
    let found = find.query_map(params_from_iter(bound), |row| {
        Ok((row.get::<_, i64>(0)?.unsigned_abs(), leaf(row)?))
    })?;
    found.collect()
}
