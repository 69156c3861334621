//! Reads what a review looks at: a federation's folder of configuration, or the
//! same folder at a git revision.
//!
//! A folder holds `gateway.toml` and `agencies/*.toml`, as `examples/city` does; a
//! `review.toml` names them where they are called otherwise. No key, certificate or
//! database is opened.

pub mod prove;
pub mod revision;
mod texts;
pub mod trust;

pub use texts::inside;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::config::agency::AgencyConfig;
use crate::config::federation::Manifest;
use crate::config::file::{self, FileError};
use crate::config::gateway::GatewayConfig;
use crate::config::grants::GrantsConfig;
use crate::config::policy::{PolicyConfig, PolicyLoadError, read_texts, sources};
use crate::domain::audit::VerifyingKey;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::flows::acceptors::{Acceptor, Acceptors};
use crate::domain::flows::federation::{Agency, Federation, House, Issuer, Own};
use crate::domain::flows::places::{FilePlace, GATEWAY, Kind, Places};
use crate::domain::grant::PurposeTable;
use crate::domain::policy::engine::Engine;

/// Names of the files, where a folder has them otherwise.
pub const MANIFEST: &str = "review.toml";

/// Most agencies of one federation.
const MAX_AGENCIES: usize = 256;

/// Why a federation cannot be reviewed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// No federation stands there.
    #[error(
        "{} holds no federation: it needs gateway.toml and agencies/*.toml, or a review.toml that \
         names them",
        .0.display()
    )]
    NoFederation(PathBuf),
    /// A folder cannot be listed.
    #[error("cannot list {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A policy, by whose.
    #[error("the policy of {house}")]
    Policy {
        /// Whose.
        house: String,
        /// What is wrong.
        source: PolicyLoadError,
    },
    /// The catalogue.
    #[error("the catalogue is not sound:\n{0}")]
    Catalogue(String),
    /// Files that do not belong together.
    #[error("{}: {message}", path.display())]
    Apart {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Git.
    #[error(transparent)]
    Revision(#[from] revision::RevisionError),
}

/// The files of a federation, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The federation's folder.
    pub root: PathBuf,
    /// The gateway's file.
    pub gateway: PathBuf,
    /// The agencies' files.
    pub agencies: Vec<PathBuf>,
    /// The issuers' files.
    pub issuers: Vec<PathBuf>,
    /// `review.toml`, where there is one.
    pub manifest: Option<PathBuf>,
}

impl Files {
    /// Finds the files in a folder.
    ///
    /// # Errors
    /// [`ReviewError::NoFederation`], or a file or folder that cannot be read.
    pub fn find(root: &Path) -> Result<Self, ReviewError> {
        let path = root.join(MANIFEST);
        let manifest = path.is_file().then_some(path);
        let named = match &manifest {
            Some(path) => file::read_toml(path)?,
            None => Manifest::default(),
        };
        let gateway = root.join(named.gateway);
        let joined = |paths: Vec<PathBuf>| paths.iter().map(|path| root.join(path)).collect();
        let agencies = match named.agencies {
            Some(paths) => joined(paths),
            None => list(&root.join("agencies"))?,
        };
        let issuers = match named.issuers {
            Some(paths) => joined(paths),
            None => issuers(root)?,
        };
        if !gateway.is_file() {
            return Err(ReviewError::NoFederation(root.to_owned()));
        }
        if agencies.len() > MAX_AGENCIES {
            let message = format!("more than {MAX_AGENCIES} agencies: is it a federation?");
            return Err(ReviewError::Apart { path: root.to_owned(), message });
        }
        Ok(Self { root: root.to_owned(), gateway, agencies, issuers, manifest })
    }

    /// A path as reports name it: from the federation's folder.
    pub fn name(&self, path: &Path) -> String {
        // The same folder may be written `agencies/../catalogue`.
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir if clean.file_name().is_some() => {
                    clean.pop();
                }
                part => clean.push(part),
            }
        }
        let root: PathBuf =
            self.root.components().filter(|part| *part != Component::CurDir).collect();
        clean.strip_prefix(&root).unwrap_or(&clean).to_string_lossy().replace('\\', "/")
    }
}

/// The issuers' settings: `issuer.toml` in a folder of the federation's.
fn issuers(root: &Path) -> Result<Vec<PathBuf>, ReviewError> {
    let failed = |source| ReviewError::Folder { path: root.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let path = entry.map_err(failed)?.path().join("issuer.toml");
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, ReviewError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| ReviewError::Folder { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a federation's folder.
///
/// # Errors
/// [`ReviewError`].
pub fn load(root: &Path) -> Result<Federation, ReviewError> {
    let files = Files::find(root)?;
    let mut places = Places::default();
    let (config, mut faults) = GatewayConfig::judge(&files.gateway)?;
    let Some(config) = config.filter(|_| faults.count() == 0) else {
        return Err(FileError::from(faults.refuse()).into());
    };
    let text = file::read_text(&files.gateway)?;
    places.configuration(GATEWAY, &files.name(&files.gateway), &text, []);
    let mut parties = vec![(GATEWAY.to_owned(), config.parties.clone())];
    parties_of(&files, GATEWAY, &config.parties, &mut places)?;
    let texts = catalogue_texts(&config.catalogue)?;
    let catalogue = Arc::new(catalogue(&files, &config.catalogue, &texts, &mut places)?);
    config.check_agencies(&catalogue, &mut faults);
    let purposes = config.grants.purposes(&catalogue, &mut faults);
    let grants = (&config.grants, faults.finish(purposes).map_err(FileError::from)?);
    let engine = config.policy.load(&catalogue).map_err(policy_of(GATEWAY))?;
    let folder = files.name(&config.catalogue);
    let mut vocabularies = vec![(GATEWAY.to_owned(), config.policy.vocabulary.clone())];
    let gateway = house(&files, GATEWAY, engine, &config.policy, grants, &mut places)?;
    let mut owns = BTreeMap::new();
    for path in &files.agencies {
        let (id, own, vocabulary, included) = own(&files, path, &texts, &gateway, &mut places)?;
        vocabularies.push((id.to_string(), vocabulary));
        parties.push((id.to_string(), included));
        if owns.insert(id.clone(), own).is_some() {
            let message = format!("agency `{id}` has a file already");
            return Err(ReviewError::Apart { path: path.clone(), message });
        }
    }
    let agencies = config.agency.into_iter().map(|entry| Agency {
        own: owns.remove(&entry.id),
        id: entry.id,
        identity: entry.identity,
        endpoint: entry.endpoints.join(", "),
    });
    let agencies = agencies.collect();
    let acceptors = acceptors(&files)?;
    let files = texts::read(&files, (&folder, &texts), &vocabularies, &parties)?;
    Ok(Federation { agencies, catalogue, gateway, places, files, acceptors })
}

/// Who may accept a change, by `review.toml`.
fn acceptors(files: &Files) -> Result<Acceptors, ReviewError> {
    let Some(path) = &files.manifest else { return Ok(Acceptors::default()) };
    let manifest: Manifest = file::read_toml(path)?;
    let mut all: Vec<Acceptor> = Vec::new();
    for entry in manifest.acceptor {
        let name = entry.name;
        let wrong = |message| ReviewError::Apart { path: path.clone(), message };
        let key: VerifyingKey = entry.key.parse().map_err(|error| {
            wrong(format!("the key of the acceptor `{}`: {error}", name.escape_default()))
        })?;
        let twin = |known: &Acceptor| known.name == name || known.key.origin() == key.origin();
        if all.iter().any(twin) {
            return Err(wrong(format!(
                "the acceptor `{}` or its key's name is listed twice",
                name.escape_default()
            )));
        }
        let emails = entry.emails.iter().map(|email| email.to_lowercase()).collect();
        all.push(Acceptor { name, key, emails });
    }
    let longest = time::Duration::try_from(manifest.longest_acceptance);
    Ok(Acceptors { longest: longest.unwrap_or(time::Duration::MAX), all })
}

type Texts = Vec<(String, String)>;

fn catalogue_texts(folder: &Path) -> Result<Texts, ReviewError> {
    read_texts(folder, "toml").map_err(policy_of("the catalogue"))
}

fn policy_of(house: &str) -> impl Fn(PolicyLoadError) -> ReviewError {
    let house = house.to_owned();
    move |source| ReviewError::Policy { house: house.clone(), source }
}

fn catalogue(
    files: &Files,
    folder: &Path,
    texts: &Texts,
    places: &mut Places,
) -> Result<Catalogue, ReviewError> {
    let name = files.name(folder);
    for (file, text) in texts {
        places.catalogue(&format!("{name}/{file}"), text);
    }
    Catalogue::parse(&sources(texts)).map_err(|findings| {
        let listed: Vec<String> = findings.iter().map(ToString::to_string).collect();
        ReviewError::Catalogue(listed.join("\n"))
    })
}

fn own(
    files: &Files,
    path: &Path,
    texts: &Texts,
    gateway: &House,
    places: &mut Places,
) -> Result<(AgencyId, Own, PathBuf, Vec<PathBuf>), ReviewError> {
    let catalogue = gateway.engine.catalogue();
    let (config, text, mut faults) = AgencyConfig::judge(path)?;
    let Some(config) = config.filter(|_| faults.count() == 0) else {
        return Err(FileError::from(faults.refuse()).into());
    };
    let apart = |message| ReviewError::Apart { path: path.to_owned(), message };
    let own_texts = catalogue_texts(&config.catalogue)?;
    if own_texts != *texts {
        let own = self::catalogue(files, &config.catalogue, &own_texts, &mut Places::default())?;
        if own.digest() != catalogue.digest() {
            return Err(apart(format!(
                "catalogue {} is not the gateway's {}: they would not talk to each other",
                own.digest(),
                catalogue.digest()
            )));
        }
    }
    let ids: Vec<&str> = config
        .query
        .iter()
        .flat_map(|query| query.get_ref().items.keys())
        .map(|id| &**id)
        .collect();
    let mapped = ids.iter().map(|id| {
        let item = catalogue.find(id).map(|item| item.number);
        item.ok_or_else(|| {
            apart(format!("it maps `{}`, which the catalogue does not have", id.escape_default()))
        })
    });
    let mapped = mapped.collect::<Result<_, _>>()?;
    places.configuration(config.id.as_str(), &files.name(path), &text, ids);
    parties_of(files, config.id.as_str(), &config.parties, places)?;
    let name = config.id.as_str();
    let purposes = config.grants.purposes(catalogue, &mut faults);
    let grants = (&config.grants, faults.finish(purposes).map_err(FileError::from)?);
    let engine = config.policy.load_beside(&gateway.engine).map_err(policy_of(name))?;
    let house = house(files, name, engine, &config.policy, grants, places)?;
    let own = Own { title: config.title, house, mapped, enabled: config.enabled };
    Ok((config.id, own, config.policy.vocabulary, config.parties))
}

/// Notes what a house's party files say, as its own file is noted.
fn parties_of(
    files: &Files,
    house: &str,
    parties: &[PathBuf],
    places: &mut Places,
) -> Result<(), ReviewError> {
    for path in parties {
        places.configuration(house, &files.name(path), &file::read_text(path)?, []);
    }
    Ok(())
}

fn house(
    files: &Files,
    name: &str,
    engine: Engine,
    policy: &PolicyConfig,
    (grants, purposes): (&GrantsConfig, PurposeTable),
    places: &mut Places,
) -> Result<House, ReviewError> {
    let text = file::read_text(&policy.vocabulary)?;
    let names = engine.vocabulary();
    let listed = names
        .consumers
        .iter()
        .map(|id| id.as_str())
        .chain(names.purposes.iter().map(|code| code.as_str()))
        .chain(names.agencies.iter().map(|id| id.as_str()));
    places.vocabulary(name, &files.name(&policy.vocabulary), &text, listed);
    let rules = FilePlace { file: files.name(&policy.rules), line: 1 };
    places.note(Kind::Rule, name, "", rules);
    let issuers = grants.issuer.iter().map(|entry| Issuer {
        id: entry.id.clone(),
        legal_bases: entry.legal_bases.clone(),
        purposes: entry.purposes.clone(),
        agencies: entry.agencies().cloned().collect(),
        consumers: entry.consumers().cloned().collect(),
    });
    Ok(House { engine, purposes, issuers: issuers.collect() })
}
