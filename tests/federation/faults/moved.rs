//! Row 31: an agency whose name leads somewhere else from now on is found there, without
//! anybody telling the gateway.

use std::path::Path;
use std::process::Command;

use super::answers::{AGENCY, ITEMS, others_are_right};
use crate::kit::federation::{DEADLINE, Federation, outcome};
use crate::kit::process::Process;
use crate::kit::waiting::becomes;

const NAME: &str = "moves.example";

/// What names a process looks up in the file, and in none of the system's.
fn with_names(hosts: &Path) -> Command {
    let mut command = Command::new("unshare");
    let bound = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", bound]).arg(hosts);
    command
}

fn leads_to(hosts: &Path, address: &str) {
    // In its place: what is bound is the file, not its name.
    std::fs::write(hosts, format!("127.0.0.1 localhost\n{address} {NAME}\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_31_an_agency_whose_address_moves_is_found_at_the_new_one() {
    let federation = Federation::start();
    let hosts = federation.home.join("hosts");
    leads_to(&hosts, "127.0.0.1");
    if !with_names(&hosts).arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("this system allows no namespaces of its own: not run");
        return;
    }
    let config = federation.copy_of(&federation.entry(AGENCY).config, |_| {});
    let agency = Process::role("agency", &config);
    let port = agency.address().port();
    let gateway = federation.copy_of(&federation.described.gateway.config, |document| {
        let entries = document["agency"].as_array_of_tables_mut().unwrap();
        let entry = entries.iter_mut().find(|e| e["id"].as_str() == Some(AGENCY)).unwrap();
        entry["endpoint"] = toml_edit::value(format!("{NAME}:{port}"));
    });
    let mut command = with_names(&hosts);
    command.args([env!("CARGO_BIN_EXE_tributary"), "gateway", "--config"]).arg(gateway);
    let gateway = Process::listening(&mut command);
    let channel = federation.consumer(gateway.address()).await;
    let ask = async || {
        let asked = federation.ask(&channel, "", 1, &ITEMS, DEADLINE).await;
        let Ok(answer) = asked else { return "nothing".to_owned() };
        others_are_right(&federation, &answer, 1);
        outcome(&answer, AGENCY)
    };
    becomes("the first answer", "OK", &ask).await;
    drop(agency);
    let moved = std::fs::read_to_string(&config).unwrap();
    let there = moved.replace("\"127.0.0.1:0\"", &format!("\"127.0.0.2:{port}\""));
    assert_ne!(there, moved);
    std::fs::write(&config, there).unwrap();
    let _agency = Process::role("agency", &config);
    leads_to(&hosts, "127.0.0.2");
    becomes("the answer from its new address", "OK", &ask).await;
}
