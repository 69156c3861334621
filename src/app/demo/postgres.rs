//! The demo's agencies on a PostgreSQL server: a database for each, and one account
//! that may only read them. All of it is dropped when the demo stops.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::city::DemoError;
use crate::domain::sensitive::Sensitive;

/// A server that holds the city's records for a while.
#[derive(Debug)]
pub(super) struct Postgres {
    address: Sensitive<PgConnectOptions>,
    /// What every name begins with, so that demos do not meet.
    prefix: String,
    password: Sensitive<String>,
    made: Vec<String>,
}

impl Postgres {
    /// Looks whether the server is there. `address` needs an account that may make
    /// databases and accounts.
    pub(super) async fn reach(address: &str) -> Result<Self, DemoError> {
        let options = address.parse::<PgConnectOptions>().map_err(failed)?;
        let options = options.disable_statement_logging().application_name("tributary-demo");
        let word = |bytes: [u8; 16]| data_encoding::HEXLOWER.encode(&bytes);
        let (name, password) = (random()?, random()?);
        let prefix = format!("tributary_demo_{}", word(name).get(..8).unwrap_or_default());
        let mut server = Self {
            address: Sensitive::new(options),
            prefix,
            password: word(password).into(),
            made: Vec::new(),
        };
        // The password is of our own digits; no statement takes one bound here.
        let account =
            format!("create role {} login password '{}'", server.prefix, server.password.expose());
        server.run(None, account).await?;
        server.made.push(format!("drop role {}", server.prefix));
        Ok(server)
    }

    /// Makes an agency's database with its tables, and gives a connection to it.
    pub(super) async fn make(
        &mut self,
        agency: &str,
        schema: &str,
    ) -> Result<PgConnection, DemoError> {
        let (name, reader) = (self.name(agency), self.prefix.clone());
        self.run(None, format!("create database {name} template template0")).await?;
        self.made.push(format!("drop database {name} with (force)"));
        // What is SQLite's own in the demo's schemas.
        let schema = ["real", "integer"].iter().zip(["double precision", "bigint"]).fold(
            schema.replace(") without rowid", ")"),
            |schema, (theirs, here)| {
                // A type ends its line, or a constraint follows.
                [",", "\n", " not"].iter().fold(schema, |schema, end| {
                    schema.replace(&format!(" {theirs}{end}"), &format!(" {here}{end}"))
                })
            },
        );
        let rights = format!(
            "revoke all on schema public from public; grant usage on schema public to {reader}; \
             grant select on all tables in schema public to {reader}"
        );
        self.run(Some(&name), schema + ";\n" + &rights).await?;
        self.connect(Some(&name)).await
    }

    /// What an agency's mapping says: the address, and the file of the password.
    pub(super) fn url(&self, agency: &str) -> String {
        let options = self.address.expose();
        let (reader, name) = (&self.prefix, self.name(agency));
        match options.get_socket() {
            Some(folder) => {
                format!("postgres://{reader}@localhost/{name}?host={}", folder.display())
            }
            None => {
                let (host, port) = (options.get_host(), options.get_port());
                format!("postgres://{reader}@{host}:{port}/{name}")
            }
        }
    }

    /// Writes the account's password where the mappings look for it.
    pub(super) fn write_password(&self, data: &Path) -> Result<PathBuf, DemoError> {
        let path = data.join("postgres.password");
        let failed = |source| DemoError::Write { path: path.clone(), source };
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{}", self.password.expose()))
            .map_err(failed)?;
        Ok(path)
    }

    /// Drops everything that was made; what cannot be dropped is said.
    pub(super) async fn clear(&mut self) {
        while let Some(statement) = self.made.pop() {
            if let Err(error) = self.run(None, statement.clone()).await {
                tracing::warn!(%error, statement, "the demo leaves something on the server");
            }
        }
    }

    fn name(&self, agency: &str) -> String {
        format!("{}_{agency}", self.prefix)
    }

    async fn run(&self, database: Option<&str>, statements: String) -> Result<(), DemoError> {
        let mut connection = self.connect(database).await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    async fn connect(&self, database: Option<&str>) -> Result<PgConnection, DemoError> {
        let options = self.address.expose();
        match database {
            Some(name) => options.clone().database(name).connect().await,
            None => options.connect().await,
        }
        .map_err(failed)
    }
}

fn random() -> Result<[u8; 16], DemoError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| DemoError::Inconsistent("there is no randomness".to_owned()))?;
    Ok(bytes)
}

/// The driver's errors of an address hold it; those of the server do not.
fn failed(error: sqlx::Error) -> DemoError {
    match error {
        sqlx::Error::Configuration(_) => {
            DemoError::Inconsistent("--postgres: write postgres://account@host/database".to_owned())
        }
        source => DemoError::Server(source),
    }
}
