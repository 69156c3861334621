//! One file, kept up to date: read again once it has stayed as it is for a moment,
//! the last good one in use until then, and no longer than the mapping lets it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::AS_OF;
use super::delivery::{self, Good, Rules};
use super::refused::Refused;
use super::table::{Form, Table};
use super::version::Version;
use crate::clock;
use crate::config::mapping::OF_FILE;
use crate::domain::reason;
use crate::files;
use crate::source::fault::{Reason, SourceError};
use crate::source::place::CsvPlace;
use crate::source::query::{Ask, Query};

/// How long a file stays as it is before it is read: who writes it in place may be
/// in the middle.
const SETTLES: Duration = Duration::from_secs(1);

/// How long a file stays as it is before it confirms who is no longer in it.
const CONFIRMS: Duration = Duration::from_secs(3);

/// How long a newer file may be not whole before the log says so.
const ALARMS: Duration = Duration::from_secs(60);

/// How often a file is looked at, whoever asks.
const LOOKS: Duration = Duration::from_secs(1);

/// How long a question waits for a changed file before it takes the last good one.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a question waits for the first good file.
const FIRST: Duration = Duration::from_millis(1500);

/// One file and what was last read of it.
pub(super) struct File {
    path: PathBuf,
    done: Option<PathBuf>,
    form: Form,
    max_bytes: u64,
    max_shrink: u8,
    freshness: Duration,
    /// The columns that are read, without `as_of` where the file dates its rows.
    selected: Vec<Box<str>>,
    /// Whether each row is as old as the file.
    pub dates_rows: bool,
    state: ArcSwap<State>,
    /// The version that is there, and since when it has been seen.
    noticed: Mutex<Option<(Version, Instant)>>,
    /// Held while the file is read: by one at a time.
    reading: tokio::sync::Mutex<()>,
}

/// What is known of a file.
#[derive(Debug, Clone, Default)]
struct State {
    /// The version that was last judged.
    judged: Option<Version>,
    good: Option<Arc<Good>>,
    /// Why the version that was last judged is not in use.
    refused: Option<Refusal>,
}

/// A version that is not in use.
#[derive(Debug, Clone)]
struct Refusal {
    refused: Refused,
    /// What is wrong with its columns, if that is what is wrong.
    columns: Vec<String>,
    /// Since when the last good file is not the one that is there.
    since: Instant,
    /// Whether the log has it.
    told: bool,
}

impl File {
    pub fn new(query: &Query, place: &CsvPlace) -> Self {
        let name = match &query.ask {
            Ask::File(name) => name.as_path(),
            _ => Path::new(""),
        };
        let path = place.folder.join(name);
        let done = place.done_file.as_ref().map(|done| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            path.with_file_name(done.replace("{file}", &file))
        });
        let mut selected = query.selected.clone();
        let dates_rows = selected.get(AS_OF).is_some_and(|column| &**column == OF_FILE);
        if dates_rows {
            selected.remove(AS_OF);
        }
        Self {
            path,
            done,
            form: place.form.clone(),
            max_bytes: place.max_bytes,
            max_shrink: place.max_shrink,
            freshness: place.freshness,
            selected,
            dates_rows,
            state: ArcSwap::default(),
            noticed: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The file in use.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub async fn good(self: &Arc<Self>, until: Instant) -> Result<Arc<Good>, SourceError> {
        let waits = until.min(clock::now() + FIRST);
        loop {
            self.look(until).await?;
            let state = self.state.load_full();
            match (&state.good, &state.refused) {
                (Some(good), None) => return Ok(Arc::clone(good)),
                (Some(good), Some(refusal)) => {
                    if clock::now().saturating_duration_since(refusal.since) < self.freshness {
                        return Ok(Arc::clone(good));
                    }
                    let refused = &refusal.refused.why;
                    let detail = format!(
                        "{refused}; and the last good one was replaced longer ago than \
                         `freshness` lets it answer"
                    );
                    return Err(self.fault(Reason::Down, &detail));
                }
                (None, Some(refusal)) => {
                    let reason = match refusal.refused.alarm {
                        reason::Reason::SourceSchema => Reason::Schema,
                        _ => Reason::Down,
                    };
                    return Err(self.fault(reason, &refusal.refused.why));
                }
                (None, None) if clock::now() < waits => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                (None, None) => {
                    let detail = match &self.done {
                        Some(done) => format!(
                            "its done file `{}` is not there or is older: the delivery is not whole",
                            done.display()
                        ),
                        None => "it is still being written, or being read".to_owned(),
                    };
                    return Err(self.fault(Reason::Down, &detail));
                }
            }
        }
    }

    /// Names each selected column that the newest file lacks.
    ///
    /// # Errors
    /// There is no file, or its text cannot be read.
    pub async fn missing_columns(
        self: &Arc<Self>,
        until: Instant,
    ) -> Result<Vec<SourceError>, SourceError> {
        let good = self.good(until).await;
        let state = self.state.load_full();
        let columns = state.refused.as_ref().map_or(&[][..], |refusal| &refusal.columns);
        match (columns, good) {
            ([], Err(error)) => Err(error),
            ([], Ok(_)) => Ok(Vec::new()),
            (columns, _) => {
                let fault = |column: &String| self.fault(Reason::Schema, column);
                Ok(columns.iter().map(fault).collect())
            }
        }
    }

    fn fault(&self, reason: Reason, detail: &str) -> SourceError {
        SourceError::new(reason, format!("`{}`: {detail}", self.path.display()))
    }

    /// Looks whether the file has changed, and if so reads it again.
    async fn look(self: &Arc<Self>, until: Instant) -> Result<(), SourceError> {
        let version = Version::of(&self.path).await.inspect_err(|_| {
            self.begin_to_age("a CSV file is gone");
        })?;
        let seen_for = self.seen_for(version);
        let state = self.state.load_full();
        if state.judged == Some(version) {
            if let Some(good) = state.good.as_ref().filter(|good| good.version == version)
                && seen_for >= CONFIRMS
            {
                good.settle();
            }
            return Ok(());
        }
        let done = self.is_done(version).await;
        let ready = match self.done {
            Some(_) => done,
            None => seen_for >= SETTLES || unchanged_for(version, SETTLES),
        };
        if !ready {
            self.begin_to_age("a newer CSV file is there and not whole yet");
            return Ok(());
        }
        let this = Arc::clone(self);
        // A task of its own: it goes on when whoever asked gives up.
        let reading = tokio::spawn(async move { this.read_again(done).await });
        let wait = match state.good {
            Some(_) => until.min(clock::now() + PATIENCE),
            None => until,
        };
        drop(tokio::time::timeout_at(wait.into(), reading).await);
        Ok(())
    }

    /// Since when this version has been there, as far as it was seen.
    fn seen_for(&self, version: Version) -> Duration {
        let mut noticed = self.noticed.lock();
        let now = clock::now();
        match &*noticed {
            Some((known, since)) if *known == version => now.saturating_duration_since(*since),
            _ => {
                *noticed = Some((version, now));
                Duration::ZERO
            }
        }
    }

    /// From now on the last good file is not the one that is there.
    fn begin_to_age(&self, why: &str) {
        let state = self.state.load();
        if state.good.is_none() {
            return;
        }
        let now = clock::now();
        match &state.refused {
            None => {}
            Some(refusal) if refusal.told || now < refusal.since + ALARMS => return,
            Some(refusal) => {
                let (file, reason) = (self.path.display(), refusal.refused.alarm);
                tracing::warn!(%file, %reason, last_good_in_use = true, "{why}");
            }
        }
        // `judged` stays what it was: the newer one was not read.
        self.state.rcu(|state| {
            let since = state.refused.as_ref().map_or(now, |refusal| refusal.since);
            let told = state.refused.is_some();
            let refused = Refused::torn(why.to_owned());
            let refusal = Refusal { refused, columns: Vec::new(), since, told };
            State { refused: Some(refusal), ..State::clone(state) }
        });
    }

    async fn is_done(&self, version: Version) -> bool {
        let Some(done) = &self.done else { return false };
        match (Version::of(done).await, version.changed()) {
            (Ok(done), Some(changed)) => done.changed().is_some_and(|done| done >= changed),
            (Ok(_), None) => true,
            (Err(_), _) => false,
        }
    }

    async fn read_again(self: Arc<Self>, done: bool) {
        let _one = self.reading.lock().await;
        let Ok(version) = Version::of(&self.path).await else {
            return;
        };
        let before = self.state.load_full();
        if before.judged == Some(version) {
            return;
        }
        let (this, known) = (Arc::clone(&self), before.good.clone());
        let reading = move || this.judge(known.as_deref(), version, done);
        let Ok(read) = tokio::task::spawn_blocking(reading).await else {
            return;
        };
        // Changed under our eyes: not to be believed, and looked at again.
        if Version::of(&self.path).await.ok() != Some(version) {
            return;
        }
        let state = match read {
            Ok(good) => {
                self.tell(&good);
                State { judged: Some(version), good: Some(Arc::new(good)), refused: None }
            }
            Err((refused, columns)) => {
                let kept = before.good.is_some();
                let (file, reason) = (self.path.display(), refused.alarm);
                tracing::warn!(%file, %reason, last_good_in_use = kept, "a CSV file is refused: {}", refused.why);
                let since = before.refused.as_ref().map_or_else(clock::now, |known| known.since);
                let refused = Some(Refusal { refused, columns, since, told: true });
                State { judged: Some(version), good: before.good.clone(), refused }
            }
        };
        self.state.store(Arc::new(state));
    }

    /// Says what is odd about a file that is taken.
    fn tell(&self, good: &Good) {
        let file = self.path.display();
        if good.table.torn > 0 {
            let torn = good.table.torn;
            tracing::warn!(%file, torn, reason = %reason::Reason::SourceTorn, "a CSV file has torn lines: their people are answered INVALID");
        }
        if !good.table.ended {
            tracing::warn!(%file, reason = %reason::Reason::SourceTorn, "a CSV file does not end with a line break: its last cell is answered INVALID");
        }
        let in_doubt = good.doubts();
        if in_doubt > 0 {
            tracing::warn!(%file, in_doubt, reason = %reason::Reason::SourceShrank, "a CSV file lacks people of the last one: they are answered INVALID until a second file or a done file confirms it");
        }
        tracing::info!(%file, rows = good.table.rows(), "a CSV file is in use");
    }

    fn judge(
        &self,
        before: Option<&Good>,
        version: Version,
        done: bool,
    ) -> Result<Good, (Refused, Vec<String>)> {
        let table = self.read(version).map_err(|refused| (refused, Vec::new()))?;
        let columns = self.wrong_columns(&table);
        if !columns.is_empty() {
            return Err((Refused::form(columns.join("; ")), columns));
        }
        let rules = Rules { max_shrink: self.max_shrink, done };
        delivery::judge(before, version, table, rules).map_err(|refused| (refused, Vec::new()))
    }

    fn read(&self, version: Version) -> Result<Table, Refused> {
        if version.bytes() > self.max_bytes {
            return Err(Refused::form(format!(
                "it has {} bytes, more than max_mib = {} lets it",
                version.bytes(),
                self.max_bytes / (1024 * 1024)
            )));
        }
        let bytes = files::read(&self.path, self.max_bytes)
            .map_err(|error| Refused::torn(format!("it cannot be read: {}", files::why(&error))))?;
        Table::read(bytes, &self.form, &self.selected)
    }

    /// Each selected column that is not in the header once. What the header has
    /// instead is not told: it may be a person's row.
    fn wrong_columns(&self, table: &Table) -> Vec<String> {
        let (named, cells) = table.named();
        let wrong = self.selected.iter().zip(named).filter_map(|(wanted, count)| match count {
            1 => None,
            0 => Some(format!(
                "it has no column `{wanted}`: the first line has {cells} cells; correct the name, \
                 or `delimiter`, `encoding` or `skip_lines` if that line is not the header"
            )),
            _ => Some(format!("it has {count} columns `{wanted}`")),
        });
        wrong.collect()
    }
}

/// Whether the file system says that a file was changed this long ago or longer.
fn unchanged_for(version: Version, duration: Duration) -> bool {
    let now = SystemTime::from(clock::utc());
    let age = version.changed().and_then(|changed| now.duration_since(changed).ok());
    age.is_some_and(|age| age >= duration)
}

/// Looks at the files again and again until nobody uses them any more, so that an
/// alarm comes with the file and not with the next question.
pub(super) fn watch(files: &[Arc<File>]) {
    let files: Vec<Weak<File>> = files.iter().map(Arc::downgrade).collect();
    tokio::spawn(async move {
        loop {
            for file in &files {
                let Some(file) = file.upgrade() else { return };
                // One that is not there is told to whoever asks.
                drop(file.look(clock::now() + LOOKS).await);
            }
            tokio::time::sleep(LOOKS).await;
        }
    });
}
