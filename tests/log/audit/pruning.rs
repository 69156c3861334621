//! Pruning: what goes, what stays and can be proved, who is told, and a run that ends at each
//! of its steps. Row 90.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tributary::domain::audit::{
    CountRecord, Counted, Query, Receipt, Record, SubjectTag, Timestamp, leaf_hash,
};
use tributary::store::audit_log::{AuditError, AuditLog, Options};
use tributary::store::disk::RealDisk;
use tributary::store::index::Index;
use tributary::store::mirror::{Mirror, MirrorFolder};
use tributary::store::proof::{ProveError, check_receipt, prove, prove_consistency, prove_held};
use tributary::store::prune::{KeptBy, PruneError, plan, prune};
use tributary::store::pruned;
use tributary::store::verify::{Report, Rollback, Verdict, verify};
use tributary::store::walk::walk;

use super::support::{
    BadDisk, Trouble, files, open, options, section, signing_key, until, verifying_key, wait,
};
use crate::kit::files::copy;
use crate::kit::process::binary;

/// The records' first second, and one more for each.
const START: u64 = 1_790_000_000;
const RECORDS: u64 = 2000;

/// A moment at which so many records are older.
fn after(records: u64) -> Timestamp {
    Timestamp((START + records) * 1_000_000)
}

fn small() -> Options {
    Options { segment_bytes: 30_000, ..options() }
}

/// A record a second; the names that it refers to stand before the first of them.
fn record(number: u64) -> Record {
    let mut own = section(number);
    own.time = after(number);
    own.subject = Some(SubjectTag::new([(number % 7) as u8; 32]));
    own.into()
}

fn append(log: &AuditLog, record: Record) -> Receipt {
    wait(log.append(vec![record])).unwrap()
}

/// A closed log of many records, of which the newest alone are in segments.
fn write(dir: &Path) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for part in 0..2 {
        let log = open(dir, at_the_end(small())).unwrap();
        for number in part * RECORDS / 2..(part + 1) * RECORDS / 2 {
            receipts.push(append(&log, record(number)));
        }
        log.close().unwrap();
    }
    receipts
}

/// The log's own records have the time of whatever was written last.
fn at_the_end(options: Options) -> Options {
    Options { utc: || after(0).to_utc(), ..options }
}

struct Pruned {
    dir: tempfile::TempDir,
    receipts: Vec<Receipt>,
}

impl Pruned {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let receipts = write(&dir.path().join("log"));
        Self { dir, receipts }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn prune(&self, records: u64) -> u64 {
        let times = (after(records), after(RECORDS * 2));
        prune(&self.log(), &verifying_key(), &signing_key(), times, &RealDisk).unwrap().before
    }

    fn check(&self) -> Report {
        verify(&self.log(), &verifying_key(), None, &mut |_| {}).unwrap()
    }

    fn is_sound(&self, before: u64) {
        let report = self.check();
        assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
        assert_eq!(report.pruned.map_or(0, |pruned| pruned.before), before);
    }

    fn audit(&self, command: &str, args: &[&str]) -> Output {
        let mut all = binary();
        all.args(["audit", command]).arg(self.log()).args(["--key", &verifying_key().to_string()]);
        all.args(args).output().unwrap()
    }
}

fn bundles(log: &Path) -> Vec<PathBuf> {
    files(&log.join("tile/entries"))
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

#[test]
fn row_90_whole_bundles_go_and_every_proof_can_still_be_made() {
    let pruned = Pruned::new();
    let (log, key) = (pruned.log(), verifying_key());
    let whole = verify(&log, &key, None, &mut |_| {}).unwrap();
    let old = prove_consistency(&log, &key, 100).unwrap();
    let before_it = bundles(&log).len();
    let proofs: Vec<_> = [3, 255, 256, 700].map(|at| prove(&log, &key, at).unwrap()).into();
    // Nothing is changed by looking.
    let shown = plan(&log, &key, after(1000), after(RECORDS * 2)).unwrap();
    assert_eq!((shown.held, shown.already), (KeptBy::Age, 0));
    assert!(shown.before > 700 && shown.before.is_multiple_of(256) && shown.bytes > 0, "{shown:?}");
    assert_eq!(bundles(&log).len(), before_it);

    assert_eq!(pruned.prune(1000), shown.before);
    pruned.is_sound(shown.before);
    let gone = (shown.before / 256) as usize;
    assert_eq!(bundles(&log).len(), before_it - gone);
    // No record that is young enough went, and no old one is left that could go.
    let mut first = None;
    walk(&log, Some(&key), &mut |step| {
        first = first.or(Some((step.index, step.record.map(Record::time))));
    })
    .unwrap();
    let (index, time) = first.unwrap();
    assert_eq!(index, shown.before);
    assert!(time.unwrap() > shown.until && shown.until < after(1000));
    let report = pruned.check();
    assert_eq!((report.entries, report.root), (whole.entries, whole.root));

    // A proof that somebody had, and one that is made of the bytes that somebody has.
    for proof in proofs {
        assert_eq!(proof.verify(&key).map(drop), Ok(()));
        let refused = prove(&log, &key, proof.index);
        assert!(matches!(refused, Err(ProveError::Pruned { .. })), "{refused:?}");
        let again = prove_held(&log, &key, proof.index, proof.entry.clone()).unwrap();
        assert_eq!(again, proof);
        let mut other = proof.entry;
        other[5] ^= 1;
        let refused = prove_held(&log, &key, proof.index, other);
        assert!(matches!(refused, Err(ProveError::Contradicted { .. })), "{refused:?}");
    }
    // Every receipt is still borne out, and one that lies is not.
    for receipt in pruned.receipts.iter().step_by(97) {
        check_receipt(&receipt.file(None), &key, &log).unwrap();
    }
    let mut lies = pruned.receipts[3].file(None);
    lies.leaf_hashes = pruned.receipts[4].file(None).leaf_hashes;
    assert!(check_receipt(&lies, &key, &log).is_err());
    // Consistency, and a checkpoint from outside from before and after the bound.
    assert_eq!(prove_consistency(&log, &key, 100).unwrap(), old);
    for receipt in [&pruned.receipts[10], &pruned.receipts[1900]] {
        let known = key.verify(&receipt.file(None).checkpoint).unwrap();
        let report = verify(&log, &key, Some(&known), &mut |_| {}).unwrap();
        let size = known.checkpoint().size;
        assert_eq!(report.rollback, Rollback::ExcludedUpTo(size), "{report:?}");
    }

    // It goes on, is sealed and looked through, and is pruned further.
    let settings = Options {
        look_every: Duration::from_millis(20),
        look_rest: Duration::ZERO,
        utc: || after(RECORDS * 3).to_utc(),
        ..small()
    };
    let open_log = open(&log, settings).unwrap();
    let times = (after(1500), after(RECORDS * 4));
    let refused = prune(&log, &key, &signing_key(), times, &RealDisk);
    assert!(matches!(refused, Err(PruneError::Log(AuditError::Locked(_)))), "{refused:?}");
    plan(&log, &key, after(1500), after(RECORDS * 4)).unwrap();
    for number in 0..400 {
        append(&open_log, record(RECORDS * 3 + number));
    }
    // A tile of hashes that rots is told, in what is pruned too.
    let tile = log.join("tile/0/001");
    let bytes = fs::read(&tile).unwrap();
    let damaged = |bytes: &[u8], what: &str, wanted: bool| {
        fs::write(&tile, bytes).unwrap();
        until(what, || (open_log.figures().damaged() > 0) == wanted);
    };
    damaged(&[&[bytes[0] ^ 1], &bytes[1..]].concat(), "the alarm", true);
    damaged(&bytes, "its end", false);
    open_log.close().unwrap();
    pruned.is_sound(shown.before);
    let further = pruned.prune(1500);
    assert!(further > shown.before);
    pruned.is_sound(further);
    // The newest stay, however old they are.
    let times = (after(RECORDS * 9), after(RECORDS * 9));
    let last = prune(&log, &key, &signing_key(), times, &RealDisk).unwrap();
    assert_eq!(last.held, KeptBy::Segment);
    assert!(last.before < pruned.check().entries);
    pruned.is_sound(last.before);
    let log = open(&log, at_the_end(options())).unwrap();
    log.close().unwrap();
    pruned.is_sound(last.before);
}

#[test]
fn row_90_a_use_of_a_grant_that_may_be_used_holds_back_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), at_the_end(small())).unwrap();
    // In the fourth bundle.
    let expires = START + RECORDS * 10;
    for number in 0..RECORDS {
        let mut own = section(number);
        own.time = after(number);
        if number == 800 {
            own.count = Some(CountRecord {
                issuer: "spiffe://consent.city.example/issuer/consent".parse().unwrap(),
                window: 0,
                expires,
                counted: Counted::Use(1),
            });
        }
        append(&log, own.into());
    }
    log.close().unwrap();
    let seen = |now: u64| {
        let plan = plan(dir.path(), &verifying_key(), after(1500), Timestamp(now * 1_000_000));
        let plan = plan.unwrap();
        (plan.before, plan.held)
    };
    let week = 7 * 86_400;
    assert_eq!(seen(expires), (768, KeptBy::Window));
    assert_eq!(seen(expires + week - 1), (768, KeptBy::Window));
    let (before, held) = seen(expires + week);
    assert!(before > 1024 && held == KeptBy::Age, "{before} {held:?}");
}

/// The machine stops at each operation: the log opens, verifies, and the next run finishes.
#[test]
fn row_90_pruning_that_stops_at_any_step_leaves_a_sound_log() {
    let first = Pruned::new();
    let times = (after(1000), after(RECORDS * 2));
    let mut bounds = Vec::new();
    for twice in [false, true] {
        if twice {
            first.prune(600);
        }
        for at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let own = Pruned { dir, receipts: Vec::new() };
            copy(&first.log(), &own.log());
            let disk = BadDisk::new(Trouble::StopsAt(at));
            let done = prune(&own.log(), &verifying_key(), &signing_key(), times, &*disk);
            let report = own.check();
            assert_eq!(report.verdict, Verdict::Sound, "stopped at {at}: {report:?}");
            bounds.push(report.pruned.map_or(0, |pruned| pruned.before));
            if at % 3 == 0 {
                open(&own.log(), at_the_end(small())).unwrap().close().unwrap();
            }
            let before = own.prune(1000);
            own.is_sound(before);
            let last = bundles(&own.log());
            let gone = last.iter().any(|path| path.ends_with("000.gz") || path.ends_with("002.gz"));
            assert!(!gone, "stopped at {at}: {last:?}");
            if done.is_ok() {
                assert!(at > 8, "{at}");
                break;
            }
        }
    }
    bounds.dedup();
    assert!(bounds.len() >= 4, "{bounds:?}");
}

#[test]
fn row_90_only_what_the_logs_key_says_is_pruned_is_not_missing() {
    let pruned = Pruned::new();
    let (log, key) = (pruned.log(), verifying_key());
    let whole = pruned.dir.path().join("whole");
    copy(&log, &whole);
    let before = pruned.prune(1000);
    let statement = fs::read_to_string(log.join("pruned")).unwrap();
    let names = fs::read(log.join("pruned.names")).unwrap();
    let verdict = || verify(&log, &key, None, &mut |_| {}).unwrap().verdict;
    let refuses = || {
        let opened = open(&log, at_the_end(small()));
        assert!(matches!(opened, Err(AuditError::Damaged { .. })), "{opened:?}");
    };
    // Without it, or without the names.
    for name in ["pruned", "pruned.names"] {
        let held = fs::read(log.join(name)).unwrap();
        fs::remove_file(log.join(name)).unwrap();
        assert_eq!(verdict(), Verdict::Incomplete, "{name}");
        refuses();
        fs::write(log.join(name), held).unwrap();
    }
    // Another bound, another key, another log's.
    let other = tributary::domain::audit::SigningKey::from_seed(&[8; 32]).unwrap();
    let text = format!(
        "tributary pruned log\n{}\n{before}\n{}\n{}\n",
        key.origin(),
        after(1000).0,
        after(RECORDS).0
    );
    for forged in [
        statement.replacen(&before.to_string(), &(before + 256).to_string(), 1),
        other.sign_text(key.origin(), &text).unwrap(),
        signing_key().sign_text(&"other/2026".parse().unwrap(), &text).unwrap(),
        String::new(),
    ] {
        fs::write(log.join("pruned"), forged).unwrap();
        assert_eq!(verdict(), Verdict::Tampered);
        refuses();
    }
    fs::write(log.join("pruned"), &statement).unwrap();
    // Each bit of the names counts.
    for at in (0..names.len()).step_by(11) {
        let mut changed = names.clone();
        changed[at] ^= 1;
        fs::write(log.join("pruned.names"), changed).unwrap();
        assert_ne!(verdict(), Verdict::Sound, "byte {at}");
    }
    fs::write(log.join("pruned.names"), &names).unwrap();
    // A bundle above the bound, and a tile of hashes below, are as missing as ever.
    for name in [format!("tile/entries/{:03}.gz", before / 256), "tile/0/000".to_owned()] {
        let held = fs::read(log.join(&name)).unwrap();
        fs::remove_file(log.join(&name)).unwrap();
        assert_eq!(verdict(), Verdict::Incomplete, "{name}");
        fs::write(log.join(&name), &held).unwrap();
        let mut changed = held.clone();
        changed[40] ^= 1;
        fs::write(log.join(&name), changed).unwrap();
        assert_eq!(verdict(), Verdict::Tampered, "{name}");
        fs::write(log.join(&name), held).unwrap();
    }
    pruned.is_sound(before);
    // A damaged log is not pruned, nor with another key.
    let path = whole.join("tile/entries/001.gz");
    let mut bytes = fs::read(&path).unwrap();
    bytes[50] ^= 1;
    fs::write(&path, bytes).unwrap();
    let times = (after(1000), after(RECORDS));
    let refused = prune(&whole, &key, &signing_key(), times, &RealDisk);
    assert!(matches!(refused, Err(PruneError::Damaged(_))), "{refused:?}");
    let refused = prune(&log, &key, &other, times, &RealDisk);
    assert!(matches!(refused, Err(PruneError::OtherKey(_))), "{refused:?}");
    assert!(pruned::read(&whole, &key).unwrap().is_none());
}

#[test]
fn row_90_the_index_forgets_what_is_pruned_and_finds_the_rest() {
    let pruned = Pruned::new();
    let (log, key) = (pruned.log(), verifying_key());
    let file = Index::beside(&log);
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    let query = |tag: u8| Query { tags: [SubjectTag::new([tag; 32])].into(), ..Query::default() };
    let all = |index: &Index| {
        let found = index.search(&query(3), 0, 10_000).unwrap();
        found.hits.into_iter().map(|hit| hit.index).collect::<Vec<_>>()
    };
    let mut index = Index::open(&log, &key, &file).unwrap();
    index.update(go_on).unwrap();
    let whole = all(&index);
    drop(index);
    let before = pruned.prune(1000);
    let wanted: Vec<u64> = whole.iter().copied().filter(|at| *at >= before).collect();
    assert!(wanted.len() < whole.len());
    for again in 0..3 {
        let mut index = Index::open(&log, &key, &file).unwrap();
        assert_eq!(index.rebuilt().is_some(), again == 0, "{:?}", index.rebuilt());
        index.update(go_on).unwrap();
        assert_eq!(all(&index), wanted);
        index.compare(go_on).unwrap();
        if again == 1 {
            let log = open(&log, at_the_end(small())).unwrap();
            append(&log, record(RECORDS));
            log.close().unwrap();
        }
    }
}

#[test]
fn row_90_a_mirror_follows_the_pruning_of_its_log() {
    let pruned = Pruned::new();
    let (log, key) = (pruned.log(), verifying_key());
    let mirror = pruned.dir.path().join("mirror");
    let begin = |name: &str| {
        let folder = pruned.dir.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        Mirror::new(&log, verifying_key(), Box::new(MirrorFolder::new(&folder)), None)
    };
    let check = |folder: &Path, before: u64| {
        let report = verify(folder, &key, None, &mut |_| {}).unwrap();
        assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
        assert_eq!(report.pruned.map_or(0, |pruned| pruned.before), before);
    };
    begin("mirror").round(&|| true).unwrap();
    check(&mirror, 0);
    let before = pruned.prune(1000);
    check(&mirror, 0);
    // One that has all, one that is new, and one that was behind.
    let behind = pruned.dir.path().join("behind");
    for (name, folder) in [("mirror", &mirror), ("new", &pruned.dir.path().join("new"))] {
        begin(name).round(&|| true).unwrap();
        check(folder, before);
        assert_eq!(bundles(folder).len(), bundles(&log).len(), "{name}");
    }
    copy(&mirror, &behind);
    let open_log = open(&log, at_the_end(small())).unwrap();
    (0..1200).for_each(|number| drop(append(&open_log, record(RECORDS + number))));
    open_log.close().unwrap();
    let further = pruned.prune(RECORDS + 600);
    assert!(further > verify(&behind, &key, None, &mut |_| {}).unwrap().published, "{further}");
    // It stops at each step, and is sound.
    let mut stops = 0;
    for at in (0..).step_by(2) {
        let folder = pruned.dir.path().join(format!("behind-{at}"));
        copy(&behind, &folder);
        let disk = BadDisk::new(Trouble::StopsAt(at));
        let store = Box::new(MirrorFolder::on(&folder, disk));
        let done = Mirror::new(&log, verifying_key(), store, None).round(&|| true);
        let report = verify(&folder, &key, None, &mut |_| {}).unwrap();
        assert_eq!(report.verdict, Verdict::Sound, "stopped at {at}: {report:?}");
        begin(&format!("behind-{at}")).round(&|| true).unwrap();
        check(&folder, further);
        // Beside what was the end of the mirror before, which is of no use to anybody.
        let whole = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "gz");
        let first = bundles(&folder).into_iter().find(whole).unwrap();
        let name = format!("{:03}.gz", further / 256);
        assert!(first.ends_with(&name), "stopped at {at}: {first:?}");
        if done.is_ok() {
            break;
        }
        stops += 1;
    }
    assert!(stops > 5, "{stops}");
}

#[test]
fn row_90_who_reads_a_pruned_log_is_told_what_is_not_there() {
    let pruned = Pruned::new();
    let seed = pruned.dir.path().join("log.seed");
    let base64 = tributary::domain::grant::base64::encode(&[7; 32]);
    fs::write(&seed, base64).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&seed, fs::Permissions::from_mode(0o600)).unwrap();
    let seed = seed.to_str().unwrap().to_owned();
    // The records are from 2026: all of them are older than a day, for this machine too.
    let first = pruned.audit("search", &["--request", "request-3"]);
    assert_eq!(text(&first.stdout).lines().count(), 1, "{first:?}");
    assert!(!text(&first.stderr).contains("pruned"));
    let entry = prove(&pruned.log(), &verifying_key(), 40).unwrap().entry;
    let held = pruned.dir.path().join("entry");
    fs::write(&held, &entry).unwrap();
    let younger = pruned.audit("prune", &["--older-than", "1h"]);
    assert_eq!(younger.status.code(), Some(1), "{younger:?}");
    let shown = pruned.audit("prune", &["--older-than", "1day", "--json"]);
    assert!(text(&shown.stdout).contains("\"done\":false"), "{shown:?}");
    pruned.is_sound(0);
    let done = pruned.audit("prune", &["--older-than", "1day", "--seed", &seed, "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let before = pruned.check().pruned.unwrap().before;
    let says = format!("entries before {before} were pruned on ");
    for (command, args) in [
        ("search", &["--request", "request-3"][..]),
        ("search", &["--request", "request-3", "--scan"]),
        ("subject", &["--tag", &"09".repeat(32)]),
        ("export", &[]),
    ] {
        let told = pruned.audit(command, args);
        assert_eq!(told.status.code(), Some(0), "{told:?}");
        assert!(text(&told.stderr).contains(&says), "{told:?}");
        assert!(!text(&told.stdout).contains("\"request-3\""), "{told:?}");
    }
    let told = pruned.audit("subject", &["--tag", &"09".repeat(32)]);
    assert!(text(&told.stdout).contains(&says), "{told:?}");
    let told = pruned.audit("subject", &["--tag", &"09".repeat(32), "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["pruned"]["before"], before);
    let told = pruned.audit("verify", &[]);
    assert!(told.status.success() && text(&told.stdout).contains(&says), "{told:?}");
    let told = pruned.audit("prove", &["--index", "40"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(text(&told.stderr).contains(&says), "{told:?}");
    let proof = pruned.dir.path().join("proof");
    let (held, proof) = (held.to_str().unwrap(), proof.to_str().unwrap());
    let told = pruned.audit("prove", &["--index", "40", "--entry", held, "--out", proof]);
    assert!(told.status.success(), "{told:?}");
    let key = verifying_key().to_string();
    let checked = binary().args(["audit", "check-proof", proof, "--key", &key]).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(leaf_hash(&entry), leaf_hash(&fs::read(held).unwrap()));
}

#[test]
fn row_90_what_one_side_has_pruned_contradicts_nothing_and_the_rest_is_compared() {
    let pruned = Pruned::new();
    let (log, other) = (pruned.log(), pruned.dir.path().join("other"));
    copy(&log, &other);
    let reconcile = |gateway: &Path, agency: &Path| {
        let mut all = binary();
        all.args(["audit", "reconcile", "--json"]).args([gateway, agency]);
        let output = all.args(["--key", &verifying_key().to_string()]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        (output.status.code(), told)
    };
    let (code, whole) = reconcile(&log, &other);
    assert_eq!((code, &whole["matched"]), (Some(0), &RECORDS.into()), "{whole}");

    assert!(pruned.prune(1000) > 0);
    for (gateway, agency) in [(&log, &other), (&other, &log)] {
        let (code, told) = reconcile(gateway, agency);
        assert_eq!((code, &told["omitted"]), (Some(0), &0.into()), "{told}");
        let matched = told["matched"].as_u64().unwrap();
        assert!((500..RECORDS - 500).contains(&matched), "{told}");
    }

    // A record that is missing on one side, and is not so old, is named all the same.
    let exported = pruned.audit("export", &[]);
    let exported = text(&exported.stdout);
    let lost = format!("\"request-{}\"", RECORDS - 10);
    assert_eq!(exported.lines().filter(|line| line.contains(&lost)).count(), 1);
    let kept: String =
        exported.split_inclusive('\n').filter(|line| !line.contains(&lost)).collect();
    let file = pruned.dir.path().join("agency.jsonl");
    fs::write(&file, kept).unwrap();
    let (code, told) = reconcile(&log, &file);
    assert_eq!(code, Some(2), "{told}");
}
