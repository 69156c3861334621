//! The rulebook in force while a process runs: catalogue, policy, issuers' pins and purposes,
//! and an agency's mapping, from watched files.
//!
//! What changes alone is made anew alone, over the catalogue in force. Another catalogue
//! takes all the rest with it, or nothing: where one part cannot be made for it, all of it
//! stays as it was, and is tried again as soon as another file changes. What comes into
//! force is kept beside the audit log before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{kept, kept_as};
use crate::app::standing::{Changing, Heard, News};
use crate::app::watching::Rounds;
use crate::app::{StartError, statuses};
use crate::clock;
use crate::config::catalogue::{self, Texts, check_agency};
use crate::config::faults::Faults;
use crate::config::file::FileError;
use crate::config::grants::{Grants, GrantsConfig};
use crate::config::policy::{PolicyConfig, PolicyLoadError};
use crate::config::reload::{Look, Watch};
use crate::domain::catalogue::{AgencyId, Catalogue, difference};
use crate::domain::finding::causes;
use crate::domain::policy::answer::Question;
use crate::domain::policy::engine::Engine;
use crate::domain::purpose::LegalBasis;
use crate::domain::reason::Reason;
use crate::service::rulebook::{InForce, Rulebook};
use crate::service::status_lists::StatusPoll;
use crate::store::enforced::Keeper;

/// How long the warming lets go of the engine after each evaluation.
const WARM_GAP: Duration = Duration::from_millis(2);

/// Earlier catalogues by which peers may still ask, at most.
const EARLIER: usize = 8;

/// The files that a rulebook is made of, watched. Made before they are read for the first
/// time, so that no change falls in between.
pub(in crate::app) struct RulebookFiles {
    catalogue: Watch,
    policy: Watch,
    pins: Watch,
}

impl RulebookFiles {
    /// Relative paths of the `[grants]` section are taken from `folder`.
    pub(in crate::app) fn new(
        folder: &Path,
        catalogue: &Path,
        policy: &PolicyConfig,
        grants: &GrantsConfig,
    ) -> Self {
        let (catalogue, policy) = (watched_catalogue(catalogue), policy.watch());
        Self { catalogue, policy, pins: Watch::new(grants.issuer_files(folder), "") }
    }
}

fn watched_catalogue(folder: &Path) -> Watch {
    Watch::new(vec![folder.to_owned()], "toml")
}

/// What a role makes of the catalogue beside policy and grants.
pub(in crate::app) trait Mapper<M>: Send + 'static {
    /// For this configuration and this catalogue, where `before` is in force. `None` where
    /// that serves for these as well.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn map(
        &mut self,
        now: &Changing,
        catalogue: &Arc<Catalogue>,
        before: &Rulebook<M>,
    ) -> Result<Option<M>, String>;
}

/// A gateway maps nothing.
pub(in crate::app) struct Nothing;

impl Mapper<()> for Nothing {
    fn map(
        &mut self,
        _: &Changing,
        _: &Arc<Catalogue>,
        _: &Rulebook,
    ) -> Result<Option<()>, String> {
        Ok(None)
    }
}

/// What keeps a rulebook up to date.
pub(in crate::app) struct Governing<M> {
    pub(in crate::app) files: RulebookFiles,
    pub(in crate::app) news: News,
    /// From which the paths of the `[grants]` section are taken.
    pub(in crate::app) folder: PathBuf,
    pub(in crate::app) catalogue: PathBuf,
    pub(in crate::app) policy: PolicyConfig,
    /// An agency asks its policy about itself alone.
    pub(in crate::app) own: Option<AgencyId>,
    pub(in crate::app) keeper: Keeper,
    pub(in crate::app) mapper: Box<dyn Mapper<M>>,
}

impl<M: Clone + Send + Sync + 'static> Governing<M> {
    /// Puts the first rulebook in force, and what is made of changed files.
    pub(in crate::app) fn start(
        self,
        first: Rulebook<M>,
        statuses: Arc<StatusPoll>,
        rounds: &Rounds,
    ) -> Result<Arc<InForce<M>>, StartError> {
        self.keeper.keep(&first.engine, clock::utc()).map_err(StartError::Kept)?;
        warm(first.engine.clone(), self.own.clone());
        let rules = InForce::new(first);
        let mut watched = Watched { governing: self, rules: rules.clone(), statuses, behind: None };
        rounds.keep_looking(move || watched.look());
        Ok(rules)
    }
}

struct Watched<M> {
    governing: Governing<M>,
    rules: Arc<InForce<M>>,
    statuses: Arc<StatusPoll>,
    /// Why the catalogue in the files is not in force, where it is not.
    behind: Option<String>,
}

impl<M: Clone + 'static> Watched<M> {
    fn look(&mut self) {
        let Governing { files, news, folder, catalogue, policy, .. } = &mut self.governing;
        let mut changed = false;
        match news.take() {
            Some(Heard::Changed(_)) => changed = true,
            Some(Heard::Refused(why)) => kept_as(Reason::PinsKept, why),
            None => {}
        }
        let now = news.now();
        let moved = changed && now.catalogue != *catalogue;
        let elsewhere = changed && now.policy != *policy;
        if elsewhere {
            policy.clone_from(&now.policy);
            files.policy = policy.watch();
        }
        if changed {
            files.pins = Watch::new(now.grants.issuer_files(folder), "");
        }
        if moved {
            catalogue.clone_from(&now.catalogue);
            files.catalogue = watched_catalogue(catalogue);
        }
        let renewed = files.catalogue.look() == Look::Settled || moved;
        let policy = files.policy.look() == Look::Settled || elsewhere;
        let pins = files.pins.look() == Look::Settled || changed;
        if !(renewed || policy || pins) {
            return;
        }
        if (renewed || self.behind.is_some()) && self.renew(&now, renewed) {
            return;
        }
        if pins {
            self.pins(&now);
        }
        if policy {
            self.policy();
        }
        if changed {
            self.mapping(&now);
        }
    }

    /// Everything anew over the catalogue in the files. Whether it is in force.
    fn renew(&mut self, now: &Changing, seen: bool) -> bool {
        match self.made(now) {
            Ok(()) => {
                self.behind = None;
                self.rules.keep_catalogue(false);
                self.rules.keep_policy(false);
                true
            }
            Err(why) => {
                // Said once of each state, and not with each change of another file.
                if seen || self.behind.as_ref() != Some(&why) {
                    kept_as(Reason::CatalogueKept, why.clone());
                }
                self.behind = Some(why);
                self.rules.keep_catalogue(true);
                false
            }
        }
    }

    fn made(&mut self, now: &Changing) -> Result<(), String> {
        let mut faults = now.faults.clone();
        let (rulebook, texts) = match self.judged(now, &mut faults) {
            Some(judged) if faults.count() == 0 => judged,
            _ => return Err(causes(&FileError::from(faults.refuse()))),
        };
        let (before, catalogue) = (self.rules.now(), rulebook.catalogue().clone());
        let mapped = self.governing.mapper.map(now, &catalogue, &before)?;
        let rulebook = Rulebook { mapped: mapped.unwrap_or(rulebook.mapped), ..rulebook };
        let lists = statuses::plan(&rulebook.grants).map_err(|error| causes(&error))?;
        let keeper = &self.governing.keeper;
        keeper.know(catalogue.digest(), texts);
        let failed = |error: std::io::Error| {
            format!("cannot be kept beside the audit log: {}", causes(&error))
        };
        keeper.keep(&rulebook.engine, clock::utc()).map_err(failed)?;
        self.statuses.replace(lists).map_err(|error| causes(&error))?;
        self.governing.news.judge_by(&catalogue);
        warm(rulebook.engine.clone(), self.governing.own.clone());
        self.rules.put(rulebook);
        let digest = catalogue.digest();
        let change = difference(before.catalogue(), &catalogue);
        tracing::info!(
            %digest,
            added = change.added.len(),
            changed = change.changed.len(),
            retired = change.retired.len(),
            "the changed catalogue is in force"
        );
        Ok(())
    }

    /// A rulebook over the catalogue in the files, but for what is mapped to it, and the
    /// catalogue's texts.
    fn judged(&self, now: &Changing, faults: &mut Faults) -> Option<(Rulebook<M>, Texts)> {
        let Governing { folder, catalogue, policy, .. } = &self.governing;
        let (catalogue, texts) = catalogue::judge(catalogue, faults)?;
        let (catalogue, mut next) = (Arc::new(catalogue), self.in_force());
        for (at, agency) in now.agencies.iter().enumerate() {
            check_agency(&format!("agency[{at}].id"), &agency.id, &catalogue, faults);
        }
        let grants = now.grants.load(folder, &catalogue, faults);
        let engine = policy.judge(&catalogue, faults);
        if next.catalogue().digest() != catalogue.digest() {
            next.earlier.insert(0, next.catalogue().clone());
            next.earlier.retain(|known| known.digest() != catalogue.digest());
            next.earlier.truncate(EARLIER);
        }
        let (grants, engine) = (Arc::new(grants?), Arc::new(engine?));
        Some((Rulebook { grants, engine, ..next }, texts))
    }

    fn pins(&self, now: &Changing) {
        match self.load_grants(now) {
            Ok(grants) => {
                self.put_grants(grants);
                tracing::info!("issuers' pins and purposes were read again");
            }
            Err(error) => {
                self.narrow(&now.grants);
                kept(Reason::PinsKept, &error);
            }
        }
    }

    fn load_grants(&self, now: &Changing) -> Result<Grants, StartError> {
        let (mut faults, rules) = (now.faults.clone(), self.rules.now());
        let grants = now.grants.load(&self.governing.folder, rules.catalogue(), &mut faults);
        let grants = faults.finish(grants).map_err(FileError::from)?;
        self.statuses.replace(statuses::plan(&grants)?)?;
        Ok(grants)
    }

    /// Whom the configuration names no more is believed no more, also where something else
    /// keeps it from being taken.
    fn narrow(&self, config: &GrantsConfig) {
        let narrowed = self.rules.now().grants.narrowed(config);
        if let Ok(plan) = statuses::plan(&narrowed) {
            // Its lists were pinned before.
            let _ = self.statuses.replace(plan);
        }
        self.put_grants(narrowed);
    }

    fn put_grants(&self, grants: Grants) {
        self.rules.put(Rulebook { grants: Arc::new(grants), ..self.in_force() });
    }

    fn policy(&self) {
        let loaded = self.load_policy();
        self.rules.keep_policy(loaded.is_err());
        match loaded {
            Ok(engine) => {
                let (rules, engine) = (engine.rule_ids().len(), Arc::new(engine));
                warm(engine.clone(), self.governing.own.clone());
                self.rules.put(Rulebook { engine, ..self.in_force() });
                tracing::info!(rules, "the changed policy is in force");
            }
            Err(error) => tracing::error!(
                reason = %Reason::PolicyKept,
                "the changed policy does not load; the last good one stays in force: {error}"
            ),
        }
    }

    /// Loads what is in the policy's files, and keeps it before it comes into force.
    fn load_policy(&self) -> Result<Engine, PolicyLoadError> {
        let Governing { policy, keeper, .. } = &self.governing;
        let engine = policy.load(self.rules.now().catalogue())?;
        let failed = |source| PolicyLoadError::Kept { source };
        keeper.keep(&engine, clock::utc()).map_err(failed)?;
        Ok(engine)
    }

    fn mapping(&mut self, now: &Changing) {
        let before = self.rules.now();
        match self.governing.mapper.map(now, before.catalogue(), &before) {
            Ok(None) => {}
            Ok(Some(mapped)) => {
                self.rules.put(Rulebook { mapped, ..self.in_force() });
                tracing::info!("the changed mapping is in force");
            }
            Err(why) => kept_as(Reason::MappingKept, why),
        }
    }

    /// The one in force, of which the next is made: nobody else puts any.
    fn in_force(&self) -> Rulebook<M> {
        Rulebook::clone(&self.rules.now())
    }
}

/// Evaluates every combination that requests may name, in the background, so that
/// the first request of each does not wait for it. An agency is asked about itself
/// alone.
fn warm(engine: Arc<Engine>, own: Option<AgencyId>) {
    tokio::task::spawn_blocking(move || {
        let names = engine.vocabulary();
        for consumer in &names.consumers {
            for purpose in &names.purposes {
                for basis in LegalBasis::ALL {
                    let asked = names.agencies.iter();
                    for agency in
                        asked.filter(|agency| own.as_ref().is_none_or(|own| own == *agency))
                    {
                        let purpose = purpose.as_str();
                        engine.decide(&Question { consumer, purpose, basis, agency });
                        // One evaluation runs at a time: let a request's go first.
                        std::thread::sleep(WARM_GAP);
                    }
                }
            }
        }
    });
}
