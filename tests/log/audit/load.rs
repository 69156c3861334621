//! Many writers at once, checked by the second implementation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tributary::domain::audit::{Receipt, Record, Timestamp, VerifyingKey};
use tributary::store::audit_log::{AuditError, Options};
use tributary::store::verify::{Verdict, verify};

use super::independent::{check_tiles, entries, leaf, open_note, root};
use super::support::{files, open, options, origin, record, until, verifying_key};

fn public(key: &VerifyingKey) -> Vec<u8> {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let text = key.to_string();
    BASE64_STANDARD.decode(text.splitn(3, '+').last().unwrap()).unwrap()[1..].to_vec()
}

#[test]
fn all_receipts_of_64_writers_hold_under_the_final_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        Options { publish_every: Duration::from_millis(20), segment_bytes: 30_000, ..options() };
    let log = Arc::new(open(dir.path(), settings).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let receipts: Vec<Receipt> = runtime.block_on(async {
        let mut writers = Vec::new();
        for writer in 0..64u64 {
            let log = log.clone();
            writers.push(tokio::spawn(async move {
                let mut receipts = Vec::new();
                for number in 0..20 {
                    let records =
                        (0..1 + number % 3).map(|n| record(writer * 1000 + number * 10 + n));
                    receipts.push(log.append(records.collect()).await.unwrap());
                }
                receipts
            }));
        }
        let mut all = Vec::new();
        for writer in writers {
            all.extend(writer.await.unwrap());
        }
        all
    });
    drop(runtime);
    // What a stop leaves over is done after the next start: here all of it is.
    until("segments that are gone", || {
        let published = log.published().checkpoint().size;
        published == log.latest().checkpoint().size && files(&dir.path().join("wal")).len() <= 2
    });
    Arc::into_inner(log).unwrap().close().unwrap();

    let key = verifying_key();
    let name = origin();
    let note = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let (size, signed_root) = open_note(&note, name.as_str(), &public(&key));
    let leaves: Vec<_> = entries(dir.path(), size).iter().map(|entry| leaf(entry)).collect();
    assert_eq!(root(&leaves), signed_root);
    check_tiles(dir.path(), &leaves);

    let mut roots = HashMap::new();
    let mut taken = vec![false; leaves.len()];
    for receipt in &receipts {
        let (size, signed) = open_note(receipt.checkpoint().as_str(), name.as_str(), &public(&key));
        let is = roots.entry(size).or_insert_with(|| root(&leaves[..size as usize]));
        assert_eq!(*is, signed, "a receipt's checkpoint is of another history");
        assert!(receipt.indexes().end <= size);
        for (index, hash) in receipt.indexes().zip(receipt.leaf_hashes()) {
            assert_eq!(leaves[index as usize], hash.0);
            assert!(!std::mem::replace(&mut taken[index as usize], true), "given twice: {index}");
        }
    }
    assert!(roots.len() < receipts.len(), "no two requests shared a sync");
    assert_eq!(verify(dir.path(), &key, None, &mut |_| {}).unwrap().verdict, Verdict::Sound);
    // The stock reader of notes, from our key as people write it.
    let stock = signed_note::StandardVerifier::new(&key.to_string()).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(stock)]);
    signed_note::Note::from_bytes(note.as_bytes()).unwrap().verify(&known).unwrap();
    // Segments whose entries are in tiles are gone.
    assert!(files(&dir.path().join("wal")).len() <= 2);
}

#[test]
fn a_log_is_verified_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        Options { publish_every: Duration::from_millis(5), segment_bytes: 5_000, ..options() };
    let log = open(dir.path(), settings).unwrap();
    let key = verifying_key();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 0..400 {
                super::support::append(&log, number).unwrap();
            }
        });
        while !writing.is_finished() {
            let report = verify(dir.path(), &key, None, &mut |_| {}).unwrap();
            assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.faults);
        }
    });
}

#[test]
fn a_request_has_records_and_not_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), options()).unwrap();
    let append = |records| super::support::wait(log.append(records));
    assert!(matches!(append(Vec::new()), Err(AuditError::NoRecords)));
    let many = (0..513).map(record).collect();
    assert!(matches!(append(many), Err(AuditError::TooManyRecords { count: 513 })));
    let own = Record::Stopped { time: Timestamp(0) };
    assert!(matches!(append(vec![own]), Err(AuditError::NotYours)));
    append((0..512).map(record).collect()).unwrap();
}
