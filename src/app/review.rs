//! Reads what a review looks at: a federation's folder of configuration, or the
//! same folder at a git revision.
//!
//! A folder holds `gateway.toml` and `agencies/*.toml`, as `examples/city` does; a
//! `review.toml` names them where they are called otherwise. No key, certificate or
//! database is opened.

#[cfg(feature = "prove")]
pub mod prove;
pub mod revision;
pub mod trust;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::config::agency::AgencyConfig;
use crate::config::file::{self, FileError};
use crate::config::gateway::GatewayConfig;
use crate::config::grants::GrantsConfig;
use crate::config::policy::{PolicyConfig, PolicyLoadError, read_texts, sources};
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::flows::federation::{Agency, Federation, House, Issuer, Own};
use crate::domain::flows::places::{GATEWAY, Kind, Place, Places};
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
}

/// `review.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    gateway: PathBuf,
    #[serde(default)]
    agencies: Vec<PathBuf>,
}

impl Files {
    /// Finds the files in a folder.
    ///
    /// # Errors
    /// [`ReviewError::NoFederation`], or a file or folder that cannot be read.
    pub fn find(root: &Path) -> Result<Self, ReviewError> {
        let manifest = root.join(MANIFEST);
        let (gateway, agencies) = if manifest.is_file() {
            let named: Manifest = file::read_toml(&manifest)?;
            let agencies = named.agencies.iter().map(|path| root.join(path)).collect();
            (root.join(named.gateway), agencies)
        } else {
            let folder = root.join("agencies");
            let agencies = if folder.is_dir() { list(&folder)? } else { Vec::new() };
            (root.join("gateway.toml"), agencies)
        };
        if !gateway.is_file() {
            return Err(ReviewError::NoFederation(root.to_owned()));
        }
        if agencies.len() > MAX_AGENCIES {
            let message = format!("more than {MAX_AGENCIES} agencies: is it a federation?");
            return Err(ReviewError::Apart { path: root.to_owned(), message });
        }
        Ok(Self { root: root.to_owned(), gateway, agencies })
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

fn list(folder: &Path) -> Result<Vec<PathBuf>, ReviewError> {
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
    let texts = catalogue_texts(&config.catalogue)?;
    let catalogue = Arc::new(catalogue(&files, &config.catalogue, &texts, &mut places)?);
    config.check_agencies(&catalogue, &mut faults);
    let purposes = config.grants.purposes(&catalogue, &mut faults);
    let grants = (&config.grants, faults.finish(purposes).map_err(FileError::from)?);
    let engine = config.policy.load(&catalogue).map_err(policy_of(GATEWAY))?;
    let gateway = house(&files, GATEWAY, engine, &config.policy, grants, &mut places)?;
    let mut owns = BTreeMap::new();
    for path in &files.agencies {
        let (id, own) = own(&files, path, &texts, &gateway, &mut places)?;
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
    Ok(Federation { agencies: agencies.collect(), catalogue, gateway, places })
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
) -> Result<(AgencyId, Own), ReviewError> {
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
    let name = config.id.as_str();
    let purposes = config.grants.purposes(catalogue, &mut faults);
    let grants = (&config.grants, faults.finish(purposes).map_err(FileError::from)?);
    let engine = config.policy.load_beside(&gateway.engine).map_err(policy_of(name))?;
    let house = house(files, name, engine, &config.policy, grants, places)?;
    Ok((config.id, Own { title: config.title, house, mapped, enabled: config.enabled }))
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
    let rules = Place { file: files.name(&policy.rules), line: 1 };
    places.note(Kind::Rule, name, "", rules);
    let issuers = grants.issuer.iter().map(|entry| Issuer {
        id: entry.id.clone(),
        legal_bases: entry.legal_bases.clone(),
        purposes: entry.purposes.clone(),
        agencies: entry.agencies.clone(),
        consumers: entry.consumers.clone(),
    });
    Ok(House { engine, purposes, issuers: issuers.collect() })
}
