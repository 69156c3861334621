//! What the system does to a process: signals, a lax umask, standard streams that
//! nobody serves, something else in a file's place. Rows 63, 75 and 77.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use toml_edit::DocumentMut;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tributary::clock;

use crate::kit::federation::Federation;
use crate::kit::process::{Process, binary, signal};
use crate::kit::waiting::{becomes, until, within};

/// A process whose standard streams the test holds.
struct Held(Child);

impl Held {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Reads standard output until it says where it listens.
    fn listening(&mut self) {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("listening on "), "{line}");
    }

    async fn end(&mut self) -> Option<i32> {
        let ended = async || self.0.try_wait().unwrap();
        until("the end of the process", ended, Option::is_some).await.unwrap().code()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn gateway(federation: &Federation) -> PathBuf {
    federation.copy_of(&federation.described.gateway.config, |_| {})
}

fn serve(role: &str, config: &Path) -> Command {
    let mut command = binary();
    command.args([role, "--config"]).arg(config);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn row_77_standard_input_that_stays_open_holds_no_stop_up() {
    let federation = Federation::start();
    let traffic = federation.copy_of(&federation.entry("traffic").config, |_| {});
    for (role, config) in [("gateway", gateway(&federation)), ("agency", traffic)] {
        let mut process = Held::start(serve(role, &config).arg("--until-stdin-closes"));
        process.listening();
        signal(process.0.id(), "TERM");
        assert_eq!(process.end().await, Some(0), "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_63_nobody_reads_standard_error() {
    let federation = Federation::start();
    let config = gateway(&federation);
    // Everything is logged, so that the pipe is full in no time.
    let mut process = Held::start(serve("gateway", &config).env("TRIBUTARY_LOG", "trace"));
    process.listening();
    let waiting = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", process.0.id())).unwrap();
        tasks
            .filter_map(|task| {
                let task = task.ok()?.path();
                let name = std::fs::read_to_string(task.join("comm")).ok()?;
                let at = std::fs::read_to_string(task.join("wchan")).ok()?;
                (name.trim() == "log-lines").then_some(at)
            })
            .any(|at| at.contains("pipe"))
    };
    becomes("the log's thread waits for the pipe", true, async || waiting()).await;
    signal(process.0.id(), "TERM");
    assert_eq!(process.end().await, Some(0));
    let mut said = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.len() > 4096, "{}", said.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn row_77_other_signals_end_nothing() {
    let federation = Federation::start();
    let config = gateway(&federation);
    let mut process = Held::start(&mut serve("gateway", &config));
    process.listening();
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
    for name in ["USR1", "USR2", "PIPE", "HUP"] {
        signal(process.0.id(), name);
    }
    let told = lines.by_ref().map_while(Result::ok).any(|line| line.contains("SIGHUP"));
    assert!(told, "the order to look at the files is told");
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).count());
    assert_eq!(process.0.try_wait().unwrap(), None);
    signal(process.0.id(), "TERM");
    assert_eq!(process.end().await, Some(0));
    rest.join().unwrap();
}

/// Runs a role that must fail at once; gives its message.
fn refused(role: &str, config: &Path) -> String {
    let output = serve(role, config).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

#[test]
fn row_75_nothing_but_a_regular_file_is_read_and_nothing_is_written_before_all_was() {
    let federation = Federation::start();
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let text = refused("gateway", &fifo);
    assert!(text.contains("it is a FIFO and no regular file"), "{text}");
    assert!(text.contains("fifo"), "{text}");

    type Edit = fn(&mut DocumentMut, toml_edit::Item);
    let places: [(&str, Edit); 9] = [
        ("link.key", |document, file| document["link"]["key"] = file),
        ("link.certificate", |document, file| document["link"]["certificate"] = file),
        ("anchors", |document, file| document["link"]["trust"][0]["anchors"] = file),
        ("an issuer's key", |document, file| {
            let file = file.as_str().unwrap();
            let keys =
                format!("[{{ kid = \"2026-1\", algorithm = \"EdDSA\", file = \"{file}\" }}]");
            let keys: toml_edit::Value = keys.parse().unwrap();
            document["grants"]["issuer"][0]["keys"] = toml_edit::value(keys);
        }),
        ("an issuer's anchors", |document, file| {
            document["grants"]["issuer"][0]["status_anchors"] = file;
        }),
        ("policy.rules", |document, file| document["policy"]["rules"] = file),
        ("policy.vocabulary", |document, file| document["policy"]["vocabulary"] = file),
        ("audit.key", |document, file| document["audit"]["key"] = file),
        ("catalogue", |document, file| document["catalogue"] = file),
    ];
    for (what, edit) in places {
        for file in [fifo.to_str().unwrap(), "/dev/zero"] {
            let mut log = PathBuf::new();
            let config = federation.copy_of(&federation.described.gateway.config, |document| {
                log = document["audit"]["folder"].as_str().unwrap().into();
                edit(document, toml_edit::value(file));
            });
            let text = refused("gateway", &config);
            assert!(text.contains(file), "{what}: {text}");
            let peers = log.with_extension("peers");
            assert!(!log.exists() && !peers.exists(), "{what}: a log was begun");
        }
    }
}

/// What others may read, write or enter below a folder.
fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            let state = std::fs::symlink_metadata(&path).unwrap();
            let mut open = if state.is_dir() { open_to_others(&path) } else { Vec::new() };
            if state.permissions().mode() & 0o077 != 0 {
                open.push(path);
            }
            open
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_umask_what_is_written_is_its_owners_alone() {
    let federation = Federation::start();
    for umask in ["000", "022"] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let own = |document: &mut DocumentMut| {
            document["audit"]["folder"] = toml_edit::value(at("log"));
            if document.contains_key("counters") {
                let url = format!("sqlite:{}", at("counters.db"));
                document["counters"]["url"] = toml_edit::value(url);
            }
        };
        let gateway = &federation.described.gateway.config;
        let traffic = &federation.entry("traffic").config;
        for (role, original) in [("gateway", gateway), ("agency", traffic)] {
            let config = federation.copy_of(original, own);
            let command = format!("umask {umask} && exec \"$@\"");
            let args = ["-c", &command, "sh", env!("CARGO_BIN_EXE_tributary"), role, "--config"];
            let process = Process::listening(Command::new("sh").args(args).arg(&config));
            process.terminate().await;
            assert!(folder.path().join("log/checkpoint").exists());
            let open = open_to_others(folder.path());
            assert!(open.is_empty(), "{role} under {umask}: {open:?}");
            std::fs::remove_dir_all(folder.path().join("log")).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_77_a_stop_is_waited_for_no_longer_than_it_may_take() {
    let federation = Federation::start();
    let config = gateway(&federation);
    let mut process = Process::role("gateway", &config);
    let began = clock::now();
    process.signal("TERM");
    process.signal("TERM");
    // The second one does not wait; whether it came after the end of the first is chance.
    assert!(matches!(process.end().await, Some(0 | 130)), "{:?}", began.elapsed());
}

/// As the first process of a container it has no default handlers to fall back on.
#[tokio::test(flavor = "multi_thread")]
async fn row_77_as_pid_1_it_stops_as_anywhere() {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork"]);
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("this system allows no namespaces of its own: not run");
        return;
    }
    let federation = Federation::start();
    let config = gateway(&federation);
    let mut command = unshare();
    command.args([env!("CARGO_BIN_EXE_tributary"), "gateway", "--config"]).arg(&config);
    let mut process = Held::start(&mut command);
    process.listening();
    let id = process.0.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let first: u32 = children.trim().parse().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    let inside = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    assert!(inside.ends_with("\t1"), "{inside}");
    for name in ["USR1", "PIPE", "HUP", "TERM"] {
        signal(first, name);
    }
    assert_eq!(process.end().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_67_a_watch_of_health_ends_with_the_stop() {
    let federation = Federation::start();
    let config = gateway(&federation);
    let process = Process::role("gateway", &config);
    let channel = federation.consumer(process.address()).await;
    let mut health = HealthClient::new(channel);
    let mut watches = Vec::new();
    for service in ["", "tributary.v1.ProfileService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        let first = within(watch.message()).await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving, "{service}");
        watches.push(watch);
    }
    process.signal("TERM");
    for mut watch in watches {
        // It may be told before its end.
        while let Ok(Some(said)) = within(watch.message()).await {
            assert_eq!(said.status(), ServingStatus::NotServing);
        }
    }
}
