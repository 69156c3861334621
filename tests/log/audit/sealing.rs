//! Sealing: bundles that are compressed, segments that go, and the process or the machine
//! that ends at any step of it. Rows 34 and 39.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tributary::domain::audit::{Edge, Hash, Query, RequestId, leaf_hash};
use tributary::store::audit_log::{AuditError, AuditLog, Health, Options};
use tributary::store::disk::Disk;
use tributary::store::index::Index;
use tributary::store::proof::{prove, prove_consistency};
use tributary::store::verify::{Verdict, verify};
use tributary::store::walk::walk;

use super::independent;
use super::support::{
    Dice, append, files, open, options, origin, record, signing_key, until, verifying_key, wait,
};
use crate::kit::files::copy;

/// What the sealer's thread meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No descriptor, so that nothing is sealed.
    NoDescriptors,
    /// The machine stops at this of its operations; what was not synced may be lost, by
    /// chance.
    StopsAt(u64),
    /// The disk gives a bundle back otherwise than it was written.
    Lies,
    /// Nothing may be removed.
    KeepsAll,
}

/// A disk that does to the sealer, and to nobody else, what a test wants. A machine that
/// stopped does nothing more for anybody.
#[derive(Debug)]
struct FateDisk {
    fate: Fate,
    passed: AtomicU64,
    stopped: Mutex<bool>,
    /// Names whose folder is not synced: those that were given, and those that were taken
    /// away with what they held.
    given: Mutex<Vec<PathBuf>>,
    taken: Mutex<Vec<(PathBuf, Vec<u8>)>>,
    dice: Mutex<Dice>,
}

impl FateDisk {
    fn new(fate: Fate, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            fate,
            passed: AtomicU64::new(0),
            stopped: Mutex::new(false),
            given: Mutex::default(),
            taken: Mutex::default(),
            dice: Mutex::new(Dice(seed)),
        })
    }

    fn is_sealer() -> bool {
        std::thread::current().name() == Some("audit-seals")
    }

    fn has_stopped(&self) -> bool {
        *self.stopped.lock().unwrap()
    }

    fn gate(&self) -> io::Result<()> {
        let mut stopped = self.stopped.lock().unwrap();
        if !*stopped
            && let Fate::StopsAt(at) = self.fate
            && Self::is_sealer()
            && self.passed.fetch_add(1, Ordering::SeqCst) == at
        {
            *stopped = true;
            self.lose();
        }
        if *stopped { Err(io::Error::other("the machine stopped")) } else { Ok(()) }
    }

    /// What no sync has made last is there or not.
    fn lose(&self) {
        let mut dice = self.dice.lock().unwrap();
        for path in self.given.lock().unwrap().drain(..) {
            if dice.roll(2) == 0 {
                let _ = fs::remove_file(path);
            }
        }
        for (path, bytes) in self.taken.lock().unwrap().drain(..) {
            if dice.roll(2) == 0 {
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

impl Disk for FateDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.gate()?;
        if Self::is_sealer() && self.fate == Fate::NoDescriptors {
            return Err(io::Error::from_raw_os_error(24));
        }
        File::options().append(true).create_new(true).open(path)
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        if let Err(error) = self.gate() {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.gate()?;
        file.sync_data()
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.gate()?;
        file.set_len(length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate()?;
        fs::rename(from, to)?;
        if Self::is_sealer() {
            self.given.lock().unwrap().push(to.to_owned());
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.gate()?;
        File::open(path)?.sync_all()?;
        self.given.lock().unwrap().retain(|given| given.parent() != Some(path));
        self.taken.lock().unwrap().retain(|(taken, _)| taken.parent() != Some(path));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.gate()?;
        if self.fate == Fate::KeepsAll {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let bytes = fs::read(path)?;
        fs::remove_file(path)?;
        if Self::is_sealer() {
            self.taken.lock().unwrap().push((path.to_owned(), bytes));
        }
        Ok(())
    }

    fn forget(&self, path: &Path) {
        let is_bundle = path.extension().is_some_and(|ending| ending == "gz");
        if self.fate == Fate::Lies && is_bundle && path.exists() {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(path, bytes).unwrap();
        }
    }
}

fn on(disk: &Arc<FateDisk>) -> Options {
    Options { disk: disk.clone(), segment_bytes: 30_000, ..options() }
}

/// A log as an older version left it: bundles under their own names, and every segment.
fn unsealed(dir: &Path, records: u64) {
    let log = open(dir, on(&FateDisk::new(Fate::NoDescriptors, 1))).unwrap();
    (0..records).for_each(|number| drop(append(&log, number).unwrap()));
    log.close().unwrap();
    assert!(segments(dir) > 2 && sealed(dir) == 0, "{:?}", files(dir));
}

fn segments(dir: &Path) -> usize {
    files(&dir.join("wal")).len()
}

/// The bundles that are sealed.
fn bundles(dir: &Path) -> Vec<PathBuf> {
    let mut all = files(&dir.join("tile/entries"));
    all.retain(|path| path.extension().is_some_and(|ending| ending == "gz"));
    all
}

fn sealed(dir: &Path) -> usize {
    bundles(dir).len()
}

fn leaves(dir: &Path) -> Vec<Hash> {
    let mut leaves = Vec::new();
    let walked = walk(dir, Some(&verifying_key()), &mut |step| leaves.push(leaf_hash(step.bytes)));
    let walked = walked.unwrap();
    assert!(walked.faults.is_empty(), "{:?}", walked.faults);
    leaves
}

/// Opens a log and waits until it is as small as it gets: two segments at most, and no
/// bundle under its own name of which the first of them has nothing.
fn settle(dir: &Path) {
    let log = open(dir, Options { segment_bytes: 30_000, ..options() }).unwrap();
    let first = || files(&dir.join("wal"))[0].file_stem().unwrap().to_str().unwrap().to_owned();
    until("a log that is sealed", || {
        segments(dir) <= 2 && sealed(dir) as u64 == first().parse::<u64>().unwrap() / 256
    });
    log.close().unwrap();
}

/// A log that was sealed, of so many records.
fn sealed_log(dir: &Path, records: u64) {
    unsealed(dir, records);
    settle(dir);
    assert!(sealed(dir) >= 2);
}

fn check(dir: &Path) -> tributary::store::verify::Report {
    verify(dir, &verifying_key(), None, &mut |_| {}).unwrap()
}

#[test]
fn row_34_at_whatever_step_of_sealing_the_machine_stops_nothing_is_lost() {
    let old = tempfile::tempdir().unwrap();
    unsealed(old.path(), 1100);
    let (before, raw) = (leaves(old.path()), segments(old.path()));
    let mut stops = 0;
    for at in 0.. {
        let mut came_to_it = false;
        for seed in [at + 1, at + 7919] {
            let dir = tempfile::tempdir().unwrap();
            copy(old.path(), dir.path());
            let disk = FateDisk::new(Fate::StopsAt(at), seed);
            let log = open(dir.path(), on(&disk)).unwrap();
            until("the stop, or the end", || {
                disk.has_stopped() || segments(dir.path()) == 1 && sealed(dir.path()) == 3
            });
            drop(log);
            came_to_it |= disk.has_stopped();
            let after = leaves(dir.path());
            assert_eq!(after[..before.len()], before, "stopped at {at} of {raw} segments");
            settle(dir.path());
            let after = leaves(dir.path());
            assert_eq!(after[..before.len()], before, "sealed after a stop at {at}");
            let report = check(dir.path());
            assert_eq!(report.verdict, Verdict::Sound, "stopped at {at}: {report:?}");
        }
        if !came_to_it {
            break;
        }
        stops += 1;
    }
    println!("{stops} steps of sealing, two ends each");
    assert!(stops > 20, "hardly a step of sealing was seen: {stops}");
}

#[test]
fn what_is_read_again_otherwise_than_written_keeps_its_segment_and_stops_the_log() {
    let dir = tempfile::tempdir().unwrap();
    unsealed(dir.path(), 700);
    let (before, count) = (leaves(dir.path()), segments(dir.path()));
    let log = open(dir.path(), on(&FateDisk::new(Fate::Lies, 1))).unwrap();
    until("the alarm", || matches!(log.health(), Health::Poisoned(_)));
    assert!(matches!(append(&log, 1), Err(AuditError::Poisoned { .. })));
    drop(log);
    assert!(segments(dir.path()) >= count, "a segment went");
    // It is named, by who verifies and by who would go on, until it is taken away.
    let report = check(dir.path());
    assert_eq!(report.verdict, Verdict::Tampered);
    assert!(report.faults[0].file.ends_with(".gz"), "{report:?}");
    assert!(matches!(open(dir.path(), options()), Err(AuditError::Damaged { .. })));
    for path in bundles(dir.path()) {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(leaves(dir.path())[..before.len()], before);
    settle(dir.path());
    assert_eq!(leaves(dir.path())[..before.len()], before);
}

#[test]
fn what_may_not_be_removed_stays_without_a_gap_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    unsealed(dir.path(), 900);
    let (before, count) = (leaves(dir.path()), segments(dir.path()));
    let log = open(dir.path(), on(&FateDisk::new(Fate::KeepsAll, 1))).unwrap();
    until("the first bundle that is sealed", || sealed(dir.path()) > 0);
    append(&log, 5000).unwrap();
    log.close().unwrap();
    assert_eq!(segments(dir.path()), count);
    assert!(dir.path().join("tile/entries/000").exists());
    assert_eq!(check(dir.path()).verdict, Verdict::Sound);
    settle(dir.path());
    assert_eq!(leaves(dir.path())[..before.len()], before);
}

#[test]
fn a_tile_that_is_not_what_the_segment_gives_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    // The log is open while somebody changes a bundle, or a tile, that is not sealed yet.
    for name in ["tile/entries/001", "tile/0/001"] {
        let part = dir.path().join(name.replace('/', "-"));
        let disk = Arc::new(Waiting::default());
        let log = open(&part, Options { segment_bytes: 30_000, disk: disk.clone(), ..options() });
        let log = log.unwrap();
        (0..700).for_each(|number| drop(append(&log, number).unwrap()));
        *disk.0.lock().unwrap() = Some(part.join(name));
        // The last publication, at which all of it may be sealed.
        drop(log);
        assert!(segments(&part) > 2, "{name}: a segment went that held the entries alone");
        assert_eq!(check(&part).verdict, Verdict::Tampered, "{name}");
    }
}

/// Changes a byte of a file once that file is there and the sealer begins.
#[derive(Debug, Default)]
struct Waiting(Mutex<Option<PathBuf>>);

impl Disk for Waiting {
    fn create(&self, path: &Path) -> io::Result<File> {
        if FateDisk::is_sealer()
            && let Some(path) = self.0.lock().unwrap().take()
        {
            let mut bytes = fs::read(&path).unwrap();
            bytes[70] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        File::options().append(true).create_new(true).open(path)
    }
}

#[test]
fn row_39_a_flipped_byte_in_a_sealed_bundle_is_found_without_a_segment_to_compare() {
    let dir = tempfile::tempdir().unwrap();
    sealed_log(dir.path(), 900);
    let index = dir.path().with_extension("index");
    let mut dice = Dice(39);
    let level = dir.path().join("tile/0/000");
    for path in bundles(dir.path()).into_iter().chain([level]) {
        let bytes = fs::read(&path).unwrap();
        for _ in 0..60 {
            let at = dice.roll(bytes.len() as u64) as usize;
            let mut changed = bytes.clone();
            changed[at] ^= 1 << dice.roll(8);
            fs::write(&path, &changed).unwrap();
            let report = check(dir.path());
            assert_eq!(report.verdict, Verdict::Tampered, "{} byte {at}", path.display());
            let name = path.strip_prefix(dir.path()).unwrap().to_str().unwrap();
            assert!(report.faults.iter().any(|fault| fault.file == name), "{report:?}");
            match open(dir.path(), options()) {
                Err(AuditError::Damaged { fault }) => assert_eq!(fault.file, name),
                other => panic!("opened: {other:?}"),
            }
        }
        fs::write(&path, &bytes).unwrap();
        // Gone, or with a byte more or less.
        for changed in [&bytes[1..], &[&bytes[..], &[0]].concat(), &bytes[..bytes.len() - 1]] {
            fs::write(&path, changed).unwrap();
            assert_eq!(check(dir.path()).verdict, Verdict::Tampered, "{}", path.display());
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(check(dir.path()).verdict, Verdict::Incomplete, "{}", path.display());
        fs::write(&path, &bytes).unwrap();
    }
    // Nor does anybody else believe it.
    let bundle = dir.path().join("tile/entries/001.gz");
    let bytes = fs::read(&bundle).unwrap();
    fs::write(&bundle, [&bytes[..60], &[bytes[60] ^ 1], &bytes[61..]].concat()).unwrap();
    assert!(prove(dir.path(), &verifying_key(), 300).is_err());
    let mut open = Index::open(dir.path(), &verifying_key(), &index).unwrap();
    assert!(open.update(&mut |_| std::ops::ControlFlow::Continue(())).is_err());
    fs::write(&bundle, bytes).unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Sound);
    let _ = fs::remove_file(index);
}

/// Two bundles that changed places, each a sound file.
#[test]
fn sealed_bundles_that_changed_places_are_found() {
    let dir = tempfile::tempdir().unwrap();
    sealed_log(dir.path(), 900);
    let [one, other] = ["000.gz", "001.gz"].map(|name| dir.path().join("tile/entries").join(name));
    let kept = fs::read(&one).unwrap();
    fs::copy(&other, &one).unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Tampered);
    fs::write(&one, kept).unwrap();
    assert_eq!(check(dir.path()).verdict, Verdict::Sound);
}

/// By chance: lives of any length, requests of any number of records, segments of any size.
/// Whoever reads the log finds what was written, wherever it stands by then.
#[test]
fn however_a_log_is_written_and_sealed_all_readers_find_what_was_written() {
    let mut dice = Dice(35);
    for round in 0..3u64 {
        let dir = tempfile::tempdir().unwrap();
        let (log, index) = (dir.path().join("log"), dir.path().join("log.index"));
        let (mut model, mut requests) = (Vec::new(), Vec::new());
        let (mut number, mut lives) = (0, 0);
        while number < 500 || lives < 3 {
            lives += 1;
            let settings = Options {
                segment_bytes: 2_000 + dice.roll(40_000),
                publish_every: Duration::from_millis(1 + dice.roll(30)),
                ..options()
            };
            let mut seen = 0;
            let writing =
                AuditLog::open_reading(&log, &origin(), signing_key(), settings, &mut |_| {
                    seen += 1;
                });
            let writing = writing.unwrap();
            // What counters are given back comes by this way.
            assert_eq!(seen, requests.len() + 2 * (lives - 1), "round {round}, life {lives}");
            for _ in 0..dice.roll(300) {
                let records: Vec<_> = (0..1 + dice.roll(8)).map(|_| record(number)).collect();
                let count = records.len();
                let receipt = wait(writing.append(records)).unwrap();
                writing.prove(&receipt, Vec::new()).unwrap();
                let leaves = receipt.leaf_hashes().iter().copied();
                model.extend(receipt.indexes().zip(leaves));
                requests.extend(std::iter::repeat_n(number, count));
                number += 1;
            }
            writing.close().unwrap();
        }
        settle(&log);
        let found = leaves(&log);
        assert!(model.iter().all(|(index, leaf)| found[*index as usize] == *leaf));
        // By the second implementation, which has gzip and no other way.
        let size = found.len() as u64;
        let entries = independent::entries(&log, size);
        let own: Vec<_> = entries.iter().map(|entry| independent::leaf(entry)).collect();
        assert!(own.iter().zip(&found).all(|(own, found)| *own == found.0));
        independent::check_tiles(&log, &own);
        let mut edge = Edge::default();
        found.iter().for_each(|leaf| edge.push(*leaf).unwrap());
        let known = prove_consistency(&log, &verifying_key(), size / 2).unwrap();
        assert_eq!(known.checkpoint.checkpoint().root, edge.root().unwrap());
        let mut indexed = Index::open(&log, &verifying_key(), &index).unwrap();
        indexed.update(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        for _ in 0..20 {
            let (at, leaf) = model[dice.roll(model.len() as u64) as usize];
            let proof = prove(&log, &verifying_key(), at).unwrap();
            assert_eq!(leaf_hash(&proof.entry), leaf);
            let number = requests[dice.roll(requests.len() as u64) as usize];
            let request = RequestId::new(&format!("request-{number}")).ok();
            let query = Query { request, ..Query::default() };
            let hits = indexed.search(&query, 0, 1000).unwrap().hits.len();
            assert_eq!(hits, requests.iter().filter(|other| **other == number).count());
        }
        assert_eq!(check(&log).verdict, Verdict::Sound);
        assert!(sealed(&log) > 1);
    }
}
