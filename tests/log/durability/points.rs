//! A disk that kills its own process at a named point, and the program that runs a
//! role on it: this test program itself, started anew.
//!
//! The points need no hooks in the shipped binary: all that must survive a crash
//! goes through `store::disk`, and what lies between two of its operations is
//! reached by a kill that follows the last one by a moment.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tributary::store::audit_log::Options;
use tributary::store::disk::Disk;

use super::town::Town;

const ROLE: &str = "TRIBUTARY_TEST_POINT_ROLE";
const CONFIG: &str = "TRIBUTARY_TEST_POINT_CONFIG";
const POINT: &str = "TRIBUTARY_TEST_POINT";
const AT: &str = "TRIBUTARY_TEST_POINT_AT";

/// Where a process is killed.
pub const POINTS: [&str; 8] = [
    "before the frame is written",
    "half of the frame is written",
    "the frame is written and not synced",
    "the frame is synced and nobody told",
    "the receipts are out and the replies under way",
    "a tile or checkpoint is half written",
    "a tile or checkpoint has no final name yet",
    "a tile or checkpoint has its name and the folder is not synced",
];

/// The end of this process, as a crash is: nothing of it runs any more.
fn die() -> ! {
    let own = std::process::id().to_string();
    let _ = Command::new("kill").args(["-KILL", &own]).status();
    loop {
        std::thread::park();
    }
}

/// Kills the process at the `at`th time that it comes by the point once it listens.
#[derive(Debug)]
struct Deadly {
    point: String,
    at: u64,
    passed: AtomicU64,
    listening: Arc<AtomicBool>,
}

impl Deadly {
    fn is_at(&self, point: usize) -> bool {
        self.listening.load(Ordering::SeqCst)
            && self.point == POINTS[point]
            && self.passed.fetch_add(1, Ordering::SeqCst) == self.at
    }
}

/// The writer's thread appends to the segment; the publisher's makes the rest.
fn is_writer() -> bool {
    std::thread::current().name() == Some("audit-writer")
}

impl Disk for Deadly {
    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        use std::io::Write as _;
        let (whole, half) =
            if is_writer() { (self.is_at(0), self.is_at(1)) } else { (false, self.is_at(5)) };
        if whole {
            die();
        }
        if half {
            file.write_all(&bytes[..bytes.len() / 2])?;
            die();
        }
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if !is_writer() {
            return file.sync_data();
        }
        if self.is_at(2) {
            die();
        }
        file.sync_data()?;
        if self.is_at(3) {
            die();
        }
        if self.is_at(4) {
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_micros(700));
                die();
            });
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !is_writer() && self.is_at(6) {
            die();
        }
        std::fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if !is_writer() && self.is_at(7) {
            die();
        }
        File::open(path)?.sync_all()
    }
}

/// Not a test of its own: the process that kills itself.
#[test]
fn a_role_that_kills_itself() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let config = PathBuf::from(std::env::var(CONFIG).unwrap());
    let listening = Arc::new(AtomicBool::new(false));
    let disk = Deadly {
        point: std::env::var(POINT).unwrap(),
        at: std::env::var(AT).unwrap().parse().unwrap(),
        passed: AtomicU64::new(0),
        listening: listening.clone(),
    };
    let publish_every = Duration::from_millis(20);
    let options = Options { disk: Arc::new(disk), publish_every, ..Options::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let ready = |address| {
        println!("{role} listening on {address}");
        listening.store(true, Ordering::SeqCst);
    };
    runtime.block_on(async {
        if role == "gateway" {
            tributary::app::gateway::run_with(&config, options, ready, stopped).await.unwrap();
        } else {
            tributary::app::agency::run_with(&config, options, ready, stopped).await.unwrap();
        }
    });
}

/// The command of a role that kills itself at a point.
pub fn command(town: &Town, role: &str, point: &str, at: u64) -> Command {
    let config = if role == "gateway" { town.gateway_config() } else { town.agency_config() };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "durability::points::a_role_that_kills_itself",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(CONFIG, config)
        .env(POINT, point)
        .env(AT, at.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}
