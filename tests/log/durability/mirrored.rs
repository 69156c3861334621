//! A gateway and an agency whose configuration names a mirror, in a folder and in object
//! storage.

use std::path::Path;

use tributary::domain::audit::VerifyingKey;
use tributary::store::mirror::{MirrorFolder, fetch};
use tributary::store::verify::{Verdict, verify};

use super::town::{AGENCY, Town};
use crate::kit::bucket::{BUCKET, SECRET, Storage};
use crate::kit::process::{Process, binary};
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

/// The real gateway with a mirror in object storage, which freezes and comes back: nobody
/// waits, all of it is there at the end, and nothing that it wrote has the key in it.
#[tokio::test(flavor = "multi_thread")]
async fn row_71_a_gateway_keeps_its_mirror_in_object_storage_and_nobody_waits_for_it() {
    let Some(mut storage) = Storage::start().await else { return };
    let town = Town::new();
    town.edit(&town.gateway_config(), |file| {
        file["audit"]["mirror"] = toml_edit::value(format!("s3://{BUCKET}/gateway"));
        let store = [
            ("endpoint", storage.endpoint()),
            ("region", storage.config().region),
            ("credentials", storage.credentials().display().to_string()),
        ];
        for (key, value) in store {
            file["audit"]["store"][key] = toml_edit::value(value);
        }
    });
    let check = || {
        let mut command = binary();
        command.args(["gateway", "check", "--config"]).arg(town.gateway_config());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    // A key that others can read is refused before anything is begun.
    let mode = |mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(storage.credentials(), mode).unwrap();
    };
    mode(0o644);
    let (is_good, told) = check();
    assert!(!is_good && told.contains("audit.store.credentials"), "{told}");
    mode(0o600);
    let (is_good, told) = check();
    assert!(is_good, "{told}");

    let agency = town.agency().await;
    let lines = town.home.join("gateway.log");
    let gateway = Process::logging(&mut town.command("gateway"), &lines);
    let mut client = town.client(gateway.address()).await.unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, 0).await).await;
    let place = storage.at("gateway/");
    let place = std::sync::Arc::new(place);
    let has = async || {
        let (place, key) = (place.clone(), town.key("gateway"));
        let fetched = tokio::task::spawn_blocking(move || {
            let folder = tempfile::tempdir().unwrap();
            let size = fetch(&*place, &key, &MirrorFolder::new(folder.path()), &mut |_| {}).ok()?;
            if size > 1 {
                is_sound(folder.path(), &key);
            }
            Some(size)
        });
        fetched.await.unwrap()
    };
    becomes("a mirror", true, async || has().await.is_some_and(|size| size > 1)).await;
    storage.proxy.freeze();
    for _ in 0..5 {
        assert_eq!(town.ask(&mut client, 0).await, "OK");
    }
    storage.proxy.stop().await;
    storage.proxy.resume().await;
    let published = || Some(size(&town.gateway_log()));
    becomes("all of it", true, async || published() > Some(5) && has().await == published()).await;
    // It ends where it may wait.
    tokio::task::spawn_blocking(move || drop(place)).await.unwrap();
    gateway.terminate().await;
    assert!(agency.stop().await);
    let lines = std::fs::read_to_string(lines).unwrap();
    assert!(lines.contains("the mirror of the audit log is in step"), "{lines}");
    assert!(!lines.contains(SECRET) && !lines.contains("X-Amz"), "{lines}");
}
