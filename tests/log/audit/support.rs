//! A log to test on: its keys, its records, and a disk that misbehaves on demand.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tributary::domain::audit::{
    Blind, Decision, GrantId, Origin, Receipt, Record, RequestId, RuleId, RuleSet, SectionRecord,
    SigningKey, SubjectTag, Timestamp, VerifyingKey,
};
use tributary::domain::catalogue::{AgencyId, CatalogueDigest};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::section::SectionStatus;
use tributary::store::audit_log::{AuditError, AuditLog, Options};
use tributary::store::disk::Disk;

pub fn origin() -> Origin {
    "gateway.city.example/audit/2026".parse().unwrap()
}

pub fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

pub fn verifying_key() -> VerifyingKey {
    signing_key().verifying_key(&origin()).unwrap()
}

/// The bare public key, for other implementations.
pub fn public() -> Vec<u8> {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    pair.public_key().as_ref().to_vec()
}

/// A log that publishes when it is closed, unless told otherwise.
pub fn options() -> Options {
    Options { publish_every: Duration::from_secs(3600), ..Options::default() }
}

pub fn open(dir: &Path, options: Options) -> Result<AuditLog, AuditError> {
    AuditLog::open_with(dir, &origin(), signing_key(), options)
}

pub fn section(number: u64) -> SectionRecord {
    let items: ItemSet = (0..5).filter_map(|n| ItemNumber::new(n * 3)).collect();
    let agencies = ["education", "social_security", "traffic"];
    SectionRecord {
        time: Timestamp(1_790_000_000_000_000 + number),
        request: RequestId::new(&format!("request-{number}")).unwrap(),
        consumer: "spiffe://scoring.city.example/consumer/scoring".parse().unwrap(),
        purpose: Some(PurposeCode::new("credit_scoring").unwrap()),
        basis: Some(LegalBasis::Consent),
        grant: Some(GrantId::new(&format!("grant-{number}")).unwrap()),
        agency: AgencyId::new(agencies[number as usize % 3]),
        items,
        catalogue: CatalogueDigest([3; 32]),
        decision: Decision::Section(SectionStatus::Ok),
        rules: Some(
            RuleSet::new([4; 32], [(3, RuleId::new("scoring-reads").unwrap().into())]).unwrap(),
        ),
        subject: Some(SubjectTag::new([number as u8; 32])),
        count: None,
        blind: Blind([number as u8; 16]),
    }
}

pub fn record(number: u64) -> Record {
    section(number).into()
}

/// Waits for what will come true; only a hang reaches the bound.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    until_seen(what, holds, |holds| *holds);
}

/// Looks until what is seen satisfies; a failure says what was seen last.
pub fn until_seen<T: std::fmt::Debug>(
    what: &str,
    look: impl Fn() -> T,
    satisfies: impl Fn(&T) -> bool,
) {
    let end = tributary::clock::now() + crate::kit::waiting::PATIENCE;
    loop {
        let seen = look();
        if satisfies(&seen) {
            return;
        }
        assert!(tributary::clock::now() < end, "in vain: {what}; seen last: {seen:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub fn append(log: &AuditLog, number: u64) -> Result<Receipt, AuditError> {
    wait(log.append(vec![record(number)]))
}

/// A closed log of so many records, closed and reopened in between so that narrower
/// tiles of earlier checkpoints are there too.
pub fn closed_log(dir: &Path, records: u64) -> Vec<Receipt> {
    closed(records, || open(dir, options()).unwrap())
}

/// As [`closed_log`], of another origin; with its key.
pub fn closed_log_of(origin: &str, dir: &Path, records: u64) -> (Vec<Receipt>, VerifyingKey) {
    let origin: Origin = origin.parse().unwrap();
    let open = || AuditLog::open_with(dir, &origin, signing_key(), options()).unwrap();
    let receipts = closed(records, open);
    (receipts, signing_key().verifying_key(&origin).unwrap())
}

fn closed(records: u64, open: impl Fn() -> AuditLog) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for part in 0..3 {
        let log = open();
        for number in part * records / 3..(part + 1) * records / 3 {
            receipts.push(append(&log, number).unwrap());
        }
        log.close().unwrap();
    }
    receipts
}

/// Every file under a folder.
pub fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// The path of the only segment.
pub fn segment(dir: &Path) -> std::path::PathBuf {
    let all = files(&dir.join("wal"));
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

/// A small generator of pseudo-random numbers, the same in every run.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    SyncFails,
    /// Until there is another trouble.
    SyncHangs,
    Full,
    ReadOnly,
    /// The process can open no file any more.
    NoDescriptors,
    /// The machine stops at this operation: half of it is done, and none after it.
    StopsAt(u64),
    /// There is no room from this operation on.
    FullFrom(u64),
}

/// A disk that misbehaves on demand.
#[derive(Debug)]
pub struct BadDisk {
    pub trouble: Mutex<Trouble>,
    pub operations: AtomicU64,
    pub syncs: AtomicU64,
}

impl BadDisk {
    pub fn new(trouble: Trouble) -> Arc<Self> {
        let (operations, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { trouble: Mutex::new(trouble), operations, syncs })
    }

    pub fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// EMFILE, where a file would be opened.
    fn open(&self) -> io::Result<()> {
        let trouble = *self.trouble.lock().unwrap();
        match trouble {
            Trouble::NoDescriptors => {
                self.operations.fetch_add(1, Ordering::SeqCst);
                Err(io::Error::from_raw_os_error(24))
            }
            _ => self.gate(false).map_err(|(_, error)| error),
        }
    }

    /// Whether the operation may go on; `Err(true)` when half of it is done.
    fn gate(&self, writes: bool) -> Result<(), (bool, io::Error)> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        match *self.trouble.lock().unwrap() {
            Trouble::StopsAt(at) if number >= at => {
                Err((number == at, io::Error::other("the machine stopped")))
            }
            Trouble::FullFrom(at) if writes && number >= at => {
                Err((true, io::ErrorKind::StorageFull.into()))
            }
            Trouble::Full if writes => Err((true, io::ErrorKind::StorageFull.into())),
            Trouble::ReadOnly => Err((false, io::ErrorKind::ReadOnlyFilesystem.into())),
            _ => Ok(()),
        }
    }
}

impl Disk for BadDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.open()?;
        File::options().append(true).create_new(true).open(path)
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        match self.gate(true) {
            Ok(()) => file.write_all(bytes),
            Err((half, error)) => {
                if half {
                    file.write_all(&bytes[..bytes.len() / 2])?;
                }
                Err(error)
            }
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.gate(false).map_err(|(_, error)| error)?;
        let trouble = *self.trouble.lock().unwrap();
        match trouble {
            Trouble::SyncFails => Err(io::Error::other("the disk does not answer")),
            Trouble::SyncHangs => {
                while *self.trouble.lock().unwrap() == Trouble::SyncHangs {
                    std::thread::sleep(Duration::from_millis(2));
                }
                file.sync_data()
            }
            _ => file.sync_data(),
        }
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.gate(false).map_err(|(_, error)| error)?;
        file.set_len(length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate(false).map_err(|(_, error)| error)?;
        std::fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.open()?;
        File::open(path)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.gate(false).map_err(|(_, error)| error)?;
        std::fs::remove_file(path)
    }
}
