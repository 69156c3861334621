//! The index's rows: what of a bundle's records can be searched by, how it is read from
//! the log, and how it stands in the database.
//!
//! A row says that something is in a bundle, not which entry it is: the records of a
//! request stand side by side, so one row does for all of them. What is searched by
//! stands there as a hash of eight bytes. Two that hash alike cost a bundle that is read
//! in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, split_bundle};
use crate::domain::audit::{Dictionary, Edge, Entry, Query, Record, VerifyingKey, leaf_hash};
use crate::store::proof::{ProveError, read_tile};
use crate::store::pruned;

/// What is searched by.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Request = 1,
    Peer = 2,
    Agency = 3,
    Tag = 4,
}

/// One bundle of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexRow {
    pub(super) number: i64,
    pub(super) root: Vec<u8>,
    /// The times of its first and its last record.
    times: Option<(i64, i64)>,
}

/// What a bundle adds to the index.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) row: IndexRow,
    /// Where names stand in it.
    pub(super) names: BTreeSet<i64>,
    /// Hashes of what can be searched by.
    pub(super) keys: BTreeSet<i64>,
}

impl Added {
    fn see(&mut self, record: &Record) {
        let time = clamp(record.time().0);
        self.row.times = Some((self.row.times.map_or(time, |(first, _)| first), time));
        let mut key = |kind, value: &[u8]| self.keys.insert(hash(kind, value));
        match record {
            Record::Section(section) => {
                key(Kind::Request, section.request.as_str().as_bytes());
                key(Kind::Peer, section.consumer.as_str().as_bytes());
                if let Some(agency) = &section.agency {
                    key(Kind::Agency, agency.as_str().as_bytes());
                }
                if let Some(tag) = &section.subject {
                    key(Kind::Tag, tag.expose());
                }
            }
            Record::Refusals(refusals) => {
                key(Kind::Peer, refusals.peer.as_str().as_bytes());
            }
            Record::Search(search) => {
                key(Kind::Peer, search.reviewer.as_str().as_bytes());
            }
            Record::Started { .. } | Record::Stopped { .. } | Record::Succeeds { .. } => {}
        }
    }
}

fn hash(kind: Kind, value: &[u8]) -> i64 {
    let mut context = Context::new(&SHA256);
    context.update(&[kind as u8]);
    context.update(value);
    let hash = context.finish();
    hash.as_ref().first_chunk::<8>().map_or(0, |first| i64::from_be_bytes(*first))
}

/// An index or a time as SQLite holds it; none comes near the limit.
pub(super) fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A way through the published entries of a log.
#[derive(Debug)]
pub(super) struct EntryReader {
    pub(super) log: PathBuf,
    /// The size of the checkpoint under which it reads.
    pub(super) size: u64,
    pub(super) edge: Edge,
    pub(super) dictionary: Dictionary,
    pub(super) gone: Gone,
}

/// What was pruned of a log: how many bundles, and the names of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone {
    pub(super) bundles: u64,
    pub(super) names: BTreeMap<u64, Vec<u8>>,
}

impl Gone {
    /// What the log says.
    pub(super) fn read(log: &Path, key: &VerifyingKey) -> Result<Self, ProveError> {
        let Some(own) = pruned::read(log, key)? else { return Ok(Self::default()) };
        let names = pruned::names(log, own.before)?.into_iter().collect();
        Ok(Self { bundles: own.bundles(), names })
    }
}

impl EntryReader {
    /// What the next so many bundles add; nothing at the end. The first may be known in
    /// part. Blocking.
    pub(super) fn bundles(&mut self, most: u64) -> Result<Vec<Added>, ProveError> {
        let mut all = Vec::new();
        for _ in 0..most {
            let at = self.edge.size();
            if at >= self.size {
                break;
            }
            all.push(self.bundle(at / TILE_WIDTH)?);
            if self.edge.size() == at {
                return Err(ProveError::Tiles);
            }
        }
        Ok(all)
    }

    fn bundle(&mut self, number: u64) -> Result<Added, ProveError> {
        if number < self.gone.bundles {
            return self.hashes(number);
        }
        let first = number * TILE_WIDTH;
        let bundle = read_tile(&self.log, self.size, Shelf::Entries, number)?;
        let width = usize::try_from((self.size - first).min(TILE_WIDTH)).unwrap_or_default();
        let row = IndexRow { number: clamp(number), root: Vec::new(), times: None };
        let mut added = Added { row, names: BTreeSet::new(), keys: BTreeSet::new() };
        let mut edge = Edge::default();
        for (index, bytes) in (first..).zip(split_bundle(&bundle).take(width)) {
            let bytes = bytes.ok_or(ProveError::Tiles)?;
            let leaf = leaf_hash(bytes);
            edge.push(leaf).map_err(|_| ProveError::Tiles)?;
            let entry = Entry::decode(bytes).map_err(|_| ProveError::Tiles)?;
            if index >= self.edge.size() {
                self.dictionary.learn(index, &entry).map_err(|_| ProveError::Tiles)?;
                self.edge.push(leaf).map_err(|_| ProveError::Tiles)?;
            }
            match self.dictionary.resolve(&entry).map_err(|_| ProveError::Tiles)? {
                Some(record) => added.see(&record),
                None => {
                    added.names.insert(clamp(index));
                }
            }
        }
        added.row.root = edge.root().map_err(|_| ProveError::Tiles)?.0.to_vec();
        Ok(added)
    }
}

impl EntryReader {
    /// Of a bundle that was pruned: its root and the names in it, and nothing that can be
    /// searched by.
    fn hashes(&mut self, number: u64) -> Result<Added, ProveError> {
        let row = IndexRow { number: clamp(number), root: Vec::new(), times: None };
        let mut added = Added { row, names: BTreeSet::new(), keys: BTreeSet::new() };
        let mut edge = Edge::default();
        let leaves = pruned::leaves(&self.log, self.size, number)?;
        for (index, leaf) in (number * TILE_WIDTH..).zip(leaves) {
            edge.push(leaf).map_err(|_| ProveError::Tiles)?;
            let name = self.gone.names.get(&index);
            if name.is_some() {
                added.names.insert(clamp(index));
            }
            if index < self.edge.size() {
                continue;
            }
            if let Some(name) = name {
                let entry = Entry::decode(name).ok().filter(|_| leaf_hash(name) == leaf);
                let entry = entry.ok_or(ProveError::Tiles)?;
                self.dictionary.learn(index, &entry).map_err(|_| ProveError::Tiles)?;
            }
            self.edge.push(leaf).map_err(|_| ProveError::Tiles)?;
        }
        added.row.root = edge.root().map_err(|_| ProveError::Tiles)?.0.to_vec();
        Ok(added)
    }
}

/// Whether it says of a bundle before this one what its records had.
pub(super) fn tells_of(database: &Connection, bundles: u64) -> rusqlite::Result<bool> {
    let told = "select exists (select 1 from bundle where n < ?1 and last is not null)";
    database.query_row(told, [clamp(bundles)], |row| row.get(0))
}

/// Keys on their way into the database: in the order of their hashes each page is written
/// once, however many of them come to lie on it.
#[derive(Debug, Default)]
pub(super) struct Keys {
    waiting: Vec<(i64, i64)>,
    /// How many were new.
    pub(super) new: i64,
}

impl Keys {
    /// Most keys that wait, 16 MiB.
    const MOST: usize = 1 << 20;

    /// Writes what bundles add.
    pub(super) fn insert(&mut self, database: &Connection, all: &[Added]) -> rusqlite::Result<()> {
        let mut bundle = database.prepare_cached(
            "insert or replace into bundle (n, root, first, last) values (?1, ?2, ?3, ?4)",
        )?;
        let mut name = database.prepare_cached("insert or ignore into name (idx) values (?1)")?;
        for Added { row, names, keys } in all {
            let (first, last) = row.times.unzip();
            bundle.execute(params![row.number, row.root, first, last])?;
            for index in names {
                name.execute([index])?;
            }
            self.waiting.extend(keys.iter().map(|hash| (*hash, row.number)));
        }
        if self.waiting.len() >= Self::MOST {
            self.flush(database)?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, database: &Connection) -> rusqlite::Result<()> {
        let mut key =
            database.prepare_cached("insert or ignore into key (hash, n) values (?1, ?2)")?;
        self.waiting.sort_unstable();
        for (hash, number) in self.waiting.drain(..) {
            self.new += i64::try_from(key.execute([hash, number])?).unwrap_or_default();
        }
        Ok(())
    }
}

/// The rows of the bundles from one number to another, that one included.
pub(super) fn range(database: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<IndexRow>> {
    let mut range = database.prepare_cached(
        "select n, root, first, last from bundle where n between ?1 and ?2 order by n",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let root = row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec();
        let times: (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
        Ok(IndexRow { number: row.get(0)?, root, times: times.0.zip(times.1) })
    };
    range.query_map([from, to], read)?.collect()
}

/// How many keys there are of each bundle.
pub(super) fn keys_of_bundles(database: &Connection) -> rusqlite::Result<BTreeMap<i64, usize>> {
    let mut all = database.prepare("select n from key")?;
    let mut counts = BTreeMap::new();
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        *counts.entry(row.get(0)?).or_default() += 1;
    }
    Ok(counts)
}

/// Whether the names and the keys of a bundle are all there.
pub(super) fn has(database: &Connection, added: &Added) -> rusqlite::Result<bool> {
    let mut key = database.prepare_cached("select 1 from key where hash = ?1 and n = ?2")?;
    for hash in &added.keys {
        if !key.exists([*hash, added.row.number])? {
            return Ok(false);
        }
    }
    let first = added.row.number * clamp(TILE_WIDTH);
    let mut names = database.prepare_cached("select idx from name where idx >= ?1 and idx < ?2")?;
    let names = names.query_map([first, first + clamp(TILE_WIDTH)], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<BTreeSet<i64>>>()? == added.names)
}

/// Indexes of the dictionary entries.
pub(super) fn names(database: &Connection) -> rusqlite::Result<Vec<u64>> {
    let mut names = database.prepare("select idx from name order by idx")?;
    names.query_map([], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))?.collect()
}

/// The first `limit` bundles from a number on in which a record may be that answers a
/// query.
pub(super) fn find(
    database: &Connection,
    query: &Query,
    from: u64,
    limit: usize,
) -> rusqlite::Result<Vec<u64>> {
    let mut text = "select n from bundle where n >= ? and last is not null".to_owned();
    let mut bound: Vec<Value> = vec![clamp(from).into()];
    if let Some(time) = query.since {
        text.push_str(" and last >= ?");
        bound.push(clamp(time.0).into());
    }
    if let Some(time) = query.until {
        text.push_str(" and first < ?");
        bound.push(clamp(time.0).into());
    }
    let bytes = |text: &str| vec![text.as_bytes().to_vec()];
    let wanted = [
        (Kind::Request, query.request.as_ref().map(|is| bytes(is.as_str()))),
        (Kind::Peer, query.consumer.as_ref().map(|is| bytes(is.as_str()))),
        (Kind::Agency, query.agency.as_ref().map(|is| bytes(is.as_str()))),
        (Kind::Tag, Some(query.tags.iter().map(|tag| tag.expose().to_vec()).collect())),
    ];
    for (kind, values) in wanted {
        let hashes: Vec<i64> = values.iter().flatten().map(|value| hash(kind, value)).collect();
        if !hashes.is_empty() {
            let places = vec!["?"; hashes.len()].join(", ");
            text += &format!(" and n in (select n from key where hash in ({places}))");
            bound.extend(hashes.into_iter().map(Value::from));
        }
    }
    text.push_str(" order by n limit ?");
    bound.push(clamp(limit as u64).into());
    let mut find = database.prepare_cached(&text)?;
    let found = find.query_map(params_from_iter(bound), |row| row.get::<_, i64>(0))?;
    found.map(|number| number.map(i64::unsigned_abs)).collect()
}
