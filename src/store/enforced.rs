//! Every policy, catalogue and routing that a house enforced, kept by digest in
//! `enforced/` of its log's folder: a review evaluates them again. They hold nothing
//! about people.
//!
//! | file | holds |
//! | --- | --- |
//! | `catalogue-DIGEST.json` | names and texts of the catalogue's files |
//! | `policy-DIGEST.json` | names and texts of the rules, the vocabulary, the catalogue's digest |
//! | `routing-DIGEST.json` | whom a gateway asks, and where |
//! | `timeline.jsonl` | when which came into force, one a line |
//!
//! A file is believed only if what it holds has the digest in its name; the log's
//! records name that digest. The timeline is a help and no proof.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::domain::audit::Timestamp;
use crate::domain::catalogue::{Catalogue, CatalogueDigest, Source};
use crate::domain::flows::drift::Enforced;
use crate::domain::policy::engine::Engine;
use crate::domain::policy::vocabulary::Vocabulary;
use crate::files;

/// The folder inside a log's.
const FOLDER: &str = "enforced";
const TIMELINE: &str = "timeline.jsonl";

/// Catalogues whose texts are in memory, at most: policies come into force over the newest.
const CATALOGUES: usize = 2;

/// Most bytes of one kept file.
const MAX_BYTES: u64 = 128 << 20;

/// Name and text of each file.
type Texts = Vec<(String, String)>;

#[derive(Debug, Serialize, Deserialize)]
struct PolicyFile {
    catalogue: String,
    vocabulary: Vocabulary,
    rules: Texts,
}

#[derive(Debug, Serialize, Deserialize)]
struct Moment {
    time_us: u64,
    policy: String,
    catalogue: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    routing: Option<String>,
}

/// Where a house keeps what it enforces.
#[derive(Debug, Clone)]
pub struct Keeper {
    folder: Arc<Mutex<PathBuf>>,
    /// The texts of catalogues, the newest last.
    catalogues: Arc<Mutex<Vec<(CatalogueDigest, Texts)>>>,
    routing: Arc<Mutex<Option<String>>>,
}

/// What was kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// The policies, and when each was in force.
    pub enforced: Enforced,
    /// Files that were left aside, and why.
    pub notes: Vec<String>,
}

impl Keeper {
    /// Keeps in the folder of a log. `routing` says whom a gateway asks, as JSON.
    pub fn new(log: &Path, routing: Option<String>) -> Self {
        let routing = Arc::new(Mutex::new(routing));
        let folder = Arc::new(Mutex::new(log.join(FOLDER)));
        Self { folder, catalogues: Arc::default(), routing }
    }

    /// Keeps in the folder of another log from now on, and what is in force there first.
    ///
    /// # Errors
    /// The disk's.
    pub fn turn(&self, log: &Path, engine: &Engine, now: OffsetDateTime) -> io::Result<()> {
        *self.folder.lock() = log.join(FOLDER);
        self.keep(engine, now)
    }

    /// The files of a catalogue, to be kept with the policies over it.
    pub fn know(&self, catalogue: CatalogueDigest, texts: Texts) {
        let mut catalogues = self.catalogues.lock();
        catalogues.retain(|(known, _)| *known != catalogue);
        catalogues.push((catalogue, texts));
        let before = catalogues.len().saturating_sub(CATALOGUES);
        catalogues.drain(..before);
    }

    /// Whom the gateway asks from now on, to be kept with what comes into force next.
    pub fn route(&self, routing: String) {
        *self.routing.lock() = Some(routing);
    }

    /// Keeps a policy that comes into force, and waits for the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(&self, engine: &Engine, now: OffsetDateTime) -> io::Result<()> {
        let folder = self.folder.lock().clone();
        fs::create_dir_all(&folder)?;
        let catalogue = engine.catalogue().digest();
        if let Some((_, texts)) = self.catalogues.lock().iter().find(|(of, _)| *of == catalogue) {
            file(&folder, &format!("catalogue-{catalogue}.json"), texts)?;
        }
        let catalogue = catalogue.to_string();
        let policy = engine.digest().to_string();
        let kept = PolicyFile {
            catalogue: catalogue.clone(),
            vocabulary: engine.vocabulary().clone(),
            rules: engine.rule_texts().to_vec(),
        };
        file(&folder, &format!("policy-{policy}.json"), &kept)?;
        let routing = self.routing.lock().clone();
        let routing = routing.map(|routing| {
            let hash = digest(&SHA256, routing.as_bytes());
            let name: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            text(&folder, &format!("routing-{name}.json"), &routing).map(|()| name)
        });
        let routing = routing.transpose()?;
        let time_us = Timestamp::new(now).0;
        let moment = Moment { time_us, policy, catalogue, routing };
        let mut line = serde_json::to_string(&moment)?;
        line.push('\n');
        let path = folder.join(TIMELINE);
        files::expect_file(&path)?;
        let mut timeline = OpenOptions::new().create(true).append(true).open(path)?;
        timeline.write_all(line.as_bytes())?;
        timeline.sync_all()
    }
}

fn file(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    text(folder, name, &serde_json::to_string(value)?)
}

/// Writes a file whole, unless it is there: its name says what is in it, and one
/// with something else in it is replaced.
fn text(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = folder.join(name);
    if files::read_text(&path, MAX_BYTES).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    files::sync_folder(folder)
}

/// Reads what was kept beside a log; nothing, where nothing was.
///
/// # Errors
/// The folder cannot be read. A file that does not hold what its name says is
/// left aside with a note.
pub fn read(log: &Path) -> io::Result<Kept> {
    let folder = log.join(FOLDER);
    let mut kept = Kept::default();
    if !folder.is_dir() {
        kept.notes.push("no policy was kept beside this log".to_owned());
        return Ok(kept);
    }
    let mut catalogues: BTreeMap<String, Arc<Catalogue>> = BTreeMap::new();
    let mut names: Vec<String> = fs::read_dir(&folder)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    for name in &names {
        let Some(wanted) = name.strip_prefix("policy-").and_then(|name| name.strip_suffix(".json"))
        else {
            continue;
        };
        match policy(&folder, name, &mut catalogues) {
            Ok(engine) if engine.digest().to_string() == wanted => {
                kept.enforced.policies.insert(engine.digest().0, engine);
            }
            Ok(engine) => kept.notes.push(format!(
                "{name} has digest {} and is left aside: it was changed, or kept by another version",
                engine.digest()
            )),
            Err(why) => kept.notes.push(format!("{name} is left aside: {why}")),
        }
    }
    if names.iter().any(|name| name == TIMELINE) {
        let text = bounded(&folder.join(TIMELINE))?;
        for line in text.lines() {
            match serde_json::from_str::<Moment>(line)
                .ok()
                .and_then(|moment| Some((Timestamp(moment.time_us), from_hex(&moment.policy)?)))
            {
                Some(moment) => kept.enforced.timeline.push(moment),
                None => kept.notes.push("a line of the timeline cannot be read".to_owned()),
            }
        }
        kept.enforced.timeline.sort();
    }
    Ok(kept)
}

fn policy(
    folder: &Path,
    name: &str,
    catalogues: &mut BTreeMap<String, Arc<Catalogue>>,
) -> Result<Engine, String> {
    let text = bounded(&folder.join(name)).map_err(|error| error.to_string())?;
    let file: PolicyFile = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let catalogue = match catalogues.get(&file.catalogue) {
        Some(catalogue) => Arc::clone(catalogue),
        None => {
            let catalogue = Arc::new(catalogue(folder, &file.catalogue)?);
            catalogues.insert(file.catalogue.clone(), Arc::clone(&catalogue));
            catalogue
        }
    };
    Engine::load(catalogue, &sources(&file.rules), &file.vocabulary)
        .map_err(|findings| findings.first().map_or_else(String::new, ToString::to_string))
}

fn catalogue(folder: &Path, wanted: &str) -> Result<Catalogue, String> {
    if from_hex(wanted).is_none() {
        return Err("it names no catalogue".to_owned());
    }
    let name = format!("catalogue-{wanted}.json");
    let text = bounded(&folder.join(&name)).map_err(|error| format!("{name}: {error}"))?;
    let texts: Texts = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    let catalogue = Catalogue::parse(&sources(&texts)).map_err(|findings| {
        format!("{name}: {}", findings.first().map_or_else(String::new, ToString::to_string))
    })?;
    match catalogue.digest().to_string() == wanted {
        true => Ok(catalogue),
        false => Err(format!("{name} has digest {}", catalogue.digest())),
    }
}

fn sources(texts: &Texts) -> Vec<Source<'_>> {
    texts.iter().map(|(name, text)| Source { name, text }).collect()
}

fn bounded(path: &Path) -> io::Result<String> {
    files::read_text(path, MAX_BYTES)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_something_else_in_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, name) = (folder.path(), "policy-1.json");
        let path = folder.join(name);
        for wrong in ["", "right and more", "wrong"] {
            fs::write(&path, wrong).unwrap();
            text(folder, name, "right").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "right");
        }
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        text(folder, name, "right").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }
}
