//! The search index of a log: an SQLite file beside it, made from the log and from
//! nothing else.
//!
//! It says of each bundle of entries what in it can be searched by. It is never
//! believed: it reaches as far as a signed checkpoint and its rows are counted;
//! each bundle that is found is read from the log again, and must lead to that
//! checkpoint's root. Whatever does not fit is made anew. What a damaged row hides is
//! found by [`Index::compare`].
//!
//! All of it is blocking.

mod entries;
mod file;
mod rows;
mod tail;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use entries::{Entries, learn, read_hit};
use file::{connect, is_older, remove};
use rows::{EntryReader, Gone, Keys};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::proof::{self, ProveError, Tiles};
use crate::domain::audit::tiles::TILE_WIDTH;
use crate::domain::audit::{Checkpoint, Dictionary, Edge, Hash, Query, Record, VerifyingKey};

/// Bundles that are read at a time: 16,384 entries.
const BUNDLES: u64 = 64;

/// Bundles that a search asks for at a time.
const CANDIDATES: usize = 64;

const CLEAR: &str = "delete from bundle; delete from name; delete from key; delete from reach;";

/// Why there is no answer from the index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file.
    #[error("cannot use the index {path}: {source}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The database.
    #[error("the index cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] ProveError),
    /// A row that is not what the log says.
    #[error("the index does not hold what the log says of entry {0}")]
    Differs(u64),
    /// The work was cut off.
    #[error("the index's work was cut off")]
    Ended,
}

/// Is told, between two parts of a long work, how many entries are done, and says
/// whether to go on: what stops is as if it had not begun.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its index in the log.
    pub index: u64,
    /// Its leaf hash, as the log's own bytes give it.
    pub leaf: Hash,
    /// What it says.
    pub record: Record,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of the log.
    pub hits: Vec<Hit>,
    /// Where to go on, when there may be more.
    pub next: Option<u64>,
}

/// An open index.
#[derive(Debug)]
pub struct Index {
    log: PathBuf,
    key: VerifyingKey,
    file: PathBuf,
    database: Connection,
    dictionary: Dictionary,
    reach: u64,
    root: Hash,
    /// How many keys it has.
    keys: i64,
    /// Why what was there was thrown away.
    rebuilt: Option<String>,
}

impl Index {
    /// Where the index of a log is unless told otherwise: beside its folder.
    pub fn beside(log: &Path) -> PathBuf {
        let mut name = log.file_name().unwrap_or_default().to_owned();
        name.push(".index");
        log.with_file_name(name)
    }

    /// Opens the index of a log, or begins one; what does not fit the log is thrown
    /// away. It is not brought up to date: see [`update`](Self::update).
    ///
    /// # Errors
    /// [`IndexError`] when the file cannot be made or the log's checkpoint is not
    /// there.
    pub fn open(log: &Path, key: &VerifyingKey, file: &Path) -> Result<Self, IndexError> {
        // No log, no file.
        proof::published(log, key)?;
        let (database, damage) = match connect(file) {
            Ok(database) if is_older(&database)? => {
                drop(database);
                remove(file)?;
                (connect(file)?, Some("an older version made it".to_owned()))
            }
            Ok(database) => (database, None),
            Err(IndexError::Database(error)) => {
                remove(file)?;
                (connect(file)?, Some(error.to_string()))
            }
            Err(error) => return Err(error),
        };
        let mut index = Self {
            log: log.to_owned(),
            key: key.clone(),
            file: file.to_owned(),
            database,
            dictionary: Dictionary::default(),
            reach: 0,
            root: empty_root()?,
            keys: 0,
            rebuilt: damage,
        };
        match index.load() {
            Ok(None) => {}
            Ok(Some(why)) => index.rebuild(why)?,
            Err(IndexError::Database(error)) => index.rebuild(error.to_string())?,
            Err(error) => return Err(error),
        }
        Ok(index)
    }

    /// Why what was there had to be made anew, if it had.
    pub fn rebuilt(&self) -> Option<&str> {
        self.rebuilt.as_deref()
    }

    /// How many entries it reaches over: the size of a signed checkpoint.
    pub const fn reach(&self) -> u64 {
        self.reach
    }

    /// Reads how far it reaches and holds that against the log; says what does not
    /// fit.
    fn load(&mut self) -> Result<Option<String>, IndexError> {
        type Reach = (String, i64, Vec<u8>, i64);
        let reach = "select origin, size, root, keys from reach";
        let reach = self.database.query_row(reach, [], |row| Reach::try_from(row)).optional()?;
        let counted = "select count(*), coalesce(max(n), -1), coalesce(min(n), 0), \
                       (select count(*) from key) from bundle";
        let counted: (i64, i64, i64, i64) =
            self.database.query_row(counted, [], |row| row.try_into())?;
        let Some((origin, size, root, keys)) = reach else {
            let is_empty = (counted.0, counted.3) == (0, 0);
            return Ok((!is_empty).then(|| "it holds bundles and does not say of what".into()));
        };
        let (Ok(size), Ok(root)) = (u64::try_from(size), <[u8; 32]>::try_from(root)) else {
            return Ok(Some("its reach is not in order".into()));
        };
        if origin != self.key.origin().as_str() {
            return Ok(Some(format!("it is of the log `{origin}`")));
        }
        let bundles = rows::clamp(size.div_ceil(TILE_WIDTH));
        if counted != (bundles, bundles - 1, 0, keys) {
            return Ok(Some(format!(
                "it reaches over {bundles} bundles with {keys} keys and holds {} with {}",
                counted.0, counted.3
            )));
        }
        let published = proof::published(&self.log, &self.key)?.checkpoint().size;
        if size > published {
            return Ok(Some(format!(
                "it reaches over {size} entries and the log's checkpoint over {published}: was \
                 the log put back to an older copy?"
            )));
        }
        let then = proof::prove_consistency(&self.log, &self.key, size)?;
        if then.old_root.0 != root {
            return Ok(Some("the log has another history".into()));
        }
        let row = match size.checked_sub(1) {
            Some(last) => {
                let last = rows::clamp(last / TILE_WIDTH);
                rows::range(&self.database, last, last)?.pop()
            }
            None => None,
        };
        let names = rows::names(&self.database)?;
        let gone = Gone::read(&self.log, &self.key)?;
        // What it says of people goes with what the log had of them.
        if size < gone.bundles * TILE_WIDTH || rows::tells_of(&self.database, gone.bundles)? {
            return Ok(Some("the log was pruned since".into()));
        }
        (self.reach, self.root, self.keys) = (size, Hash(root), keys);
        let learnt = learn(&self.log, &self.under(), row.as_ref(), names, &gone)?;
        Ok(learnt.map(|dictionary| self.dictionary = dictionary).err().map(str::to_owned))
    }

    /// The tree over which it reaches.
    fn under(&self) -> Checkpoint {
        let origin = self.key.origin().clone();
        Checkpoint { origin, size: self.reach, root: self.root }
    }

    /// Throws away what is there.
    ///
    /// # Errors
    /// [`IndexError::File`] and [`IndexError::Database`].
    pub fn rebuild(&mut self, why: String) -> Result<(), IndexError> {
        if self.database.execute_batch(CLEAR).is_err() {
            // Closed first: closing takes the helper files away by their names.
            self.database = Connection::open_in_memory()?;
            remove(&self.file)?;
            self.database = connect(&self.file)?;
        }
        (self.reach, self.root, self.keys) = (0, empty_root()?, 0);
        self.dictionary = Dictionary::default();
        self.rebuilt = Some(why);
        Ok(())
    }

    /// Brings it up to the log's published checkpoint, all or nothing: the leaves
    /// that are added must lead to the signed root.
    ///
    /// # Errors
    /// [`IndexError::Log`] when the log is not what its checkpoint says,
    /// [`IndexError::Ended`] when `progress` said so.
    pub fn update(&mut self, progress: Progress<'_>) -> Result<(), IndexError> {
        let signed = proof::published(&self.log, &self.key)?;
        let target = signed.checkpoint();
        if target.size == self.reach && target.root == self.root {
            return Ok(());
        }
        let mut reading = self.resume(target.size)?;
        let transaction =
            self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let there: Option<i64> =
            transaction.query_row("select size from reach", [], |row| row.get(0)).optional()?;
        if there.unwrap_or_default() != rows::clamp(self.reach) {
            // Another process was faster.
            transaction.rollback()?;
            return match self.load()? {
                None => Ok(()),
                Some(why) => self.rebuild(why),
            };
        }
        let mut keys = Keys::default();
        loop {
            let added = reading.bundles(BUNDLES)?;
            if added.is_empty() {
                break;
            }
            keys.insert(&transaction, &added)?;
            if progress(reading.edge.size()).is_break() {
                return Err(IndexError::Ended);
            }
        }
        keys.flush(&transaction)?;
        if reading.edge.root().map_err(|_| ProveError::Tiles)? != target.root {
            return Err(IndexError::Log(ProveError::Tiles));
        }
        let reach = "insert or replace into reach (one, origin, size, root, keys) \
                     values (1, ?1, ?2, ?3, ?4)";
        let (size, keys) = (rows::clamp(target.size), self.keys + keys.new);
        transaction
            .execute(reach, params![self.key.origin().as_str(), size, target.root.0, keys])?;
        transaction.commit()?;
        (self.reach, self.root, self.keys) = (target.size, target.root, keys);
        self.dictionary = reading.dictionary;
        Ok(())
    }

    /// A reading that goes on where the index ends.
    fn resume(&self, size: u64) -> Result<EntryReader, IndexError> {
        let tiles = Tiles { log: &self.log, size };
        let edge = Edge::resume(self.reach, &tiles).map_err(|_| ProveError::Tiles)?;
        if edge.root().map_err(|_| ProveError::Tiles)? != self.root {
            return Err(IndexError::Log(ProveError::Tiles));
        }
        let (log, dictionary) = (self.log.clone(), self.dictionary.clone());
        let gone = Gone::read(&self.log, &self.key)?;
        Ok(EntryReader { log, size, edge, dictionary, gone })
    }

    /// The first `limit` records from an index on that answer a query, those included
    /// that are in no tile yet. Call [`update`](Self::update) first.
    ///
    /// # Errors
    /// [`IndexError::Differs`]: make it anew and search again.
    pub fn search(&self, query: &Query, from: u64, limit: usize) -> Result<Found, IndexError> {
        let wanted = limit.saturating_add(1);
        let (log, under) = (&self.log, self.under());
        let mut hits = Vec::new();
        let mut entries = Entries::new(log, &under);
        let mut next = from / TILE_WIDTH;
        loop {
            let found = rows::find(&self.database, query, next, CANDIDATES)?;
            let Some(last) = found.last() else { break };
            next = last + 1;
            for number in found {
                let first = number * TILE_WIDTH;
                for index in first.max(from)..(first + TILE_WIDTH).min(under.size) {
                    if hits.len() < wanted {
                        hits.extend(read_hit(&mut entries, &self.dictionary, query, index)?);
                    }
                }
            }
            if hits.len() >= wanted {
                break;
            }
        }
        if hits.len() < wanted {
            let mut take = |index, leaf, record: Record| {
                if index >= from && hits.len() < wanted && query.takes(&record) {
                    hits.push(Hit { index, leaf, record });
                }
            };
            tail::unpublished(log, under.size, self.dictionary.clone(), &mut take)
                .map_err(|source| IndexError::File { path: log.clone(), source })?;
        }
        let next = match hits.len() > limit {
            true => hits.pop().map(|hit| hit.index),
            false => None,
        };
        Ok(Found { hits, next })
    }

    /// Holds every row against the log.
    ///
    /// # Errors
    /// [`IndexError::Differs`] with the first entry whose row is another.
    pub fn compare(&self, progress: Progress<'_>) -> Result<(), IndexError> {
        let (log, size) = (self.log.clone(), self.reach);
        let dictionary = Dictionary::default();
        let gone = Gone::read(&self.log, &self.key)?;
        let mut reading = EntryReader { log, size, edge: Edge::default(), dictionary, gone };
        let mut keys = rows::keys_of_bundles(&self.database)?;
        let differs = |number: i64| IndexError::Differs(number.unsigned_abs() * TILE_WIDTH);
        loop {
            let expected = reading.bundles(BUNDLES)?;
            if expected.is_empty() {
                break;
            }
            for added in expected {
                let number = added.row.number;
                let there = rows::range(&self.database, number, number)?.pop();
                // As many, and each of them there: then they are the same.
                let as_many = keys.remove(&number).unwrap_or_default() == added.keys.len();
                let same = there.as_ref() == Some(&added.row);
                if !same || !as_many || !rows::has(&self.database, &added)? {
                    return Err(differs(number));
                }
            }
            if progress(reading.edge.size()).is_break() {
                return Err(IndexError::Ended);
            }
        }
        if let Some((number, _)) = keys.pop_first() {
            return Err(differs(number));
        }
        if reading.edge.root().map_err(|_| ProveError::Tiles)? != self.root {
            return Err(IndexError::Log(ProveError::Tiles));
        }
        Ok(())
    }
}

fn empty_root() -> Result<Hash, IndexError> {
    Ok(Edge::default().root().map_err(|_| ProveError::Tiles)?)
}
