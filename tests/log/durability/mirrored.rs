//! A gateway and an agency whose configuration names a mirror.

use std::path::Path;

use tributary::domain::audit::VerifyingKey;
use tributary::store::verify::{Verdict, verify};

use super::town::{AGENCY, Town};
use crate::kit::waiting::becomes;

/// How many entries a folder's checkpoint covers.
fn size(dir: &Path) -> u64 {
    let note = std::fs::read_to_string(dir.join("checkpoint")).unwrap_or_default();
    note.lines().nth(1).map_or(0, |size| size.parse().unwrap())
}

fn is_sound(mirror: &Path, key: &VerifyingKey) {
    let report = verify(mirror, key, None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
    assert!(report.mirror && report.entries > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_71_gateway_and_agency_keep_the_mirrors_that_their_files_name() {
    let town = Town::new();
    let mirrors = ["gateway", AGENCY].map(|name| town.home.join("mirrors").join(name));
    for (mirror, config) in mirrors.iter().zip([town.gateway_config(), town.agency_config()]) {
        std::fs::create_dir_all(mirror).unwrap();
        town.edit(&config, |file| {
            file["audit"]["mirror"] = toml_edit::value(mirror.to_str().unwrap());
        });
    }
    let (agency, gateway) = town.both().await;
    let mut client = town.client(gateway.address).await.unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, 0).await).await;
    let [of_gateway, of_agency] = &mirrors;
    let has = async || size(of_gateway) > 1 && size(of_agency) > 1;
    becomes("two mirrors", true, has).await;
    is_sound(of_gateway, &town.key("gateway"));

    // The share goes; answers go on, and it is caught up with.
    let aside = town.home.join("aside");
    std::fs::rename(of_gateway, &aside).unwrap();
    for _ in 0..5 {
        assert_eq!(town.ask(&mut client, 0).await, "OK");
    }
    std::fs::rename(&aside, of_gateway).unwrap();
    assert!(gateway.stop().await && agency.stop().await);
    for (mirror, log, key) in
        [(of_gateway, town.gateway_log(), "gateway"), (of_agency, town.agency_log(), AGENCY)]
    {
        is_sound(mirror, &town.key(key));
        let enforced = |dir: &Path| std::fs::read_dir(dir.join("enforced")).unwrap().count();
        assert_eq!(size(mirror), size(&log), "{key}");
        assert_eq!(enforced(mirror), enforced(&log), "{key}");
    }
}
