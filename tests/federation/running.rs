//! Answers under load, and what changes while the federation runs: agencies that
//! die, switches, policies.

use std::collections::BTreeMap;
use std::process::Stdio;

use tributary::wire::proto::pb;
use tributary::wire::proto::pb::value::Kind;

use crate::kit::demo::City;
use crate::kit::process::{Process, binary, signal};
use crate::kit::sqlite_file;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::{Reserved, becomes, until};

fn section<'a>(answer: &'a pb::GetProfileResponse, agency: &str) -> &'a pb::SectionReport {
    answer.sections.iter().find(|section| section.agency == agency).unwrap()
}

fn status(answer: &pb::GetProfileResponse, agency: &str) -> String {
    let report = section(answer, agency);
    let status = report.status().as_str_name().trim_start_matches("SECTION_STATUS_");
    format!("{status} {}", report.reason).trim_end().to_owned()
}

/// A person's values straight out of the databases: item id to text.
fn truth(city: &City, subject: &str) -> BTreeMap<&'static str, Option<String>> {
    let mut truth = BTreeMap::new();
    for (id, agency, query) in [
        (
            "employment.current.started_on",
            "employment",
            "select current_started_on from current_job where person_id = $1",
        ),
        (
            "lending.card.utilisation_ratio",
            "lending",
            "select cast(utilisation_ratio as text) from card_account where person_id = $1",
        ),
        (
            "traffic.licence.status",
            "traffic",
            "select licence_status from driving_licence where person_id = $1",
        ),
    ] {
        let file = city.home.join(format!("data/{agency}.db"));
        truth.insert(id, sqlite_file::text(&file, query, subject));
    }
    truth
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_people_at_once_get_their_own_values() {
    let city = City::start(&[]);
    let ids = [
        "employment.current.started_on",
        "lending.card.utilisation_ratio",
        "traffic.licence.status",
    ];
    let client = city.client().await;
    let asked = (0..32).map(|person| {
        let (mut client, grant) = (client.clone(), city.grant(person));
        let items = ids.map(String::from).to_vec();
        tokio::spawn(async move { client.profile(&grant, items, DEADLINE).await.unwrap() })
    });
    let mut compared = 0;
    for (person, answer) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        let profile = answer.unwrap().profile.unwrap();
        let truth = truth(&city, &city.described.subjects[person]);
        for id in ids {
            let found = profile.items.iter().find(|item| item.id == id);
            let found = found.map(|item| item.value.clone().unwrap().kind.unwrap());
            match (found, truth[id].as_deref()) {
                (None, None) => {}
                (Some(Kind::Date(date)), Some(text)) => {
                    assert_eq!(format!("{:04}-{:02}-{:02}", date.year, date.month, date.day), text);
                    compared += 1;
                }
                (Some(Kind::Decimal(number)), Some(text)) => {
                    assert_eq!(number.value.parse::<f64>().unwrap(), text.parse::<f64>().unwrap());
                    compared += 1;
                }
                (Some(Kind::Code(_)), Some(_)) => compared += 1,
                (found, truth) => panic!("person {person}, {id}: {found:?} against {truth:?}"),
            }
        }
    }
    assert!(compared > 60, "only {compared} values were there to compare");
}

#[tokio::test]
async fn an_agency_dies_and_comes_back_without_the_gateway_being_told() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let items = client.bundle("basic").await.unwrap();
    let grant = city.grant(0);
    let entry = city.entry("traffic");
    signal(entry.pid, "KILL");
    let kept = Reserved::after(entry.endpoint.parse().unwrap()).await;
    let mut now = async || {
        let answer = client.profile(&grant, items.clone(), DEADLINE).await.unwrap();
        for other in answer.sections.iter().filter(|section| section.agency != "traffic") {
            assert_eq!(status(&answer, &other.agency), "OK", "{}", other.agency);
        }
        status(&answer, "traffic")
    };
    until("the section's loss", &mut now, |seen| seen.starts_with("UNAVAILABLE")).await;

    // The command line says so by its exit code.
    let federation = city.home.join("federation.json");
    let get = |more: &[&str]| {
        let mut get = binary();
        get.args(["profile", "get", "--subject", &city.described.subjects[0], "--federation"]);
        get.arg(&federation).args(["--deadline", "60s"]).args(more);
        get.stdin(Stdio::null()).output().unwrap()
    };
    let partial = get(&["--json"]);
    assert_eq!(partial.status.code(), Some(3));
    let json: serde_json::Value = serde_json::from_slice(&partial.stdout).unwrap();
    assert!(json["profile"]["items"].as_array().unwrap().len() > 10);
    let unknown = get(&["--items", "no.such.item"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no.such.item"));

    let _again = Process::role("agency", &entry.config);
    becomes("the section's return", "OK", &mut now).await;
    assert_eq!(get(&["--json"]).status.code(), Some(0));
    drop(kept);
}

#[tokio::test]
async fn the_kill_switch_and_the_policy_hold_without_a_restart() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let items = client.bundle("basic").await.unwrap();
    let grant = city.grant(0);
    let mut now = async || {
        let answer = client.profile(&grant, items.clone(), DEADLINE).await.unwrap();
        status(&answer, "education")
    };
    assert_eq!(now().await, "OK");

    let config = city.config_of("education");
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, text.replace("enabled = true", "enabled = false")).unwrap();
    becomes("the switch", "DENIED AGENCY_CLOSED", &mut now).await;
    // Half a file changes nothing.
    std::fs::write(config, "id = \"educ").unwrap();
    city.logs("education", "SWITCH_KEPT", 1).await;
    assert_eq!(now().await, "DENIED AGENCY_CLOSED");
    std::fs::write(config, text).unwrap();
    becomes("the switch back", "OK", &mut now).await;

    // A broken policy keeps the last good one; an empty one denies all.
    let policy = city.home.join("policies/agencies/education.cedar");
    let good = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, "permit (principal, action, resource").unwrap();
    city.logs("education", "POLICY_KEPT", 1).await;
    assert_eq!(now().await, "OK");
    std::fs::write(&policy, "").unwrap();
    becomes("the empty policy", "DENIED NOTHING_PERMITTED", &mut now).await;
    std::fs::write(&policy, good).unwrap();
    becomes("the policy back", "OK", &mut now).await;
}

#[tokio::test]
async fn every_answer_has_a_receipt_that_the_log_bears_out() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let items = client.bundle("basic").await.unwrap();
    let answer = client.profile(&city.grant(0), items, DEADLINE).await.unwrap();
    let receipt = answer.receipt.unwrap();
    assert_eq!(receipt.origin, "gateway.city.example/2026");
    assert_eq!(receipt.leaf_hashes.len(), 7);

    // Once the log is closed, whoever has its public key can verify it.
    let key = city.home.join("certs/dev/gateway.city.example/audit.vkey");
    let verify = |log: &std::path::Path| {
        binary().args(["audit", "verify"]).arg(log).arg("--key").arg(&key).output().unwrap()
    };
    let log = city.home.join("audit/gateway");
    until("publication", async || verify(&log), |output| output.status.success()).await;

    // The receipt as a file: proved by itself, borne out by the log, and of this disclosure.
    let file = city.home.join("receipt.json");
    let mut get = binary();
    get.args(["profile", "get", "--json", "--deadline", "60s", "--subject"]);
    get.arg(&city.described.subjects[0]);
    get.arg("--federation").arg(city.home.join("federation.json")).arg("--receipt").arg(&file);
    get.arg("--log-key").arg(&key);
    let got = get.stdin(Stdio::null()).output().unwrap();
    assert_eq!(got.status.code(), Some(0), "{}", String::from_utf8_lossy(&got.stderr));
    let audit = |args: &[&str], more: &[&std::path::Path]| {
        let mut audit = binary();
        audit.arg("audit").args(args).args(more).arg("--key").arg(&key);
        audit.output().unwrap()
    };
    let alone = audit(&["check-receipt"], &[&file]);
    let said = String::from_utf8_lossy(&alone.stdout).into_owned();
    assert!(alone.status.success() && said.contains("proves its records"), "{said}");
    assert!(said.contains(&city.described.consumers[0].id) && said.contains("OK, items"), "{said}");
    let held = async || audit(&["check-receipt", "--log"], &[&log, &file]);
    until("its tiles", held, |output| output.status.success()).await;
    let proofs = city.home.join("proofs");
    std::fs::create_dir(&proofs).unwrap();
    let proved = audit(&["prove", "--receipt"], &[&file, "--out".as_ref(), &proofs, &log]);
    assert!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stderr));
    let written: Vec<_> = std::fs::read_dir(&proofs).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(written.len(), 7);
    for proof in &written {
        assert!(audit(&["check-proof"], &[proof]).status.success());
    }
    // One hash of one proof is another: nothing is proved any more.
    let mut claimed: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    claimed["proofs"][3][0] = "00".repeat(32).into();
    std::fs::write(&file, claimed.to_string()).unwrap();
    assert_eq!(audit(&["check-receipt"], &[&file]).status.code(), Some(2));

    let search = binary()
        .args(["audit", "search"])
        .arg(&log)
        .arg("--key")
        .arg(&key)
        .args(["--request", &answer.request_id])
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&search.stdout).into_owned();
    assert_eq!(
        found.lines().filter(|line| line.contains(&answer.request_id)).count(),
        7,
        "{found}"
    );
}
