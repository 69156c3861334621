//! Whether a newly read file takes the place of the last good one, and who is then
//! in doubt. Nothing is read here.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::refused::Refused;
use super::table::Table;
use super::version::Version;

/// What a new file is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The share of its rows, in percent, that it may lack.
    pub max_shrink: u8,
    /// Its done file says that it is whole.
    pub done: bool,
}

/// A file in use.
#[derive(Debug)]
pub(super) struct Good {
    pub version: Version,
    pub table: Arc<Table>,
    /// Stood in the file before and not in this one, which may be cut.
    missing: HashSet<Box<str>>,
    /// Stood in neither this file nor the one before. Nobody's record is ended by
    /// that before this file has stayed as it is for a while.
    missing_again: HashSet<Box<str>>,
    settled: AtomicBool,
}

impl Good {
    /// Takes note that the file has stayed as it is for a while.
    pub fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Whether nobody can say yet if a person without a line was taken out or cut
    /// off.
    pub fn in_doubt(&self, person: &str) -> bool {
        self.missing.contains(person)
            || (self.missing_again.contains(person) && !self.settled.load(Ordering::Relaxed))
    }

    /// How many people are in doubt, for the log.
    pub fn doubts(&self) -> usize {
        self.missing.len() + self.missing_again.len()
    }
}

/// Judges a file against the one before it.
///
/// # Errors
/// Why the one before stays in use.
pub(super) fn judge(
    before: Option<&Good>,
    version: Version,
    table: Table,
    rules: Rules,
) -> Result<Good, Refused> {
    let at_once = before.is_some_and(|good| !good.version.same_file(&version));
    if !table.ended && !rules.done && !at_once {
        return Err(Refused::torn(
            "it does not end with a line break, so that it may be cut or still being written: \
             end it with one, or state `done_file`"
                .to_owned(),
        ));
    }
    let table = Arc::new(table);
    let (mut missing, mut missing_again) = (HashSet::new(), HashSet::new());
    if let Some(good) = before {
        let (rows, known) = (table.rows(), good.table.rows());
        let kept = usize::from(100 - rules.max_shrink.min(100));
        if rows.saturating_mul(100) < known.saturating_mul(kept) {
            return Err(Refused::shrank(format!(
                "it has {rows} rows, where the last good one has {known}: that is more than \
                 max_shrink = {} percent less; if it is right, raise `max_shrink`",
                rules.max_shrink
            )));
        }
        if !rules.done {
            let lost = good.table.people().filter(|person| !table.has(person)).map(Box::from);
            missing = lost.collect();
            let gone = |people: &HashSet<Box<str>>| -> Vec<Box<str>> {
                people.iter().filter(|person| !table.has(person)).cloned().collect()
            };
            // More of the same file confirms nothing.
            let same = good.version.same_file(&version) && table.continues(&good.table);
            match same {
                true => missing.extend(gone(&good.missing)),
                false => missing_again.extend(gone(&good.missing)),
            }
            if !good.settled.load(Ordering::Relaxed) {
                missing_again.extend(gone(&good.missing_again));
            }
        }
    }
    let settled = AtomicBool::new(false);
    Ok(Good { version, table, missing, missing_again, settled })
}

#[cfg(test)]
mod tests {
    use encoding_rs::UTF_8;

    use super::super::table::Form;
    use super::*;
    use crate::domain::reason::Reason;

    const RULES: Rules = Rules { max_shrink: 50, done: false };

    fn table(people: &str) -> Table {
        let rows: String = people.chars().map(|person| format!("{person},1\n")).collect();
        let form = Form {
            delimiter: b',',
            encoding: UTF_8,
            skip_lines: 0,
            line_breaks: true,
            may_be_empty: true,
        };
        let selected: [Box<str>; 2] = ["id".into(), "on".into()];
        Table::read(format!("id,on\n{rows}").into_bytes(), &form, &selected).unwrap()
    }

    fn version(inode: u64, bytes: u64) -> Version {
        Version::new(inode, bytes, None)
    }

    /// One file after the other; whether each stayed for a while.
    fn after(files: &[(u64, &str, bool)]) -> Good {
        let mut last: Option<Good> = None;
        for (at, (inode, people, settled)) in files.iter().enumerate() {
            let good = judge(last.as_ref(), version(*inode, at as u64), table(people), RULES);
            let good = good.unwrap();
            if *settled {
                good.settle();
            }
            last = Some(good);
        }
        last.unwrap()
    }

    fn doubted(good: &Good) -> String {
        "abcdefgh".chars().filter(|person| good.in_doubt(&person.to_string())).collect()
    }

    #[test]
    fn who_is_missing_is_in_doubt_until_a_second_file_confirms_it() {
        for (files, in_doubt, what) in [
            (&[(1, "abcd", true)][..], "", "the first file"),
            (&[(1, "abcd", true), (2, "abc", true)], "d", "a shorter one"),
            (&[(1, "abcd", true), (2, "abc", true), (3, "abc", false)], "d", "just come"),
            (&[(1, "abcd", true), (2, "abc", true), (3, "abc", true)], "", "confirmed"),
            (&[(1, "abcd", true), (2, "abc", true), (3, "abcd", true)], "", "back again"),
            (&[(1, "abcd", true), (2, "abc", true), (3, "ab", true)], "c", "one more"),
            // In place, more of the same: d may still be written.
            (&[(1, "abcd", true), (1, "ab", true), (1, "abc", true)], "d", "growing"),
            (&[(1, "abcd", true), (1, "ab", true), (1, "abc", true), (1, "acb", true)], "", "anew"),
            (
                &[(1, "abcd", true), (2, "abc", true), (3, "abc", false), (4, "abc", false)],
                "d",
                "three in haste",
            ),
        ] {
            assert_eq!(doubted(&after(files)), in_doubt, "{what}");
        }
    }

    #[test]
    fn a_done_file_confirms_at_once_and_does_not_excuse_a_shrunk_file() {
        let first = after(&[(1, "abcd", true)]);
        let done = Rules { done: true, ..RULES };
        let shorter = judge(Some(&first), version(1, 9), table("abc"), done).unwrap();
        assert_eq!(doubted(&shorter), "");
        for rules in [RULES, done] {
            let shrunk = judge(Some(&first), version(2, 9), table("a"), rules).unwrap_err();
            assert_eq!(shrunk.alarm, Reason::SourceShrank, "{}", shrunk.why);
            assert!(shrunk.why.contains("1 rows") && shrunk.why.contains('4'), "{}", shrunk.why);
        }
    }
}
