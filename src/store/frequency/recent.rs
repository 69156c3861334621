//! The newest counts, in the order in which they came: a table that only grows at
//! its end, and the same in memory.
//!
//! Keys are hashes, so a count that goes straight into the tables of all counts
//! writes a page of its own for each. Here those of a batch lie side by side in one.
//! Now and then they are taken into the tables in one go, in the order of the keys,
//! and each page is then written once. What a count comes to is not decided here.
//!
//! Another process may be on the same file: whatever it has added or taken in is
//! caught up with at the start of each transaction.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, PrepFlags, Row, Statement, params};

use super::batch::{Released, State};

/// Each row says what is counted of a grant, what of a request, or both; the last
/// row about either holds. The last row of all is never deleted, so that numbers
/// only rise and the first one tells whether rows were taken in.
pub(super) const SCHEMA: &str = "
create table if not exists recent (
  n integer primary key,
  grant_window blob, used integer, expires integer,
  request blob, digest blob, first integer, times integer
);
";

/// Counts that are taken into the tables at the latest when there are so many.
const MOST: usize = 1024;

pub(super) struct Recent<'c> {
    ends_of: Statement<'c>,
    after: Statement<'c>,
    add: Statement<'c>,
    take_use: Statement<'c>,
    take_release: Statement<'c>,
    forget: Statement<'c>,
    state: State,
    /// The numbers of the first and the last row, as of the last transaction.
    ends: (i64, i64),
    /// Whether what is in memory is what was in the table then.
    sure: bool,
}

impl<'c> Recent<'c> {
    pub(super) fn new(database: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |text| prepare(database, text);
        Ok(Self {
            ends_of: prepare(
                "select ifnull((select min(n) from recent), 0), \
                 ifnull((select max(n) from recent), 0)",
            )?,
            after: prepare(
                "select grant_window, used, expires, request, digest, first, times \
                 from recent where n > ?1 order by n",
            )?,
            add: prepare("insert into recent values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?,
            take_use: prepare(
                "insert into uses (grant_window, used, expires) values (?1, ?2, ?3) \
                 on conflict do update set used = excluded.used, expires = excluded.expires",
            )?,
            take_release: prepare(
                "insert into releases (request, digest, first, times) values (?1, ?2, ?3, ?4) \
                 on conflict do update set times = excluded.times",
            )?,
            forget: prepare("delete from recent where n < ?1")?,
            state: State::default(),
            ends: (0, 0),
            sure: false,
        })
    }

    /// What is counted and not in the tables.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// Whether it is time to take the counts into the tables.
    pub(super) fn is_full(&self) -> bool {
        self.state.used.len().max(self.state.released.len()) >= MOST
    }

    /// What is in memory may be wrong, since a transaction failed: it is read again before
    /// it is used again.
    pub(super) fn doubt(&mut self) {
        self.sure = false;
    }

    /// Reads what another process has done. In a transaction that writes.
    pub(super) fn catch_up(&mut self) -> rusqlite::Result<()> {
        let found = self.ends_of.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if self.sure && found == self.ends {
            return Ok(());
        }
        let (first, last) = self.ends;
        let after = if self.sure && first == found.0 && last <= found.1 {
            last
        } else {
            // Rows were taken into the tables, where they are found, and deleted.
            self.state = State::default();
            0
        };
        let mut rows = self.after.query([after])?;
        while let Some(row) = rows.next()? {
            learn(&mut self.state, row)?;
        }
        (self.ends, self.sure) = (found, true);
        Ok(())
    }

    /// Adds what has changed.
    pub(super) fn add(&mut self, before: &State, state: &State) -> rusqlite::Result<()> {
        let (first, last) = self.ends;
        let mut uses = state.used.iter().filter(|(key, now)| before.used.get(*key) != Some(now));
        let mut releases =
            state.released.iter().filter(|(key, now)| before.released.get(*key) != Some(now));
        let mut number = last;
        loop {
            let (one, other) = (uses.next(), releases.next());
            if one.is_none() && other.is_none() {
                break;
            }
            number += 1;
            let (request, release) = other.unzip();
            self.add.execute(params![
                number,
                one.map(|(key, _)| key),
                one.map(|(_, (used, _))| used),
                one.map(|(_, (_, expires))| expires),
                request,
                release.map(|release| release.digest),
                release.map(|release| release.at),
                release.map(|release| release.times),
            ])?;
        }
        self.ends = (if first == 0 { number.min(1) } else { first }, number);
        Ok(())
    }

    /// The transaction in which this was added is on disk.
    pub(super) fn added(&mut self, state: State) {
        self.state.used.extend(state.used);
        self.state.released.extend(state.released);
    }

    /// Takes every count into the tables.
    pub(super) fn take_in(&mut self) -> rusqlite::Result<()> {
        let (_, last) = self.ends;
        let mut uses: Vec<_> = self.state.used.iter().collect();
        uses.sort_unstable();
        for (key, (used, expires)) in uses {
            self.take_use.execute(params![key, used, expires])?;
        }
        let mut releases: Vec<_> = self.state.released.iter().collect();
        releases.sort_unstable_by_key(|(request, _)| *request);
        for (request, release) in releases {
            let Released { digest, at, times } = release;
            self.take_release.execute(params![request, digest, at, times])?;
        }
        self.forget.execute([last])?;
        self.state = State::default();
        self.ends = (last, last);
        Ok(())
    }
}

/// A statement that is kept.
pub(super) fn prepare<'c>(database: &'c Connection, text: &str) -> rusqlite::Result<Statement<'c>> {
    database.prepare_with_flags(text, PrepFlags::SQLITE_PREPARE_PERSISTENT)
}

fn learn(state: &mut State, row: &Row<'_>) -> rusqlite::Result<()> {
    if row.get_ref(0)? != ValueRef::Null {
        state.used.insert(row.get(0)?, (count(row, 1)?, row.get(2)?));
    }
    if row.get_ref(3)? != ValueRef::Null {
        let released = Released { digest: row.get(4)?, at: row.get(5)?, times: count(row, 6)? };
        state.released.insert(row.get(3)?, released);
    }
    Ok(())
}

/// A count; one that is out of range counts as the most there is.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(u32::MAX))
}
