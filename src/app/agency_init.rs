//! `agency init`: a starting mapping, written from a live schema, a CSV file, or an
//! answer of a web service.
//!
//! It says what is there and no more. What a column means is for its administrator
//! to state, so each such place reads TODO, which `agency check` refuses, and stands
//! beside what is known about it.

mod names;
mod paths;
mod text;

use std::path::{Path, PathBuf};

use self::text::{Asked, Starting, StartingQuery};

use crate::config::catalogue::{self, CatalogueError};
use crate::config::mapping::{SqlAddress, SqlEntry, UrlError};
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::files;
use crate::source::{self, SampleError, SchemaError, TableSeen};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct StartingRequest {
    /// The database's address, `csv:` and a file, or a service's address with the
    /// path of a question.
    pub from: String,
    /// A file with an answer of the service.
    pub sample: Option<PathBuf>,
    /// What stands between two cells of the CSV file.
    pub delimiter: Option<char>,
    /// The CSV file's encoding.
    pub encoding: Option<String>,
    /// Lines above the CSV file's header.
    pub skip_lines: usize,
    /// The file with its password.
    pub password_file: Option<PathBuf>,
    /// Authorities of its certificate.
    pub ca: Option<PathBuf>,
    /// Tables to write queries for; all when empty.
    pub tables: Vec<String>,
    /// The column with people's numbers.
    pub subject: Option<String>,
    /// The column with the day.
    pub as_of: Option<String>,
    /// The agency's id, and the catalogue's folder.
    pub agency: Option<(String, PathBuf)>,
}

/// No mapping can be begun. Never holds the address.
#[derive(Debug, thiserror::Error)]
pub enum StartingError {
    /// The address cannot be used.
    #[error("--from: {0}")]
    Address(#[from] UrlError),
    /// The password stands in the address.
    #[error(
        "--from: the address holds a password, which the mapping would then hold as well: \
         put it into a file of mode 0600 and name that with --password-file"
    )]
    Password,
    /// The schema cannot be read.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// There is no such table.
    #[error("--table: there is no table `{0}` that the account can read; there are {1}")]
    Table(String, String),
    /// Nothing that was read has the stated column.
    #[error("{0}: there is no column `{1}`")]
    Column(&'static str, String),
    /// The sample cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// The sample shows no columns.
    #[error("{0}: {1}")]
    Sample(PathBuf, #[source] SampleError),
    /// An option of another kind of source.
    #[error("{0} is not for this kind of source")]
    Option(&'static str),
    /// A service without an answer to look at.
    #[error(
        "--sample: name a file with an answer of the service about somebody who is known; \
         nothing is asked here"
    )]
    NoSample,
    /// No address of a service.
    #[error("--from: write https://host:port and the path of a question, with {{subject}} in it")]
    Service,
    /// The catalogue cannot be loaded.
    #[error("--catalogue: it cannot be loaded")]
    Catalogue(#[from] CatalogueError),
    /// The agency is none.
    #[error("--id: `{0}` is no agency of the catalogue")]
    Agency(String),
}

/// Sample bytes that are read at most.
const MAX_SAMPLE: u64 = 16 * 1024 * 1024;

/// Reads what is there and writes the mapping's text, for a file in `folder`.
///
/// # Errors
/// Why it cannot be begun.
pub async fn write(request: &StartingRequest, folder: &Path) -> Result<String, StartingError> {
    let agency = agency(request)?;
    let catalogue = request.agency.as_ref().map(|(_, given)| shown(folder, given));
    let source = match request.from.split_once(':') {
        Some(("csv", file)) => of_csv(request, Path::new(file), folder)?,
        Some(("http" | "https", _)) => of_http(request)?,
        _ => of_sql(request, folder).await?,
    };
    for (option, column) in [("--subject", &request.subject), ("--as-of", &request.as_of)] {
        let has = |name: &String| source.queries.iter().any(|query| query.has(name));
        if let Some(column) = column.as_ref().filter(|column| !has(column)) {
            return Err(StartingError::Column(option, column.clone()));
        }
    }
    let starting = Starting {
        source,
        subject: request.subject.as_deref(),
        as_of: request.as_of.as_deref(),
        agency: agency.as_ref().map(|(id, catalogue)| (id, catalogue)),
        catalogue: catalogue.as_deref(),
    };
    Ok(starting.text())
}

/// A path as the mapping is to have it.
fn shown(folder: &Path, path: &Path) -> String {
    paths::seen_from(folder, path).display().to_string()
}

fn agency(request: &StartingRequest) -> Result<Option<(AgencyId, Catalogue)>, StartingError> {
    let Some((id, folder)) = &request.agency else {
        return Ok(None);
    };
    let unknown = || StartingError::Agency(id.clone());
    let catalogue = catalogue::load(folder)?;
    let id = AgencyId::new(id).ok_or_else(unknown)?;
    if catalogue.owned_by(&id).is_empty() {
        return Err(unknown());
    }
    Ok(Some((id, catalogue)))
}

async fn of_sql(
    request: &StartingRequest,
    folder: &Path,
) -> Result<text::SourceText, StartingError> {
    for (option, stated) in [
        ("--sample", request.sample.is_some()),
        ("--delimiter", request.delimiter.is_some()),
        ("--encoding", request.encoding.is_some()),
        ("--skip-lines", request.skip_lines > 0),
    ] {
        if stated {
            return Err(StartingError::Option(option));
        }
    }
    let (_, rest) = request.from.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(account, _)| account.contains(':')) {
        return Err(StartingError::Password);
    }
    let mut entry = SqlEntry::new(request.from.clone());
    entry.password_file.clone_from(&request.password_file);
    entry.ca.clone_from(&request.ca);
    let address = entry.address(Path::new(""))?;
    let mut tables = source::tables(&address).await?;
    let named = |table: &TableSeen, wanted: &str| match wanted.split_once('.') {
        _ if table.name == wanted => true,
        Some((schema, name)) => {
            table.name == name && table.schema.as_deref().unwrap_or("public") == schema
        }
        None => false,
    };
    for wanted in &request.tables {
        if !tables.iter().any(|table| named(table, wanted)) {
            let names: Vec<String> = tables.iter().map(written).collect();
            return Err(StartingError::Table(wanted.clone(), names.join(", ")));
        }
    }
    let is_wanted = |table: &TableSeen| request.tables.iter().any(|wanted| named(table, wanted));
    tables.retain(|table| request.tables.is_empty() || is_wanted(table));
    let url = match &address {
        SqlAddress::Sqlite(file) => format!("sqlite:{}", shown(folder, file)),
        _ => request.from.clone(),
    };
    let mut keys = vec![("url", url)];
    let password = request.password_file.as_ref();
    keys.extend(password.map(|file| ("password_file", shown(folder, file))));
    keys.extend(request.ca.as_ref().map(|file| ("ca", shown(folder, file))));
    let asks_password = password.is_none() && !matches!(address, SqlAddress::Sqlite(_));
    let mark = if matches!(address, SqlAddress::Mysql(_)) { '`' } else { '"' };
    let names = names::names(&tables);
    let queries = names.into_iter().zip(tables).map(|(name, table)| StartingQuery {
        name,
        asked: Asked::Sql { schema: table.schema, table: table.name, rows: table.rows, mark },
        columns: table.columns,
    });
    Ok(text::SourceText {
        kind: "sql",
        keys,
        asks_password,
        queries: queries.collect(),
        beside: vec![],
    })
}

/// A table as it is named on the command line.
fn written(table: &TableSeen) -> String {
    match &table.schema {
        Some(schema) => format!("{schema}.{}", table.name),
        None => table.name.clone(),
    }
}

fn sample(path: &Path) -> Result<Vec<u8>, StartingError> {
    use std::io::Read as _;
    let failed = |error| StartingError::Read(path.to_owned(), error);
    let mut bytes = Vec::new();
    // Its beginning is enough, however long it is.
    files::open(path, u64::MAX)
        .and_then(|file| file.take(MAX_SAMPLE).read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(bytes)
}

fn of_csv(
    request: &StartingRequest,
    file: &Path,
    folder: &Path,
) -> Result<text::SourceText, StartingError> {
    other_options(request, request.sample.is_some())?;
    let failed = |error| StartingError::Sample(file.to_owned(), error);
    let (delimiter, encoding) = (request.delimiter, request.encoding.as_deref());
    let mut bytes = sample(file)?;
    if u64::try_from(bytes.len()) == Ok(MAX_SAMPLE) {
        // Only whole lines.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(end);
    }
    let seen = source::of_csv(bytes, delimiter, encoding, request.skip_lines).map_err(failed)?;
    let parent = file.parent().unwrap_or_else(|| Path::new(""));
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let mut keys = vec![("folder", shown(folder, parent))];
    if seen.delimiter != ',' {
        keys.push(("delimiter", seen.delimiter.to_string()));
    }
    keys.extend(seen.encoding.map(|encoding| ("encoding", encoding)));
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let table = TableSeen { name: stem, ..TableSeen::default() };
    let names = names::names(&[table]);
    let columns = seen.columns;
    let query = |query| StartingQuery {
        name: query,
        asked: Asked::File { name: name.clone(), skip_lines: request.skip_lines },
        columns: columns.clone(),
    };
    let queries = names.into_iter().map(query).collect();
    Ok(text::SourceText { kind: "csv", keys, asks_password: false, queries, beside: vec![] })
}

fn of_http(request: &StartingRequest) -> Result<text::SourceText, StartingError> {
    other_options(request, request.encoding.is_some() || request.delimiter.is_some())?;
    let file = request.sample.as_deref().ok_or(StartingError::NoSample)?;
    let (scheme, rest) = request.from.split_once("://").ok_or(StartingError::Service)?;
    let (host, path) = rest.split_once('/').ok_or(StartingError::Service)?;
    if host.is_empty() || host.contains('@') {
        return Err(StartingError::Service);
    }
    let failed = |error| StartingError::Sample(file.to_owned(), error);
    let seen = source::of_json(&sample(file)?).map_err(failed)?;
    let step = path.split('/').find(|step| !step.is_empty() && !step.contains('{'));
    let table = TableSeen { name: step.unwrap_or("people").to_owned(), ..TableSeen::default() };
    let names = names::names(&[table]);
    let columns = seen.columns;
    let query = |name| StartingQuery {
        name,
        asked: Asked::Request { path: format!("/{path}"), rows: seen.rows.clone() },
        columns: columns.clone(),
    };
    let queries = names.into_iter().map(query).collect();
    let keys = vec![("url", format!("{scheme}://{host}"))];
    Ok(text::SourceText { kind: "http", keys, asks_password: true, queries, beside: seen.beside })
}

/// Options that only another kind of source has.
fn other_options(request: &StartingRequest, other: bool) -> Result<(), StartingError> {
    match other || !request.tables.is_empty() || request.password_file.is_some() {
        true => Err(StartingError::Option(
            "one of --table, --password-file, --sample, --delimiter and --encoding",
        )),
        false => Ok(()),
    }
}
