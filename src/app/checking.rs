//! `agency check`: an agency's mapping held against the catalogue, and then
//! against the live source and a sample of its rows. Nothing is started, and nobody is
//! asked about but the test person that the administrator names.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use time::Date;
use toml::Spanned;

use super::serving;
use super::verdict::{self, Verdict};
use crate::config::agency::AgencyConfig;
use crate::config::catalogue::{self, CatalogueError};
use crate::config::file::{self, FileError};
use crate::config::mapping::{QueryEntry, SourceEntry};
use crate::config::subject::SubjectConfig;
use crate::domain::catalogue::{AgencyId, Catalogue, Item, Source};
use crate::domain::finding::{Finding, Findings};
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::{SubjectError, SubjectFormat};
use crate::domain::value::{CodeIndex, Value};
use crate::source::{Checked, Holdings, ItemShown, Mapping, Noted, Severity, Written};

/// The part of an agency's file that a mapping is. The other sections may still be
/// missing when its administrator begins.
#[derive(Deserialize)]
struct MappingFile {
    id: Spanned<AgencyId>,
    catalogue: PathBuf,
    source: SourceEntry,
    #[serde(default)]
    query: Vec<Spanned<QueryEntry>>,
    subject: Option<SubjectConfig>,
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
    /// The number of the person to show is none.
    #[error("--subject: {0}: see `[subject]` in the agency's file")]
    Subject(SubjectError),
}

/// One item of the person who was shown.
#[derive(Debug)]
pub struct Shown {
    /// The item's id.
    pub id: String,
    /// The query that holds it.
    pub query: Box<str>,
    /// Its column.
    pub column: Box<str>,
    /// The value with its unit, or why there is none.
    pub outcome: Result<Sensitive<String>, Box<str>>,
    /// The day on which its row was true.
    pub as_of: Option<Date>,
    /// Whether serving would say that the value is invalid.
    pub invalid: bool,
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
    /// What was found of the mapping.
    pub checked: Checked,
    /// What else is to be said of the file and of what it names, where that was wanted.
    pub rest: Verdict,
    /// What is held about the person to show.
    pub shown: Vec<Shown>,
}

/// Holds an agency's file against its catalogue, and if that is well, against its
/// source, unless `offline`; `whole`: also what else the file says and names, as a start
/// would. `subject` is the number of a test person to show.
///
/// # Errors
/// Why the file or the catalogue cannot be read, or that the number is none.
pub async fn check(
    path: &Path,
    offline: bool,
    whole: bool,
    subject: Option<&Sensitive<String>>,
) -> Result<CheckReport, CheckError> {
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
    let format = config.subject.as_ref().map(|subject| &subject.format);
    let any = SubjectFormat::new(".+", None).ok();
    let subject = match (subject, format.or(any.as_ref())) {
        (Some(number), Some(format)) => {
            Some(format.parse(number.expose()).map_err(CheckError::Subject)?)
        }
        _ => None,
    };
    let mut shown = Vec::new();
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
                let live = crate::source::check(&holdings, &written, format).await;
                checked.noted.extend(live.noted);
                (checked.unreachable, checked.plans) = (live.unreachable, live.plans);
                checked.sampled = live.sampled;
                if let Some(subject) = subject.filter(|_| !checked.unreachable) {
                    let held = holdings.show(&subject).await;
                    shown = held.into_iter().map(|item| of_catalogue(item, &catalogue)).collect();
                }
            }
        }
    }
    let rest = match whole {
        true => without(&checked, verdict::agency(path)?),
        false => {
            checked.noted.extend(not_yet(path)?);
            Verdict::default()
        }
    };
    checked.noted.sort_by_key(|noted| noted.line);
    let items = (mapped, owned);
    Ok(CheckReport { file: name, agency: id.to_string(), items, checked, rest, shown })
}

/// What a file lacks before an agency can be started with it, and what is hardly meant.
fn not_yet(path: &Path) -> Result<Vec<Noted>, FileError> {
    let (config, _, faults) = AgencyConfig::judge(path)?;
    let warning = |line, message| Noted { severity: Severity::Warning, line, message };
    let doubts = faults.doubts().iter().map(|doubt| warning(doubt.line, doubt.message.clone()));
    let mut noted: Vec<_> = doubts.collect();
    if let Err(Findings(faults)) = faults.finish(config) {
        noted.extend(faults.into_iter().map(|Finding { line, message, .. }| {
            let told = format!("the agency cannot be started with this file yet: {message}");
            warning(line, told)
        }));
    }
    Ok(noted)
}

/// A verdict on a whole file, without what was found of its mapping already.
fn without(checked: &Checked, mut verdict: Verdict) -> Verdict {
    let known = |found: &Finding| {
        checked
            .noted
            .iter()
            .any(|noted| (noted.line, &noted.message) == (found.line, &found.message))
    };
    verdict.errors.retain(|found| !known(found));
    verdict
}

/// The same in the catalogue's words.
fn of_catalogue(shown: ItemShown, catalogue: &Catalogue) -> Shown {
    let item = catalogue.item(shown.number);
    let text = |value: Sensitive<Value>| {
        let (text, unit) = match *value.expose() {
            Value::Boolean(value) => (value.to_string(), ""),
            Value::Integer(number) => (number.to_string(), item.map_or("", |item| &*item.unit)),
            Value::Decimal(number) => {
                (number.normalize().to_string(), item.map_or("", |item| &*item.unit))
            }
            Value::Money(number) => {
                let currency = item.and_then(Item::currency);
                let currency = currency.map(|currency| currency.as_str().to_owned());
                (format!("{} {}", number.normalize(), currency.unwrap_or_default()), "")
            }
            Value::Date(date) => (date.to_string(), ""),
            Value::Months(months) => (months.to_string(), "months"),
            Value::Code(CodeIndex(at)) => {
                let code = item.and_then(|item| item.codes.get(usize::from(at)));
                (code.map_or(String::new(), |code| code.code.to_string()), "")
            }
        };
        Sensitive::new(format!("{text} {unit}").trim_end().to_owned())
    };
    Shown {
        id: item.map_or(String::new(), |item| item.id.to_string()),
        query: shown.query,
        column: shown.column,
        outcome: shown.outcome.map(text),
        as_of: shown.as_of,
        invalid: shown.invalid,
    }
}
