//! Object storage as a process (`tests/python/store.py`), behind a way that can be cut.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tributary::config::mirror::StoreConfig;
use tributary::store::mirror::Bucket;

use super::process::Process;
use super::proxy::Proxy;

/// What the credentials hold, and no log may.
pub const SECRET: &str = "a-secret-that-no-log-may-show";

/// The bucket that it has.
pub const BUCKET: &str = "logs";

pub struct Storage {
    pub proxy: Proxy,
    pub port: u16,
    pub dir: tempfile::TempDir,
    process: Option<Process>,
}

impl Storage {
    /// Starts it; `None` where no Python with `moto` is named. One way for the client, and
    /// one, straight, for the troubles.
    pub async fn start() -> Option<Self> {
        if std::env::var_os("TRIBUTARY_PYTHON").is_none() {
            eprintln!("SKIP: set TRIBUTARY_PYTHON to a Python with tests/python/requirements.txt");
            return None;
        }
        let process = run(0);
        let port = process.said.rsplit(' ').next().unwrap().parse().unwrap();
        let proxy = Proxy::start(&format!("http://127.0.0.1:{port}")).await;
        let dir = tempfile::tempdir().unwrap();
        let storage = Self { proxy, port, dir, process: Some(process) };
        storage.write_credentials(SECRET);
        Some(storage)
    }

    pub fn credentials(&self) -> PathBuf {
        self.dir.path().join("store.key")
    }

    /// Replaces the file of the access key.
    pub fn write_credentials(&self, secret: &str) {
        use std::os::unix::fs::OpenOptionsExt as _;
        let _ = std::fs::remove_file(self.credentials());
        let mut options = std::fs::File::options();
        let mut file =
            options.create_new(true).write(true).mode(0o600).open(self.credentials()).unwrap();
        writeln!(file, "access_key_id = 'tests'\nsecret_access_key = '{secret}'").unwrap();
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.proxy.address())
    }

    pub fn config(&self) -> StoreConfig {
        StoreConfig {
            endpoint: self.endpoint(),
            region: "eu-test-1".to_owned(),
            ca: None,
            credentials: self.credentials(),
        }
    }

    /// The names in its bucket that begin with this.
    pub fn at(&self, prefix: &str) -> Bucket {
        Bucket::new(BUCKET, prefix, &self.config()).unwrap().within(Duration::from_secs(2))
    }

    /// How it behaves from now on.
    pub fn trouble(&self, name: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET /-/{name} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("200 OK"), "{answer}");
    }

    /// Kills it, and starts it anew on the same port: what it had is gone.
    pub fn replace(&mut self) {
        drop(self.process.take());
        self.process = Some(run(self.port));
    }

    /// Kills it.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }
}

fn run(port: u16) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/store.py");
    let python = std::env::var_os("TRIBUTARY_PYTHON").unwrap();
    Process::until(Command::new(python).arg(script).arg(port.to_string()), "serves on ")
}
