//! A log ends and another goes on from it: what its peers take up of that, and what they
//! find. Both ends are the product's own; a test changes what one shows to the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tributary::config::audit::{OnContradiction, PinnedLog, PinnedLogs};
use tributary::domain::audit::tiles::{Shelf, Tile};
use tributary::domain::audit::{
    Checkpoint, Edge, Entry, Hash, SignedCheckpoint, SigningKey, Timestamp, VerifyingKey, leaf_hash,
};
use tributary::domain::peer::SpiffeId;
use tributary::service::audit::monitor::{Standing, Swap, Witnesses};
use tributary::service::audit::recorder::Recorder;
use tributary::store::audit_log::AuditLog;
use tributary::store::proof::{prove, published};
use tributary::store::witness::{Contradiction, Witness};
use tributary::wire::proto::pb;

use crate::kit::process::binary;

/// A log as its owner publishes it, true or forged: at most 255 entries.
struct Log {
    folder: TempDir,
    key: SigningKey,
    public: VerifyingKey,
    entries: Vec<Vec<u8>>,
}

impl Log {
    /// The log of a letter, with these entries.
    fn of(letter: char, entries: Vec<Entry>) -> Self {
        let key = SigningKey::from_seed(&[letter as u8; 32]).unwrap();
        let origin = format!("{letter}.city.example/audit").parse().unwrap();
        let public = key.verifying_key(&origin).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let entries = entries.iter().map(Entry::encode).collect();
        let log = Self { folder, key, public, entries };
        log.publish();
        log
    }

    /// So many entries, begun afresh.
    fn fresh(letter: char, size: u64) -> Self {
        Self::of(letter, (0..size).map(entry).collect())
    }

    /// Goes on from an end.
    fn after(letter: char, ended: Checkpoint) -> Self {
        Self::of(letter, vec![succeeds(ended), entry(1)])
    }

    fn grow(&mut self, more: u64) {
        let size = self.entries.len() as u64;
        self.entries.extend((size..size + more).map(|at| entry(at).encode()));
        self.publish();
    }

    fn publish(&self) {
        let (mut tree, mut bundle, mut hashes) = (Edge::default(), Vec::new(), Vec::new());
        for entry in &self.entries {
            tree.push(leaf_hash(entry)).unwrap();
            bundle.extend((entry.len() as u16).to_be_bytes());
            bundle.extend(entry);
            hashes.extend(leaf_hash(entry).0);
        }
        for (shelf, content) in [(Shelf::Entries, bundle), (Shelf::Level(0), hashes)] {
            let tile = Tile { shelf, number: 0, width: tree.size() };
            let path = self.folder.path().join(tile.path());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let (origin, root) = (self.public.origin().clone(), tree.root().unwrap());
        let signed = self.key.sign(&Checkpoint { origin, size: tree.size(), root }).unwrap();
        std::fs::write(self.folder.path().join("checkpoint"), signed.as_str()).unwrap();
    }

    fn signed(&self) -> SignedCheckpoint {
        published(self.folder.path(), &self.public).unwrap()
    }

    fn end(&self) -> Checkpoint {
        self.signed().checkpoint().clone()
    }

    fn plain(&self) -> PinnedLog {
        PinnedLog { key: self.public.clone(), succeeds: None }
    }

    fn by_note_of(&self, before: &Self) -> PinnedLog {
        let succeeds = Some(before.public.origin().clone());
        PinnedLog { key: self.public.clone(), succeeds }
    }

    fn place(&self) -> (std::path::PathBuf, VerifyingKey) {
        (self.folder.path().to_owned(), self.public.clone())
    }
}

fn entry(at: u64) -> Entry {
    Entry::Stopped { time: Timestamp(at) }
}

fn succeeds(ended: Checkpoint) -> Entry {
    Entry::Succeeds { time: Timestamp(0), ended }
}

fn peer() -> SpiffeId {
    "spiffe://city.example/gateway/peer".parse().unwrap()
}

/// One end: what it knows of the other, and its own log.
struct End {
    witnesses: Arc<Witnesses>,
    _recorder: Arc<Recorder>,
    _log: TempDir,
}

/// An end that shows a log, which goes on from another or not, and keeps what it sees in a
/// folder.
fn end(
    held: &Path,
    shown: &Log,
    before: Option<&Log>,
    logs: Vec<PinnedLog>,
    reaction: OnContradiction,
) -> End {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed(&[1; 32]).unwrap();
    let log = AuditLog::open(folder.path(), &"own".parse().unwrap(), key).unwrap();
    let recorder = Arc::new(Recorder::new(log, None));
    let (shown, public) = shown.place();
    let pinned = vec![PinnedLogs { identity: peer(), logs }];
    let witnesses = Witnesses::new(
        &recorder,
        shown,
        public,
        before.map(Log::place),
        Witness::open(held).unwrap(),
        pinned,
        Duration::from_secs(600),
        reaction,
    );
    End { witnesses: Arc::new(witnesses), _recorder: recorder, _log: folder }
}

impl End {
    /// One that looks on, and shows nothing that matters.
    fn asking(held: &Path, logs: Vec<PinnedLog>) -> Self {
        end(held, &Log::fresh('Q', 1), None, logs, OnContradiction::Refuse)
    }

    /// One that shows.
    fn showing(log: &Log, before: Option<&Log>) -> Self {
        let held = tempfile::tempdir().unwrap();
        end(held.path(), log, before, Vec::new(), OnContradiction::Refuse)
    }

    fn turn(&self, log: &Log, before: Option<&Log>) {
        let (folder, key) = log.place();
        self.witnesses.turn(folder, key, before.map(Log::place));
    }

    /// Asks the other end, and judges its answer as changed on its way.
    async fn look_at(
        &self,
        other: &Self,
        change: impl FnOnce(&mut pb::ExchangeShowLog),
    ) -> Standing {
        let swap = Swap::new(&self.witnesses, &peer());
        let question = swap.clone().ask().await.unwrap();
        let answering = Swap::new(&other.witnesses, &peer());
        let mut shown = answering.show(question).await.unwrap();
        change(&mut shown);
        let seen = swap.take_asked().unwrap();
        swap.judge(seen, shown).await;
        self.standing()
    }

    async fn look(&self, other: &Self) -> Standing {
        self.look_at(other, |_| ()).await
    }

    fn standing(&self) -> Standing {
        self.witnesses.peer(&peer()).unwrap().standing()
    }

    fn pin(&self, logs: Vec<PinnedLog>) {
        self.witnesses.replace(vec![PinnedLogs { identity: peer(), logs }]);
    }
}

fn held(folder: &Path, log: &Log) -> Option<u64> {
    let held = Witness::open(folder).unwrap().held(&log.public).unwrap();
    held.map(|held| held.checkpoint().size)
}

fn ended(folder: &Path, log: &Log) -> Option<(Checkpoint, String)> {
    let ended = Witness::open(folder).unwrap().ended(log.public.origin()).unwrap();
    ended.map(|(end, by)| (end, by.to_string()))
}

fn contradicted(folder: &Path, log: &Log) -> Option<Contradiction> {
    Witness::open(folder).unwrap().contradicted(&log.public)
}

/// The text of the only evidence.
fn evidence(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let found: Vec<_> = files.filter(|file| file.extension().unwrap() == "fork").collect();
    assert_eq!(found.len(), 1, "{found:?}");
    std::fs::read_to_string(&found[0]).unwrap()
}

/// A log A that was seen, grown and ended, and B that goes on from it.
struct Turned {
    held: TempDir,
    old: Log,
    new: Log,
    asking: End,
    showing: End,
}

impl Turned {
    /// Until just after the turn: nobody has looked since.
    async fn new() -> Self {
        let held = tempfile::tempdir().unwrap();
        let mut old = Log::fresh('A', 5);
        let showing = End::showing(&old, None);
        let asking = End::asking(held.path(), vec![old.plain()]);
        assert_eq!(asking.look(&showing).await, Standing::Sound);
        old.grow(4);
        let new = Log::after('B', old.end());
        showing.turn(&new, Some(&old));
        asking.pin(vec![old.plain(), new.by_note_of(&old)]);
        Self { held, old, new, asking, showing }
    }

    fn pins(&self) -> Vec<PinnedLog> {
        vec![self.old.plain(), self.new.by_note_of(&self.old)]
    }

    /// Nothing was taken up of the new log.
    fn nothing_taken(&self, case: &str) {
        assert_eq!(held(self.held.path(), &self.new), None, "{case}");
        assert_eq!(ended(self.held.path(), &self.old), None, "{case}");
        for log in [&self.old, &self.new] {
            assert_eq!(contradicted(self.held.path(), log), None, "{case}");
        }
    }
}

#[tokio::test]
async fn a_turn_is_followed_without_a_restart_and_known_after_one() {
    let mut turned = Turned::new().await;
    let folder = turned.held.path().to_owned();
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(held(&folder, &turned.old), Some(9));
    assert_eq!(held(&folder, &turned.new), Some(2));
    let end = Some((turned.old.end(), turned.new.public.origin().to_string()));
    assert_eq!(ended(&folder, &turned.old), end);
    turned.new.grow(3);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(held(&folder, &turned.new), Some(5));

    // A replica may still have the old log, as it ended.
    turned.asking = End::asking(&folder, turned.pins());
    turned.showing.turn(&turned.old, None);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(ended(&folder, &turned.old), end);

    // But it grows no more.
    turned.old.grow(1);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Forked);
    assert_eq!(held(&folder, &turned.old), Some(9));
    assert_eq!(contradicted(&folder, &turned.old), Some(Contradiction::Fork));
    let kept = evidence(&folder);
    assert!(kept.starts_with("c2sp.org/tlog-proof@v1\n"), "{kept}");
    assert!(kept.ends_with(turned.old.signed().as_str()), "{kept}");
    assert!(turned.asking.witnesses.check(&peer()).is_err());
    turned.asking = End::asking(&folder, turned.pins());
    assert_eq!(turned.asking.standing(), Standing::Forked);
}

#[tokio::test]
async fn a_note_that_is_pinned_late_ends_the_alarm() {
    let turned = Turned::new().await;
    turned.asking.pin(vec![turned.old.plain()]);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::NotPinned);
    assert_eq!(held(turned.held.path(), &turned.old), Some(5));
    turned.asking.pin(turned.pins());
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(held(turned.held.path(), &turned.new), Some(2));
}

#[tokio::test]
async fn whoever_has_the_new_key_pinned_itself_goes_on_as_before() {
    let turned = Turned::new().await;
    turned.asking.pin(vec![turned.old.plain(), turned.new.plain()]);
    // Even where the old log's folder is gone.
    std::fs::remove_file(turned.old.folder.path().join("checkpoint")).unwrap();
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(held(turned.held.path(), &turned.new), Some(2));
    assert_eq!(held(turned.held.path(), &turned.old), Some(5));
    assert_eq!(ended(turned.held.path(), &turned.old), None);
}

#[tokio::test]
async fn other_logs_of_the_peer_are_left_as_they_are() {
    let turned = Turned::new().await;
    let mut replica = Log::fresh('R', 3);
    let mut pins = turned.pins();
    pins.push(replica.plain());
    turned.asking.pin(pins);
    let beside = End::showing(&replica, None);
    for size in 3..6 {
        assert_eq!(turned.asking.look(&beside).await, Standing::Sound);
        assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
        assert_eq!(held(turned.held.path(), &replica), Some(size));
        replica.grow(1);
    }
    assert_eq!(ended(turned.held.path(), &replica), None);
}

#[tokio::test]
async fn who_never_saw_the_old_log_takes_its_end_as_it_is_shown() {
    let turned = Turned::new().await;
    let folder = tempfile::tempdir().unwrap();
    let asking = End::asking(folder.path(), turned.pins());
    assert_eq!(asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(held(folder.path(), &turned.old), Some(9));
    assert!(ended(folder.path(), &turned.old).is_some());
}

#[tokio::test]
async fn an_end_that_was_kept_before_a_crash_is_the_same_end_after_it() {
    let mut turned = Turned::new().await;
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    // The end is on the disk first.
    let files = std::fs::read_dir(turned.held.path()).unwrap();
    for file in files.map(|file| file.unwrap().path()) {
        if std::fs::read_to_string(&file).unwrap().starts_with("B.city") {
            std::fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(held(turned.held.path(), &turned.new), None);
    turned.asking = End::asking(turned.held.path(), turned.pins());
    turned.new.grow(1);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(held(turned.held.path(), &turned.new), Some(3));
}

#[tokio::test]
async fn a_kept_end_that_was_changed_is_no_end_and_no_licence() {
    let turned = Turned::new().await;
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    let files = std::fs::read_dir(turned.held.path()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let file = files.find(|file| file.extension().unwrap() == "ended").unwrap();
    let kept = std::fs::read_to_string(&file).unwrap();
    let witness = Witness::open(turned.held.path()).unwrap();
    let (old, origin) = (&turned.old, turned.old.public.origin());
    let proof = tributary::store::proof::prove_consistency(old.folder.path(), &old.public, 9);
    for changed in [String::new(), kept.replace("index 0", "index 1"), kept.replace("extra A", "")]
    {
        assert_ne!(changed, kept);
        std::fs::write(&file, changed).unwrap();
        let told = witness.ended(origin).unwrap_err().to_string();
        assert!(told.contains(&file.display().to_string()), "{told}");
        let note = proof.as_ref().unwrap().checkpoint.as_str().to_owned();
        assert!(witness.offer(&old.public, 9, &note, &[]).is_err());
    }
}

#[tokio::test]
async fn what_is_not_shown_of_a_turn_is_missed_and_nothing_is_taken_up() {
    let turned = Turned::new().await;
    let other = Log::fresh('X', 9);
    let forged = SigningKey::from_seed(&[9; 32]).unwrap().sign(&turned.old.end()).unwrap();
    let long = |hashes: &mut Vec<bytes::Bytes>| *hashes = vec![vec![7; 32].into(); 65];
    let short = |hashes: &mut Vec<bytes::Bytes>| *hashes = vec![vec![7; 31].into()];
    type Change<'a> = Box<dyn Fn(&mut pb::ExchangeShowLog, &mut pb::LogSuccession) + 'a>;
    let signed = Standing::NotSigned;
    let cases: Vec<(&str, Standing, Change<'_>)> = vec![
        ("a long consistency proof", signed, Box::new(|_, turn| long(&mut turn.consistency))),
        ("a long own proof", signed, Box::new(|shown, _| long(&mut shown.consistency))),
        ("a long inclusion proof", signed, Box::new(|_, turn| long(&mut turn.inclusion))),
        ("a short hash", signed, Box::new(|_, turn| short(&mut turn.consistency))),
        ("a short hash of the path", signed, Box::new(|_, turn| short(&mut turn.inclusion))),
        ("a long entry", signed, Box::new(|_, turn| turn.first_entry = vec![7; 513].into())),
        ("no checkpoint", signed, Box::new(|_, turn| turn.checkpoint.clear())),
        ("a long checkpoint", signed, Box::new(|_, turn| turn.checkpoint = "x".repeat(20_000))),
        (
            "a forged checkpoint",
            signed,
            Box::new(|_, turn| turn.checkpoint = forged.as_str().into()),
        ),
        (
            "a checkpoint of another log",
            signed,
            Box::new(|_, turn| turn.checkpoint = other.signed().as_str().into()),
        ),
        (
            "a checkpoint of the new log",
            signed,
            Box::new(|_, turn| turn.checkpoint = turned.new.signed().as_str().into()),
        ),
        ("no entry", Standing::NotPinned, Box::new(|_, turn| turn.first_entry.clear())),
        (
            "an entry of another kind",
            Standing::NotPinned,
            Box::new(|_, turn| turn.first_entry = entry(1).encode().into()),
        ),
        (
            "the end of another log",
            Standing::NotPinned,
            Box::new(|_, turn| turn.first_entry = succeeds(other.end()).encode().into()),
        ),
        (
            "an entry that is not in the log",
            Standing::NotPinned,
            Box::new(|_, turn| {
                let ended = Checkpoint { size: 8, ..turned.old.end() };
                turn.first_entry = succeeds(ended).encode().into();
            }),
        ),
        ("no path", Standing::NotPinned, Box::new(|_, turn| turn.inclusion.clear())),
    ];
    for (case, expected, change) in cases {
        let standing = turned
            .asking
            .look_at(&turned.showing, |shown| {
                let mut succession = shown.succession.take().unwrap();
                change(shown, &mut succession);
                shown.succession = Some(succession);
            })
            .await;
        assert_eq!(standing, expected, "{case}");
        turned.nothing_taken(case);
        assert_eq!(held(turned.held.path(), &turned.old), Some(5), "{case}");
    }
    let none = turned.asking.look_at(&turned.showing, |shown| shown.succession = None).await;
    assert_eq!(none, Standing::NotPinned);
    turned.nothing_taken("no succession");
    // And then as it is.
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
}

#[tokio::test]
async fn no_byte_of_the_last_checkpoint_can_be_another() {
    let turned = Turned::new().await;
    let note = turned.old.signed().as_str().to_owned();
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let change = |shown: &mut pb::ExchangeShowLog| {
            shown.succession.as_mut().unwrap().checkpoint = changed.clone();
        };
        assert_eq!(turned.asking.look_at(&turned.showing, change).await, Standing::NotSigned);
        turned.nothing_taken(&changed);
    }
}

#[tokio::test]
async fn the_entry_that_names_the_end_is_the_first() {
    let turned = Turned::new().await;
    let late = Log::of('B', vec![entry(0), succeeds(turned.old.end()), entry(2)]);
    turned.showing.turn(&late, Some(&turned.old));
    // As it is, and with the entry and the path of the second.
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::NotPinned);
    let second = prove(late.folder.path(), &late.public, 1).unwrap();
    let standing = turned.asking.look_at(&turned.showing, |shown| {
        let succession = shown.succession.as_mut().unwrap();
        succession.first_entry = second.entry.clone().into();
        succession.inclusion = second.path.iter().map(|hash| hash.0.to_vec().into()).collect();
    });
    assert_eq!(standing.await, Standing::NotPinned);
    turned.nothing_taken("at another index");
}

#[tokio::test]
async fn a_log_that_ended_otherwise_than_its_successor_says_is_a_fork() {
    let shorter = |end: &Checkpoint| Checkpoint { size: 8, ..end.clone() };
    let rewritten = |end: &Checkpoint| Checkpoint { root: Hash([7; 32]), ..end.clone() };
    let cases: [&dyn Fn(&Checkpoint) -> Checkpoint; 2] = [&shorter, &rewritten];
    for other_end in cases {
        let mut turned = Turned::new().await;
        let new = Log::after('B', other_end(&turned.old.end()));
        turned.showing.turn(&new, Some(&turned.old));
        assert_eq!(turned.asking.look(&turned.showing).await, Standing::Forked);
        let folder = turned.held.path();
        assert_eq!(contradicted(folder, &turned.old), Some(Contradiction::Fork));
        assert_eq!((held(folder, &new), ended(folder, &turned.old)), (None, None));
        let kept = evidence(folder);
        assert!(kept.contains(new.signed().as_str()), "{kept}");
        assert!(kept.ends_with(turned.old.signed().as_str()), "{kept}");
        // It stays, whatever is shown from then on, and after a restart.
        turned.showing.turn(&turned.new, Some(&turned.old));
        assert_eq!(turned.asking.look(&turned.showing).await, Standing::Forked);
        turned.asking = End::asking(turned.held.path(), turned.pins());
        assert_eq!(turned.asking.standing(), Standing::Forked);
    }
}

#[tokio::test]
async fn an_end_that_is_not_shown_yet_accuses_nobody() {
    let turned = Turned::new().await;
    // What is shown of the old log is older than its end.
    let older = Log::fresh('A', 7);
    turned.showing.turn(&turned.new, Some(&older));
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::NotPinned);
    turned.nothing_taken("an older checkpoint");
    turned.showing.turn(&turned.new, Some(&turned.old));
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
}

#[tokio::test]
async fn an_old_log_that_was_rewritten_before_its_end_is_a_fork() {
    let turned = Turned::new().await;
    let mut entries: Vec<Entry> = (0..9).map(entry).collect();
    entries[2] = entry(99);
    let rewritten = Log::of('A', entries);
    let new = Log::after('B', rewritten.end());
    turned.showing.turn(&new, Some(&rewritten));
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Forked);
    assert_eq!(held(turned.held.path(), &new), None);
}

#[tokio::test]
async fn an_old_log_that_was_put_back_is_told_to_both_ends() {
    let turned = Turned::new().await;
    let back = Log::fresh('A', 3);
    turned.showing.turn(&Log::after('B', back.end()), Some(&back));
    let new = Log::after('B', back.end());
    turned.showing.turn(&new, Some(&back));
    assert!(!turned.showing.witnesses.own_is_rolled_back());
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::RolledBack);
    assert!(turned.showing.witnesses.own_is_rolled_back());
    assert_eq!(contradicted(turned.held.path(), &turned.old), Some(Contradiction::Rollback));
    assert_eq!(held(turned.held.path(), &new), None);
}

#[tokio::test]
async fn two_successors_of_a_log_are_a_fork() {
    let turned = Turned::new().await;
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    let other = Log::after('C', turned.old.end());
    turned.showing.turn(&other, Some(&turned.old));
    turned.asking.pin(vec![turned.old.plain(), other.by_note_of(&turned.old)]);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Forked);
    let folder = turned.held.path();
    assert_eq!(held(folder, &other), None);
    let kept = evidence(folder);
    for log in [&turned.new, &other] {
        assert!(kept.contains(log.signed().as_str()), "{kept}");
    }
    let end = Some((turned.old.end(), turned.new.public.origin().to_string()));
    assert_eq!(ended(folder, &turned.old), end);
}

#[tokio::test]
async fn each_log_of_a_row_is_followed_and_one_that_was_never_shown_is_missed() {
    let mut turned = Turned::new().await;
    let last = Log::after('C', turned.new.end());
    let row = |turned: &Turned| {
        let mut pins = turned.pins();
        pins.push(last.by_note_of(&turned.new));
        pins
    };
    turned.asking.pin(row(&turned));
    let showing = End::showing(&last, Some(&turned.new));
    // Of B nothing was ever seen here, and of A something was.
    assert_eq!(turned.asking.look(&showing).await, Standing::NotPinned);
    assert_eq!(held(turned.held.path(), &last), None);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Sound);
    assert_eq!(turned.asking.look(&showing).await, Standing::Sound);
    for log in [&turned.old, &turned.new] {
        assert!(ended(turned.held.path(), log).is_some());
    }
    // The one in the middle has ended too.
    turned.new.grow(1);
    assert_eq!(turned.asking.look(&turned.showing).await, Standing::Forked);

    // Who has seen none of them begins with the last two.
    let folder = tempfile::tempdir().unwrap();
    let asking = End::asking(folder.path(), row(&turned));
    turned.new.entries.pop();
    turned.new.publish();
    assert_eq!(asking.look(&showing).await, Standing::Sound);
    assert_eq!(held(folder.path(), &last), Some(2));
}

/// `audit verify` of a log and the one that goes on from it: how the first one ended is held
/// against what the second one says, and each contradiction has its name.
#[test]
fn an_ended_log_is_held_against_what_the_next_one_says_of_its_end() {
    let verify = |logs: &[&Log]| {
        let mut command = binary();
        command.args(["audit", "verify", "--json"]);
        for log in logs {
            // What a mirror has is what this one has.
            std::fs::write(log.folder.path().join("mirror"), "").unwrap();
            command.arg(log.folder.path()).arg("--key").arg(log.public.to_string());
        }
        let output = command.output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = |report: &serde_json::Value| {
            let faults = report["faults"].as_array().unwrap().iter();
            faults.map(|fault| fault["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let found = told.as_array().unwrap().iter().flat_map(found).collect::<Vec<_>>();
        (output.status.code().unwrap(), found.join("; "))
    };
    let mut old = Log::fresh('a', 5);
    let next = Log::after('b', old.end());
    assert_eq!(verify(&[&old, &next]), (0, String::new()));
    assert_eq!(verify(&[&next, &old]), (0, String::new()), "in any order");

    let (code, said) = verify(&[&old, &next, &Log::after('c', old.end())]);
    assert!(code == 2 && said.contains("LOG_FORKED: two logs go on from this one"), "{said}");

    let longer = Checkpoint { size: 7, ..old.end() };
    let (code, said) = verify(&[&old, &Log::after('d', longer)]);
    assert!(code == 3 && said.contains("LOG_ROLLED_BACK: `d.city.example/audit`"), "{said}");

    let other = Checkpoint { root: Hash([7; 32]), ..old.end() };
    let (code, said) = verify(&[&old, &Log::after('e', other)]);
    assert!(code == 2 && said.contains("LOG_FORKED") && said.contains("another"), "{said}");

    old.grow(1);
    let (code, said) = verify(&[&old, &next]);
    assert!(code == 2 && said.contains("LOG_FORKED") && said.contains("grew to 6"), "{said}");
}
