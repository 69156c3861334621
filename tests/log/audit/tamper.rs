//! An enemy with a disk editor.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tributary::domain::audit::{Checkpoint, Hash, SigningKey, TlogProof};
use tributary::store::proof::{check_receipt, check_receipt_alone, prove, prove_consistency};
use tributary::store::verify::{Report, Rollback, Verdict, verify};
use tributary::store::witness::{Contradiction, Offered, Witness, WitnessError};

use super::support::{
    Dice, append, closed_log, files, open, options, origin, signing_key, verifying_key,
};
use crate::kit::files::copy;

fn check(dir: &Path) -> Option<Report> {
    verify(dir, &verifying_key(), None, &mut |_| {}).ok()
}

/// Which part of a log a file is.
fn part(dir: &Path, path: &Path) -> &'static str {
    let within = path.strip_prefix(dir).unwrap();
    let known = ["checkpoint", "tile/entries", "tile", "wal"];
    known.into_iter().find(|part| within.starts_with(part)).unwrap()
}

/// Changes single bytes all over a log and counts what was found in which part.
/// Nothing is harmless: tiles of earlier checkpoints too are held against the
/// entries, the segment overlaps the tiles, and the note has one form only. The
/// empty file `lock` has no byte to change.
fn flip(dir: &Path, times: u64, seed: u64) -> BTreeMap<&'static str, u64> {
    let mut found = BTreeMap::new();
    assert_eq!(check(dir).unwrap().verdict, Verdict::Sound);
    let files: Vec<_> =
        files(dir).into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect();
    let files: Vec<_> = files.into_iter().filter(|(bytes, _)| !bytes.is_empty()).collect();
    let total: u64 = files.iter().map(|(bytes, _)| bytes.len() as u64).sum();
    let mut dice = Dice(seed);
    for _ in 0..times {
        // Half of the changes by file, so that small ones get their share.
        let by_size = dice.roll(2) == 0;
        let mut at = dice.roll(total);
        let some = dice.roll(files.len() as u64) as usize;
        let (bytes, path) = if by_size {
            files
                .iter()
                .find(|(bytes, _)| match at.checked_sub(bytes.len() as u64) {
                    Some(rest) => {
                        at = rest;
                        false
                    }
                    None => true,
                })
                .unwrap()
        } else {
            &files[some]
        };
        let at = (at % bytes.len() as u64) as usize;
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_at(&[bytes[at] ^ (1 + dice.roll(255) as u8)], at as u64).unwrap();
        let report = check(dir);
        file.write_at(&[bytes[at]], at as u64).unwrap();
        let detected = report.as_ref().is_none_or(|report| report.verdict != Verdict::Sound);
        assert!(detected, "{} byte {at}: {:?}", path.display(), report);
        *found.entry(part(dir, path)).or_default() += 1;
    }
    assert_eq!(check(dir).unwrap().verdict, Verdict::Sound);
    found
}

#[test]
fn each_of_10_000_single_byte_changes_is_detected() {
    let small = tempfile::tempdir().unwrap();
    closed_log(small.path(), 9);
    let large = tempfile::tempdir().unwrap();
    closed_log(large.path(), 280);
    let found = std::thread::scope(|scope| {
        let runs = [
            scope.spawn(|| flip(small.path(), 9_700, 10_000)),
            scope.spawn(|| flip(large.path(), 300, 300)),
        ];
        runs.into_iter().flat_map(|run| run.join().unwrap()).fold(
            BTreeMap::new(),
            |mut all, (part, count)| {
                *all.entry(part).or_insert(0) += count;
                all
            },
        )
    });
    println!("single-byte changes detected, none harmless: {found:?}");
    assert_eq!(found.values().sum::<u64>(), 10_000);
    assert!(found.len() == 4 && found.values().all(|count| *count > 100), "{found:?}");
}

#[test]
fn a_missing_tile_is_incomplete_and_a_swapped_log_is_tampered() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 280);
    let tile = dir.path().join("tile/0/000");
    let bytes = std::fs::read(&tile).unwrap();
    std::fs::remove_file(&tile).unwrap();
    let report = check(dir.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Incomplete, "{report:?}");
    assert_eq!(report.faults[0].file, "tile/0/000");
    std::fs::write(&tile, bytes).unwrap();
    assert_eq!(check(dir.path()).unwrap().verdict, Verdict::Sound);

    // The segments, or the tiles, of another log with the same key.
    let other = tempfile::tempdir().unwrap();
    let log = open(other.path(), options()).unwrap();
    (1000..1280).for_each(|number| drop(append(&log, number).unwrap()));
    log.close().unwrap();
    for part in ["wal", "tile", "checkpoint"] {
        let mixed = tempfile::tempdir().unwrap();
        copy(dir.path(), mixed.path());
        if part == "checkpoint" {
            std::fs::copy(other.path().join(part), mixed.path().join(part)).unwrap();
        } else {
            std::fs::remove_dir_all(mixed.path().join(part)).unwrap();
            copy(&other.path().join(part), &mixed.path().join(part));
        }
        assert_ne!(check(mixed.path()).unwrap().verdict, Verdict::Sound, "{part}");
        assert!(open(mixed.path(), options()).is_err(), "{part}");
    }
}

#[test]
fn a_signature_of_another_key_is_tampered() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 3);
    let wrong = SigningKey::from_seed(&[8; 32]).unwrap().verifying_key(&origin()).unwrap();
    let report = verify(dir.path(), &wrong, None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Tampered);
}

#[test]
fn a_restored_older_copy_is_found_by_the_checkpoint_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    let peer = tempfile::tempdir().unwrap();
    let key = verifying_key();
    let witness = Witness::open(peer.path()).unwrap();
    closed_log(dir.path(), 10);
    copy(dir.path(), old.path());

    let first = prove_consistency(dir.path(), &key, 0).unwrap();
    let offer = |note: &str, proof: &[Hash]| {
        let held = witness.held(&key).unwrap().map_or(0, |held| held.checkpoint().size);
        let offered = witness.offer(&key, held, note, proof);
        offered.inspect_err(|found| witness.keep_evidence(&key, found).unwrap())
    };
    assert_eq!(offer(first.checkpoint.as_str(), &first.hashes).unwrap(), Offered::First);
    assert_eq!(offer(first.checkpoint.as_str(), &[]).unwrap(), Offered::Same);
    let from = first.checkpoint.checkpoint().size;

    let log = open(dir.path(), options()).unwrap();
    (10..400).for_each(|number| drop(append(&log, number).unwrap()));
    log.close().unwrap();
    let next = prove_consistency(dir.path(), &key, from).unwrap();
    assert_eq!(next.old_root, first.checkpoint.checkpoint().root);
    let unproven = offer(next.checkpoint.as_str(), &[]);
    assert!(matches!(unproven, Err(WitnessError::Fork { .. })), "{unproven:?}");
    assert_eq!(witness.contradicted(&key), Some(Contradiction::Fork));
    assert_eq!(offer(next.checkpoint.as_str(), &next.hashes).unwrap(), Offered::Advanced { from });
    // An answer to the question of before comes late, which is no contradiction.
    let late = witness.offer(&key, from, first.checkpoint.as_str(), &[]).unwrap();
    assert_eq!(late, Offered::Late);

    // The old copy is sound by itself, and says what that is worth.
    let known = witness.held(&key).unwrap().unwrap();
    let alone = check(old.path()).unwrap();
    assert_eq!((alone.verdict, alone.rollback), (Verdict::Sound, Rollback::NotExcluded));
    let held = verify(old.path(), &key, Some(&known), &mut |_| {}).unwrap();
    assert_eq!((held.verdict, held.rollback), (Verdict::Tampered, Rollback::Found));
    let back = offer(first.checkpoint.as_str(), &[]);
    assert!(matches!(back, Err(WitnessError::Rollback { .. })), "{back:?}");

    // It goes on as if nothing had happened: a fork.
    let log = open(old.path(), options()).unwrap();
    (500..1000).for_each(|number| drop(append(&log, number).unwrap()));
    log.close().unwrap();
    let size = known.checkpoint().size;
    let forked = prove_consistency(old.path(), &key, size).unwrap();
    let fork = offer(forked.checkpoint.as_str(), &forked.hashes);
    assert!(matches!(fork, Err(WitnessError::Fork { .. })), "{fork:?}");
    let held = verify(old.path(), &key, Some(&known), &mut |_| {}).unwrap();
    assert_eq!((held.verdict, held.rollback), (Verdict::Tampered, Rollback::Found));

    // And the true one is excluded from suspicion.
    let held = verify(dir.path(), &key, Some(&known), &mut |_| {}).unwrap();
    assert_eq!((held.verdict, held.rollback), (Verdict::Sound, Rollback::ExcludedUpTo(size)));
}

#[test]
fn a_proof_stands_alone_and_no_byte_of_it_can_change() {
    let dir = tempfile::tempdir().unwrap();
    let key = verifying_key();
    let receipts = closed_log(dir.path(), 280);
    for receipt in &receipts {
        for proof in check_receipt(&receipt.file(None), &key, dir.path()).unwrap() {
            let read = TlogProof::parse(&proof.to_text()).unwrap();
            read.verify(&key).unwrap();
        }
    }
    let text = prove(dir.path(), &key, 100).unwrap().to_text().into_bytes();
    let mut dice = Dice(5);
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1 + dice.roll(255) as u8;
        let accepted = String::from_utf8(changed)
            .ok()
            .and_then(|text| TlogProof::parse(&text).ok())
            .is_some_and(|proof| proof.verify(&key).is_ok());
        assert!(!accepted, "byte {at}");
    }
    // A receipt for another record, or from a log that went another way.
    let mut wrong = receipts[3].file(None);
    wrong.first_index += 1;
    assert!(check_receipt(&wrong, &key, dir.path()).is_err());
    let mut wrong = receipts[3].file(None);
    let elsewhere = Checkpoint { origin: origin(), size: 20, root: Hash([9; 32]) };
    wrong.checkpoint = signing_key().sign(&elsewhere).unwrap().as_str().to_owned();
    assert!(check_receipt(&wrong, &key, dir.path()).is_err());
}

#[test]
fn a_receipt_is_proved_at_once_whether_or_not_tiles_have_followed() {
    let dir = tempfile::tempdir().unwrap();
    let key = verifying_key();
    // The second log of the same folder begins where tiles end.
    let mut proved = 0;
    for part in 0..3u64 {
        let log = open(dir.path(), options()).unwrap();
        for number in part * 300..(part + 1) * 300 {
            let receipt = append(&log, number).unwrap();
            let proof = log.prove(&receipt, Vec::new()).unwrap();
            let file = receipt.file(Some(&proof));
            let alone = check_receipt_alone(&file, &key).unwrap();
            assert!(alone.is_proven && alone.records.len() == 1);
            proved += 1;
            // A sibling, the record and the place of another prove nothing.
            let mut wrong = file.clone();
            wrong.first_index -= 1;
            assert!(check_receipt_alone(&wrong, &key).is_err());
            let mut wrong = file.clone();
            wrong.leaf_hashes[0] = Hash([7; 32]).to_string();
            assert!(check_receipt_alone(&wrong, &key).is_err());
            let mut wrong = file.clone();
            wrong.proofs[0].pop();
            assert!(check_receipt_alone(&wrong, &key).is_err());
        }
        log.close().unwrap();
    }
    assert_eq!(proved, 900);
}

#[test]
fn forged_tiles_give_no_proof() {
    let dir = tempfile::tempdir().unwrap();
    let key = verifying_key();
    closed_log(dir.path(), 600);
    // A sibling on the way up, a subtree further up, the entry itself.
    for (name, at) in [("tile/0/000", 40), ("tile/1/000.p/2", 40), ("tile/entries/000", 5)] {
        let path = dir.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        std::fs::write(&path, &forged).unwrap();
        let proved = prove(dir.path(), &key, 0).is_ok() && prove(dir.path(), &key, 300).is_ok();
        assert!(!proved, "{name}");
        std::fs::write(&path, &bytes).unwrap();
    }
}
