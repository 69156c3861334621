//! Where a mapping's data is, read and ready to be opened. Nothing is opened here.

use std::fmt;
use std::path::{Path, PathBuf};

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::http::client;
use super::{mysql, postgres};
use crate::config::mapping::{
    CsvEntry, GrpcEntry, HttpEntry, LocalEndpoint, SecretEntry, SqlAddress, SqlEntry,
};

/// Where the records are.
pub(super) enum Place {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Box<PgConnectOptions>, Option<SecretEntry>),
    /// A server of MySQL or MariaDB.
    Mysql(Box<MySqlConnectOptions>, Option<SecretEntry>),
    /// A folder of CSV files.
    Csv(CsvPlace),
    /// A service.
    Http(HttpPlace),
    /// A program on this machine.
    Grpc(LocalEndpoint),
}

/// A folder of CSV files.
pub(super) struct CsvPlace {
    pub folder: PathBuf,
    pub delimiter: u8,
    pub max_bytes: u64,
}

/// A service and how to be let in.
pub(super) struct HttpPlace {
    pub client: reqwest::Client,
    pub base: reqwest::Url,
    pub token: Option<SecretEntry>,
    pub max_bytes: usize,
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
    pub fn of_csv(csv: &CsvEntry, folder: &Path) -> Result<Self, String> {
        let one_byte = u8::try_from(csv.delimiter)
            .ok()
            .filter(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0));
        let Some(delimiter) = one_byte else {
            return Err("`delimiter` is one ASCII character such as `,`, `;` or a tab".to_owned());
        };
        let folder = folder.join(csv.folder.get_ref());
        Ok(Self::Csv(CsvPlace { folder, delimiter, max_bytes: bytes(csv.max_mib)? }))
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
        let (client, base) = client::client(http, folder)?;
        let token = SecretEntry::new(http.token_file.as_ref(), http.token_env.as_ref(), folder)
            .map_err(|error| error.to_string())?;
        let max_bytes = usize::try_from(bytes(http.max_mib)?).unwrap_or(usize::MAX);
        Ok(Self::Http(HttpPlace { client, base, token, max_bytes }))
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
        match sql.address(folder).map_err(|error| error.to_string())? {
            SqlAddress::Sqlite(path) => Ok(Self::Sqlite(path)),
            SqlAddress::Postgres(server) => {
                let options = postgres::address::options(&server).map_err(unreadable)?;
                Ok(Self::Postgres(Box::new(options), server.password))
            }
            SqlAddress::Mysql(server) => {
                let options = mysql::address::options(&server).map_err(unreadable)?;
                Ok(Self::Mysql(Box::new(options), server.password))
            }
        }
    }
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
