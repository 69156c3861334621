//! A release that one side's log leaves out is named by holding it against the
//! other's, though the forged log is sound in itself: whoever runs a log has its key.

use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use tributary::config::agency::AgencyConfig;
use tributary::config::audit::AuditConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::audit::Record;
use tributary::store::audit_log::{AuditLog, Options};
use tributary::store::walk::walk;

use crate::kit::demo::City;
use crate::kit::process::{binary, told};
use crate::kit::waiting::UNHURRIED as DEADLINE;

/// The log again, signed with its own key, without the records of one request about
/// one agency.
fn forge(audit: &AuditConfig, to: &Path, request: &str, agency: &str) {
    let mut records = Vec::new();
    walk(&audit.folder, None, &mut |step| {
        let Some(record) = step.record else { return };
        let left_out = matches!(record, Record::Section(section)
            if section.request.as_str() == request
                && section.agency.as_ref().is_some_and(|of| of.as_str() == agency));
        let own = matches!(
            record,
            Record::Started { .. } | Record::Stopped { .. } | Record::Succeeds { .. }
        );
        if !left_out && !own {
            records.push(record.clone());
        }
    })
    .unwrap();
    let keys = audit.keys().unwrap();
    // An old clock, so that the records keep their times.
    let options = Options { utc: || OffsetDateTime::UNIX_EPOCH, ..Options::default() };
    let log = AuditLog::open_with(to, &keys.origin, keys.signing, options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for records in records.chunks(100) {
        runtime.block_on(log.append(records.to_vec())).unwrap();
    }
    log.close().unwrap();
}

struct Logs {
    gateway: AuditConfig,
    agencies: Vec<(String, AuditConfig)>,
    keys: Vec<PathBuf>,
}

impl Logs {
    fn of(city: &City) -> Self {
        let gateway = GatewayConfig::load(&city.described.gateway.config).unwrap().audit;
        let agencies =
            city.described.agencies.iter().map(|entry| {
                (entry.id.clone(), AgencyConfig::load(&entry.config).unwrap().0.audit)
            });
        let agencies: Vec<_> = agencies.collect();
        let configs = std::iter::once(&gateway).chain(agencies.iter().map(|(_, config)| config));
        let keys = configs.map(|config| config.key.with_extension("vkey")).collect();
        Self { gateway, agencies, keys }
    }

    /// Exit code and report, with another log in the place of one.
    fn reconcile(&self, forged: Option<(&str, &Path)>) -> (Option<i32>, serde_json::Value) {
        let folder = |name: &str, own: &Path| match forged {
            Some((of, forged)) if of == name => forged.to_owned(),
            _ => own.to_owned(),
        };
        let mut logs = vec![folder("gateway", &self.gateway.folder)];
        logs.extend(self.agencies.iter().map(|(name, config)| folder(name, &config.folder)));
        report(&logs, &self.keys)
    }

    /// The same by exports of the logs, which hold no tags.
    fn reconcile_exports(&self, to: &Path) -> (Option<i32>, serde_json::Value) {
        let folders = self.agencies.iter().map(|(_, config)| &config.folder);
        let folders = std::iter::once(&self.gateway.folder).chain(folders);
        let exports = folders.zip(&self.keys).enumerate().map(|(number, (folder, key))| {
            let export = told(binary().args(["audit", "export"]).arg(folder).arg("--key").arg(key));
            let file = to.join(format!("{number}.jsonl"));
            std::fs::write(&file, export).unwrap();
            file
        });
        report(&exports.collect::<Vec<_>>(), &[])
    }
}

/// Exit code and report of a reconciliation, the gateway's log first.
fn report(logs: &[PathBuf], keys: &[PathBuf]) -> (Option<i32>, serde_json::Value) {
    let mut reconcile = binary();
    reconcile.args(["audit", "reconcile", "--json"]).args(logs);
    for key in keys {
        reconcile.arg("--key").arg(key);
    }
    let output = reconcile.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|_| panic!("{errors}")))
}

#[tokio::test]
async fn a_release_that_either_side_leaves_out_is_named() {
    let mut city = City::start(&[]);
    let mut client = city.client().await;
    let items = client.bundle("basic").await.unwrap();
    let mut requests = Vec::new();
    for person in 0..5 {
        let answer = client.profile(&city.grant(person), items.clone(), DEADLINE).await.unwrap();
        requests.push(answer);
    }
    let request = requests[2].request_id.clone();
    let released = requests[2].sections.iter().find(|section| section.answered > 0).unwrap();
    let agency = released.agency.clone();
    let releases = requests.iter().flat_map(|answer| &answer.sections);
    let releases = releases.filter(|section| section.status().as_str_name().ends_with("_OK"));
    let releases = releases.count();
    let logs = Logs::of(&city);
    city.demo.signal("TERM");
    city.demo.end().await;

    let (code, report) = logs.reconcile(None);
    assert_eq!((code, &report["omitted"]), (Some(0), &0.into()), "{report}");
    assert_eq!(report["matched"], releases, "{report}");

    let work = tempfile::tempdir().unwrap();
    assert_eq!(logs.reconcile_exports(work.path()), (code, report));
    for (side, config) in [
        ("gateway", &logs.gateway),
        ("agency", &logs.agencies.iter().find(|(id, _)| *id == agency).unwrap().1),
    ] {
        let forged = work.path().join(side);
        let (target, request, about) = (forged.clone(), request.clone(), agency.clone());
        let config = config.clone();
        tokio::task::spawn_blocking(move || forge(&config, &target, &request, &about))
            .await
            .unwrap();
        // Sound in itself.
        let name = if side == "gateway" { "gateway" } else { &agency };
        let (code, report) = logs.reconcile(Some((name, &forged)));
        assert_eq!((code, &report["omitted"]), (Some(2), &1.into()), "{report}");
        let finding = &report["findings"][0];
        assert_eq!(finding["class"], "OMITTED", "{report}");
        assert_eq!(finding["request"].as_str(), Some(requests[2].request_id.as_str()));
        assert_eq!(finding["agency"].as_str(), Some(agency.as_str()));
        assert_eq!(finding["missing_at"].as_str(), Some(side));
    }
}
