//! MySQL and MariaDB as a source: statements of bound placeholders, in a session
//! that reads only and has a time limit of its own.

pub(super) mod address;
mod cells;
pub(super) mod fault;

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySql as Driver, MySqlConnectOptions, MySqlConnection};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Executor, Row as _, SqlSafeStr, Statement as _,
    TypeInfo,
};

use super::fault::SourceError;
use super::introspection::Plan;
use super::mapping::Mapping;
use super::place::ServerPlace;
use super::pool::{Connect, secret};
use super::proof::Answer;
use super::server::{Afterwards, BoundPeople, Columns, DatabaseServer, Speaks, not_let_in};
use super::statements::{Dialect, Statement, Texts};
use crate::config::mapping::{SecretEntry, SubjectType};

/// A MySQL or MariaDB database, asked with a mapping's queries.
pub(super) type Mysql = DatabaseServer<MysqlSessions>;

/// What every session is made from.
pub(super) struct MysqlSessions {
    options: MySqlConnectOptions,
    password: Option<SecretEntry>,
    timeout: Duration,
    /// Moments come in UTC, to become days in the source's zone.
    in_utc: bool,
}

/// Opens a mapping's database. No connection is made before the first question.
pub(super) fn open(mapping: &Mapping, place: &ServerPlace<MySqlConnectOptions>) -> Mysql {
    let (queries, limits) = (&mapping.queries, mapping.limits);
    DatabaseServer::new(queries, limits, place.account_may_write, |statements| MysqlSessions {
        options: place.options.clone().statement_cache_capacity(statements + 8),
        password: place.password.clone(),
        timeout: limits.statement_timeout,
        in_utc: mapping.zone.is_some(),
    })
}

impl Connect for MysqlSessions {
    type Connection = MySqlConnection;

    fn connect(&self) -> BoxFuture<'_, Result<MySqlConnection, SourceError>> {
        async move {
            let password = secret(self.password.as_ref()).await?;
            let options = match &password {
                Some(password) => self.options.clone().password(password.expose()),
                None => self.options.clone(),
            };
            let connection = options.connect().await;
            let mut connection = connection.map_err(|error| not_let_in(&error, fault::fault))?;
            let set_up = set_up(&mut connection, self.timeout, self.in_utc).await;
            set_up.map_err(|error| fault::fault(&error))?;
            Ok(connection)
        }
        .boxed()
    }
}

/// What a session is told before it is asked anything. A limit that the server's
/// administrator set for the account stays where it is the stricter one.
async fn set_up(
    connection: &mut MySqlConnection,
    timeout: Duration,
    in_utc: bool,
) -> Result<(), sqlx::Error> {
    connection.execute("set session transaction read only").await?;
    if in_utc {
        // Not the zone's name: many servers know none.
        connection.execute("set session time_zone = '+00:00'").await?;
    }
    let version: String = sqlx::query_scalar("select version()")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    // The two count the same time in different words and units; 0 is no limit.
    let (limit, wait) = (timeout.as_millis(), timeout.as_secs().max(1));
    let (name, limit) = if version.contains("MariaDB") {
        ("max_statement_time", format!("{}.{:03}", limit / 1000, limit % 1000))
    } else {
        ("max_execution_time", limit.to_string())
    };
    let setting: Arc<str> = format!(
        "set session {name} = if(@@{name} > 0 and @@{name} < {limit}, @@{name}, {limit}), \
         session lock_wait_timeout = least(@@lock_wait_timeout, {wait})"
    )
    .into();
    connection.execute(sqlx::raw_sql(AssertSqlSafe(setting))).await?;
    Ok(())
}

impl Speaks for MysqlSessions {
    const DIALECT: Dialect = Dialect::Mysql;

    fn same_name(left: &str, right: &str) -> bool {
        left.eq_ignore_ascii_case(right)
    }

    fn binds(_: &str) -> bool {
        true
    }

    /// The last person stands again until the places are full.
    fn ask<'a>(
        connection: &'a mut MySqlConnection,
        statement: &'a Statement,
        people: &'a BoundPeople<'a>,
        answer: &'a mut dyn Answer,
    ) -> BoxFuture<'a, Result<Afterwards, sqlx::Error>> {
        async move {
            let text = AssertSqlSafe(Arc::clone(&statement.text));
            let mut query = sqlx::query::<Driver>(text);
            if let Some(nonce) = answer.nonce() {
                query = query.bind(nonce);
            }
            match people {
                BoundPeople::Texts(texts) => {
                    let padding = texts.last().into_iter().cycle();
                    for person in texts.iter().chain(padding).take(statement.places) {
                        query = query.bind(*person);
                    }
                }
                BoundPeople::Numbers(numbers) => {
                    let padding = numbers.last().into_iter().cycle();
                    for person in numbers.iter().chain(padding).take(statement.places) {
                        query = query.bind(*person);
                    }
                }
                BoundPeople::None => {}
            }
            let mut rows = query.fetch(connection);
            while let Some(row) = rows.try_next().await? {
                answer.described(&mut row.columns().iter().map(|column| column.name()));
                if cells::give(&row, answer).is_break() {
                    return Ok(Afterwards::Close);
                }
            }
            Ok(Afterwards::Keep)
        }
        .boxed()
    }

    fn columns<'a>(
        connection: &'a mut MySqlConnection,
        texts: &'a Texts,
    ) -> BoxFuture<'a, Result<Columns, sqlx::Error>> {
        async {
            let whole = AssertSqlSafe(Arc::clone(&texts.whole)).into_sql_str();
            let prepared = connection.prepare(whole).await?;
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
            let Some(statement) = texts.statement(1) else { return Ok(None) };
            let explain: Arc<str> = format!("explain format=json {}", statement.text).into();
            let statement =
                sqlx::query_scalar::<Driver, String>(AssertSqlSafe(explain)).persistent(false);
            let statement = if texts.wrapped { statement.bind(0_i64) } else { statement };
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
        fault::fault(error)
    }

    fn ended(error: &dyn DatabaseError) -> bool {
        fault::ended(error)
    }

    fn outdated(error: &dyn DatabaseError) -> bool {
        // Needs to be prepared again.
        fault::number(error) == 1615
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
