//! MySQL and MariaDB as a source: statements of bound placeholders, in a session
//! that reads only and has a time limit of its own.

mod cells;

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySql as Driver, MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Executor, SqlSafeStr, Statement as _, TypeInfo,
};

use super::fault::{Reason, SourceError};
use super::introspection::Plan;
use super::mapping::Mapping;
use super::pool::{Connect, secret};
use super::server::{Answer, Columns, People, Speaks, SqlServer, said};
use super::statements::{Dialect, Texts};
use crate::config::mapping::{SecretEntry, Server, SubjectType, TlsMode};

/// A MySQL or MariaDB database, asked with a mapping's queries.
pub(super) type Mysql = SqlServer<Sessions>;

/// What every session is made from.
pub(super) struct Sessions {
    options: MySqlConnectOptions,
    password: Option<SecretEntry>,
    timeout: Duration,
}

/// Reads a server's entry.
///
/// # Errors
/// The address is none.
pub(super) fn options(server: &Server) -> Result<MySqlConnectOptions, sqlx::Error> {
    // The driver knows the protocol by one name.
    let url = server.url.expose().replacen("mariadb://", "mysql://", 1);
    let mut options = url
        .parse::<MySqlConnectOptions>()?
        .disable_statement_logging()
        // The session's own mode stays: it says what a quote means.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .ssl_mode(match server.tls {
            TlsMode::VerifyFull => MySqlSslMode::VerifyIdentity,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::Off => MySqlSslMode::Disabled,
        });
    if let Some(ca) = &server.ca {
        options = options.ssl_ca(ca);
    }
    if let Some((certificate, key)) = &server.identity {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}

/// Opens a mapping's database. No connection is made before the first question.
pub(super) fn open(
    mapping: &Mapping,
    options: &MySqlConnectOptions,
    password: Option<&SecretEntry>,
) -> Mysql {
    let limits = mapping.limits;
    SqlServer::new(&mapping.queries, limits, |statements| Sessions {
        options: options.clone().statement_cache_capacity(statements + 8),
        password: password.cloned(),
        timeout: limits.statement_timeout,
    })
}

impl Connect for Sessions {
    type Connection = MySqlConnection;

    fn connect(&self) -> BoxFuture<'_, Result<MySqlConnection, SourceError>> {
        async move {
            let password = secret(self.password.as_ref()).await?;
            let options = match &password {
                Some(password) => self.options.clone().password(password.expose()),
                None => self.options.clone(),
            };
            let mut connection = options.connect().await.map_err(|error| fault(&error))?;
            set_up(&mut connection, self.timeout).await.map_err(|error| fault(&error))?;
            Ok(connection)
        }
        .boxed()
    }
}

/// What a session is told before it is asked anything.
async fn set_up(connection: &mut MySqlConnection, timeout: Duration) -> Result<(), sqlx::Error> {
    connection.execute("set session transaction read only").await?;
    let version: String = sqlx::query_scalar("select version()")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    // The two count the same time in different words and units.
    let (limit, wait) = (timeout.as_millis(), timeout.as_secs().max(1));
    let limit = if version.contains("MariaDB") {
        format!("max_statement_time = {}.{:03}", limit / 1000, limit % 1000)
    } else {
        format!("max_execution_time = {limit}")
    };
    let setting: Arc<str> =
        format!("set session {limit}, session lock_wait_timeout = {wait}").into();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(setting))).await?;
    Ok(())
}

impl Speaks for Sessions {
    const DIALECT: Dialect = Dialect::Mysql;

    fn same_name(left: &str, right: &str) -> bool {
        left.eq_ignore_ascii_case(right)
    }

    fn binds(_: &str) -> bool {
        true
    }

    fn statement(texts: &Texts, people: usize) -> Option<(&Arc<str>, usize)> {
        texts.padded(people)
    }

    /// The last person stands again until the places are full.
    fn ask<'a>(
        connection: &'a mut MySqlConnection,
        (text, places): (&'a Arc<str>, usize),
        people: &'a People<'a>,
        answer: &'a mut Answer<'_>,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>> {
        async move {
            let mut statement = sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(text)));
            match people {
                People::Texts(texts) => {
                    let padding = texts.last().into_iter().cycle();
                    for person in texts.iter().chain(padding).take(places) {
                        statement = statement.bind(*person);
                    }
                }
                People::Numbers(numbers) => {
                    let padding = numbers.last().into_iter().cycle();
                    for person in numbers.iter().chain(padding).take(places) {
                        statement = statement.bind(*person);
                    }
                }
            }
            let mut rows = statement.fetch(connection);
            while let Some(row) = rows.try_next().await? {
                answer.given = true;
                if cells::give(&row, answer.sink).is_break() {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        .boxed()
    }

    fn look(connection: &mut MySqlConnection) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        async { connection.execute("select 1").await.map(drop) }.boxed()
    }

    fn columns(
        connection: &mut MySqlConnection,
        whole: Arc<str>,
    ) -> BoxFuture<'_, Result<Columns, sqlx::Error>> {
        async {
            let prepared = connection.prepare(AssertSqlSafe(whole).into_sql_str()).await?;
            let seen = prepared
                .columns()
                .iter()
                .map(|column| (column.name().to_owned(), cells::kind(column.type_info().name())));
            Ok(seen.collect())
        }
        .boxed()
    }

    fn plan<'a>(
        connection: &'a mut MySqlConnection,
        texts: &'a Texts,
    ) -> BoxFuture<'a, Result<Option<Plan>, sqlx::Error>> {
        async {
            let Some((text, _)) = texts.padded(1) else { return Ok(None) };
            let explain: Arc<str> = format!("explain format=json {text}").into();
            let statement =
                sqlx::query_scalar::<Driver, String>(AssertSqlSafe(explain)).persistent(false);
            let statement = match texts.subjects {
                SubjectType::Text => statement.bind("nobody"),
                SubjectType::Integer => statement.bind(0_i64),
            };
            let text = statement.fetch_one(connection).await?;
            let explained: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let mut plan = Plan::default();
            read_plan(&explained, &mut plan);
            Ok(Some(plan))
        }
        .boxed()
    }

    fn rights(connection: &mut MySqlConnection) -> BoxFuture<'_, Result<Vec<String>, sqlx::Error>> {
        async {
            let grants: Vec<String> =
                sqlx::query_scalar("show grants").fetch_all(connection).await?;
            Ok(grants.iter().filter_map(|grant| writing(grant)).collect())
        }
        .boxed()
    }

    fn fault(error: &sqlx::Error) -> SourceError {
        fault(error)
    }

    fn outdated(error: &dyn DatabaseError) -> bool {
        matches!(number(error), 1053 | 1615 | 1927 | 4031)
    }
}

/// What a line of `show grants` lets its account write. Such a line can end in the
/// hash of a password, so only its own words are repeated.
fn writing(grant: &str) -> Option<String> {
    const READING: &[&str] =
        &["usage", "select", "show view", "show databases", "process", "references"];
    let (rights, rest) = grant.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let object = rest.split(" TO ").next()?;
    let writing: Vec<&str> = rights
        .split(", ")
        .filter(|right| {
            let right = right.to_ascii_lowercase();
            // A right on some columns has them in parentheses.
            !READING.contains(&right.split(" (").next().unwrap_or_default())
        })
        .collect();
    (!writing.is_empty())
        .then(|| format!("it may {} on {object}", writing.join(", ").to_lowercase()))
}

/// Every table that a plan reads from end to end without an index to think of,
/// and the first estimates in it.
fn read_plan(value: &serde_json::Value, plan: &mut Plan) {
    match value {
        serde_json::Value::Object(node) => {
            let number = |name: &str| {
                let value = node.get(name)?;
                value.as_f64().or_else(|| value.as_str()?.parse().ok())
            };
            plan.cost = plan.cost.or_else(|| number("query_cost")).or_else(|| number("cost"));
            let rows = number("rows").or_else(|| number("rows_examined_per_scan"));
            plan.rows = match (plan.rows, rows) {
                (Some(sum), Some(rows)) => Some(sum + rows),
                (sum, rows) => sum.or(rows),
            };
            let word = |name: &str| node.get(name).and_then(|word| word.as_str());
            if matches!(word("access_type"), Some("ALL" | "index"))
                && !node.contains_key("possible_keys")
                && let Some(table) = word("table_name").filter(|name| !name.starts_with('<'))
            {
                plan.whole.push(table.to_owned());
            }
            node.values().for_each(|inner| read_plan(inner, plan));
        }
        serde_json::Value::Array(nodes) => nodes.iter().for_each(|node| read_plan(node, plan)),
        _ => {}
    }
}

fn number(error: &dyn DatabaseError) -> u16 {
    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map_or(0, |error| error.number())
}

/// Sorts an error of the driver. Only the server's texts about the statement and
/// the account are repeated; others quote what it computed with.
/// Numbers: <https://mariadb.com/kb/en/mariadb-error-code-reference/>
pub(super) fn fault(error: &sqlx::Error) -> SourceError {
    let database = match said(error) {
        Ok(database) => database,
        Err(fault) => return fault,
    };
    let message = database.message();
    match (number(database), database.code().unwrap_or_default().get(..2)) {
        (1969 | 3024 | 1317, _) => {
            SourceError::new(Reason::Timeout, "the statement ran into its time limit")
        }
        (1205, _) => SourceError::new(Reason::Timeout, "a lock was not free in time"),
        (1792, _) => SourceError::new(Reason::Schema, "the statement tries to write"),
        (1044 | 1045 | 1049 | 1698 | 2059, _) => {
            SourceError::new(Reason::Down, format!("the server refuses the account: {message}"))
        }
        // What the statement computed may be in the text of these.
        (code @ (1690 | 1242 | 1264 | 1292 | 1365 | 1366 | 1411), _)
        | (code, Some("21" | "22")) => {
            let detail = format!("the server could not compute the answer (code {code})");
            SourceError::new(Reason::Invalid, detail)
        }
        (1054 | 1060 | 1064 | 1137 | 1142 | 1143 | 1146 | 1248 | 1305 | 1356 | 1370, _)
        | (_, Some("42")) => SourceError::new(Reason::Schema, message),
        (code, _) => SourceError::new(Reason::Down, format!("the server failed (code {code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rights_to_write_are_named_and_no_hash() {
        for reading in [
            "GRANT USAGE ON *.* TO `reader`@`%` IDENTIFIED BY PASSWORD '*2470C0C06DEE'",
            "GRANT SELECT, SHOW VIEW ON `hr`.* TO `reader`@`%`",
            "GRANT SELECT (`a`) ON `hr`.`jobs` TO `reader`@`%`",
        ] {
            assert_eq!(writing(reading), None, "{reading}");
        }
        let all =
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`%` IDENTIFIED BY PASSWORD '*2470C0C06DEE'";
        assert_eq!(writing(all).as_deref(), Some("it may all privileges on *.*"));
        let some = "GRANT SELECT, INSERT, UPDATE ON `hr`.* TO `writer`@`%`";
        assert_eq!(writing(some).as_deref(), Some("it may insert, update on `hr`.*"));
    }
}
