//! The page `docs/restoring-a-log.md`, followed: a gateway's machine is lost and its mirror is
//! there.

use std::path::Path;

use tributary::store::verify::{Verdict, verify};

use super::town::{AGENCY, Town};
use crate::kit::process::{Process, binary, told};
use crate::kit::waiting::becomes;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// How many entries a folder's checkpoint covers.
fn size(dir: &Path) -> u64 {
    let note = std::fs::read_to_string(dir.join("checkpoint")).unwrap_or_default();
    note.lines().nth(1).map_or(0, |size| size.parse().unwrap())
}

/// Only the mirror is left: it is verified and kept, a process refuses to go on with it, and a
/// new log begins, which the agency takes without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_log_is_kept_as_its_mirror_and_a_new_one_begins() {
    let town = Town::new();
    let (mirror, kept) = (town.home.join("mirror"), town.home.join("kept"));
    for folder in [&mirror, &kept] {
        std::fs::create_dir(folder).unwrap();
    }
    town.edit(&town.gateway_config(), |file| {
        file["audit"]["mirror"] = toml_edit::value(text(&mirror));
    });
    let agency = town.agency().await;
    let gateway = Process::listening(&mut town.command("gateway"));
    let mut client = town.client(gateway.address()).await.unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, 0).await).await;
    becomes("a mirror", true, async || size(&mirror) > 3).await;
    drop((client, gateway));
    std::fs::remove_dir_all(town.gateway_log()).unwrap();

    // 1. Kept and verified.
    let key = town.key("gateway");
    let copied = ["audit", "mirror", text(&mirror), "--key", &key.to_string(), "--to", text(&kept)];
    told(binary().args(copied));
    let report = verify(&kept, &key, None, &mut |_| {}).unwrap();
    assert_eq!((report.verdict, report.mirror), (Verdict::Sound, true));

    // No process goes on with it.
    town.edit(&town.gateway_config(), |file| {
        file["audit"].as_table_like_mut().unwrap().remove("mirror");
        file["audit"]["folder"] = toml_edit::value(text(&kept));
    });
    let refused = town.command("gateway").output().unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("begin a new log"), "{said}");

    // 3. A new log, and its key for the agency.
    let name = town.home.join("gateway-b");
    let origin = format!("{}-b", key.origin());
    told(binary().args(["audit", "keygen", "--origin", &origin, "--out", text(&name)]));
    town.edit(&town.gateway_config(), |file| {
        file["audit"]["folder"] = toml_edit::value(text(&town.home.join("audit/gateway-b")));
        file["audit"]["origin"] = toml_edit::value(origin);
        file["audit"]["key"] = toml_edit::value(text(&name.with_extension("seed")));
    });
    let gateway = Process::listening(&mut town.command("gateway"));
    town.edit(&town.agency_config(), |file| {
        let peers = file["audit"]["peer"].as_array_of_tables_mut().unwrap();
        let logs = peers.get_mut(0).unwrap()["logs"].as_array_mut().unwrap();
        logs.push(text(&name.with_extension("vkey")));
    });
    let mut client = town.client(gateway.address()).await.unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, 1).await).await;
    gateway.terminate().await;
    assert!(agency.stop().await);
    let report = verify(&kept, &key, None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound);
    assert!(town.home.join("audit").join(AGENCY).exists());
}
