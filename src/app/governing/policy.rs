//! The policy in force: watched, kept beside the audit log before it is enforced, and
//! evaluated beforehand.

use std::sync::Arc;
use std::time::Duration;

use crate::app::StartError;
use crate::app::watching::Rounds;
use crate::clock;
use crate::config::audit::AuditConfig;
use crate::config::catalogue::Texts;
use crate::config::policy::{PolicyConfig, PolicyLoadError};
use crate::config::reload::{LastGood, Reload, Watch};
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::policy::answer::Question;
use crate::domain::policy::engine::Engine;
use crate::domain::purpose::LegalBasis;
use crate::domain::reason::Reason;
use crate::store::enforced::Keeper;

/// How long the warming lets go of the engine after each evaluation.
const WARM_GAP: Duration = Duration::from_millis(2);

/// A policy's files, and where what of them is enforced is kept.
pub(in crate::app) struct Enforcing {
    config: PolicyConfig,
    catalogue: Arc<Catalogue>,
    /// An agency asks its policy about itself alone.
    own: Option<AgencyId>,
    keeper: Keeper,
}

impl Enforcing {
    /// Keeps what is enforced beside the log, for a review to evaluate again. A
    /// gateway says whom it asks, an agency who it is.
    pub(in crate::app) fn new(
        config: &PolicyConfig,
        audit: &AuditConfig,
        (catalogue, texts): (&Arc<Catalogue>, Texts),
        routing: Option<String>,
        own: Option<&AgencyId>,
    ) -> Self {
        let keeper = Keeper::new(&audit.folder, texts, routing);
        Self { config: config.clone(), catalogue: catalogue.clone(), own: own.cloned(), keeper }
    }

    /// Where it is kept.
    pub(in crate::app) const fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Puts the first engine in force, and each that is read from changed files.
    pub(in crate::app) fn start(
        self,
        engine: Engine,
        mut files: Watch,
        rounds: &Rounds,
    ) -> Result<Arc<LastGood<Engine>>, StartError> {
        self.keeper.keep(&engine, clock::utc()).map_err(StartError::Kept)?;
        let engine = Arc::new(LastGood::new(engine));
        warm(engine.current(), self.own.clone());
        let in_force = Arc::clone(&engine);
        rounds.keep_looking(move || self.look(&in_force, &mut files));
        Ok(engine)
    }

    fn look(&self, engine: &LastGood<Engine>, files: &mut Watch) {
        match files.reload_if_changed(engine, || self.load()) {
            Reload::Unchanged | Reload::Settling => {}
            Reload::Loaded(engine) => {
                tracing::info!(rules = engine.rule_ids().len(), "the changed policy is in force");
                warm(engine, self.own.clone());
            }
            Reload::KeptLastGood(error) => {
                tracing::error!(
                    reason = %Reason::PolicyKept,
                    "the changed policy does not load; the last good one stays in force: {error}"
                );
            }
        }
    }

    /// Loads what is in the files, and keeps it before it comes into force.
    fn load(&self) -> Result<Engine, PolicyLoadError> {
        let engine = self.config.load(&self.catalogue)?;
        let failed = |source| PolicyLoadError::Kept { source };
        self.keeper.keep(&engine, clock::utc()).map_err(failed)?;
        Ok(engine)
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
