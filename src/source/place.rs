//! Where a mapping's data is, read and ready to be opened. Of the data nothing is opened here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use encoding_rs::Encoding;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::csv::table::Form;
use super::http::auth::Auth;
use super::http::client;
use super::http::oauth2::Tokens;
use super::mysql::address as mysql_address;
use super::postgres::address as postgres_address;
use crate::config::mapping::{
    CsvEntry, GrpcEntry, HttpEntry, LocalEndpoint, RowSecurity, SecretEntry, Server, SqlAddress,
    SqlEntry,
};
use crate::config::pem::{self, PemError};
use crate::files;

/// Where the records are.
pub(super) enum Place {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Box<ServerPlace<PgConnectOptions>>),
    /// A server of MySQL or MariaDB.
    Mysql(Box<ServerPlace<MySqlConnectOptions>>),
    /// A folder of CSV files.
    Csv(CsvPlace),
    /// A service.
    Http(HttpPlace),
    /// A program on this machine.
    Grpc(LocalEndpoint),
}

/// A database server and how to be let in.
pub(super) struct ServerPlace<O> {
    pub options: O,
    pub password: Option<SecretEntry>,
    pub account_may_write: bool,
    pub row_security: RowSecurity,
}

impl<O> ServerPlace<O> {
    fn boxed(options: O, server: Server) -> Box<Self> {
        let Server { password, account_may_write, row_security, .. } = server;
        Box::new(Self { options, password, account_may_write, row_security })
    }
}

/// A folder of CSV files.
pub(super) struct CsvPlace {
    pub folder: PathBuf,
    pub form: Form,
    /// Cells that mean that nothing is recorded.
    pub null: Vec<String>,
    /// The name of the file that says that a delivery is whole.
    pub done_file: Option<String>,
    /// The share of its rows, in percent, that a new file may lack.
    pub max_shrink: u8,
    /// How long the last good file may answer after a newer one was refused.
    pub freshness: Duration,
    pub max_bytes: u64,
}

/// A service and how to be let in.
pub(super) struct HttpPlace {
    pub client: reqwest::Client,
    pub base: reqwest::Url,
    pub auth: Arc<Auth>,
    pub max_bytes: usize,
    pub max_pages: usize,
}

/// Largest file or answer that a mapping may allow, in MiB.
const MAX_MIB: u64 = 4096;

fn bytes(max_mib: u64) -> Result<u64, String> {
    if (1..=MAX_MIB).contains(&max_mib) {
        Ok(max_mib * 1024 * 1024)
    } else {
        Err(format!("`max_mib` is {max_mib}: use 1 to {MAX_MIB}"))
    }
}

impl Place {
    /// Reads `[source.csv]`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn of_csv(entry: &CsvEntry, folder: &Path) -> Result<Self, String> {
        let one_byte = u8::try_from(entry.delimiter)
            .ok()
            .filter(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0));
        let Some(delimiter) = one_byte else {
            return Err("`delimiter` is one ASCII character such as `,`, `;` or a tab".to_owned());
        };
        let label = entry.encoding.as_deref().unwrap_or("utf-8");
        let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) else {
            return Err(format!(
                "`encoding` is `{}`, which is none: write \"gbk\", \"gb18030\", \"utf-16\", \
                 \"latin1\" or another label of the WHATWG Encoding Standard",
                label.escape_default()
            ));
        };
        if entry.skip_lines > 1000 {
            return Err(format!("`skip_lines` is {}: use 0 to 1000", entry.skip_lines));
        }
        if entry.max_shrink > 100 {
            return Err(format!("`max_shrink` is {}: use 0 to 100 percent", entry.max_shrink));
        }
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(31 * 24 * 60 * 60));
        if entry.freshness < least || entry.freshness > most {
            return Err(format!("`freshness` is {:?}: use 1s to 31 days", entry.freshness));
        }
        if entry.null.len() > 64 {
            return Err("`null` has more than 64 texts".to_owned());
        }
        if let Some(done) = &entry.done_file {
            let name = done.replace("{file}", "");
            let own = done == "{file}" || name.contains(['/', '\\', '\0', '{', '}']);
            if done.is_empty() || own || name == "." || name == ".." {
                return Err("`done_file` is the name of a file beside the query's file, such as \
                            \"{file}.done\""
                    .to_owned());
            }
        }
        let form = Form {
            delimiter,
            encoding,
            skip_lines: entry.skip_lines,
            line_breaks: entry.line_breaks,
            may_be_empty: entry.may_be_empty,
        };
        Ok(Self::Csv(CsvPlace {
            folder: folder.join(entry.folder.get_ref()),
            form,
            null: entry.null.clone(),
            done_file: entry.done_file.clone(),
            max_shrink: entry.max_shrink,
            freshness: entry.freshness,
            max_bytes: bytes(entry.max_mib)?,
        }))
    }

    /// Reads `[source.grpc]`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn of_grpc(grpc: &GrpcEntry, folder: &Path) -> Result<Self, String> {
        let endpoint = LocalEndpoint::parse(grpc.endpoint.get_ref(), folder);
        endpoint.map(Self::Grpc).map_err(|error| error.to_string())
    }

    /// Reads `[source.http]`.
    ///
    /// # Errors
    /// What is wrong, without the address.
    pub fn of_http(http: &HttpEntry, folder: &Path) -> Result<Self, String> {
        let (client, base) = client::of_service(http, folder)?;
        let tokens = http.oauth2.as_ref().map(|entry| Tokens::new(entry, http, folder));
        let auth = Auth::new(http, folder, tokens.transpose()?)?;
        if !(1..=1000).contains(&http.max_pages) {
            return Err(format!("`max_pages` is {}: use 1 to 1000", http.max_pages));
        }
        let max_bytes = usize::try_from(bytes(http.max_mib)?).unwrap_or(usize::MAX);
        let (auth, max_pages) = (Arc::new(auth), http.max_pages);
        Ok(Self::Http(HttpPlace { client, base, auth, max_bytes, max_pages }))
    }

    /// Reads `[source.sql]`.
    ///
    /// # Errors
    /// What is wrong, without the address.
    pub fn of_sql(sql: &SqlEntry, folder: &Path) -> Result<Self, String> {
        let unreadable = |_| {
            "the address cannot be read: write `postgres://user@host/database`, \
             with signs such as `@` or `/` in a name as `%40` or `%2F`"
                .to_owned()
        };
        let address = sql.address(folder).map_err(|error| error.to_string())?;
        if let SqlAddress::Postgres(server) | SqlAddress::Mysql(server) = &address {
            check_files(server)?;
        }
        match address {
            SqlAddress::Sqlite(path) => Ok(Self::Sqlite(path)),
            SqlAddress::Postgres(server) => {
                let options = postgres_address::options(&server).map_err(unreadable)?;
                Ok(Self::Postgres(ServerPlace::boxed(options, server)))
            }
            SqlAddress::Mysql(server) => {
                let options = mysql_address::options(&server).map_err(unreadable)?;
                Ok(Self::Mysql(ServerPlace::boxed(options, server)))
            }
        }
    }
}

/// The drivers read these files themselves, at each connection, and pass over what they
/// cannot read of them.
fn check_files(server: &Server) -> Result<(), String> {
    let check = |file: &Path, check: fn(&[u8]) -> Result<(), PemError>| {
        let fault = |why: &dyn fmt::Display| format!("`{}`: {why}", file.display());
        let text = files::read(file, files::LARGE).map_err(|error| fault(&error))?;
        check(&text).map_err(|error| fault(&error))
    };
    if let Some(ca) = &server.ca {
        check(ca, pem::plain_authorities)?;
    }
    if let Some((certificate, key)) = &server.identity {
        check(certificate, |text| pem::chain(text).map(drop))?;
        check(key, |text| pem::private_key(text).map(drop))?;
    }
    Ok(())
}

impl fmt::Debug for Place {
    // A driver's options print their password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Sqlite",
            Self::Postgres(..) => "Postgres",
            Self::Mysql(..) => "Mysql",
            Self::Csv(_) => "Csv",
            Self::Http(_) => "Http",
            Self::Grpc(_) => "Grpc",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The driver would pass over such a block, and believe the public web's authorities.
    #[test]
    fn an_authority_that_the_driver_would_not_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let entry: SqlEntry =
            toml::from_str("url = \"postgres://reader@db.example/hr\"\nca = \"ca.pem\"").unwrap();
        let block = "-----BEGIN CERTIFICATE-----\nb25l\n-----END CERTIFICATE-----\n";
        let place = |text: &str| {
            std::fs::write(folder.path().join("ca.pem"), text).unwrap();
            Place::of_sql(&entry, folder.path()).map(drop)
        };
        place(block).unwrap();
        for (text, told) in [
            (format!("\u{feff}{block}"), "byte-order mark"),
            (block.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "TRUSTED CERTIFICATE"),
            (String::new(), "there is no certificate in it"),
        ] {
            let error = place(&text).unwrap_err();
            assert!(error.contains("ca.pem") && error.contains(told), "{error}");
        }
    }
}
