//! The mirror in object storage (moto): it verifies alone, a flipped byte is found, and a
//! storage that is killed, slow, full, careless or of something else is named. Row 71.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tributary::store::audit_log::Options;
use tributary::store::mirror::{
    Bucket, Mirror, MirrorError, MirrorFolder, Mirroring, Store, fetch,
};
use tributary::store::proof::prove;
use tributary::store::verify::{Report, Verdict, verify};

use super::support::{Dice, append, files, open, options, until, verifying_key};
use crate::kit::bucket::{BUCKET, SECRET, Storage};
use crate::kit::files::copy;
use crate::kit::process::binary;

const PREFIX: &str = "city/2026/";

/// A log, and object storage for its mirror.
struct Pair {
    storage: Storage,
    dir: tempfile::TempDir,
    /// It runs the way to the storage.
    runtime: Runtime,
}

impl Pair {
    fn new() -> Option<Self> {
        let runtime = Runtime::new().unwrap();
        let storage = runtime.block_on(Storage::start())?;
        Some(Self { storage, dir: tempfile::tempdir().unwrap(), runtime })
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn store(&self) -> Bucket {
        self.storage.at(PREFIX)
    }

    fn write(&self, from: u64, to: u64) {
        let log = open(&self.log(), Options { segment_bytes: 30_000, ..options() }).unwrap();
        (from..to).for_each(|number| drop(append(&log, number).unwrap()));
        log.close().unwrap();
    }

    fn mirror(&self) -> Mirror {
        let place = Some("s3://logs/city".to_owned());
        Mirror::new(&self.log(), verifying_key(), Box::new(self.store()), place)
    }

    fn round(&self) -> Result<u64, MirrorError> {
        self.mirror().round(&|| true)
    }

    /// The mirror, brought into a folder of its own.
    fn fetched(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let to = MirrorFolder::new(folder.path());
        fetch(&self.store(), &verifying_key(), &to, &mut |_| {}).unwrap();
        folder
    }

    fn check(&self) -> Report {
        verify(self.fetched().path(), &verifying_key(), None, &mut |_| {}).unwrap()
    }

    /// It verifies by itself and has all that is published.
    fn is_whole(&self) {
        let (report, own) = (self.check(), size(&self.log()));
        assert_eq!((report.verdict, report.published, report.mirror), (Verdict::Sound, own, true));
        assert_eq!(report.entries, own);
    }

    fn audit(&self, args: &[&str]) -> Command {
        let mut command = binary();
        command.arg("audit").args(args).args(["--key", &verifying_key().to_string()]);
        command.args(["--endpoint", &self.storage.endpoint(), "--region", "eu-test-1"]);
        command.arg("--credentials").arg(self.storage.credentials());
        command
    }
}

/// How many entries the checkpoint of a folder covers.
fn size(dir: &Path) -> u64 {
    let note = fs::read_to_string(dir.join("checkpoint")).unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// What a mirror in a folder would have, by name.
fn names(pair: &Pair) -> Vec<String> {
    let folder = pair.fetched();
    let name = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
    let all = files(folder.path()).into_iter().map(name);
    all.filter(|name| name != "lock" && !name.starts_with("tmp")).collect()
}

#[test]
fn row_71_a_mirror_in_object_storage_follows_its_log_and_verifies_alone() {
    let Some(pair) = Pair::new() else { return };
    let keeper = pair.log().join("enforced");
    let mut mirror = pair.mirror();
    for (part, to) in [(0, 100), (100, 256), (256, 700), (700, 701)] {
        pair.write(part, to);
        fs::create_dir_all(&keeper).unwrap();
        fs::write(keeper.join(format!("policy-{part:08x}.json")), format!("{part}")).unwrap();
        let moment = format!("{{\"time_us\":{part},\"policy\":\"{part:08x}\"}}\n");
        let before = fs::read_to_string(keeper.join("timeline.jsonl")).unwrap_or_default();
        fs::write(keeper.join("timeline.jsonl"), before + &moment).unwrap();
        // One that goes on, or one of a new process.
        if part == 256 {
            mirror = pair.mirror();
        }
        mirror.round(&|| true).unwrap();
        pair.is_whole();
    }
    let copy = pair.fetched();
    let content = |dir: &Path| {
        let all = files(&dir.join("enforced")).into_iter();
        all.map(|path| fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(content(copy.path()), content(&pair.log()));
    for at in [0, 255, 256, size(&pair.log()) - 1] {
        let key = verifying_key();
        assert_eq!(prove(copy.path(), &key, at).unwrap(), prove(&pair.log(), &key, at).unwrap());
    }
    // The commands: verified there, fetched, fetched again, and not over a log.
    let place = format!("s3://{BUCKET}/{PREFIX}");
    let code = |command: &mut Command| command.output().unwrap().status.code();
    assert_eq!(code(&mut pair.audit(&["verify", &place])), Some(0));
    let folder = pair.dir.path().join("fetched");
    fs::create_dir(&folder).unwrap();
    for _ in 0..2 {
        let to = folder.to_str().unwrap();
        assert_eq!(code(&mut pair.audit(&["mirror", &place, "--to", to])), Some(0));
    }
    let report = verify(&folder, &verifying_key(), None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound);
    let to = pair.log();
    assert_eq!(code(&mut pair.audit(&["mirror", &place, "--to", to.to_str().unwrap()])), Some(2));
    // And from a log once by hand.
    let elsewhere = format!("s3://{BUCKET}/by-hand");
    assert_eq!(
        code(&mut pair.audit(&["mirror", to.to_str().unwrap(), "--to", &elsewhere])),
        Some(0)
    );
    assert_eq!(code(&mut pair.audit(&["verify", &elsewhere])), Some(0));
}

#[test]
fn row_71_a_flipped_byte_in_object_storage_is_found_from_there() {
    let Some(pair) = Pair::new() else { return };
    pair.write(0, 600);
    pair.round().unwrap();
    pair.is_whole();
    let (store, mut dice) = (pair.store(), Dice(71));
    let place = format!("s3://{BUCKET}/{PREFIX}");
    let mut tried = 0;
    for name in names(&pair).into_iter().filter(|name| name.starts_with("tile/")) {
        let bytes = store.get(&name, 1 << 24).unwrap().unwrap();
        let mut changed = bytes.clone();
        changed[dice.roll(bytes.len() as u64) as usize] ^= 1 << dice.roll(8);
        store.put(&name, &changed).unwrap();
        assert_eq!(pair.check().verdict, Verdict::Tampered, "{name}");
        if tried == 0 {
            let told = pair.audit(&["verify", &place]).output().unwrap();
            assert_eq!(told.status.code(), Some(2), "{told:?}");
            assert!(String::from_utf8_lossy(&told.stdout).contains(&name), "{told:?}");
        }
        store.remove(&name).unwrap();
        assert_ne!(pair.check().verdict, Verdict::Sound, "{name} is gone");
        store.put(&name, &bytes).unwrap();
        tried += 1;
    }
    assert_eq!(tried, 7);
    pair.is_whole();
}

#[test]
fn row_71_object_storage_that_is_killed_full_or_refuses_is_named_and_caught_up_with() {
    let Some(mut pair) = Pair::new() else { return };
    pair.write(0, 300);
    let mut mirror = pair.mirror();
    mirror.round(&|| true).unwrap();
    let mut number = 300;
    for (trouble, kind, says) in [
        ("full", "full", "it answers 507, XMinioStorageFull"),
        ("down", "away", "it answers 503, SlowDown"),
        ("wrong key", "away", "it answers 403, SignatureDoesNotMatch"),
        ("cut", "away", ""),
        ("frozen", "away", "it did not answer within"),
    ] {
        pair.write(number, number + 120);
        number += 120;
        match trouble {
            "wrong key" => pair.storage.write_credentials("another"),
            "cut" => pair.runtime.block_on(pair.storage.proxy.stop()),
            "frozen" => pair.storage.proxy.freeze(),
            _ => pair.storage.trouble(trouble),
        }
        let failed = mirror.round(&|| true).unwrap_err();
        assert_eq!((failed.kind(), failed.is_passing()), (kind, true), "{failed}");
        let told = format!("{failed} {failed:?}");
        assert!(told.contains(says), "{told}");
        assert!(!told.contains("X-Amz") && !told.contains(SECRET), "{told}");
        match trouble {
            "wrong key" => pair.storage.write_credentials(SECRET),
            "cut" => pair.runtime.block_on(pair.storage.proxy.resume()),
            "frozen" => pair.runtime.block_on(async {
                pair.storage.proxy.stop().await;
                pair.storage.proxy.resume().await;
            }),
            _ => pair.storage.trouble("none"),
        }
        // What is there is sound, and is caught up with.
        assert_eq!(pair.check().verdict, Verdict::Sound);
        mirror.round(&|| true).unwrap();
        pair.is_whole();
    }
    // It is empty, and was not: for whoever keeps it and for a process that is started anew.
    pair.storage.replace();
    for mut mirror in [mirror, pair.mirror()] {
        assert_eq!(mirror.round(&|| true).unwrap_err().kind(), "gone");
    }
    assert_eq!(pair.store().get("mirror", 100).unwrap(), None);
}

#[test]
fn row_71_object_storage_of_something_else_or_of_more_is_left_as_it_is() {
    let Some(pair) = Pair::new() else { return };
    pair.write(0, 300);
    pair.round().unwrap();
    let held = || {
        let (store, names) = (pair.store(), names(&pair));
        names.into_iter().map(|name| store.get(&name, 1 << 24).unwrap()).collect::<Vec<_>>()
    };
    let refused = |what: &str, kind: &str| {
        let before = held();
        let error = pair.round().unwrap_err();
        assert_eq!((error.kind(), error.is_passing()), (kind, false), "{what}: {error}");
        assert_eq!(held(), before, "{what}: it was changed");
    };
    let older = pair.dir.path().join("older");
    copy(&pair.log(), &older);
    pair.write(300, 400);
    pair.round().unwrap();
    let newer = pair.dir.path().join("newer");
    fs::rename(pair.log(), &newer).unwrap();
    copy(&older, &pair.log());
    refused("an older copy of the log", "longer");
    pair.write(1000, 1200);
    refused("a copy that goes on", "forked");
    fs::remove_dir_all(pair.log()).unwrap();
    fs::rename(&newer, pair.log()).unwrap();
    pair.round().unwrap();
    pair.is_whole();
    // Another log's.
    pair.store().put("mirror", b"A mirror of the log other/2026\n").unwrap();
    pair.store().remove("checkpoint").unwrap();
    assert_eq!(pair.round().unwrap_err().kind(), "other");
}

#[test]
fn row_71_the_checkpoint_in_object_storage_is_exchanged_and_not_overwritten() {
    let Some(pair) = Pair::new() else { return };
    let (one, two) = (pair.store(), pair.store());
    assert!(one.exchange("checkpoint", None, b"1").unwrap());
    assert!(!two.exchange("checkpoint", None, b"2").unwrap());
    assert!(two.exchange("checkpoint", Some(b"1"), b"2").unwrap());
    assert!(!one.exchange("checkpoint", Some(b"1"), b"3").unwrap());
    assert_eq!(one.get("checkpoint", 10).unwrap().as_deref(), Some(&b"2"[..]));
    // Many at once: one of them.
    let storage = &pair.storage;
    let won = std::thread::scope(|scope| {
        let one = |number: u8| {
            scope.spawn(move || {
                let store = storage.at(PREFIX);
                store.exchange("checkpoint", Some(b"2"), &[b'a' + number]).unwrap()
            })
        };
        let all: Vec<_> = (0..6).map(one).collect();
        all.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
    });
    assert_eq!(won, 1);
    // One whose answer is lost is asked again, and sees that it was done.
    storage.trouble("lost");
    assert!(one.exchange("other", None, b"1").unwrap());
    assert_eq!(one.get("other", 10).unwrap().as_deref(), Some(&b"1"[..]));
    assert!(!two.exchange("other", None, b"1 as well").unwrap());
    storage.trouble("none");
    // A storage that passes over conditions is no place for a mirror, and overwrites nothing
    // on the way to that.
    storage.trouble("careless");
    let error = storage.at(PREFIX).exchange("other", Some(b"1"), b"2").unwrap_err();
    assert_eq!(one.get("other", 10).unwrap().as_deref(), Some(&b"1"[..]));
    let error = MirrorError::from(error);
    assert_eq!((error.kind(), error.is_passing()), ("unfit", false), "{error}");
    pair.write(0, 10);
    for _ in 0..2 {
        let mut mirror =
            Mirror::new(&pair.log(), verifying_key(), Box::new(storage.at("careless/")), None);
        assert_eq!(mirror.round(&|| true).unwrap_err().kind(), "unfit");
    }
}

/// Object storage that is slow, then frozen, then killed: records go on, the log closes, and
/// the mirror follows once it can.
#[test]
fn row_71_records_never_wait_for_object_storage() {
    let Some(mut pair) = Pair::new() else { return };
    pair.storage.trouble("slow");
    let settings = Options { publish_every: Duration::from_millis(20), ..options() };
    let log = Arc::new(open(&pair.log(), settings).unwrap());
    let mirroring = Mirroring::start(pair.mirror(), Duration::from_millis(20)).unwrap();
    let look = mirroring.look();
    (0..50).for_each(|number| drop(append(&log, number).unwrap()));
    until("a first round", || look.standing().entries > 0);
    pair.storage.proxy.freeze();
    (50..100).for_each(|number| drop(append(&log, number).unwrap()));
    until("its trouble", || look.standing().trouble == Some("away"));
    pair.runtime.block_on(pair.storage.proxy.stop());
    (100..150).for_each(|number| drop(append(&log, number).unwrap()));
    pair.storage.trouble("none");
    pair.runtime.block_on(pair.storage.proxy.resume());
    let published = || log.published().checkpoint().size;
    until("all that is published", || published() > 150 && look.standing().entries == published());
    assert_eq!(look.standing().trouble, None);
    pair.storage.kill();
    (150..200).for_each(|number| drop(append(&log, number).unwrap()));
    Arc::into_inner(log).unwrap().close().unwrap();
    // It is not waited for without end.
    mirroring.end(Duration::from_millis(100));
}
