//! Opening a log after a crash, and refusing to open one that was changed.

use std::path::Path;

use tributary::domain::audit::{Origin, SigningKey, leaf_hash};
use tributary::store::audit_log::{AuditError, AuditLog};
use tributary::store::walk::walk;

use super::support::{
    Dice, append, closed_log, files, open, options, origin, segment, signing_key,
};
use crate::kit::files::copy;

fn damage(dir: &Path) -> tributary::store::walk::Fault {
    match open(dir, options()) {
        Err(AuditError::Damaged { fault }) => fault,
        other => panic!("opened: {other:?}"),
    }
}

/// A copy of a log that was never closed, and where its last frame begins.
fn unclosed(dir: &Path, to: &Path) -> u64 {
    let log = open(dir, options()).unwrap();
    for number in 0..3 {
        append(&log, number).unwrap();
    }
    let before = std::fs::metadata(segment(dir)).unwrap().len();
    append(&log, 3).unwrap();
    copy(dir, to);
    before
}

#[test]
fn row_39_a_torn_tail_is_cut_at_every_byte_of_the_last_frame() {
    let (dir, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let last = unclosed(dir.path(), crashed.path());
    let whole = std::fs::read(segment(crashed.path())).unwrap();
    let path = segment(crashed.path());
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    for end in (last..whole.len() as u64).rev() {
        file.set_len(end).unwrap();
        let walked = walk(crashed.path(), None, &mut |_| {}).unwrap();
        assert!(walked.faults.is_empty(), "cut at {end}: {:?}", walked.faults);
        assert_eq!(walked.torn.map(|torn| torn.cut), (end > last).then_some(end - last));
    }
    // Garbage instead of an end, as after a write whose pages were not all written.
    for filler in [0u8, 0xff] {
        let mut bytes = whole[..last as usize].to_vec();
        bytes.resize(whole.len(), filler);
        std::fs::write(&path, &bytes).unwrap();
        assert!(walk(crashed.path(), None, &mut |_| {}).unwrap().torn.is_some());
    }
    // The cut is made, the log goes on, and says that it was not closed.
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let log = open(crashed.path(), options()).unwrap();
    assert!(log.recovery().cut.is_some() && !log.recovery().clean);
    append(&log, 4).unwrap();
    log.close().unwrap();
    assert!(open(crashed.path(), options()).unwrap().recovery().clean);
}

#[test]
fn row_39_a_flipped_byte_in_the_middle_refuses_to_start_with_the_offset() {
    let (dir, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let last = unclosed(dir.path(), crashed.path()) as usize;
    let path = segment(crashed.path());
    let whole = std::fs::read(&path).unwrap();
    let mut dice = Dice(39);
    for at in (0..last).filter(|at| *at < 80 || dice.roll(7) == 0) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        let fault = damage(crashed.path());
        assert!(fault.file.starts_with("wal/"), "{fault}");
        assert!(fault.offset.is_some_and(|offset| offset <= at as u64), "{at}: {fault}");
    }
}

#[test]
fn a_log_that_is_shorter_than_its_checkpoint_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 12);
    let path = segment(dir.path());
    let whole = std::fs::read(&path).unwrap();
    // At every length: what is cut here had been signed and published.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    for end in (0..whole.len() as u64).rev() {
        file.set_len(end).unwrap();
        damage(dir.path());
    }
    std::fs::remove_file(&path).unwrap();
    damage(dir.path());
}

#[test]
fn every_missing_file_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 300);
    let partials_of_the_past = |path: &Path| path.to_string_lossy().contains(".p/");
    let mut needed = 0;
    for path in files(dir.path()) {
        let name = path.strip_prefix(dir.path()).unwrap().to_owned();
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let walked = walk(dir.path(), None, &mut |_| {});
        let sound = walked.is_ok_and(|walk| walk.faults.is_empty());
        std::fs::write(&path, content).unwrap();
        assert!(!sound || name.as_os_str() == "lock" || partials_of_the_past(&name), "{name:?}");
        needed += u32::from(!sound);
    }
    // Checkpoint, segment, a full and a partial bundle and tile, a tile above.
    assert_eq!(needed, 7);
}

#[test]
fn a_second_opening_is_refused_while_the_first_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), options()).unwrap();
    assert!(matches!(open(dir.path(), options()), Err(AuditError::Locked(_))));
    log.close().unwrap();
    open(dir.path(), options()).unwrap();
}

#[test]
fn another_key_or_origin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 3);
    let wrong = SigningKey::from_seed(&[8; 32]).unwrap();
    let refused = AuditLog::open(dir.path(), &origin(), wrong);
    assert!(matches!(refused, Err(AuditError::Read(_))), "{refused:?}");
    let other: Origin = "gateway.city.example/audit/2027".parse().unwrap();
    assert!(AuditLog::open(dir.path(), &other, signing_key()).is_err());
}

#[test]
fn row_36_time_does_not_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let hour = 3_600_000_000;
    for part in 0..2u64 {
        let log = open(dir.path(), options()).unwrap();
        for (number, shift) in [(0, 0), (1, hour), (2, 0)] {
            let mut record = super::support::section(number);
            record.time.0 = record.time.0 + hour + shift - 2 * part * hour;
            wait_for(&log, record);
        }
    }
    let mut last = 0;
    let walked = walk(dir.path(), None, &mut |step| {
        if let Some(record) = step.record {
            assert!(record.time().0 >= last);
            last = record.time().0;
        }
    });
    assert!(walked.unwrap().faults.is_empty());
}

fn wait_for(log: &AuditLog, record: tributary::domain::audit::SectionRecord) {
    super::support::wait(log.append(vec![record.into()])).unwrap();
}

#[test]
fn a_receipt_covers_all_records_of_a_request() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), options()).unwrap();
    let records = (0..5).map(super::support::record).collect();
    let receipt = super::support::wait(log.append(records)).unwrap();
    let indexes = receipt.indexes();
    assert_eq!(indexes.end - indexes.start, 5);
    assert_eq!(receipt.file(None).leaf_hashes.len(), 5);
    log.close().unwrap();
    let mut found = Vec::new();
    walk(dir.path(), None, &mut |step| {
        if indexes.contains(&step.index) {
            assert!(step.record.is_some());
            found.push(leaf_hash(step.bytes));
        }
    })
    .unwrap();
    assert_eq!(found, receipt.leaf_hashes());
}
