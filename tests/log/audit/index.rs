//! The search index: it answers as a reading of the whole log does, whatever was
//! done to it.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use tributary::domain::audit::tiles::split_bundle;
use tributary::domain::audit::{Edge, Query, Record, RequestId, SubjectTag, Timestamp, leaf_hash};
use tributary::domain::catalogue::AgencyId;
use tributary::store::audit_log::Options;
use tributary::store::index::{Found, Index, IndexError};
use tributary::store::proof::ProveError;
use tributary::store::walk::walk;

use super::support::{
    Dice, append, closed_log, open, options, record, section, until, verifying_key, wait,
};
use crate::kit::files::copy;

/// Every kind of question, and one that nothing answers.
fn queries() -> Vec<Query> {
    let any = Query::default();
    let time = |number| Some(section(number).time);
    vec![
        any.clone(),
        Query { request: RequestId::new("request-7").ok(), ..any.clone() },
        Query { agency: AgencyId::new("traffic"), ..any.clone() },
        Query { consumer: Some(section(0).consumer), ..any.clone() },
        Query { tags: HashSet::from([3, 250].map(|n| SubjectTag::new([n; 32]))), ..any.clone() },
        Query {
            since: time(20),
            until: time(40),
            agency: AgencyId::new("education"),
            ..any.clone()
        },
        Query { consumer: "spiffe://a.example/consumer/nobody".parse().ok(), ..any.clone() },
        Query { until: Some(Timestamp(5)), ..any },
    ]
}

fn scanned(log: &Path, query: &Query) -> Vec<(u64, Record)> {
    let mut found = Vec::new();
    walk(log, None, &mut |step| {
        if let Some(record) = step.record.filter(|record| query.takes(record)) {
            found.push((step.index, record.clone()));
        }
    })
    .unwrap();
    found
}

fn indexed(index: &Index, query: &Query, page: usize) -> Vec<(u64, Record)> {
    let (mut found, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let part = index.search(query, from, page).unwrap();
        assert!(part.hits.len() <= page);
        found.extend(part.hits.into_iter().map(|hit| (hit.index, hit.record)));
        next = part.next;
    }
    found
}

/// Opens, updates, and holds every answer against a reading of the log. Gives the
/// reason if what was there had to go.
fn answers_as_the_log(log: &Path, file: &Path) -> Option<String> {
    let mut index = Index::open(log, &verifying_key(), file).unwrap();
    index.update(&mut on).unwrap();
    index.compare(&mut on).unwrap();
    for query in queries() {
        for page in [1, 7, 1000] {
            assert_eq!(indexed(&index, &query, page), scanned(log, &query));
        }
    }
    index.rebuilt().map(str::to_owned)
}

/// What a search gives to somebody who opens the index anew.
fn searched(log: &Path, file: &Path, query: &Query) -> Result<Found, IndexError> {
    let mut index = Index::open(log, &verifying_key(), file)?;
    index.update(&mut on)?;
    index.search(query, 0, 1000)
}

/// Changes the index behind its back.
fn edit(file: &Path, statement: &str) {
    let database = rusqlite::Connection::open(file).unwrap();
    let changed = database.execute(statement, []).unwrap();
    assert!(changed > 0 || statement.starts_with("create"), "{statement} changed nothing");
}

/// Never stops a work of the index.
fn on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn it_answers_as_the_log_does_and_grows_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    assert_eq!(Index::beside(&log), file);
    closed_log(&log, 30);
    assert_eq!(answers_as_the_log(&log, &file), None);
    // Open, with records in no tile yet; then published, over several tiles.
    let writing = open(&log, options()).unwrap();
    (30..300).for_each(|number| drop(append(&writing, number).unwrap()));
    assert_eq!(answers_as_the_log(&log, &file), None);
    writing.close().unwrap();
    assert_eq!(answers_as_the_log(&log, &file), None);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn whatever_does_not_fit_the_log_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    closed_log(&log, 300);
    assert_eq!(answers_as_the_log(&log, &file), None);
    let why = |what: &str| {
        let why = answers_as_the_log(&log, &file);
        assert!(why.is_some(), "{what}");
        assert_eq!(answers_as_the_log(&log, &file), None, "{what} is mended");
        why.unwrap()
    };
    for statement in [
        "delete from bundle where n = 0",
        "delete from bundle where n = (select max(n) from bundle)",
        "delete from key where hash = (select max(hash) from key)",
        "update bundle set root = zeroblob(32) where n = (select max(n) from bundle)",
        "insert into name (idx) values (100)",
        "insert into name (idx) values (100000)",
        "update reach set root = zeroblob(32)",
        "update reach set size = size - 1",
        "update reach set origin = 'elsewhere'",
        "delete from reach",
        "insert into bundle (n, root) values (100000, zeroblob(32))",
        "insert into key (hash, n) values (7, 1)",
        "create table entry (idx integer primary key, leaf blob)",
    ] {
        edit(&file, statement);
        why(statement);
    }
    std::fs::write(&file, "this is no database, and long enough to be taken for one").unwrap();
    why("another file in its place");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(answers_as_the_log(&log, &file), None, "absence is no damage");

    // The log is put back to an older copy: the index says so.
    let old = dir.path().join("old");
    copy(&log, &old);
    let writing = open(&log, options()).unwrap();
    (300..320).for_each(|number| drop(append(&writing, number).unwrap()));
    writing.close().unwrap();
    assert_eq!(answers_as_the_log(&log, &file), None);
    std::fs::remove_dir_all(&log).unwrap();
    copy(&old, &log);
    assert!(why("an older copy").contains("older copy"));
}

#[test]
fn an_update_that_is_stopped_is_as_if_it_had_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    closed_log(&log, 300);
    let mut index = Index::open(&log, &verifying_key(), &file).unwrap();
    let stopped = index.update(&mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(IndexError::Ended)), "{stopped:?}");
    assert_eq!(index.reach(), 0);
    // Another process need not wait for this one, which can go on too.
    assert_eq!(answers_as_the_log(&log, &file), None);
    index.update(&mut on).unwrap();
    assert_eq!(indexed(&index, &queries()[0], 7), scanned(&log, &queries()[0]));
}

#[test]
fn a_row_that_hides_a_record_or_names_a_wrong_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    closed_log(&log, 60);
    assert_eq!(answers_as_the_log(&log, &file), None);
    let all = scanned(&log, &queries()[1]);
    assert_eq!(all.len(), 1);
    for statement in [
        "update key set hash = hash + 1 where hash = (select max(hash) from key)",
        "update key set n = n + 1 where hash = (select min(hash) from key)",
        "update bundle set first = last, last = first where n = 0",
        "update bundle set root = zeroblob(32) where n = 0",
        "update name set idx = idx + 1 where idx = (select max(idx) from name)",
    ] {
        edit(&file, statement);
        let compared = match Index::open(&log, &verifying_key(), &file) {
            // What is looked at each time shows it at once.
            Ok(index) if index.rebuilt().is_some() => Err(IndexError::Differs(0)),
            Ok(index) => {
                // A hit that the log does not bear out is never given.
                let found = index.search(&queries()[1], 0, 10).unwrap();
                assert!(
                    found.hits.iter().all(|hit| all.contains(&(hit.index, hit.record.clone())))
                );
                index.compare(&mut on)
            }
            Err(error) => Err(error),
        };
        assert!(matches!(compared, Err(IndexError::Differs(_))), "{statement}: {compared:?}");
        let mut index = Index::open(&log, &verifying_key(), &file).unwrap();
        index.rebuild("it differs".into()).unwrap();
        drop(index);
        assert_eq!(answers_as_the_log(&log, &file), None);
    }
}

/// Bundles that are full, and one that is not, over several updates: a key of a bundle that
/// grows is neither lost nor counted twice.
#[test]
fn it_grows_by_any_steps_to_what_it_would_be_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    let writing = open(&log, Options { publish_every: Duration::from_millis(1), ..options() });
    let writing = writing.unwrap();
    let grow = |file: &Path| {
        let mut index = Index::open(&log, &verifying_key(), file).unwrap();
        index.update(&mut on).unwrap();
        index.compare(&mut on).unwrap();
        assert_eq!(index.rebuilt(), None);
        index
    };
    let mut dice = Dice(17);
    let mut number = 0;
    while number < 900 {
        for _ in 0..1 + dice.roll(150) {
            // Requests of several records, some of them over the border of two bundles.
            let records = (0..1 + dice.roll(7)).map(|_| record(number)).collect();
            wait(writing.append(records)).unwrap();
            number += 1;
        }
        until("the tiles", || {
            writing.published().checkpoint().size == writing.latest().checkpoint().size
        });
        grow(&file);
    }
    writing.close().unwrap();
    let at_once = dir.path().join("at-once.index");
    grow(&file);
    let grown = grow(&at_once);
    for query in queries() {
        assert_eq!(indexed(&grown, &query, 500), scanned(&log, &query));
    }
    let rows = |file: &Path| {
        let database = rusqlite::Connection::open(file).unwrap();
        let mut all = database.prepare("select hash, n from key").unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<(i64, i64)>>()
    };
    assert_eq!(rows(&file), rows(&at_once));
}

#[test]
fn a_changed_log_gives_no_answer_through_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    closed_log(&log, 280);
    // Before it is indexed, and after.
    let bundle = log.join("tile/entries/000");
    let bytes = std::fs::read(&bundle).unwrap();
    let mut changed = bytes.clone();
    let at = changed.windows(9).position(|window| window == b"request-7").unwrap();
    changed[at + 8] = b'6';
    std::fs::write(&bundle, &changed).unwrap();
    let update = Index::open(&log, &verifying_key(), &file).unwrap().update(&mut on);
    assert!(matches!(update, Err(IndexError::Log(_))), "{update:?}");
    std::fs::write(&bundle, &bytes).unwrap();
    assert_eq!(answers_as_the_log(&log, &file), None);
    // Whatever the query: the whole bundle is in doubt.
    for query in [&queries()[1], &queries()[4]] {
        std::fs::write(&bundle, &changed).unwrap();
        let found = searched(&log, &file, query);
        assert!(matches!(found, Err(IndexError::Log(ProveError::Tiles))), "{found:?}");
    }
    // The index was changed to fit.
    std::fs::write(&bundle, &bytes).unwrap();
    let mut edge = Edge::default();
    split_bundle(&changed).flatten().for_each(|entry| edge.push(leaf_hash(entry)).unwrap());
    let root = edge.root().unwrap();
    edit(&file, &format!("update bundle set root = x'{root}' where n = 0"));
    std::fs::write(&bundle, &changed).unwrap();
    let found = searched(&log, &file, &queries()[0]);
    assert!(matches!(found, Err(IndexError::Log(ProveError::Tiles))), "{found:?}");
}

#[test]
fn a_name_that_was_changed_in_the_log_names_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    closed_log(&log, 600);
    assert_eq!(answers_as_the_log(&log, &file), None);
    // The entry that says who `consumer 1` is; the searched record is in another bundle.
    let bundle = log.join("tile/entries/000");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let name = b"consumer/scoring";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at + name.len() - 1] = b'f';
    std::fs::write(&bundle, &bytes).unwrap();
    let last = Query { request: RequestId::new("request-590").ok(), ..Query::default() };
    let found = searched(&log, &file, &last);
    assert!(matches!(found, Err(IndexError::Log(ProveError::Tiles))), "{found:?}");
}
