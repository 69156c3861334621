//! Where a mapping's data is, read and ready to be opened. Nothing is opened here.

use std::fmt;
use std::path::{Path, PathBuf};

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::{mysql, postgres};
use crate::config::mapping::{SecretEntry, SqlAddress, SqlEntry};

/// Where the records are.
pub(super) enum Place {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(Box<PgConnectOptions>, Option<SecretEntry>),
    /// A server of MySQL or MariaDB.
    Mysql(Box<MySqlConnectOptions>, Option<SecretEntry>),
}

impl Place {
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
                let options = postgres::options(&server).map_err(unreadable)?;
                Ok(Self::Postgres(Box::new(options), server.password))
            }
            SqlAddress::Mysql(server) => {
                let options = mysql::options(&server).map_err(unreadable)?;
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
        })
    }
}
