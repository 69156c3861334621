//! Appending to the audit log: building the tree, framing, and waiting for the
//! disk, which most of it is.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use tokio::runtime::Runtime;
use tributary::domain::audit::{
    Blind, Decision, GrantId, Record, RequestId, RuleId, RuleSet, SectionRecord, SigningKey,
    SubjectTag, Timestamp,
};
use tributary::domain::catalogue::{AgencyId, CatalogueDigest};
use tributary::domain::item::ItemNumber;
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::section::SectionStatus;
use tributary::store::audit_log::AuditLog;

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

/// So many requests at once, each with four records, wait for one disk.
#[divan::bench(args = [1, 128])]
fn audit_append(bencher: Bencher<'_, '_>, at_once: usize) {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let origin = "gateway.city.example/audit/2026".parse().unwrap();
    let log = Arc::new(AuditLog::open(folder.path(), &origin, key).unwrap());
    let runtime = Runtime::new().unwrap();
    bencher.counter(ItemsCount::new(at_once)).bench(|| {
        runtime.block_on(async {
            let appends = (0..at_once).map(|_| log.append(vec![record(); 4]));
            futures_util::future::join_all(appends).await.into_iter().map(Result::unwrap).count()
        })
    });
}
