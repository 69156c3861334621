//! The audit log: appending, which is building the tree, framing, and waiting for the
//! disk, most of it the last; and reading a log of many entries.

use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use tokio::runtime::Runtime;
use tributary::domain::audit::{
    Blind, Decision, GrantId, Origin, Record, RequestId, RuleId, RuleSet, SectionRecord,
    SigningKey, SubjectTag, Timestamp, VerifyingKey,
};
use tributary::domain::catalogue::{AgencyId, CatalogueDigest};
use tributary::domain::item::ItemNumber;
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::section::SectionStatus;
use tributary::store::audit_log::AuditLog;
use tributary::store::proof::prove;
use tributary::store::verify::{Verdict, verify};

fn record() -> Record {
    SectionRecord {
        time: Timestamp(1_790_000_000_000_000),
        request: RequestId::new("request").unwrap(),
        consumer: "spiffe://scoring.city.example/consumer/scoring".parse().unwrap(),
        purpose: Some(PurposeCode::new("credit_scoring").unwrap()),
        basis: Some(LegalBasis::Consent),
        grant: Some(GrantId::new("grant").unwrap()),
        agency: AgencyId::new("education"),
        items: (0..5).filter_map(ItemNumber::new).collect(),
        catalogue: CatalogueDigest([3; 32]),
        decision: Decision::Section(SectionStatus::Ok),
        rules: Some(
            RuleSet::new([4; 32], [(3, RuleId::new("scoring-reads").unwrap().into())]).unwrap(),
        ),
        subject: Some(SubjectTag::new([1; 32])),
        count: None,
        blind: Blind([2; 16]),
    }
    .into()
}

/// Entries of a log that is read.
const MANY: usize = 20_000;

fn open(folder: &Path) -> AuditLog {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    AuditLog::open(folder, &origin(), key).unwrap()
}

fn origin() -> Origin {
    "gateway.city.example/audit/2026".parse().unwrap()
}

/// A log with many entries that nobody writes any more, and its key.
fn many() -> (tempfile::TempDir, VerifyingKey) {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let runtime = Runtime::new().unwrap();
    let appends = (0..MANY / 100).map(|_| log.append(vec![record(); 100]));
    for receipt in runtime.block_on(futures_util::future::join_all(appends)) {
        receipt.unwrap();
    }
    drop(runtime);
    log.close().unwrap();
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    (folder, key.verifying_key(&origin()).unwrap())
}

#[divan::bench(sample_count = 10)]
fn audit_verified(bencher: Bencher<'_, '_>) {
    let (folder, key) = many();
    bencher.counter(ItemsCount::new(MANY)).bench(|| {
        let report = verify(folder.path(), &key, None, &mut |_| {}).unwrap();
        assert_eq!(report.verdict, Verdict::Sound);
    });
}

#[divan::bench]
fn audit_proved(bencher: Bencher<'_, '_>) {
    let (folder, key) = many();
    let mut number = 0;
    bencher.bench_local(|| {
        number = (number + 997) % MANY as u64;
        prove(folder.path(), &key, number).unwrap()
    });
}

#[divan::bench(sample_count = 10)]
fn audit_opened(bencher: Bencher<'_, '_>) {
    let (folder, _) = many();
    bencher.bench_local(|| open(folder.path()).close().unwrap());
}

/// So many requests at once, each with four records, wait for one disk.
#[divan::bench(args = [1, 128])]
fn audit_append(bencher: Bencher<'_, '_>, at_once: usize) {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(open(folder.path()));
    let runtime = Runtime::new().unwrap();
    bencher.counter(ItemsCount::new(at_once)).bench(|| {
        runtime.block_on(async {
            let appends = (0..at_once).map(|_| log.append(vec![record(); 4]));
            futures_util::future::join_all(appends).await.into_iter().map(Result::unwrap).count()
        })
    });
}
