//! How much room a log takes: what a request of seven agencies adds, at the gateway with
//! the index and at an agency. Bytes, not time; the same in every run but for the random
//! ones, so the bounds can be close.
//!
//! `TRIBUTARY_TEST_SIZE` sets the number of requests; the figures are printed.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand;
use futures_util::future::join_all;
use tributary::domain::audit::{
    Blind, CountRecord, Counted, Decision, GrantId, Record, RequestId, RuleId, RuleSet,
    SectionRecord, SubjectTag, Timestamp,
};
use tributary::domain::catalogue::{AgencyId, CatalogueDigest};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::section::SectionStatus;
use tributary::store::audit_log::{AuditLog, Options};
use tributary::store::index::Index;
use tributary::store::verify::{Verdict, verify};

use super::support::{files, open, options, until_seen, verifying_key};

const AGENCIES: [&str; 7] = [
    "education",
    "employment",
    "enterprise",
    "lending",
    "social_security",
    "traffic",
    "volunteering",
];

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).unwrap();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records of a request as a gateway writes them: every grant is used once, by a
/// client that makes ids as ours does.
fn request(number: u64, agencies: &[&str], counts: bool) -> Vec<Record> {
    let (id, grant, tag) = (hex(&random::<16>()), hex(&random::<11>()), random());
    let record = |(at, agency): (u64, &&str)| {
        let blind = random();
        let item = at as u32 * 60;
        SectionRecord {
            time: Timestamp(1_790_000_000_000_000 + number * 900 + at),
            request: RequestId::new(&id).unwrap(),
            consumer: "spiffe://scoring.city.example/consumer/scoring".parse().unwrap(),
            purpose: Some(PurposeCode::new("credit_scoring").unwrap()),
            basis: Some(LegalBasis::Consent),
            grant: Some(GrantId::new(&grant).unwrap()),
            agency: AgencyId::new(agency),
            items: (item..item + 7).filter_map(ItemNumber::new).collect::<ItemSet>(),
            catalogue: CatalogueDigest([3; 32]),
            decision: Decision::Section(SectionStatus::Ok),
            rules: Some(
                RuleSet::new([4; 32], [(3, RuleId::new("scoring-reads").unwrap().into())]).unwrap(),
            ),
            subject: Some(SubjectTag::new(tag)),
            count: counts.then(|| CountRecord {
                issuer: "spiffe://consent.city.example/issuer/consent".parse().unwrap(),
                window: number / 1000,
                expires: 1_800_000_000 + number,
                counted: Counted::Use(1),
            }),
            blind: Blind(blind),
        }
    };
    (0..).zip(agencies).map(|pair| record(pair).into()).collect()
}

/// Bytes of the files themselves, and of the blocks of the disk that they take. Segments
/// are left out: there are a few at most, however many requests there were.
fn room(dir: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    let grows = |path: &PathBuf| path.extension().is_none_or(|ending| ending != "wal");
    let states = files(dir).into_iter().filter(grows).map(|path| path.metadata().unwrap());
    states
        .fold((0, 0), |(bytes, blocks), state| (bytes + state.len(), blocks + state.blocks() * 512))
}

/// How far a log is sealed. What its last full bundle does not end stays in segments, which
/// are of any length: writers fill them as they come together.
#[derive(Debug)]
struct Sealed {
    is_published: bool,
    /// Segments that end within the last full bundle and are there.
    segments_too_many: usize,
    /// Full bundles below the first segment that are not compressed.
    bundles_too_many: usize,
}

impl Sealed {
    fn of(dir: &Path, log: &AuditLog) -> Self {
        let published = log.published().checkpoint().size;
        let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
        let firsts: Vec<u64> = files(&dir.join("wal")).iter().filter_map(number).collect();
        let full = published / 256;
        let is_full = |path: &&PathBuf| {
            path.extension().is_none() && path.parent().unwrap().extension().is_none()
        };
        let raw = files(&dir.join("tile/entries")).iter().filter(is_full).count();
        let kept = full.saturating_sub(firsts[0] / 256);
        Self {
            is_published: published == log.latest().checkpoint().size,
            segments_too_many: firsts.iter().skip(1).filter(|end| **end <= full * 256).count(),
            bundles_too_many: raw.saturating_sub(kept as usize),
        }
    }
}

/// Writes so many requests, and gives what each of the second half has added: a log's own
/// beginning and its last segments are the same for any number.
fn growth(requests: u64, agencies: &[&str], indexed: bool) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let (log, file) = (dir.path().join("log"), dir.path().join("log.index"));
    let settings = Options {
        publish_every: Duration::from_millis(100),
        segment_bytes: 64 * 1024,
        ..options()
    };
    let writing = open(&log, settings).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut rooms = Vec::new();
    for half in 0..2 {
        for part in 0..requests / 200 {
            let first = (half * requests / 200 + part) * 100;
            let appends =
                (first..first + 100).map(|n| writing.append(request(n, agencies, !indexed)));
            runtime
                .block_on(join_all(appends))
                .into_iter()
                .for_each(|written| drop(written.unwrap()));
        }
        until_seen(
            "a log that is sealed",
            || Sealed::of(&log, &writing),
            |seen| seen.is_published && seen.segments_too_many == 0 && seen.bundles_too_many == 0,
        );
        if indexed {
            let mut index = Index::open(&log, &verifying_key(), &file).unwrap();
            index.update(&mut |_| ControlFlow::Continue(())).unwrap();
        }
        rooms.push(room(dir.path()));
    }
    writing.close().unwrap();
    let report = verify(&log, &verifying_key(), None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
    let each = |bytes: u64| bytes as f64 / (requests / 2) as f64;
    let (bytes, blocks) = (each(rooms[1].0 - rooms[0].0), each(rooms[1].1 - rooms[0].1));
    let index = file.metadata().map_or(0, |state| state.len());
    println!(
        "{requests} requests of {}: {bytes:.0} bytes each, {blocks:.0} in blocks; the index {:.0}",
        agencies.len(),
        index as f64 / requests as f64,
    );
    blocks
}

fn requests() -> u64 {
    std::env::var("TRIBUTARY_TEST_SIZE").ok().and_then(|text| text.parse().ok()).unwrap_or(12_000)
}

#[test]
fn a_request_of_seven_agencies_takes_a_gateway_1100_bytes_at_most_with_the_index() {
    let each = growth(requests(), &AGENCIES, true);
    assert!(each <= 1100.0, "{each:.0} bytes");
}

#[test]
fn a_request_takes_an_agency_200_bytes_at_most() {
    let each = growth(requests(), &AGENCIES[..1], false);
    assert!(each <= 200.0, "{each:.0} bytes");
}
