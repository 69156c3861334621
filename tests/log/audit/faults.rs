//! A disk that fails: rows 34 (crash points), 37, 38, 40 and 46.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tributary::store::audit_log::{AuditError, AuditLog, Health, Options};
use tributary::store::verify::{Verdict, verify};
use tributary::store::walk::walk;

use super::support::{BadDisk, Trouble, append, open, options, record, until, verifying_key, wait};

fn on(disk: &Arc<BadDisk>) -> Options {
    Options { disk: disk.clone(), ..options() }
}

#[test]
fn row_37_after_a_failed_sync_nothing_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::new(Trouble::None);
    let log = open(dir.path(), on(&disk)).unwrap();
    append(&log, 0).unwrap();
    disk.set(Trouble::SyncFails);
    assert!(matches!(append(&log, 1), Err(AuditError::Poisoned { .. })));
    disk.set(Trouble::None);
    let (operations, syncs) = (&disk.operations, &disk.syncs);
    let before = (operations.load(Ordering::SeqCst), syncs.load(Ordering::SeqCst));
    assert!(matches!(append(&log, 2), Err(AuditError::Poisoned { .. })));
    assert!(matches!(log.health(), Health::Poisoned(_)));
    assert!(matches!(log.close(), Err(AuditError::Poisoned { .. })));
    let after = (operations.load(Ordering::SeqCst), syncs.load(Ordering::SeqCst));
    assert_eq!(before, after, "the disk was touched after the failed sync");
    // What the first receipt promised is there.
    assert!(open(dir.path(), options()).unwrap().recovery().size >= 2);
}

#[test]
fn row_38_a_full_disk_refuses_and_the_log_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::new(Trouble::None);
    let log = open(dir.path(), on(&disk)).unwrap();
    append(&log, 0).unwrap();
    disk.set(Trouble::Full);
    for number in 1..4 {
        assert!(matches!(append(&log, number), Err(AuditError::DiskFull)));
        assert_eq!(log.health(), Health::DiskFull);
    }
    disk.set(Trouble::None);
    until("the log's recovery", || log.health() == Health::Ready);
    append(&log, 4).unwrap();
    log.close().unwrap();
    let report = verify(dir.path(), &verifying_key(), None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
    let mut requests = Vec::new();
    walk(dir.path(), None, &mut |step| {
        if let Some(tributary::domain::audit::Record::Section(section)) = step.record {
            requests.push(section.request.to_string());
        }
    })
    .unwrap();
    assert_eq!(requests, ["request-0", "request-4"]);
}

#[test]
fn row_38_a_full_disk_or_a_read_only_one_opens_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let full = open(dir.path(), on(&BadDisk::new(Trouble::Full)));
    assert!(matches!(full, Err(AuditError::DiskFull)), "{full:?}");
    let read_only = open(dir.path(), on(&BadDisk::new(Trouble::ReadOnly)));
    assert!(matches!(read_only, Err(AuditError::Io { .. })), "{read_only:?}");
    open(dir.path(), options()).unwrap();
}

#[test]
fn row_38_a_disk_that_becomes_read_only_puts_the_log_out_of_use() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::new(Trouble::None);
    let log = open(dir.path(), on(&disk)).unwrap();
    disk.set(Trouble::ReadOnly);
    assert!(matches!(append(&log, 1), Err(AuditError::Poisoned { .. })));
}

#[test]
fn row_46_without_descriptors_records_go_on_and_tiles_follow_later() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::new(Trouble::None);
    let often = Options { publish_every: Duration::from_millis(20), ..on(&disk) };
    let log = open(dir.path(), often).unwrap();
    append(&log, 0).unwrap();
    until("the first tiles", || {
        log.published().checkpoint().size == log.latest().checkpoint().size
    });
    disk.set(Trouble::NoDescriptors);
    let before = disk.operations.load(Ordering::SeqCst);
    append(&log, 1).unwrap();
    // The publisher tries in vain, more than once.
    until("two rounds without a descriptor", || {
        disk.operations.load(Ordering::SeqCst) >= before + 5 || log.health() != Health::Ready
    });
    append(&log, 2).unwrap();
    assert_eq!(log.health(), Health::Ready);
    assert!(log.published().checkpoint().size < log.latest().checkpoint().size);
    disk.set(Trouble::None);
    until("the tiles", || log.published().checkpoint().size == log.latest().checkpoint().size);
    log.close().unwrap();
    let report = verify(dir.path(), &verifying_key(), None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
}

#[test]
fn row_40_while_a_sync_takes_long_the_queue_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::new(Trouble::None);
    let log = open(dir.path(), Options { queue: Some(4), ..on(&disk) }).unwrap();
    disk.set(Trouble::SyncHangs);
    let syncs = disk.syncs.load(Ordering::SeqCst);
    let first = log.append(vec![record(0)]);
    // The writer takes the first one out; then four wait.
    until("the sync", || disk.syncs.load(Ordering::SeqCst) > syncs);
    let waiting: Vec<_> = (1..5).map(|number| log.append(vec![record(number)])).collect();
    for number in 5..50 {
        let refused = append(&log, number);
        assert!(matches!(refused, Err(AuditError::Overloaded { capacity: 4 })), "{refused:?}");
    }
    // No refusal waited for the disk, which has not answered yet.
    disk.set(Trouble::None);
    wait(first).unwrap();
    let sizes: Vec<u64> = waiting
        .into_iter()
        .map(|receipt| wait(receipt).unwrap().checkpoint().checkpoint().size)
        .collect();
    assert!(sizes.iter().all(|size| *size == sizes[0]), "one sync for all that waited: {sizes:?}");
}

#[test]
fn row_34_whatever_operation_is_the_last_every_receipt_is_durable() {
    for stop in 0..90 {
        let dir = tempfile::tempdir().unwrap();
        let disk = BadDisk::new(Trouble::StopsAt(stop));
        let opened = open(
            dir.path(),
            Options { segment_bytes: 1500, publish_every: Duration::from_millis(2), ..on(&disk) },
        );
        let mut receipts = Vec::new();
        if let Ok(log) = &opened {
            for number in 0..12 {
                receipts.extend(append(log, number));
                std::thread::sleep(Duration::from_micros(500));
            }
        }
        drop(opened);
        let log: AuditLog = open(dir.path(), options())
            .unwrap_or_else(|error| panic!("stopped at operation {stop}: {error}"));
        append(&log, 99).unwrap();
        log.close().unwrap();
        let report = verify(dir.path(), &verifying_key(), None, &mut |_| {}).unwrap();
        assert_eq!(report.verdict, Verdict::Sound, "stopped at operation {stop}: {report:?}");
        let mut leaves = Vec::new();
        walk(dir.path(), None, &mut |step| {
            leaves.push(tributary::domain::audit::leaf_hash(step.bytes));
        })
        .unwrap();
        for receipt in receipts {
            let range = receipt.indexes().start as usize..receipt.indexes().end as usize;
            assert_eq!(leaves[range], *receipt.leaf_hashes(), "stopped at operation {stop}");
        }
    }
}

#[test]
fn a_caller_who_hangs_up_does_not_take_the_record_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), options()).unwrap();
    drop(log.append(vec![record(5)]));
    log.close().unwrap();
    let mut found = false;
    walk(dir.path(), None, &mut |step| {
        found |= matches!(
            step.record,
            Some(tributary::domain::audit::Record::Section(section))
                if section.request.as_str() == "request-5"
        );
    })
    .unwrap();
    assert!(found);
}
