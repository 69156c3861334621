//! A log that goes on in another folder: nothing is lost at the turn, both logs verify, and
//! receipts of both sides are proved; whatever fails, one of the two is the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tributary::domain::audit::{
    Checkpoint, Entry, Hash, Origin, Receipt, Record, SigningKey, VerifyingKey, check_inclusion,
};
use tributary::store::audit_log::{AuditError, AuditLog, Options};
use tributary::store::verify::{Verdict, verify};
use tributary::store::walk::walk;

use super::support::{
    BadDisk, Trouble, append, open, options, origin, record, until, verifying_key, wait,
};

fn next_origin() -> Origin {
    "gateway.city.example/audit/2027".parse().unwrap()
}

fn next_key() -> SigningKey {
    SigningKey::from_seed(&[8; 32]).unwrap()
}

fn next_public() -> VerifyingKey {
    next_key().verifying_key(&next_origin()).unwrap()
}

fn turn(log: &AuditLog, to: &Path) -> Result<(), AuditError> {
    log.turn(to, &next_origin(), next_key(), || Ok(()))
}

fn sound(log: &Path, key: &VerifyingKey) -> Checkpoint {
    let report = verify(log, key, None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.faults);
    walk(log, Some(key), &mut |_| {}).unwrap().checkpoint.unwrap().checkpoint().clone()
}

/// The requests whose sections a log has, in its order.
fn requests(log: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut see = |step: tributary::store::walk::WalkedEntry<'_>| {
        if let Some(Record::Section(section)) = step.record {
            all.push(section.request.to_string());
        }
    };
    walk(log, None, &mut see).unwrap();
    all
}

/// What the first entry says of the log before, if it says anything.
fn succeeds(log: &Path) -> Option<Checkpoint> {
    let mut first = None;
    let mut see = |step: tributary::store::walk::WalkedEntry<'_>| {
        if step.index == 0 {
            first = Some(Entry::decode(step.bytes).unwrap());
        }
    };
    walk(log, None, &mut see).unwrap();
    match first? {
        Entry::Succeeds { ended, .. } => Some(ended),
        _ => None,
    }
}

fn holds(log: &AuditLog, receipt: &Receipt) {
    let proved = log.prove(receipt, Vec::new()).unwrap();
    let checkpoint = receipt.checkpoint().checkpoint();
    for ((index, leaf), path) in receipt.indexes().zip(receipt.leaf_hashes()).zip(&proved.paths) {
        check_inclusion(checkpoint, index, *leaf, path).unwrap();
    }
}

#[test]
fn a_log_turns_under_load_and_no_record_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("2026"), folder.path().join("2027"));
    let settings =
        Options { publish_every: Duration::from_millis(5), segment_bytes: 8_000, ..options() };
    let log = Arc::new(open(&old, settings).unwrap());
    let turned = AtomicBool::new(false);
    let receipts: Vec<Receipt> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8u64)
            .map(|writer| {
                let (log, turned) = (&log, &turned);
                scope.spawn(move || {
                    let (mut receipts, mut after) = (Vec::new(), 0);
                    // Some before the turn, some while it is, and some after it.
                    while after < 30 {
                        let number = writer * 10_000 + receipts.len() as u64;
                        receipts.push(append(log, number).unwrap());
                        after += usize::from(turned.load(Ordering::Acquire));
                    }
                    receipts
                })
            })
            .collect();
        until("some records", || log.latest().checkpoint().size > 300);
        turn(&log, &new).unwrap();
        turned.store(true, Ordering::Release);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let sides = receipts.iter().map(|receipt| &receipt.checkpoint().checkpoint().origin);
    assert!(sides.clone().any(|side| *side == origin()));
    assert!(sides.clone().any(|side| *side == next_origin()));
    assert_eq!(log.folder().key, next_public());
    // Receipts of both logs are proved by the process that turned.
    receipts.iter().for_each(|receipt| holds(&log, receipt));
    Arc::into_inner(log).unwrap().close().unwrap();

    let ended = sound(&old, &verifying_key());
    sound(&new, &next_public());
    assert_eq!(succeeds(&new), Some(ended));
    let mut found = [requests(&old), requests(&new)].concat();
    let count = found.len();
    found.sort();
    found.dedup();
    assert_eq!((found.len(), count), (receipts.len(), receipts.len()));
}

#[test]
fn a_turned_log_is_opened_like_any_other_and_turns_again() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("2026"), folder.path().join("2027"));
    let log = open(&old, options()).unwrap();
    append(&log, 1).unwrap();
    turn(&log, &new).unwrap();
    append(&log, 2).unwrap();
    log.close().unwrap();
    let log = AuditLog::open_with(&new, &next_origin(), next_key(), options()).unwrap();
    assert!(log.recovery().clean);
    append(&log, 3).unwrap();
    let last = folder.path().join("2028");
    let (name, key) = ("x.example/2028".parse().unwrap(), SigningKey::from_seed(&[9; 32]).unwrap());
    let public = key.verifying_key(&name).unwrap();
    log.turn(&last, &name, key, || Ok(())).unwrap();
    log.close().unwrap();
    assert_eq!(succeeds(&new), Some(sound(&old, &verifying_key())));
    assert_eq!(succeeds(&last), Some(sound(&new, &next_public())));
    sound(&last, &public);
    assert_eq!([requests(&old), requests(&new)].concat(), ["request-1", "request-2", "request-3"]);
}

#[test]
fn what_is_refused_leaves_the_log_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (old, other) = (folder.path().join("2026"), folder.path().join("other"));
    let log = open(&old, options()).unwrap();
    append(&log, 1).unwrap();
    // A folder that is a log already, the own origin, the own folder.
    let begun = AuditLog::open_with(&other, &next_origin(), next_key(), options()).unwrap();
    assert!(matches!(turn(&log, &other), Err(AuditError::Locked(_))));
    begun.close().unwrap();
    assert!(matches!(turn(&log, &other), Err(AuditError::Begun(_))));
    let same = log.turn(&folder.path().join("a"), &origin(), next_key(), || Ok(()));
    assert!(matches!(same, Err(AuditError::SameOrigin(_))));
    assert!(matches!(turn(&log, &old), Err(AuditError::Locked(_))));
    // What must be done in between and cannot be.
    let new = folder.path().join("2027");
    let kept = log.turn(&new, &next_origin(), next_key(), || Err("the counters".to_owned()));
    assert!(matches!(kept, Err(AuditError::Io { .. })), "{kept:?}");
    assert_eq!(log.folder().key, verifying_key());
    append(&log, 2).unwrap();
    // And then it turns all the same.
    turn(&log, &new).unwrap();
    append(&log, 3).unwrap();
    log.close().unwrap();
    assert_eq!(succeeds(&new), Some(sound(&old, &verifying_key())));
    assert_eq!(requests(&old), ["request-1", "request-2"]);
    assert_eq!(requests(&new), ["request-3"]);
}

#[test]
fn a_full_disk_at_the_turn_loses_nothing() {
    let mut refused = 0;
    for after in (0..).step_by(4) {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("2026"), folder.path().join("2027"));
        let disk = BadDisk::new(Trouble::None);
        let log = open(&old, Options { disk: disk.clone(), ..options() }).unwrap();
        append(&log, 1).unwrap();
        let begins = disk.operations.load(Ordering::SeqCst);
        disk.set(Trouble::FullFrom(begins + after));
        let turned = turn(&log, &new);
        disk.set(Trouble::None);
        until("room again", || append(&log, 2).is_ok());
        let at_once = turned.is_ok();
        if !at_once {
            refused += 1;
            turn(&log, &new).unwrap();
        }
        append(&log, 3).unwrap();
        log.close().unwrap();
        assert_eq!(succeeds(&new), Some(sound(&old, &verifying_key())), "{after}");
        sound(&new, &next_public());
        let (before, then) = (requests(&old), requests(&new));
        assert_eq!([before, then].concat(), ["request-1", "request-2", "request-3"], "{after}");
        if at_once {
            break;
        }
    }
    assert!(refused > 3, "{refused}");
}

/// The machine stops at each operation of a turn: whichever of the two is the log then, it
/// opens, and every record with a receipt is there once.
#[test]
fn a_crash_at_any_step_of_a_turn_leaves_one_log() {
    let (mut on_old, mut on_new) = (0, 0);
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("2026"), folder.path().join("2027"));
        let disk = BadDisk::new(Trouble::None);
        let log = open(&old, Options { disk: disk.clone(), ..options() }).unwrap();
        append(&log, 1).unwrap();
        let stops = disk.operations.load(Ordering::SeqCst) + at;
        disk.set(Trouble::StopsAt(stops));
        let turned = turn(&log, &new);
        let over = turned.is_ok() && disk.operations.load(Ordering::SeqCst) < stops;
        let after = turned.is_ok() && append(&log, 2).is_ok();
        drop(log);
        // Begun is what has an entry.
        let has_begun =
            walk(&new, Some(&next_public()), &mut |_| {}).is_ok_and(|walk| walk.edge.size() > 0);
        if has_begun {
            on_new += 1;
            let log = AuditLog::open_with(&new, &next_origin(), next_key(), options()).unwrap();
            append(&log, 3).unwrap();
            log.close().unwrap();
            let ended = succeeds(&new).unwrap();
            let old = walk(&old, Some(&verifying_key()), &mut |_| {}).unwrap();
            assert_eq!((ended.size, ended.root), (old.edge.size(), old.edge.root().unwrap()));
        } else {
            on_old += 1;
            assert!(!after);
            let log = open(&old, options()).unwrap();
            turn(&log, &new).unwrap();
            append(&log, 3).unwrap();
            log.close().unwrap();
            assert_eq!(succeeds(&new), Some(sound(&old, &verifying_key())));
        }
        sound(&new, &next_public());
        let found = [requests(&old), requests(&new)].concat();
        let wanted: &[&str] = if after {
            &["request-1", "request-2", "request-3"]
        } else {
            &["request-1", "request-3"]
        };
        // A record may be on the disk without its receipt.
        let lost = wanted.iter().filter(|wanted| !found.iter().any(|found| found == *wanted));
        assert_eq!(lost.count(), 0, "at {at}: {found:?}");
        if over {
            break;
        }
    }
    assert!(on_old > 3 && on_new > 1, "{on_old} {on_new}");
}

#[test]
fn an_entry_that_names_the_log_before_is_the_first_or_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), options()).unwrap();
    let ended = Checkpoint { origin: next_origin(), size: 1, root: Hash([0; 32]) };
    let own = Record::Succeeds { time: tributary::domain::audit::Timestamp(0), ended };
    assert!(matches!(wait(log.append(vec![own, record(1)])), Err(AuditError::NotYours)));
}
