//! `[source.sql]`: a database that is asked with SQL, its address, and its secret.
//!
//! An address may hold a password, so it is never printed; nor is an error about
//! it allowed to repeat it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::secret::{SecretEntry, SecretError};
use crate::domain::sensitive::Sensitive;
use crate::domain::zone::Zone;

/// `[source.sql]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlEntry {
    /// Where it is: `sqlite:` and a file (a relative path starts at the folder of
    /// this file), `postgres://user@host/database` or `mysql://user@host/database`.
    pub url: Spanned<SourceUrl>,
    /// A file with the account's password, which nobody else may read.
    pub password_file: Option<PathBuf>,
    /// Or the environment's variable that holds it.
    pub password_env: Option<String>,
    /// How the server's certificate is checked. Without it: not at all on this
    /// machine, fully on any other.
    pub tls: Option<TlsMode>,
    /// Authorities beside the public ones, in PEM. The driver has no way of leaving
    /// the public ones out.
    pub ca: Option<PathBuf>,
    /// The account's own certificate, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The zone in which its moments become days.
    pub zone: Option<Zone>,
    /// Takes an account that can write, against the advice of `agency check`.
    #[serde(default)]
    pub account_may_write: bool,
    /// PostgreSQL: what becomes of a statement whose rows row-level security would
    /// filter. Without it: refused.
    pub row_security: Option<RowSecurity>,
    /// Connections at most.
    #[serde(default = "super::default_pool")]
    pub pool: usize,
    /// The longest that one statement may run.
    #[serde(default = "super::default_statement_timeout", with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// People in one statement at most.
    #[serde(default = "super::default_max_batch")]
    pub max_batch: usize,
}

/// How far a server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// It is valid and names the host.
    VerifyFull,
    /// It is valid, whomever it names: a public authority's will do.
    VerifyCa,
    /// No TLS at all.
    Off,
}

/// What becomes of a statement whose rows PostgreSQL's row-level security would filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowSecurity {
    /// It fails: whoever is filtered away would come as a person without a record.
    #[default]
    Refused,
    /// It gives what the account may see: nobody else is this agency's.
    Meant,
}

/// Where a database is, read.
#[derive(Debug, Clone)]
pub enum SqlAddress {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Server),
    /// A server of MySQL or MariaDB.
    Mysql(Server),
}

/// A database server and how to be let in.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address, which may hold a password.
    pub url: Sensitive<String>,
    /// Where the password is, if not in the address.
    pub password: Option<SecretEntry>,
    /// How the certificate is checked.
    pub tls: TlsMode,
    /// Further authorities.
    pub ca: Option<PathBuf>,
    /// Certificate and key of the account.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The account is taken though it can write.
    pub account_may_write: bool,
    /// What PostgreSQL does with rows that it would filter.
    pub row_security: RowSecurity,
}

/// Where a database is, as written. It prints its scheme alone.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SourceUrl(String);

/// Why a database's address is refused. Never holds the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another kind of database.
    #[error(
        "`{0}:` is not a kind of database that can be asked: use `sqlite:` and a file, \
         `postgres://user@host/database` or `mysql://user@host/database`"
    )]
    Scheme(String),
    /// No file, or one in memory.
    #[error("the address names no file: write `sqlite:folder/file.db`")]
    File,
    /// Something after a question mark.
    #[error(
        "the address has parameters after `?`: remove them; the connection is always read-only, \
         and `tls`, `ca` and `password_file` are keys of their own (`?host=/folder` and \
         `?socket=/file` alone are taken)"
    )]
    Parameters,
    /// A server setting at a file.
    #[error("`{0}` is for a database server: remove it")]
    OnlyServer(&'static str),
    /// A setting of PostgreSQL at another database.
    #[error("`{0}` is for PostgreSQL: remove it")]
    OnlyPostgres(&'static str),
    /// Half an identity.
    #[error("`certificate` and `key` belong together: state both or none")]
    Identity,
    /// The password's place.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl SqlEntry {
    /// An entry that states its address alone.
    pub fn new(url: String) -> Self {
        Self {
            url: Spanned::new(0..0, SourceUrl(url)),
            password_file: None,
            password_env: None,
            tls: None,
            ca: None,
            certificate: None,
            key: None,
            zone: None,
            account_may_write: false,
            row_security: None,
            pool: super::default_pool(),
            statement_timeout: super::default_statement_timeout(),
            max_batch: super::default_max_batch(),
        }
    }

    /// The address with all that belongs to it; relative paths start at `folder`.
    ///
    /// # Errors
    /// What is wrong, without the address.
    pub fn address(&self, folder: &Path) -> Result<SqlAddress, UrlError> {
        let url = self.url.get_ref();
        if self.row_security.is_some() && !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(UrlError::OnlyPostgres("row_security"));
        }
        let make: fn(Server) -> SqlAddress = match url.scheme() {
            "postgres" | "postgresql" => SqlAddress::Postgres,
            "mysql" | "mariadb" => SqlAddress::Mysql,
            _ => {
                let file = url.sqlite_file(folder)?;
                for (key, stated) in [
                    ("password_file", self.password_file.is_some()),
                    ("password_env", self.password_env.is_some()),
                    ("tls", self.tls.is_some()),
                    ("ca", self.ca.is_some()),
                    ("certificate", self.certificate.is_some()),
                    ("key", self.key.is_some()),
                ] {
                    if stated {
                        return Err(UrlError::OnlyServer(key));
                    }
                }
                return Ok(SqlAddress::Sqlite(file));
            }
        };
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((folder.join(certificate), folder.join(key))),
            (None, None) => None,
            _ => return Err(UrlError::Identity),
        };
        url.check_parameters()?;
        let near = TlsMode::Off;
        let default = if url.is_near() { near } else { TlsMode::VerifyFull };
        Ok(make(Server {
            url: url.0.clone().into(),
            password: SecretEntry::new(
                self.password_file.as_ref(),
                self.password_env.as_ref(),
                folder,
            )?,
            tls: self.tls.unwrap_or(default),
            ca: self.ca.as_ref().map(|file| folder.join(file)),
            identity,
            account_may_write: self.account_may_write,
            row_security: self.row_security.unwrap_or_default(),
        }))
    }
}

impl SourceUrl {
    /// An address as written.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The word before the colon, as far as it can be no password.
    pub fn scheme(&self) -> &str {
        let (scheme, _) = self.0.split_once(':').unwrap_or_default();
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        // Without a scheme, what stands before a colon may well be a password.
        if scheme.len() <= 12 && scheme.bytes().all(word) { scheme } else { "" }
    }

    /// The file of an SQLite database; a relative path starts at `folder`.
    ///
    /// # Errors
    /// What is wrong, without the address.
    pub fn sqlite_file(&self, folder: &Path) -> Result<PathBuf, UrlError> {
        let Some(path) = self.0.strip_prefix("sqlite:") else {
            return Err(UrlError::Scheme(self.scheme().to_owned()));
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.contains('?') {
            return Err(UrlError::Parameters);
        }
        if path.is_empty() || path == ":memory:" || path.contains('\0') {
            return Err(UrlError::File);
        }
        Ok(folder.join(path))
    }

    /// The drivers would log a parameter that they do not know, value and all.
    fn check_parameters(&self) -> Result<(), UrlError> {
        let Some((_, parameters)) = self.0.split_once('?') else {
            return Ok(());
        };
        let socket = |one: &str| one.starts_with("host=/") || one.starts_with("socket=/");
        if parameters.split('&').all(socket) { Ok(()) } else { Err(UrlError::Parameters) }
    }

    /// Whether the server is on this machine.
    fn is_near(&self) -> bool {
        let (_, rest) = self.0.split_once("://").unwrap_or_default();
        if rest.contains('?') {
            return true;
        }
        let authority = rest.split(['/', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = match host.strip_prefix('[') {
            Some(six) => six.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        host == "localhost"
            || host.to_ascii_lowercase().starts_with("%2f")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> SqlEntry {
        toml::from_str(text).unwrap()
    }

    fn server(text: &str) -> Server {
        match entry(text).address(Path::new("/etc/tributary")).unwrap() {
            SqlAddress::Postgres(server) | SqlAddress::Mysql(server) => server,
            SqlAddress::Sqlite(_) => panic!("a file"),
        }
    }

    #[test]
    fn an_address_prints_its_scheme_alone() {
        let url = SourceUrl::new("postgres://reader:hunter2@db/hr");
        assert_eq!(format!("{url:?}"), "postgres:[redacted]");
        assert_eq!(format!("{:?}", SourceUrl::new("Hunter2:db")), ":[redacted]");
        let refused = SourceUrl::new("oracle://r:hunter2@db").sqlite_file(Path::new(".")).err();
        let refused = refused.unwrap().to_string();
        assert!(!refused.contains("hunter2") && refused.contains("`oracle:`"), "{refused}");
        let read = server("url = 'postgres://reader:hunter2@db/hr'");
        assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
    }

    #[test]
    fn a_relative_file_starts_at_the_mappings_folder() {
        let file = |url: &str| SourceUrl::new(url).sqlite_file(Path::new("/etc/tributary"));
        assert_eq!(file("sqlite:../data/x.db"), Ok("/etc/tributary/../data/x.db".into()));
        assert_eq!(file("sqlite://data/x.db"), Ok("/etc/tributary/data/x.db".into()));
        assert_eq!(file("sqlite:/var/x.db"), Ok("/var/x.db".into()));
        assert_eq!(file("sqlite:"), Err(UrlError::File));
        assert_eq!(file("sqlite::memory:"), Err(UrlError::File));
        assert_eq!(file("sqlite:x.db?mode=rwc"), Err(UrlError::Parameters));
    }

    #[test]
    fn a_server_elsewhere_is_verified_unless_told_otherwise() {
        for near in [
            "postgres://reader@localhost/hr",
            "postgres://reader:p@127.0.0.1:5433/hr",
            "mysql://reader@[::1]:3307/hr",
            "postgres://reader@%2Frun%2Fpostgresql/hr",
            "postgres://reader@db/hr?host=/run/postgresql",
            "mysql://reader@localhost/hr?socket=/run/mysqld/mysqld.sock",
        ] {
            assert_eq!(server(&format!("url = '{near}'")).tls, TlsMode::Off, "{near}");
        }
        for far in ["postgres://reader@db/hr", "mysql://localhost:x@10.0.0.7/hr"] {
            assert_eq!(server(&format!("url = '{far}'")).tls, TlsMode::VerifyFull, "{far}");
        }
        let stated = server("url = 'postgres://r@db/hr'\ntls = 'verify-ca'\nca = 'db.pem'");
        assert_eq!(stated.tls, TlsMode::VerifyCa);
        assert_eq!(stated.ca, Some("/etc/tributary/db.pem".into()));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        for (text, expected) in [
            ("url = 'postgres://r@db/hr?sslmode=disable'", UrlError::Parameters),
            ("url = 'postgres://r@db/hr?host=/run&options=x'", UrlError::Parameters),
            ("url = 'sqlite:x.db'\ntls = 'off'", UrlError::OnlyServer("tls")),
            ("url = 'mysql://r@db/hr'\nkey = 'k'", UrlError::Identity),
            (
                "url = 'mysql://r@db/hr'\npassword_file = 'p'\npassword_env = 'P'",
                UrlError::Secret(SecretError::Both),
            ),
        ] {
            assert_eq!(entry(text).address(Path::new("/")).unwrap_err(), expected, "{text}");
        }
    }
}
