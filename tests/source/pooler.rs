//! pgbouncer before the tests' PostgreSQL, with as few server connections as asked for.

#![allow(clippy::unwrap_used, reason = "a test's helper")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command, Stdio};

use crate::kit::waiting::{Reserved, until};

pub struct Pooler {
    kept: Reserved,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// One in this mode with so many connections to the server of an address, whose
    /// account has this password; `None`, said aloud, where there is no pgbouncer.
    pub async fn start(
        (mode, size): (&str, usize),
        server: SocketAddr,
        accounts: &[(&str, &str)],
        test: &str,
    ) -> Option<Self> {
        let programs = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let Some(program) = programs.iter().find(|path| std::path::Path::new(path).exists()) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: there is no pgbouncer");
            return None;
        };
        let (folder, kept) = (tempfile::tempdir().unwrap(), Reserved::new());
        // It gives root up, and reads its files again.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let users: String = accounts
            .iter()
            .map(|(user, password)| format!("\"{user}\" \"{password}\"\n"))
            .collect();
        std::fs::write(folder.path().join("users"), users).unwrap();
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let user = if root { "user = nobody\n" } else { "" };
        // Nothing is said of what it is to overlook: as Debian's own file.
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\npool_mode = {mode}\ndefault_pool_size = {size}\n\
             auth_type = trust\nauth_file = {}/users\nmax_client_conn = 200\n\
             server_login_retry = 1\n{user}",
            server.ip(),
            server.port(),
            kept.address().port(),
            folder.path().display(),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-q").arg(&file).stdin(Stdio::null());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        let mut pooler = Self { kept, child: command.spawn().unwrap(), _folder: folder };
        let listens = async || {
            assert!(pooler.child.try_wait().unwrap().is_none(), "pgbouncer has ended");
            tokio::net::TcpStream::connect(pooler.kept.address()).await.is_ok()
        };
        until("pgbouncer", listens, |listens| *listens).await;
        Some(pooler)
    }

    pub fn address(&self) -> SocketAddr {
        self.kept.address()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
