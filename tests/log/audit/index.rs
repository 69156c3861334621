//! The search index: it answers as a reading of the whole log does, whatever was
//! done to it.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use tributary::domain::audit::tiles::split_bundle;
use tributary::domain::audit::{Query, Record, RequestId, SubjectTag, Timestamp, leaf_hash};
use tributary::domain::catalogue::AgencyId;
use tributary::store::index::{Found, Index, IndexError};
use tributary::store::proof::ProveError;
use tributary::store::walk::walk;

use super::support::{append, closed_log, open, options, section, verifying_key};
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
    let changed = rusqlite::Connection::open(file).unwrap().execute(statement, []).unwrap();
    assert!(changed > 0, "{statement} changed nothing");
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
        "delete from entry where idx = 100",
        "delete from entry where idx = (select max(idx) from entry)",
        "update entry set leaf = zeroblob(32) where idx = (select max(idx) from entry)",
        "update reach set root = zeroblob(32)",
        "update reach set size = size - 1",
        "update reach set origin = 'elsewhere'",
        "delete from reach",
        "insert into entry (idx, leaf, kind) values (100000, zeroblob(32), 2)",
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
    for statement in [
        "update entry set request = 'request-7' where request = 'request-8'",
        "update entry set tag = null where idx = (select max(idx) from entry where tag is not null)",
        "update entry set peer = 'spiffe://a.example/consumer/nobody' where request = 'request-9'",
    ] {
        edit(&file, statement);
        let mut index = Index::open(&log, &verifying_key(), &file).unwrap();
        let compared = index.compare(&mut on);
        let searched = index.search(&queries()[1], 0, 10);
        if statement.contains("request-7") {
            // A hit that the log does not bear out is never given.
            assert!(matches!(searched, Err(IndexError::Differs(_))), "{searched:?}");
        }
        index.rebuild("it differs".into()).unwrap();
        drop(index);
        assert!(matches!(compared, Err(IndexError::Differs(_))), "{statement}");
        assert_eq!(answers_as_the_log(&log, &file), None);
    }
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
    let leaves = |bundle: &[u8]| split_bundle(bundle).flatten().map(leaf_hash).collect::<Vec<_>>();
    let (own, forged) = (leaves(&bytes), leaves(&changed));
    let at = own.iter().zip(&forged).position(|(own, forged)| own != forged).unwrap();
    edit(
        &file,
        &format!(
            "update entry set request = 'request-6', leaf = x'{}' where leaf = x'{}'",
            forged[at], own[at]
        ),
    );
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
