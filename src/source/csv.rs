//! CSV files as a source: read whole, indexed by person, read again when they
//! change. A file that is refused leaves the last good one in its place; one that
//! is gone leaves nothing.

mod table;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use table::{Line, Table};

use super::cell::{Cell, Unfit};
use super::fault::{Reason, SourceError};
use super::mapping::{Ask, Mapping, Query};
use super::place::CsvPlace;
use super::sample::SAMPLED_ROWS;
use super::within::within;
use super::{Key, RowSink, Source};
use crate::clock;

/// How long a question waits for a changed file before it takes the last good one.
const PATIENCE: Duration = Duration::from_millis(500);

/// Files, one for each query.
pub(super) struct Csv {
    files: Vec<Arc<File>>,
}

/// One file and what was last read of it.
struct File {
    path: PathBuf,
    delimiter: u8,
    max_bytes: u64,
    selected: Vec<Box<str>>,
    state: ArcSwapOption<State>,
    /// Held while the file is read: by one at a time.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// What a file was when it was last looked at.
struct State {
    version: Version,
    table: Option<Arc<Table>>,
    /// Why this version was refused.
    refused: Option<String>,
}

/// Which version of a file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Csv {
    pub fn new(mapping: &Mapping, place: &CsvPlace) -> Self {
        let file = |query: &Query| {
            let name = match &query.ask {
                Ask::File(name) => name.as_path(),
                _ => Path::new(""),
            };
            Arc::new(File {
                path: place.folder.join(name),
                delimiter: place.delimiter,
                max_bytes: place.max_bytes,
                selected: query.selected.clone(),
                state: ArcSwapOption::empty(),
                reading: Arc::default(),
            })
        };
        Self { files: mapping.queries.iter().map(file).collect() }
    }

    fn file(&self, query: usize) -> Result<&Arc<File>, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.files.get(query).ok_or_else(unknown)
    }
}

impl File {
    /// The file's records as they are now, or as they were when it was last good.
    async fn table(self: &Arc<Self>, until: Instant) -> Result<Arc<Table>, SourceError> {
        let version = Version::of(&self.path).await?;
        let known = self.state.load_full();
        if known.as_ref().is_none_or(|state| state.version != version) {
            let this = Arc::clone(self);
            // A task of its own: it goes on when whoever asked gives up.
            let reading = tokio::spawn(async move { this.read_again().await });
            let wait = match known.as_ref().and_then(|state| state.table.as_ref()) {
                Some(_) => until.min(clock::now() + PATIENCE),
                None => until,
            };
            drop(tokio::time::timeout_at(wait.into(), reading).await);
        }
        let state = self.state.load_full();
        let Some(state) = state else {
            return Err(SourceError::new(Reason::Timeout, "the file is still being read"));
        };
        state.table.clone().ok_or_else(|| {
            let why = state.refused.clone().unwrap_or_default();
            SourceError::new(Reason::Down, format!("`{}`: {why}", self.path.display()))
        })
    }

    async fn read_again(self: Arc<Self>) {
        let _one = self.reading.lock().await;
        let Ok(version) = Version::of(&self.path).await else {
            return;
        };
        let before = self.state.load_full();
        if before.as_ref().is_some_and(|state| state.version == version) {
            return;
        }
        let this = Arc::clone(&self);
        let read = tokio::task::spawn_blocking(move || this.read(version)).await;
        let read = read.unwrap_or_else(|_| Err("it could not be read".to_owned()));
        // Changed under our eyes: not to be believed, and looked at again.
        if Version::of(&self.path).await.ok() != Some(version) {
            return;
        }
        let file = self.path.display();
        let state = match read {
            Ok(table) => {
                if table.torn > 0 {
                    tracing::warn!(%file, torn = table.torn, "a CSV file has torn lines");
                }
                State { version, table: Some(Arc::new(table)), refused: None }
            }
            Err(refused) => {
                tracing::warn!(%file, %refused, "a CSV file is refused");
                let table = before.and_then(|state| state.table.clone());
                State { version, table, refused: Some(refused) }
            }
        };
        self.state.store(Some(Arc::new(state)));
    }

    fn read(&self, version: Version) -> Result<Table, String> {
        if version.bytes > self.max_bytes {
            return Err(format!(
                "it has {} bytes, more than max_mib = {} lets it",
                version.bytes,
                self.max_bytes / (1024 * 1024)
            ));
        }
        let bytes = std::fs::read(&self.path).map_err(|error| error.kind().to_string())?;
        Table::read(bytes, self.delimiter, &self.selected)
    }
}

impl Version {
    async fn of(path: &Path) -> Result<Self, SourceError> {
        let found = tokio::fs::metadata(path).await.map_err(|error| {
            let detail = format!("`{}` cannot be read: {}", path.display(), error.kind());
            SourceError::new(Reason::Down, detail)
        })?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Self { inode, bytes: found.len(), changed: found.modified().ok() })
    }
}

impl Source for Csv {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let file = self.file(query)?;
            let table = file.table(until).await?;
            let Some(places) = table.places() else {
                return Err(SourceError::new(Reason::Schema, "the file lacks a mapped column"));
            };
            for person in people {
                for line in table.lines(person.expose()) {
                    let given = match &line {
                        Line::Whole(record) => {
                            let fields = places.iter().map(|at| record.get(*at));
                            sink.row(&fields.map(cell).collect::<Vec<_>>())
                        }
                        Line::Torn => {
                            let mut torn = vec![Cell::Broken(Unfit::Torn); places.len()];
                            if let Some(subject) = torn.first_mut() {
                                *subject = Cell::Text(person.expose());
                            }
                            sink.row(&torn)
                        }
                    };
                    if given == ControlFlow::Break(()) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    fn sample<'a>(
        &'a self,
        query: usize,
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<bool, SourceError>> {
        within(until, async move {
            let table = self.file(query)?.table(until).await?;
            let places = table.places().unwrap_or_default();
            for line in table.some(SAMPLED_ROWS) {
                // A torn one is the file's fault, and said elsewhere.
                let Line::Whole(record) = &line else { continue };
                let cells: Vec<Cell<'_>> = places.iter().map(|at| cell(record.get(*at))).collect();
                if sink.row(&cells).is_break() {
                    break;
                }
            }
            Ok(true)
        })
    }

    fn missing_columns<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Vec<SourceError>, SourceError>> {
        within(until, async move {
            let file = self.file(query)?;
            let table = file.table(until).await?;
            let header = table.header();
            let wrong = file.selected.iter().filter_map(|wanted| {
                let count = header.iter().filter(|name| **name == **wanted).count();
                let problem = match count {
                    1 => return None,
                    0 => format!("has no column `{wanted}`, only {}", header.join(", ")),
                    _ => format!("has {count} columns `{wanted}`"),
                };
                let detail = format!("`{}` {problem}", file.path.display());
                Some(SourceError::new(Reason::Schema, detail))
            });
            Ok(wrong.collect())
        })
    }

    fn probe<'a>(&'a self, until: Instant) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            for file in &self.files {
                file.table(until).await?;
            }
            Ok(())
        })
    }
}

/// An empty field is nothing recorded.
fn cell(field: Option<&str>) -> Cell<'_> {
    match field {
        None | Some("") => Cell::Null,
        Some(text) => Cell::Text(text),
    }
}
