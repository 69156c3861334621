//! `agency check`: an agency's mapping held against the catalogue, and then
//! against the live source. Nothing is started, and nobody is asked about.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::serving;
use crate::config::agency::AgencyConfig;
use crate::config::catalogue::{self, CatalogueError};
use crate::config::file::{self, FileError};
use crate::config::mapping::{QueryEntry, SourceEntry};
use crate::domain::catalogue::{AgencyId, Source};
use crate::source::{Checked, Holdings, Mapping, Noted, Severity, Written};

/// The part of an agency's file that a mapping is. The other sections may still be
/// missing when its administrator begins.
#[derive(Deserialize)]
struct MappingFile {
    id: Spanned<AgencyId>,
    catalogue: PathBuf,
    source: SourceEntry,
    #[serde(default)]
    query: Vec<Spanned<QueryEntry>>,
}

/// A mapping cannot even be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file is none.
    #[error(transparent)]
    File(#[from] FileError),
    /// The catalogue cannot be loaded.
    #[error("the catalogue cannot be loaded")]
    Catalogue(#[from] CatalogueError),
}

/// What a check found, and in which file.
#[derive(Debug)]
pub struct CheckReport {
    /// The file's name.
    pub file: String,
    /// The agency.
    pub agency: String,
    /// How many items are mapped, of how many that the agency owns.
    pub items: (usize, usize),
    /// What was found.
    pub checked: Checked,
}

/// Holds an agency's file against its catalogue, and if that is well, against its
/// source, unless `offline`.
///
/// # Errors
/// Why the file or the catalogue cannot be read.
pub async fn check(path: &Path, offline: bool) -> Result<CheckReport, CheckError> {
    let text = file::read_text(path)?;
    let config: MappingFile = file::parse_toml(path, &text)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let catalogue = catalogue::load(&folder.join(&config.catalogue))?;
    let name = serving::name_of(path);
    let written = Written {
        file: Source { name: &name, text: &text },
        folder,
        source: &config.source,
        queries: &config.query,
    };
    let id = config.id.get_ref();
    let owned = catalogue.owned_by(id).len();
    let mut mapped = 0;
    let mut checked = Checked::default();
    let note = |severity, line, message: String| Noted { severity, line, message };
    if owned == 0 {
        let line = crate::domain::lines::line_at(&text, config.id.span().start);
        let message = format!("agency `{id}` owns no item of the catalogue: correct `id`");
        checked.noted.push(note(Severity::Error, line, message));
    }
    match Mapping::compile(id, &catalogue, written) {
        Err(findings) => {
            let findings = findings.into_iter();
            checked
                .noted
                .extend(findings.map(|found| note(Severity::Error, found.line, found.message)));
        }
        Ok(mapping) => {
            mapped = mapping.items().len();
            if !offline {
                let holdings = Holdings::open(mapping);
                let live = crate::source::check(&holdings, &written).await;
                checked.noted.extend(live.noted);
                (checked.unreachable, checked.plans) = (live.unreachable, live.plans);
            }
        }
    }
    if let Err(error) = AgencyConfig::load(path) {
        let (line, message) = match error {
            FileError::Shape { line, message, .. } => (line, message),
            other => (1, other.to_string()),
        };
        let message = format!("the agency cannot be started with this file yet: {message}");
        checked.noted.push(note(Severity::Warning, line, message));
    }
    checked.noted.sort_by_key(|noted| noted.line);
    Ok(CheckReport { file: name, agency: id.to_string(), items: (mapped, owned), checked })
}
