//! Drift: a log with a disclosure that nothing declared.

use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use tributary::config::policy::read_texts;
use tributary::domain::audit::{
    Blind, Decision, Origin, Record, RequestId, RuleSet, SectionRecord, SigningKey, Timestamp,
    TlogProof,
};
use tributary::domain::catalogue::AgencyId;
use tributary::domain::flows::federation::Federation;
use tributary::domain::item::ItemSet;
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::section::SectionStatus;
use tributary::store::audit_log::{AuditLog, Options};
use tributary::store::enforced::Keeper;

use crate::support::{City, SCORING, review, stdout};

const SEED: [u8; 32] = [9; 32];

/// A city with a log of its gateway.
pub struct Recorded {
    pub city: City,
    federation: Federation,
    origin: &'static str,
    pub records: Vec<Record>,
    /// When the policy came into force.
    kept: OffsetDateTime,
}

fn item_set(federation: &Federation, pattern: &str) -> ItemSet {
    federation.catalogue.select(pattern).unwrap()
}

impl Recorded {
    pub fn new() -> Self {
        let city = City::new();
        let federation = city.load();
        Self {
            city,
            federation,
            origin: "gateway.city.example/2026",
            records: Vec::new(),
            kept: now(),
        }
    }

    pub fn release(
        &mut self,
        request: &str,
        purpose: &str,
        agency: &str,
        items: &str,
    ) -> &mut SectionRecord {
        let record = SectionRecord {
            time: Timestamp::new(now()),
            request: RequestId::new(request).unwrap(),
            consumer: SCORING.parse().unwrap(),
            purpose: Some(PurposeCode::new(purpose).unwrap()),
            basis: Some(LegalBasis::Consent),
            grant: None,
            agency: AgencyId::new(agency),
            items: item_set(&self.federation, items),
            catalogue: self.federation.catalogue.digest(),
            decision: Decision::Section(SectionStatus::Ok),
            rules: Some(
                RuleSet::new(self.federation.gateway.engine.digest().0, Vec::new()).unwrap(),
            ),
            subject: None,
            count: None,
            blind: Blind([5; 16]),
        };
        self.records.push(record.into());
        match self.records.last_mut().unwrap() {
            Record::Section(section) => section,
            _ => unreachable!(),
        }
    }

    pub fn key(&self) -> String {
        let origin: Origin = self.origin.parse().unwrap();
        SigningKey::from_seed(&SEED).unwrap().verifying_key(&origin).unwrap().to_string()
    }

    pub fn log(&self) -> std::path::PathBuf {
        self.city.path().join("log")
    }

    /// Writes the log, and keeps the policy beside it.
    pub fn write(&self, keep: bool) {
        if keep {
            let texts = read_texts(&self.city.path().join("catalogue"), "toml").unwrap();
            std::fs::create_dir_all(self.log()).unwrap();
            let keeper = Keeper::new(&self.log(), Some("[]".to_owned()));
            keeper.know(self.federation.gateway.engine.catalogue().digest(), texts);
            keeper.keep(&self.federation.gateway.engine, self.kept).unwrap();
        }
        write(&self.log(), self.origin, &self.records);
    }

    fn drift(&self, more: &[&str]) -> std::process::Output {
        let (log, key) = (self.log(), self.key());
        let mut arguments = vec![
            "drift",
            self.city.path().to_str().unwrap(),
            "--log",
            log.to_str().unwrap(),
            "--key",
            &key,
        ];
        arguments.extend(more);
        review(&arguments)
    }
}

fn write(folder: &Path, origin: &str, records: &[Record]) {
    let options = Options { publish_every: Duration::from_secs(3600), ..Options::default() };
    let signing = SigningKey::from_seed(&SEED).unwrap();
    let log = AuditLog::open_with(folder, &origin.parse().unwrap(), signing, options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for record in records {
        runtime.block_on(log.append(vec![record.clone()])).unwrap();
    }
    log.close().unwrap();
}

fn now() -> OffsetDateTime {
    tributary::clock::utc()
}

#[test]
fn an_undeclared_disclosure_is_an_incident_with_its_record_and_proof() {
    let mut recorded = Recorded::new();
    recorded.release("r-1", "credit_profile", "lending", "lending.history.clean_months");
    // Slipped in: the rental purpose never opens cards.
    recorded.release("r-2", "rental_deposit_waiver", "lending", "lending.card.open_count");
    recorded.write(true);
    let output = recorded.drift(&["--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["releases"], &report["policy_kept"]), (&2.into(), &2.into()));
    let incidents = report["undeclared"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let incident = &incidents[0];
    assert_eq!(incident["request"], "r-2");
    assert_eq!(incident["items"], serde_json::json!(["lending.card.open_count"]));
    let proof = TlogProof::parse(incident["proof"].as_str().unwrap()).unwrap();
    proof.verify(&recorded.key().parse().unwrap()).unwrap();
    assert_eq!(Some(proof.index), incident["index"].as_u64());
    let text = stdout(&recorded.drift(&[]));
    assert!(text.contains("UNDECLARED") && text.contains("lending.card.open_count"), "{text}");
    assert!(text.contains("Logs read: gateway; not read: education"), "{text}");
}

#[test]
fn declared_disclosures_are_none_and_dormant_flows_are_told() {
    let mut recorded = Recorded::new();
    recorded.release("r-1", "credit_profile", "lending", "lending.history.clean_months");
    let refused =
        recorded.release("r-2", "rental_deposit_waiver", "lending", "lending.card.open_count");
    refused.decision = Decision::Section(SectionStatus::Denied);
    recorded.write(true);
    let output = recorded.drift(&[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = stdout(&output);
    assert!(text.contains("DORMANT") && text.contains("0 undeclared"), "{text}");
}

#[test]
fn what_no_kept_policy_covers_is_undeclared() {
    type Case = (&'static str, fn(&mut SectionRecord));
    let cases: [Case; 4] = [
        ("never enforced", |record| record.rules = Some(RuleSet::new([1; 32], vec![]).unwrap())),
        ("names no policy", |record| record.rules = None),
        ("names no legal basis", |record| record.basis = None),
        ("opened none", |record| {
            record.consumer = "spiffe://bank.city.example/consumer/nobody".parse().unwrap()
        }),
    ];
    for (what, change) in cases {
        let mut recorded = Recorded::new();
        let record =
            recorded.release("r-1", "credit_profile", "lending", "lending.card.open_count");
        change(record);
        recorded.write(true);
        let output = recorded.drift(&[]);
        assert_eq!(output.status.code(), Some(3), "{what}: {output:?}");
        assert!(stdout(&output).contains(what), "{what}: {}", stdout(&output));
    }
}

#[test]
fn a_policy_that_came_into_force_later_covers_nothing_before() {
    let mut recorded = Recorded::new();
    recorded.release("r-1", "credit_profile", "lending", "lending.card.open_count");
    recorded.kept = now() + Duration::from_secs(3600);
    recorded.write(true);
    let output = recorded.drift(&[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stdout(&output).contains("was not in force then"), "{}", stdout(&output));
}

#[test]
fn a_kept_policy_that_was_changed_is_left_aside() {
    let mut recorded = Recorded::new();
    recorded.release("r-1", "credit_profile", "lending", "lending.card.open_count");
    recorded.write(true);
    assert_eq!(recorded.drift(&[]).status.code(), Some(2));
    let name = format!("policy-{}.json", recorded.federation.gateway.engine.digest());
    let path = recorded.log().join("enforced").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("context.basis !=", "context.basis ==")).unwrap();
    let output = recorded.drift(&[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("is left aside"), "{}", stdout(&output));
}

#[test]
fn a_log_that_is_not_sound_says_nothing() {
    let mut recorded = Recorded::new();
    recorded.release("r-1", "credit_profile", "lending", "lending.card.open_count");
    recorded.write(true);
    let checkpoint = recorded.log().join("checkpoint");
    let text = std::fs::read_to_string(&checkpoint).unwrap();
    let size = text.lines().nth(1).unwrap().to_owned();
    std::fs::write(&checkpoint, text.replacen(&size, "1", 1)).unwrap();
    assert_eq!(recorded.drift(&[]).status.code(), Some(1));
}

#[test]
fn a_release_in_one_log_alone_is_unreconciled() {
    let mut recorded = Recorded::new();
    recorded.release("r-1", "credit_profile", "lending", "lending.history.clean_months");
    recorded.write(true);
    // The agency has a release that the gateway's log lacks.
    let mut agency = Recorded::new();
    agency.origin = "lending.city.example/2026";
    for request in ["r-1", "r-9"] {
        let record =
            agency.release(request, "credit_profile", "lending", "lending.history.clean_months");
        record.rules = None;
    }
    let own = agency.federation.agencies.iter().find(|agency| agency.id.as_str() == "lending");
    let digest = own.unwrap().own.as_ref().unwrap().house.engine.digest().0;
    for record in &mut agency.records {
        if let Record::Section(section) = record {
            section.rules = Some(RuleSet::new(digest, Vec::new()).unwrap());
        }
    }
    let texts = read_texts(&agency.city.path().join("catalogue"), "toml").unwrap();
    std::fs::create_dir_all(agency.log()).unwrap();
    let own = agency.federation.agencies.iter().find(|agency| agency.id.as_str() == "lending");
    let engine = &own.unwrap().own.as_ref().unwrap().house.engine;
    let keeper = Keeper::new(&agency.log(), None);
    keeper.know(engine.catalogue().digest(), texts);
    keeper.keep(engine, now()).unwrap();
    write(&agency.log(), agency.origin, &agency.records);
    let (log, key) = (agency.log(), agency.key());
    let output = recorded.drift(&["--agency-log", log.to_str().unwrap(), "--key", &key]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = stdout(&output);
    assert!(text.contains("UNRECONCILED OMITTED request r-9 agency lending"), "{text}");
    assert!(text.contains("0 undeclared, 1 unreconciled"), "{text}");
}

#[test]
fn the_page_and_the_pack_hold_the_incident() {
    let mut recorded = Recorded::new();
    recorded.release("r-2", "rental_deposit_waiver", "lending", "lending.card.open_count");
    recorded.write(true);
    let (log, key) = (recorded.log(), recorded.key());
    let pack = recorded.city.path().join("pack");
    let output = review(&[
        "pack",
        recorded.city.path().to_str().unwrap(),
        "-o",
        pack.to_str().unwrap(),
        "--log",
        log.to_str().unwrap(),
        "--key",
        &key,
    ]);
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(pack.join("review.html")).unwrap();
    assert!(page.contains("UNDECLARED") && page.contains("Somebody must decide"));
    let proofs: Vec<_> = std::fs::read_dir(pack.join("proofs")).unwrap().collect();
    assert_eq!(proofs.len(), 1);
    assert!(pack.join("checkpoints/gateway.txt").is_file());
    let verify = |pack: &Path| review(&["verify-pack", pack.to_str().unwrap()]).status.code();
    assert_eq!(verify(&pack), Some(0));
    std::fs::write(pack.join("proofs/more.txt"), "x").unwrap();
    assert_eq!(verify(&pack), Some(2), "a file more");
    std::fs::remove_file(pack.join("proofs/more.txt")).unwrap();
    std::fs::write(pack.join("review.html"), page.replace("UNDECLARED", "declared")).unwrap();
    assert_eq!(verify(&pack), Some(2), "a changed file");
    std::fs::remove_file(pack.join("review.html")).unwrap();
    assert_eq!(verify(&pack), Some(2), "a file less");
    let manifest = std::fs::read_to_string(pack.join("manifest.json")).unwrap();
    std::fs::write(pack.join("manifest.json"), manifest.replace("review.html", "../gateway.toml"))
        .unwrap();
    assert_eq!(verify(&pack), Some(1), "a name that leads out");
    let bom = std::fs::read_to_string(pack.join("dependencies.cdx.json")).unwrap();
    let bom: serde_json::Value = serde_json::from_str(&bom).unwrap();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    assert!(
        bom["components"].as_array().unwrap().iter().any(|part| part["name"] == "cedar-policy")
    );
    assert!(pack.join("inputs/gateway.toml").is_file(), "flows are computed again from it");
    assert!(pack.join("inputs/policies/gateway.cedar").is_file());
}
