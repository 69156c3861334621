//! The page `docs/restoring-a-log.md`, followed: the machine of a gateway or of an agency is lost
//! and its mirror is there, in a folder or in object storage.

use std::path::{Path, PathBuf};
use std::process::Output;

use tributary::domain::audit::Record;
use tributary::store::verify::{Verdict, verify};
use tributary::store::walk::walk;

use super::town::{AGENCY, Town};
use crate::kit::bucket::{BUCKET, Storage};
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

/// What the agency says of a grant that is spent. The gateway remembers it, and says it by
/// itself the next time.
const SPENT: &str = "DENIED FREQUENCY_EXHAUSTED";

/// Where the agency's mirror is.
enum Mirrored {
    Folder(PathBuf),
    Bucket(Box<Storage>),
}

impl Mirrored {
    const PREFIX: &str = "agency";

    /// As a file or a command names it.
    fn place(&self) -> String {
        match self {
            Self::Folder(folder) => text(folder).to_owned(),
            Self::Bucket(_) => format!("s3://{BUCKET}/{}", Self::PREFIX),
        }
    }

    /// Into the agency's configuration.
    fn configure(&self, file: &mut toml_edit::DocumentMut) {
        file["audit"]["mirror"] = toml_edit::value(self.place());
        for (option, value) in self.options() {
            file["audit"]["store"][option] = toml_edit::value(value);
        }
    }

    fn options(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Folder(_) => Vec::new(),
            Self::Bucket(storage) => vec![
                ("endpoint", storage.endpoint()),
                ("region", storage.config().region),
                ("credentials", storage.credentials().display().to_string()),
            ],
        }
    }

    /// The command of step 1.
    fn fetch(&self, key: &Path, to: &Path) -> Output {
        let mut command = binary();
        command.args(["audit", "mirror", &self.place(), "--key", text(key), "--to", text(to)]);
        for (option, value) in self.options() {
            command.arg(format!("--{option}")).arg(value);
        }
        command.output().unwrap()
    }
}

/// How many records of a log or a mirror have a count.
fn counts(log: &Path) -> usize {
    let mut counts = 0;
    let walked = walk(log, None, &mut |step| {
        let Some(Record::Section(section)) = step.record else { return };
        counts += usize::from(section.count.is_some());
    });
    if walked.is_ok_and(|walked| walked.faults.is_empty()) { counts } else { 0 }
}

/// An agency loses its machine, its log and its counters. From the mirror its uses are counted
/// again: a spent grant stays spent, and one with uses left has as many as it had.
async fn no_use_is_given_back(mirrored: Mirrored) {
    let town = Town::of_few_uses();
    town.edit(&town.agency_config(), |file| mirrored.configure(file));
    let agency = Process::listening(&mut town.command("agency"));
    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let (spent, left, ready) = (1, 2, [3, 4]);
    becomes("an answer", "OK", async || town.ask(&mut client, ready[0]).await).await;
    for _ in 0..3 {
        assert_eq!(town.ask(&mut client, spent).await, "OK");
    }
    assert_eq!(town.ask(&mut client, left).await, "OK");
    let (key, kept) = (town.home.join("certs/dev/employment.city.example/audit.vkey"), {
        let kept = town.home.join("kept");
        std::fs::create_dir(&kept).unwrap();
        kept
    });
    let has = async || {
        let fetched = mirrored.fetch(&key, &kept);
        if fetched.status.success() { counts(&kept) } else { 0 }
    };
    becomes("a mirror of every use", 5, has).await;

    // The machine is lost, and what was on it.
    drop(agency);
    std::fs::remove_dir_all(town.agency_log()).unwrap();
    for file in std::fs::read_dir(town.home.join("data")).unwrap() {
        let path = file.unwrap().path();
        if text(&path).contains(&format!("{AGENCY}-counters.db")) {
            std::fs::remove_file(path).unwrap();
        }
    }

    // 1. Kept and verified.
    let report = verify(&kept, &town.key(AGENCY), None, &mut |_| {}).unwrap();
    assert_eq!((report.verdict, report.mirror), (Verdict::Sound, true));

    // 3. A new log, and its key for the gateway.
    let name = town.home.join("agency-b");
    let origin = format!("{}-b", town.key(AGENCY).origin());
    told(binary().args(["audit", "keygen", "--origin", &origin, "--out", text(&name)]));
    town.edit(&town.agency_config(), |file| {
        let audit = file["audit"].as_table_like_mut().unwrap();
        audit.remove("mirror");
        audit.remove("store");
        file["audit"]["folder"] = toml_edit::value(text(&town.home.join("audit/agency-b")));
        file["audit"]["origin"] = toml_edit::value(origin);
        file["audit"]["key"] = toml_edit::value(text(&name.with_extension("seed")));
    });
    town.edit(&town.gateway_config(), |file| {
        let peers = file["audit"]["peer"].as_array_of_tables_mut().unwrap();
        let ours =
            peers.iter_mut().find(|peer| peer["identity"].as_str().unwrap().contains(AGENCY));
        ours.unwrap()["logs"].as_array_mut().unwrap().push(text(&name.with_extension("vkey")));
    });

    // 4. The uses, shown and counted; once more changes nothing.
    let recount = |yes: &[&str]| {
        let mut command = binary();
        command.args(["agency", "recount", "--json", "-c", text(&town.agency_config())]);
        command.args([text(&kept), "--key", text(&key)]).args(yes);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (told["records"].as_u64().unwrap(), told["windows"].clone(), told["lacking"].clone())
    };
    assert_eq!(recount(&[]), (5, 3.into(), serde_json::Value::Null));
    assert_eq!(recount(&["--yes"]), (5, 3.into(), 3.into()));
    assert_eq!(recount(&["--yes"]), (5, 3.into(), 0.into()));

    // 5. It goes on.
    let agency = Process::listening(&mut town.command("agency"));
    becomes("an answer again", "OK", async || town.ask(&mut client, ready[1]).await).await;
    assert_eq!(town.ask(&mut client, spent).await, SPENT);
    for _ in 0..2 {
        assert_eq!(town.ask(&mut client, left).await, "OK");
    }
    assert_eq!(town.ask(&mut client, left).await, SPENT);
    agency.terminate().await;
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_71_an_agency_that_goes_on_from_its_mirror_gives_no_use_back() {
    let folder = tempfile::tempdir().unwrap();
    no_use_is_given_back(Mirrored::Folder(folder.path().to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_71_an_agency_that_goes_on_from_object_storage_gives_no_use_back() {
    let Some(storage) = Storage::start().await else { return };
    no_use_is_given_back(Mirrored::Bucket(Box::new(storage))).await;
}

/// The counters are lost and the log is there, or was turned: what it has is counted again by
/// the start itself. If the log before is not there either, the agency does not start.
#[tokio::test(flavor = "multi_thread")]
async fn row_71_counters_that_are_lost_beside_their_log_are_counted_again_or_refused() {
    let town = Town::of_few_uses();
    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let (mut spent, mut ready) = (0..4, 4..12);
    let mut lines = Vec::new();
    let mut start = || {
        let log = town.home.join(format!("agency-{}.log", lines.len()));
        lines.push(log.clone());
        (Process::logging(&mut town.command("agency"), &log), log)
    };
    let lose = || {
        for file in std::fs::read_dir(town.home.join("data")).unwrap() {
            let path = file.unwrap().path();
            if text(&path).contains(&format!("{AGENCY}-counters.db")) {
                std::fs::remove_file(path).unwrap();
            }
        }
    };
    let (agency, said) = start();
    let first = ready.next().unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, first).await).await;
    for person in spent.clone().cycle().take(12) {
        assert_eq!(town.ask(&mut client, person).await, "OK");
    }
    agency.terminate().await;
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.contains("counters and audit log are both new"), "{said}");

    lose();
    let (agency, said) = start();
    let next = ready.next().unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, next).await).await;
    assert_eq!(town.ask(&mut client, spent.next().unwrap()).await, SPENT);
    agency.terminate().await;
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.contains("they are counted again"), "{said}");

    // The log turns, and the counters are lost again.
    let mut rotate = binary();
    let (next_log, name) = (town.home.join("audit/agency-2027"), town.home.join("agency-2027"));
    rotate.args(["audit", "--json", "rotate", "--origin", "employment.city.example/2027"]);
    rotate.arg("--config").arg(town.agency_config()).arg("--folder").arg(&next_log);
    let made = rotate.arg("--out").arg(&name).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let section: toml_edit::DocumentMut = made["section"].as_str().unwrap().parse().unwrap();
    town.edit(&town.agency_config(), |file| {
        for (key, value) in section["audit"].as_table().unwrap() {
            file["audit"][key] = value.clone();
        }
    });
    town.edit(&town.gateway_config(), |file| {
        let peers = file["audit"]["peer"].as_array_of_tables_mut().unwrap();
        let ours =
            peers.iter_mut().find(|peer| peer["identity"].as_str().unwrap().contains(AGENCY));
        ours.unwrap()["logs"].as_array_mut().unwrap().push(text(&name.with_extension("successor")));
    });
    for _ in 0..2 {
        lose();
        let (agency, _) = start();
        let next = ready.next().unwrap();
        becomes("an answer", "OK", async || town.ask(&mut client, next).await).await;
        assert_eq!(town.ask(&mut client, spent.next().unwrap()).await, SPENT);
        agency.terminate().await;
    }
    lose();
    let aside = town.home.join("aside");
    std::fs::rename(town.agency_log(), &aside).unwrap();
    let output = town.command("agency").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("tributary agency recount"), "{said}");
    let mut recount = binary();
    recount.args(["agency", "recount", "--yes", "-c", text(&town.agency_config())]);
    recount.args([text(&aside), text(&next_log), "--key", &town.key(AGENCY).to_string()]);
    told(recount.args(["--key", text(&name.with_extension("vkey"))]));
    let (agency, _) = start();
    let next = ready.next().unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, next).await).await;
    assert_eq!(town.ask(&mut client, spent.next().unwrap()).await, SPENT);
    agency.terminate().await;
    assert!(gateway.stop().await);
}
