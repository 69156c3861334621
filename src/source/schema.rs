//! The tables of a live database, for `agency init`: what is there, and nothing
//! about what it means. No row is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Row as _};

use super::pool::secret;
use super::{mysql, postgres};
use crate::config::mapping::{SecretEntry, SqlAddress};

/// Tables at most; beyond, whoever asks names those that are meant.
const MAX_TABLES: usize = 200;

/// The longest that the whole reading may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A table or a view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableSeen {
    /// Its schema, where it needs one.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnSeen>,
    /// About how many rows it has, if the database keeps count.
    pub rows: Option<i64>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSeen {
    /// Its name.
    pub name: String,
    /// Its type in the database's own words.
    pub type_name: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// It is the whole primary key, or a part of it.
    pub primary: bool,
    /// An index begins with it.
    pub indexed: bool,
}

/// The schema cannot be read. Never holds the address.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The address is none.
    #[error("the address cannot be read: write `postgres://user@host/database`")]
    Address,
    /// The password cannot be had.
    #[error("{0}")]
    Secret(String),
    /// The database does not answer as it should.
    #[error("the database cannot be asked: {0}")]
    Database(String),
    /// It took too long.
    #[error("the database did not answer within {}s", PATIENCE.as_secs())]
    Timeout,
}

/// The tables that the account can read.
///
/// # Errors
/// Why there is no answer.
pub async fn tables(address: &SqlAddress) -> Result<Vec<TableSeen>, SchemaError> {
    let reading = async {
        match address {
            SqlAddress::Sqlite(path) => of_sqlite(path).await,
            SqlAddress::Postgres(server) => {
                let options =
                    postgres::address::options(server).map_err(|_| SchemaError::Address)?;
                of_postgres(options, server.password.as_ref()).await
            }
            SqlAddress::Mysql(server) => {
                let options = mysql::address::options(server).map_err(|_| SchemaError::Address)?;
                of_mysql(options, server.password.as_ref()).await
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| SchemaError::Timeout)?
}

/// What the catalogue's rows have in common: schema, table, rows, column, type,
/// nullable, primary, indexed.
type Line = (String, String, Option<i64>, ColumnSeen);

fn gathered(lines: Vec<Line>, common: &str) -> Vec<TableSeen> {
    let mut tables: BTreeMap<(String, String), TableSeen> = BTreeMap::new();
    for (schema, name, rows, column) in lines {
        if tables.len() == MAX_TABLES && !tables.contains_key(&(schema.clone(), name.clone())) {
            continue;
        }
        let table = tables.entry((schema.clone(), name.clone())).or_insert_with(|| TableSeen {
            schema: (schema != common).then_some(schema),
            name,
            columns: Vec::new(),
            rows: rows.filter(|rows| *rows >= 0),
        });
        table.columns.push(column);
    }
    tables.into_values().collect()
}

async fn of_postgres(
    mut options: PgConnectOptions,
    password: Option<&SecretEntry>,
) -> Result<Vec<TableSeen>, SchemaError> {
    let secret = secret(password).await.map_err(|error| SchemaError::Secret(error.detail))?;
    if let Some(secret) = &secret {
        options = options.password(secret.expose());
    }
    let failed = |error: sqlx::Error| SchemaError::Database(postgres::fault::fault(&error).detail);
    let mut connection = options.connect().await.map_err(failed)?;
    let rows = sqlx::query(
        "select n.nspname, c.relname, c.reltuples::bigint, a.attname,
           format_type(a.atttypid, a.atttypmod), not a.attnotnull,
           exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary
             and a.attnum = any (i.indkey)),
           exists (select from pg_index i where i.indrelid = c.oid and i.indkey[0] = a.attnum)
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         join pg_attribute a on a.attrelid = c.oid
         where c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
           and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
           and has_table_privilege(c.oid, 'select')
         order by n.nspname, c.relname, a.attnum",
    )
    .persistent(false)
    .fetch_all(&mut connection)
    .await
    .map_err(failed)?;
    let line = |row: &sqlx::postgres::PgRow| -> Result<Line, sqlx::Error> {
        let column = ColumnSeen {
            name: row.try_get(3)?,
            type_name: row.try_get(4)?,
            nullable: row.try_get(5)?,
            primary: row.try_get(6)?,
            indexed: row.try_get(7)?,
        };
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, column))
    };
    let lines: Result<Vec<Line>, _> = rows.iter().map(line).collect();
    Ok(gathered(lines.map_err(failed)?, "public"))
}

async fn of_mysql(
    mut options: MySqlConnectOptions,
    password: Option<&SecretEntry>,
) -> Result<Vec<TableSeen>, SchemaError> {
    let secret = secret(password).await.map_err(|error| SchemaError::Secret(error.detail))?;
    if let Some(secret) = &secret {
        options = options.password(secret.expose());
    }
    let failed = |error: sqlx::Error| SchemaError::Database(mysql::fault::fault(&error).detail);
    let mut connection = options.connect().await.map_err(failed)?;
    // What a server calls text, another calls binary: cast to be sure of either.
    let rows = sqlx::query(
        "select cast(t.table_name as char), cast(t.table_rows as signed),
           cast(c.column_name as char), cast(c.column_type as char), c.is_nullable = 'YES',
           c.column_key = 'PRI', c.column_key <> ''
         from information_schema.tables t
         join information_schema.columns c
           on c.table_schema = t.table_schema and c.table_name = t.table_name
         where t.table_schema = database()
         order by t.table_name, c.ordinal_position",
    )
    .fetch_all(&mut connection)
    .await
    .map_err(failed)?;
    let line = |row: &sqlx::mysql::MySqlRow| -> Result<Line, sqlx::Error> {
        let column = ColumnSeen {
            name: row.try_get(2)?,
            type_name: row.try_get(3)?,
            nullable: row.try_get::<i64, _>(4)? == 1,
            primary: row.try_get::<i64, _>(5)? == 1,
            indexed: row.try_get::<i64, _>(6)? == 1,
        };
        Ok((String::new(), row.try_get(0)?, row.try_get(1)?, column))
    };
    let lines: Result<Vec<Line>, _> = rows.iter().map(line).collect();
    Ok(gathered(lines.map_err(failed)?, ""))
}

async fn of_sqlite(path: &Path) -> Result<Vec<TableSeen>, SchemaError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || lines_of_sqlite(&path)).await;
    let ended = |_| SchemaError::Database("the reading was cut off".to_owned());
    let failed = |error| SchemaError::Database(super::sqlite::fault::fault(&error).detail);
    Ok(gathered(read.map_err(ended)?.map_err(failed)?, ""))
}

/// Blocking.
fn lines_of_sqlite(path: &Path) -> rusqlite::Result<Vec<Line>> {
    let connection = super::sqlite::session::read_only(path)?;
    let mut statement = connection.prepare(
        "select t.name, c.name, c.type, c.\"notnull\" = 0 and c.pk = 0, c.pk > 0,
           c.pk = 1 or exists (select 1 from pragma_index_list(t.name) as l,
             pragma_index_info(l.name) as i where i.seqno = 0 and i.name = c.name)
         from sqlite_schema as t, pragma_table_info(t.name) as c
         where t.type in ('table', 'view') and t.name not like 'sqlite\\_%' escape '\\'
         order by t.name, c.cid",
    )?;
    let line = |row: &rusqlite::Row<'_>| {
        let column = ColumnSeen {
            name: row.get(1)?,
            type_name: row.get(2)?,
            nullable: row.get(3)?,
            primary: row.get(4)?,
            indexed: row.get(5)?,
        };
        Ok((String::new(), row.get(0)?, None, column))
    };
    statement.query_map([], line)?.collect()
}
