//! One agency's records in each kind of source, with the same mapping but for the
//! few lines that say where they are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row as _};
use tributary::source::Holdings;

use crate::kit::sqlite_file;
use crate::town;
use crate::web::Web;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
    Csv,
    Http,
}

impl Kind {
    pub const ALL: &[Self] = &[Self::Sqlite, Self::Postgres, Self::Mariadb, Self::Csv, Self::Http];
    /// Databases that are asked with SQL.
    pub const SQL: &[Self] = &[Self::Sqlite, Self::Postgres, Self::Mariadb];
    /// Database servers.
    pub const SERVERS: &[Self] = &[Self::Postgres, Self::Mariadb];
    /// Those behind a network.
    pub const REACHED: &[Self] = &[Self::Postgres, Self::Mariadb, Self::Http];
    /// Those that ask for a secret.
    pub const LOCKED: &[Self] = &[Self::Postgres, Self::Mariadb, Self::Http];

    pub fn is_sql(self) -> bool {
        Self::SQL.contains(&self)
    }

    /// Whether a row can be found by one number and carry another.
    pub fn can_mislabel(self) -> bool {
        self != Self::Csv
    }
}

pub type Cells = Vec<Option<String>>;

/// Table to columns, as every kind has them.
pub const TABLES: &[(&str, &[&str])] = &[
    (
        "job",
        &[
            "person_id",
            "employed",
            "sector",
            "started_on",
            "pay_fen",
            "level",
            "share",
            "tenure",
            "updated_on",
        ],
    ),
    (
        "typed",
        &[
            "person_id",
            "employed",
            "sector",
            "started_on",
            "pay_fen",
            "level",
            "share",
            "tenure",
            "updated_on",
        ],
    ),
    ("defaults", &["person_id", "defaults", "ended_on", "disputed", "statement_ref", "updated_on"]),
    ("amounts", &["asked_id", "person_id", "amount_fen", "ended_on", "updated_on"]),
];

/// Where its moments happened.
pub const ZONE: &str = "Asia/Shanghai";

/// The account that the source uses; it only reads.
const PASSWORD: &str = "synthetic-word";

pub struct Site {
    pub kind: Kind,
    pub folder: tempfile::TempDir,
    /// The database by the account that made it.
    admin: String,
    /// Its address for the source, less the scheme's account.
    pub url: String,
    pub tables: Arc<Mutex<BTreeMap<String, Vec<Cells>>>>,
    pub web: Option<Web>,
}

impl Site {
    /// A new one with empty tables; `None`, said aloud, when there is no server.
    pub async fn new(kind: Kind, test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let variable = match kind {
            Kind::Postgres => "TRIBUTARY_TEST_POSTGRES",
            Kind::Mariadb => "TRIBUTARY_TEST_MARIADB",
            Kind::Sqlite | Kind::Csv | Kind::Http => "",
        };
        let server = std::env::var(variable).ok();
        if server.is_none() && !variable.is_empty() {
            // Past the harness, which would keep it to itself.
            let _ =
                writeln!(std::io::stderr(), "SKIPPED {test} on {kind:?}: {variable} is not set");
            return None;
        }
        let server = server.unwrap_or_default();
        let tables: Arc<Mutex<BTreeMap<String, Vec<Cells>>>> = Arc::default();
        let mut web = None;
        let (admin, url) = match kind {
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&server).await.unwrap();
                for statement in [
                    format!("create database {name} template template0"),
                    format!("create role {name} login password '{PASSWORD}'"),
                ] {
                    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
                }
                let (head, _) = server.rsplit_once('/').unwrap();
                let (_, host) = head.rsplit_once('@').unwrap();
                (format!("{head}/{name}"), format!("postgres://{name}@{host}/{name}"))
            }
            Kind::Mariadb => {
                let mut connection = MySqlConnection::connect(&server).await.unwrap();
                for statement in [
                    format!("create database {name} character set utf8mb4"),
                    format!("create user {name}@127.0.0.1 identified by '{PASSWORD}'"),
                    format!("grant select on {name}.* to {name}@127.0.0.1"),
                ] {
                    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
                }
                let (_, host) = server.rsplit_once('@').unwrap();
                (format!("{server}/{name}"), format!("mysql://{name}@{host}/{name}"))
            }
            Kind::Sqlite => (String::new(), "sqlite:work.db".to_owned()),
            Kind::Csv => (String::new(), ".".to_owned()),
            Kind::Http => {
                let (started, url) = Web::start(Arc::clone(&tables), PASSWORD).await;
                web = Some(started);
                (String::new(), url)
            }
        };
        let site = Self { kind, folder, admin, url, tables, web };
        site.password(PASSWORD);
        for (table, columns) in TABLES {
            if *table != "typed" {
                site.create(table, columns).await;
            }
            site.tables.lock().unwrap().insert((*table).to_owned(), Vec::new());
            site.write_file(table);
        }
        Some(site)
    }

    /// Every kind of `kinds` that is there.
    pub async fn each(kinds: &[Kind], test: &str) -> Vec<Self> {
        let mut sites = Vec::new();
        for kind in kinds {
            sites.extend(Self::new(*kind, test).await);
        }
        sites
    }

    /// What the password's file says from now on.
    pub fn password(&self, text: &str) {
        let path = self.folder.path().join("password");
        std::fs::write(&path, format!("{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    async fn create(&self, table: &str, columns: &[&str]) {
        if !self.kind.is_sql() {
            return;
        }
        let width = |column: &str| if column == "sector" { 4000 } else { 200 };
        let columns: Vec<String> =
            columns.iter().map(|column| format!("{column} varchar({})", width(column))).collect();
        self.run(&format!("create table {table} ({})", columns.join(", "))).await;
        self.let_read(table).await;
    }

    /// Lets the source's account read a table.
    pub async fn let_read(&self, table: &str) {
        if self.kind == Kind::Postgres {
            let (_, name) = self.url.rsplit_once('/').unwrap();
            self.run(&format!("grant select on {table} to {name}")).await;
        }
    }

    /// Runs statements as the owner.
    pub async fn run(&self, sql: &str) {
        let statements = sqlx::raw_sql(AssertSqlSafe(sql));
        match self.kind {
            Kind::Sqlite => sqlite_file::run(&self.folder().join("work.db"), sql),
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.admin).await.unwrap();
                connection.execute(statements).await.unwrap();
                connection.close().await.unwrap();
            }
            Kind::Mariadb => {
                let mut connection = MySqlConnection::connect(&self.admin).await.unwrap();
                connection.execute(statements).await.unwrap();
                connection.close().await.unwrap();
            }
            Kind::Csv | Kind::Http => panic!("no database"),
        }
    }

    /// Writes a table's file anew, as an extract comes: all at once.
    pub fn write_file(&self, table: &str) {
        if self.kind != Kind::Csv {
            return;
        }
        let (_, columns) = TABLES.iter().find(|(name, _)| *name == table).unwrap();
        let mut text = columns.join(",") + "\n";
        for row in &self.tables.lock().unwrap()[table] {
            let field = |cell: &Option<String>| match cell {
                None => String::new(),
                Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            };
            text += &(row.iter().map(field).collect::<Vec<_>>().join(",") + "\n");
        }
        self.replace_file(table, &text);
    }

    /// Puts a file in the place of a table's, under its name at once.
    pub fn replace_file(&self, table: &str, text: &str) {
        let new = self.folder().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.folder().join(format!("{table}.csv"))).unwrap();
    }

    /// The database's address with the account that may do everything in it.
    pub fn owner_url(&self) -> &str {
        &self.admin
    }

    /// The second column of a statement's one row.
    pub async fn number(&self, sql: &str) -> i64 {
        match self.kind {
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.admin).await.unwrap();
                let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await;
                row.unwrap().get(1)
            }
            Kind::Mariadb => {
                let mut connection = MySqlConnection::connect(&self.admin).await.unwrap();
                let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await;
                row.unwrap().get(1)
            }
            _ => panic!("no server"),
        }
    }

    /// Adds rows; a cell is a text or nothing.
    pub async fn put(&self, table: &str, rows: &[Cells]) {
        self.tables.lock().unwrap().get_mut(table).unwrap().extend(rows.iter().cloned());
        self.write_file(table);
        if self.kind.is_sql() {
            for row in rows {
                let cells: Vec<String> =
                    row.iter().map(|cell| self.literal(cell.as_deref())).collect();
                self.run(&format!("insert into {table} values ({})", cells.join(", "))).await;
            }
        }
    }

    fn literal(&self, cell: Option<&str>) -> String {
        let Some(text) = cell else {
            return "null".to_owned();
        };
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self.kind {
            Kind::Postgres => format!("convert_from('\\x{}'::bytea, 'UTF8')", hex(text)),
            Kind::Mariadb => format!("convert(x'{}' using utf8mb4)", hex(text)),
            _ => format!("cast(x'{}' as text)", hex(text)),
        }
    }

    /// `[source.…]`, with these lines put in.
    pub fn source(&self, url: &str, lines: &str) -> String {
        self.source_in(ZONE, url, lines)
    }

    /// The same in another zone.
    pub fn source_in(&self, zone: &str, url: &str, lines: &str) -> String {
        let lines = format!("zone = \"{zone}\"\n{lines}");
        let password = match self.kind {
            Kind::Postgres | Kind::Mariadb => "password_file = \"password\"\n",
            Kind::Sqlite => "",
            Kind::Csv => {
                let folder = format!("folder = \"{url}\"\nmay_be_empty = true");
                return format!("[source.csv]\n{folder}\n{lines}\n");
            }
            Kind::Http => {
                return format!(
                    "[source.http]\nurl = \"{url}\"\ntoken_file = \"password\"\nnobody = [404]\n{lines}\n"
                );
            }
        };
        format!("[source.sql]\nurl = \"{url}\"\n{password}{lines}\n")
    }

    /// One query of the mapping.
    pub fn query(&self, table: &str) -> String {
        let (asked, rest) = match table {
            "job" | "typed" => ("person_id", JOB),
            "defaults" => ("person_id", DEFAULTS),
            "amounts" => ("asked_id", AMOUNTS),
            other => panic!("no table {other}"),
        };
        let sql = format!("select * from {table} where {asked} in {{subjects}} -- all");
        let (asks, rest) = match (self.kind, table) {
            (Kind::Csv, _) => (format!("file = \"{table}.csv\""), rest.to_owned()),
            (Kind::Http, "amounts") => {
                let rows = "rows = \"$.people[*]\"";
                (format!("path = \"/amounts/{{subject}}\"\n{rows}"), rest.to_owned())
            }
            (Kind::Http, _) => {
                let rows = "rows = \"$.people[*]\"";
                let body = "body = '{\"ids\": \"{subjects}\"}'";
                let rest = rest.replace("\"level\", unit", "\"$.grade.level\", unit");
                (format!("path = \"/{table}\"\n{body}\n{rows}"), rest)
            }
            _ => (format!("sql = \"{sql}\""), rest.to_owned()),
        };
        format!("[[query]]\nname = \"{table}\"\n{asks}\n{rest}")
    }

    /// The whole mapping.
    pub fn mapping(&self) -> String {
        let queries: String =
            ["job", "defaults", "amounts"].map(|table| self.query(table)).concat();
        self.source(&self.url, "statement_timeout = \"60s\"") + &queries
    }

    pub fn holdings(&self) -> Holdings {
        self.open(&self.mapping())
    }

    pub fn open(&self, mapping: &str) -> Holdings {
        Holdings::open(town::mapping(mapping, self.folder()))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

const JOB: &str = r#"subject = "person_id"
as_of = "updated_on"
[query.items]
"work.job.employed" = "employed"
"work.job.sector" = { column = "sector", codes = { G = "public", P = "private" } }
"work.job.started_on" = "started_on"
"work.job.pay" = { column = "pay_fen", currency = "CNY", scale = 2 }
"work.job.level" = { column = "level", unit = "level" }
"work.job.share" = "share"
"work.job.tenure_months" = "tenure"
"#;

const DEFAULTS: &str = r#"subject = "person_id"
as_of = "updated_on"
ended = "ended_on"
disputed = "disputed"
statement = "statement_ref"
[query.items]
"work.default.count" = "defaults"
"#;

const AMOUNTS: &str = r#"subject = "person_id"
as_of = "updated_on"
ended = "ended_on"
[query.items]
"work.default.amount" = { column = "amount_fen", currency = "CNY", scale = 2 }
"#;
