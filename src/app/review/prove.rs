//! Proofs about rules, by the symbolic compiler of Cedar and the solver cvc5: no
//! request is permitted a prohibited item, conditional items need written consent,
//! and a change opens nothing. `diff` lists what a change opens among the names of
//! today; this speaks of every request at once, and where it can of every catalogue.
//!
//! It is about rules alone. Whose mapping offers an item, what grants may say and
//! who may issue them is `flows` and `diff`. A house is compared with itself: what
//! another one still closes is no excuse.
//!
//! What stays unanswered is never a proof: see [`report::Unchecked`].

pub mod guard;
pub mod question;
pub mod report;
pub mod side;
pub mod solver;

use std::collections::BTreeSet;
use std::str::FromStr as _;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, PolicySet, Schema};
use tokio::signal::unix::{SignalKind, signal};

use self::guard::Guard;
use self::question::{Held, Holdings, Prover};
use self::report::{Proof, ProofFinding, ProofReport, Scope, Statement, Unchecked};
use self::side::{Broken, Side};
use self::solver::{Fault, Program};
use crate::domain::catalogue::AgencyId;
use crate::domain::flows::federation::{Agency, Federation};
use crate::domain::flows::places::GATEWAY;
use crate::domain::policy::engine::Engine;
use crate::domain::policy::schema::schema;
use crate::domain::policy::vocabulary::Vocabulary;

/// What no request may ever be permitted.
pub const PROHIBITED: &str = "resource in Sensitivity::\"prohibited\"";

/// What needs written consent, without it.
pub const CONDITIONAL: &str =
    "resource in Sensitivity::\"conditional\" && context.basis != Basis::\"written_consent\"";

/// The compiler recurses over rules: a few hundred names in one rule overflow the
/// usual two MiB. Only what is used is ever backed by memory.
const STACK: usize = 512 << 20;

/// Why nothing could be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// No thread or no runtime.
    #[error("cannot start a thread to prove on: {0}")]
    Start(std::io::Error),
    /// Somebody stopped it.
    #[error("interrupted; nothing was proven and the solver is stopped")]
    Interrupted,
    /// The compiler gave up.
    #[error("the prover broke off, which is an error in Tributary or in Cedar's compiler")]
    Broke,
}

/// The rules of a house on the side before.
#[derive(Clone, Copy)]
enum Before<'a> {
    /// Nothing is compared.
    NotAsked,
    /// There was no such house: nothing was open.
    Nothing,
    /// They are not at hand.
    Unknown,
    /// They are here.
    Rules(&'a Engine),
}

/// Tries to prove everything about the rules of a federation, and that they open
/// nothing that those of `old` did not. Ends the solver when it ends, and when the
/// process is told to stop by SIGINT or SIGTERM.
///
/// # Errors
/// [`ProveError`]. What cannot be proven is in the report.
pub fn prove(
    new: &Federation,
    old: Option<&Federation>,
    program: &Program,
) -> Result<ProofReport, ProveError> {
    on_large_stack(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ProveError::Start)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(ProveError::Start)?;
        tokio::select! {
            report = report(new, old, program) => Ok(report),
            _ = interrupt.recv() => Err(ProveError::Interrupted),
            _ = terminate.recv() => Err(ProveError::Interrupted),
        }
    })?
}

/// Runs a future on a thread that may recurse deeply.
///
/// # Errors
/// There is no such thread, or it panicked.
pub fn on_large_stack<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, ProveError> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(work)).map_err(ProveError::Start)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("prove".to_owned()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, run).map_err(ProveError::Start)?;
        thread.join().map_err(|_| ProveError::Broke)?
    })
}

async fn report(new: &Federation, old: Option<&Federation>, program: &Program) -> ProofReport {
    let solver = program.version().await;
    let before = match old {
        None => Before::NotAsked,
        Some(old) => Before::Rules(&old.gateway.engine),
    };
    let mut houses = vec![House { agency: None, engine: &new.gateway.engine, before }];
    let mut left_out = Vec::new();
    for Agency { id, own, .. } in &new.agencies {
        let Some(own) = own else {
            left_out.push(id.to_string());
            continue;
        };
        let before = match old.map(|old| old.agency(id)) {
            None => Before::NotAsked,
            Some(None) => Before::Nothing,
            Some(Some(Agency { own: None, .. })) => Before::Unknown,
            Some(Some(Agency { own: Some(own), .. })) => Before::Rules(&own.house.engine),
        };
        houses.push(House { agency: Some(id), engine: &own.house.engine, before });
    }
    let mut findings = Vec::new();
    for house in &houses {
        house.check(program, &solver, &mut findings).await;
    }
    ProofReport { solver, findings, left_out }
}

/// A house whose rules are looked at.
struct House<'a> {
    /// Which agency; `None` for the gateway.
    agency: Option<&'a AgencyId>,
    engine: &'a Engine,
    before: Before<'a>,
}

impl House<'_> {
    async fn check(
        &self,
        program: &Program,
        solver: &Result<String, Fault>,
        findings: &mut Vec<ProofFinding>,
    ) {
        let asked = [
            (Statement::Prohibited, Scope::EveryCatalogue),
            (Statement::Conditional, Scope::EveryCatalogue),
            (Statement::OpensNothing, Scope::EveryCatalogue),
            (Statement::OpensNothing, Scope::ThisCatalogue),
        ];
        let compared = !matches!(self.before, Before::NotAsked);
        let sides = Sides::new(self);
        for (statement, scope) in asked {
            if statement == Statement::OpensNothing && !compared {
                continue;
            }
            let verdict = match (solver, &sides) {
                (Err(fault), _) => Proof::NotChecked(fault.clone().into()),
                (_, Err(broken)) => Proof::NotChecked(broken.clone().into()),
                (Ok(_), Ok(sides)) => sides.check(program, statement, scope).await,
            };
            let house = self.agency.map_or(GATEWAY, AgencyId::as_str).to_owned();
            findings.push(ProofFinding { house, statement, scope, verdict });
        }
    }
}

/// A house before and after, over the same names.
struct Sides<'a> {
    engine: &'a Engine,
    schema: Schema,
    /// The agency itself, for an agency's rules: they are asked of no other.
    agency: Option<EntityUid>,
    new: Side,
    /// `None` where it is not at hand.
    old: Option<Side>,
}

impl<'a> Sides<'a> {
    fn new(house: &House<'a>) -> Result<Self, Broken> {
        let House { engine, before, .. } = *house;
        let mut all = engine.vocabulary().clone();
        if let Before::Rules(old) = before {
            extend(&mut all, old.vocabulary());
        }
        let agency = house.agency.filter(|agency| all.agencies.contains(*agency));
        let agency = agency.map(named).transpose()?;
        let schema = Schema::from_cedarschema_str(&schema(engine.catalogue(), &all));
        let (schema, _) = schema.map_err(side::broken)?;
        let old = match before {
            Before::NotAsked | Before::Unknown => None,
            Before::Nothing => Some(Side::of(PolicySet::new())),
            Before::Rules(old) => Some(Side::new(old, &all)?),
        };
        Ok(Self { engine, schema, agency, new: Side::new(engine, &all)?, old })
    }

    async fn check(&self, program: &Program, statement: Statement, scope: Scope) -> Proof {
        let prover = Prover { schema: &self.schema, program, agency: self.agency.as_ref() };
        match (statement, &self.old) {
            (Statement::Prohibited, _) => prover.never(&self.new, PROHIBITED).await,
            (Statement::Conditional, _) => prover.never(&self.new, CONDITIONAL).await,
            (Statement::OpensNothing, None) => Proof::NotChecked(Unchecked::NotAtHand),
            (Statement::OpensNothing, Some(old)) => match scope {
                Scope::EveryCatalogue => prover.opens_nothing(old, &self.new).await,
                Scope::ThisCatalogue => self.opens_nothing_here(&prover, old).await,
            },
        }
    }

    async fn opens_nothing_here(&self, prover: &Prover<'_>, old: &Side) -> Proof {
        let names: BTreeSet<_> = self.new.names().into_iter().chain(old.names()).collect();
        let items: Vec<EntityUid> = self.engine.resources().cloned().collect();
        let entities = self.engine.entities();
        let guarded = Guard::new(&items, entities, &names).and_then(|guard| {
            let held = items.into_iter().map(|item| self.held(item));
            Ok((guard, held.collect::<Result<Vec<Held>, Broken>>()?))
        });
        match guarded {
            Err(broken) => Proof::NotChecked(broken.into()),
            Ok((guard, items)) => {
                let holdings = Holdings { items: &items, entities };
                prover.opens_nothing_here(old, &self.new, &guard, holdings).await
            }
        }
    }

    fn held(&self, item: EntityUid) -> Result<Held, Broken> {
        let known = self.engine.catalogue().find(item.id().unescaped());
        let owners = known.map_or(&[][..], |known| &known.owners);
        let owners = owners.iter().map(named);
        Ok(Held { owners: owners.collect::<Result<_, _>>()?, item })
    }
}

/// An agency as rules name it.
fn named(agency: &AgencyId) -> Result<EntityUid, Broken> {
    let kind = EntityTypeName::from_str("Agency").map_err(side::broken)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(agency.as_str())))
}

fn extend(all: &mut Vocabulary, more: &Vocabulary) {
    all.consumers.extend(more.consumers.iter().cloned());
    all.purposes.extend(more.purposes.iter().cloned());
    all.agencies.extend(more.agencies.iter().cloned());
}
