//! The mirror: a store that is killed, slow, full, read-only, of something else; what is
//! copied, in which order; and two copies of a log that both go on. Row 71.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tributary::store::audit_log::{AuditError, AuditLog, Options};
use tributary::store::disk::Disk;
use tributary::store::enforced;
use tributary::store::mirror::{Mirror, MirrorError, MirrorFolder, Mirroring};
use tributary::store::proof::prove;
use tributary::store::verify::{Report, Verdict, verify};

use super::support::{
    BadDisk, Dice, Trouble, append, files, open, options, origin, signing_key, until, verifying_key,
};
use crate::kit::files::copy;

/// A log and the place of its mirror.
struct Pair {
    dir: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mirror")).unwrap();
        Self { dir }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn mirror(&self) -> PathBuf {
        self.dir.path().join("mirror")
    }

    /// Writes records from one number to before another, and closes the log. Small segments,
    /// so that most of it is sealed.
    fn write(&self, from: u64, to: u64) {
        let log = open(&self.log(), Options { segment_bytes: 30_000, ..options() }).unwrap();
        (from..to).for_each(|number| drop(append(&log, number).unwrap()));
        log.close().unwrap();
    }

    fn of(&self, disk: Arc<dyn Disk>) -> Mirror {
        let store = Box::new(MirrorFolder::on(&self.mirror(), disk));
        Mirror::new(&self.log(), verifying_key(), store, Some("here".to_owned()))
    }

    fn round(&self) -> Result<u64, MirrorError> {
        self.of(BadDisk::new(Trouble::None)).round(&|| true)
    }

    fn check(&self) -> Report {
        verify(&self.mirror(), &verifying_key(), None, &mut |_| {}).unwrap()
    }

    /// The mirror verifies by itself and has all that is published.
    fn is_whole(&self) {
        let (report, own) = (self.check(), size(&self.log()));
        assert_eq!((report.verdict, report.published, report.mirror), (Verdict::Sound, own, true));
        assert_eq!(report.entries, own);
    }
}

/// How many entries the checkpoint of a folder covers.
fn size(dir: &Path) -> u64 {
    let note = fs::read_to_string(dir.join("checkpoint")).unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// Every file but those of the writer, with what it holds.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn row_71_a_mirror_follows_its_log_and_verifies_alone() {
    let pair = Pair::new();
    let keeper = pair.log().join("enforced");
    let mut mirror = pair.of(BadDisk::new(Trouble::None));
    let mut dice = Dice(71);
    let mut number = 0;
    for _ in 0..8 {
        let more = number + 1 + dice.roll(300);
        pair.write(number, more);
        number = more;
        fs::create_dir_all(&keeper).unwrap();
        fs::write(keeper.join(format!("policy-{number}.json")), format!("{number}")).unwrap();
        fs::write(keeper.join("timeline.jsonl"), "x\n".repeat(number as usize)).unwrap();
        // One that goes on, or one of a new process.
        if dice.roll(2) == 0 {
            mirror = pair.of(BadDisk::new(Trouble::None));
        }
        mirror.round(&|| true).unwrap();
        pair.is_whole();
        let names = |dir: &Path| {
            let all = files(&dir.join("enforced")).into_iter();
            all.map(|path| (path.file_name().unwrap().to_owned(), fs::read(path).unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&pair.log()), names(&pair.mirror()));
    }
    enforced::read(&pair.mirror()).unwrap();
    // Nothing piles up: partial tiles are those of its checkpoint.
    let partials = files(&pair.mirror())
        .into_iter()
        .filter(|path| path.parent().and_then(Path::extension).is_some_and(|ending| ending == "p"));
    assert!(partials.count() <= 3);
    // Proofs come from it as from the log.
    for at in [0, 255, 256, size(&pair.log()) - 1] {
        let key = verifying_key();
        assert_eq!(prove(&pair.mirror(), &key, at).unwrap(), prove(&pair.log(), &key, at).unwrap());
    }
    // It is no log to go on with.
    let refused = open(&pair.mirror(), options());
    assert!(matches!(refused, Err(AuditError::Mirror(_))), "{refused:?}");
}

#[test]
fn row_71_a_flipped_byte_in_a_mirror_is_found_there() {
    let pair = Pair::new();
    pair.write(0, 600);
    pair.round().unwrap();
    pair.is_whole();
    let mut dice = Dice(7);
    for (path, bytes) in content(&pair.mirror()) {
        let name = path.strip_prefix(pair.mirror()).unwrap().to_owned();
        if bytes.is_empty() || name == Path::new("mirror") {
            continue;
        }
        for _ in 0..40 {
            let mut changed = bytes.clone();
            changed[dice.roll(bytes.len() as u64) as usize] ^= 1 << dice.roll(8);
            fs::write(&path, &changed).unwrap();
            let report = verify(&pair.mirror(), &verifying_key(), None, &mut |_| {});
            let found = report.is_ok_and(|report| report.verdict == Verdict::Tampered);
            assert!(found || name == Path::new("checkpoint"), "{}", name.display());
        }
        fs::remove_file(&path).unwrap();
        assert_ne!(
            verify(&pair.mirror(), &verifying_key(), None, &mut |_| {}).map(|is| is.verdict).ok(),
            Some(Verdict::Sound),
            "{} is gone",
            name.display()
        );
        fs::write(&path, &bytes).unwrap();
    }
    pair.is_whole();
    // Without the file that says what it is, it is a log whose end is missing.
    fs::remove_file(pair.mirror().join("mirror")).unwrap();
    assert_eq!(pair.check().verdict, Verdict::Incomplete);
}

/// The store ends at each of its operations: the mirror is then what it was, or what it is
/// to be, and the next round makes it whole.
#[test]
fn row_71_at_whatever_operation_the_store_is_lost_the_mirror_is_sound_and_caught_up() {
    let first = Pair::new();
    first.write(0, 300);
    first.round().unwrap();
    first.write(300, 800);
    let mut stops = 0;
    for at in (0..).step_by(3) {
        let pair = Pair::new();
        copy(&first.log(), &pair.log());
        fs::remove_dir_all(pair.mirror()).unwrap();
        copy(&first.mirror(), &pair.mirror());
        let before = size(&pair.mirror());
        let done = pair.of(BadDisk::new(Trouble::StopsAt(at))).round(&|| true);
        let report = pair.check();
        assert_eq!(report.verdict, Verdict::Sound, "stopped at {at}: {report:?}");
        assert!([before, size(&pair.log())].contains(&report.published), "stopped at {at}");
        pair.round().unwrap();
        pair.is_whole();
        if done.is_ok() {
            break;
        }
        assert!(matches!(done, Err(MirrorError::Away(_))), "{done:?}");
        stops += 1;
    }
    assert!(stops > 10, "{stops}");
}

#[test]
fn row_71_a_store_that_is_full_read_only_or_gone_is_named_and_caught_up_with() {
    let pair = Pair::new();
    pair.write(0, 300);
    let disk = BadDisk::new(Trouble::None);
    let mut mirror = pair.of(disk.clone());
    let from = mirror.round(&|| true).unwrap();
    for (number, trouble, kind) in [
        (300, Trouble::Full, "full"),
        (420, Trouble::ReadOnly, "away"),
        (600, Trouble::SyncFails, "away"),
    ] {
        pair.write(number, number + 120);
        disk.set(trouble);
        let failed = mirror.round(&|| true).unwrap_err();
        assert_eq!((failed.kind(), failed.is_passing()), (kind, true), "{failed}");
        assert_eq!(pair.check().verdict, Verdict::Sound);
        assert!(size(&pair.mirror()) >= from);
        disk.set(Trouble::None);
        mirror.round(&|| true).unwrap();
        pair.is_whole();
    }
    // The share is not there.
    let aside = pair.dir.path().join("aside");
    fs::rename(pair.mirror(), &aside).unwrap();
    assert_eq!(mirror.round(&|| true).unwrap_err().kind(), "away");
    assert!(!pair.mirror().exists(), "a mirror was begun on the wrong disk");
    // Its mount point is there and empty, also for a process that is started anew.
    fs::create_dir(pair.mirror()).unwrap();
    for mut mirror in [mirror, pair.of(disk.clone())] {
        assert_eq!(mirror.round(&|| true).unwrap_err().kind(), "gone");
    }
    assert_eq!(files(&pair.mirror()), Vec::<PathBuf>::new());
    fs::remove_dir(pair.mirror()).unwrap();
    fs::rename(&aside, pair.mirror()).unwrap();
    pair.write(800, 900);
    pair.round().unwrap();
    pair.is_whole();
}

#[test]
fn row_71_a_mirror_of_something_else_or_of_more_is_left_as_it_is() {
    let (pair, other) = (Pair::new(), Pair::new());
    pair.write(0, 300);
    pair.round().unwrap();
    let kept = content(&pair.mirror());
    let refused = |what: &str, kind: &str| {
        let before = content(&pair.mirror());
        let error = pair.round().unwrap_err();
        assert_eq!((error.kind(), error.is_passing()), (kind, false), "{what}: {error}");
        assert_eq!(content(&pair.mirror()), before, "{what}: it was changed");
    };
    let replace = |from: &Path| {
        fs::remove_dir_all(pair.mirror()).unwrap();
        copy(from, &pair.mirror());
    };

    // Two copies of one log go on: one of them keeps the mirror, the other finds it.
    let older = pair.dir.path().join("older");
    copy(&pair.log(), &older);
    pair.write(300, 400);
    pair.round().unwrap();
    let newer = pair.dir.path().join("newer");
    fs::rename(pair.log(), &newer).unwrap();
    copy(&older, &pair.log());
    refused("an older copy of the log", "longer");
    pair.write(1000, 1200);
    refused("a copy that went on", "forked");
    pair.write(1200, 1201);
    refused("a copy that goes on", "forked");
    fs::remove_dir_all(pair.log()).unwrap();
    fs::rename(&newer, pair.log()).unwrap();
    pair.round().unwrap();
    pair.is_whole();

    // Another log's mirror, and a log in its place.
    let key = signing_key();
    let elsewhere = AuditLog::open(&other.log(), &"other/2026".parse().unwrap(), key).unwrap();
    drop(append(&elsewhere, 1).unwrap());
    elsewhere.close().unwrap();
    let key = signing_key().verifying_key(&"other/2026".parse().unwrap()).unwrap();
    let store = Box::new(MirrorFolder::new(&other.mirror()));
    Mirror::new(&other.log(), key, store, None).round(&|| true).unwrap();
    replace(&other.mirror());
    refused("another log's mirror", "other");
    fs::remove_file(pair.mirror().join("checkpoint")).unwrap();
    refused("another log's mirror that was begun", "other");
    replace(&pair.log());
    refused("the log itself", "other");

    // Damage in what its checkpoint says.
    fs::remove_dir_all(pair.mirror()).unwrap();
    for (path, bytes) in &kept {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    pair.round().unwrap();
    let note = pair.mirror().join("checkpoint");
    let text = fs::read_to_string(&note).unwrap();
    fs::write(&note, text.replacen('\n', "x\n", 1)).unwrap();
    refused("a checkpoint that was changed", "other");
    assert_eq!(origin().to_string(), text.lines().next().unwrap());
}

/// A log whose own bundle or tile is damaged is not copied.
#[test]
fn what_the_log_does_not_bear_out_is_not_copied() {
    for name in ["tile/entries/000.gz", "tile/0/001", "tile/entries/002.p"] {
        let pair = Pair::new();
        pair.write(0, 600);
        let mut path = pair.log().join(name);
        if path.is_dir() {
            path = files(&path).pop().unwrap();
        }
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
        let error = pair.round().unwrap_err();
        assert_eq!(error.kind(), "log", "{name}: {error}");
        assert!(!pair.mirror().join("checkpoint").exists(), "{name}");
    }
}

/// A byte of a bundle, or of a tile, that changes on the disk while the log is open: it is
/// told, records go on, and the mirror's file mends it.
#[test]
fn row_39_what_rots_while_the_log_is_written_is_told_and_can_be_restored_from_the_mirror() {
    let pair = Pair::new();
    pair.write(0, 900);
    pair.round().unwrap();
    let settings = Options {
        look_every: Duration::from_millis(20),
        look_rest: Duration::from_millis(1),
        segment_bytes: 30_000,
        ..options()
    };
    let log = open(&pair.log(), settings).unwrap();
    let damaged = || log.figures().damaged();
    for (number, name) in
        [(2000, "tile/entries/001.gz"), (2001, "tile/0/000"), (2002, "tile/0/002")]
    {
        assert_eq!(damaged(), 0);
        let path = pair.log().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 16;
        fs::write(&path, bytes).unwrap();
        until("the alarm", || damaged() > 0);
        append(&log, number).unwrap();
        fs::copy(pair.mirror().join(name), &path).unwrap();
        until("its end", || damaged() == 0);
    }
    // A tile that no full one is above leads to the root all the same.
    let above = files(&pair.log().join("tile/1")).pop().unwrap();
    let bytes = fs::read(&above).unwrap();
    fs::write(&above, [&[bytes[0] ^ 1], &bytes[1..]].concat()).unwrap();
    until("the alarm", || damaged() > 0);
    fs::write(&above, bytes).unwrap();
    until("its end", || damaged() == 0);
    log.close().unwrap();
    let report = verify(&pair.log(), &verifying_key(), None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
}

/// What comes first: at no moment does the mirror's checkpoint lead to what is not there.
#[test]
fn tiles_and_bundles_come_before_the_checkpoint_that_leads_to_them() {
    #[derive(Debug, Default)]
    struct Watching(Mutex<Vec<String>>, AtomicU64);
    impl Disk for Watching {
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.0.lock().unwrap().push(to.file_name().unwrap().to_string_lossy().into_owned());
            fs::rename(from, to)
        }
        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.1.fetch_add(1, Ordering::SeqCst);
            if self.0.lock().unwrap().last().is_some_and(|name| name != "checkpoint") {
                self.0.lock().unwrap().push("SYNC".to_owned());
            }
            File::open(path)?.sync_all()
        }
    }
    let pair = Pair::new();
    let disk = Arc::new(Watching::default());
    let mut mirror = pair.of(disk.clone());
    for part in 0..3 {
        pair.write(part * 300, (part + 1) * 300);
        mirror.round(&|| true).unwrap();
        let names = std::mem::take(&mut *disk.0.lock().unwrap());
        assert_eq!(names.last().map(String::as_str), Some("checkpoint"));
        assert_eq!(names.iter().rev().nth(1).map(String::as_str), Some("SYNC"), "{names:?}");
    }
}

/// A store that hangs, and one that is slow: records go on, and the mirror follows later.
#[test]
fn row_71_records_never_wait_for_the_mirror() {
    let pair = Pair::new();
    let settings = Options { publish_every: Duration::from_millis(5), ..options() };
    let log = open(&pair.log(), settings).unwrap();
    append(&log, 0).unwrap();
    let disk = BadDisk::new(Trouble::SyncHangs);
    let mirroring = Mirroring::start(pair.of(disk.clone()), Duration::from_millis(5)).unwrap();
    until("the mirror's first sync", || disk.syncs.load(Ordering::SeqCst) > 0);
    for number in 1..600 {
        append(&log, number).unwrap();
    }
    until("all tiles", || log.published().checkpoint().size == log.latest().checkpoint().size);
    let look = mirroring.look();
    assert_eq!(look.standing().entries, 0);
    // It comes back; then it refuses for a while; then it is well again.
    disk.set(Trouble::None);
    let has = |log: &AuditLog| look.standing().entries == log.published().checkpoint().size;
    until("a mirror in step", || has(&log));
    disk.set(Trouble::Full);
    append(&log, 600).unwrap();
    until("the trouble", || look.standing().trouble == Some("full"));
    disk.set(Trouble::None);
    append(&log, 601).unwrap();
    until("a mirror in step again", || has(&log) && look.standing().trouble.is_none());
    // The log's last checkpoint is there too.
    log.close().unwrap();
    mirroring.end(Duration::from_secs(60));
    pair.is_whole();
}

#[test]
fn a_stop_waits_for_no_store() {
    let pair = Pair::new();
    pair.write(0, 300);
    let disk = BadDisk::new(Trouble::SyncHangs);
    let mirroring = Mirroring::start(pair.of(disk.clone()), Duration::from_millis(5)).unwrap();
    until("a sync that hangs", || disk.syncs.load(Ordering::SeqCst) > 0);
    mirroring.end(Duration::from_millis(50));
    // Nor does dropping one, and then the thread ends by itself.
    disk.set(Trouble::None);
    until("what was left", || pair.mirror().join("checkpoint").exists());
}
