//! Questions to the solver, and the authorizer's word on what it answers. Nothing
//! is disproved here that the authorizer does not confirm.

use std::collections::BTreeMap;

use cedar_policy::{
    Context, Entities, EntityUid, EvalResult, PolicySet, Request, RestrictedExpression, Schema,
};
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};

use super::guard::Guard;
use super::report::{Counterexample, Proof, Unchecked};
use super::side::{Side, SideAnswer, permit_when};
use super::solver::{Cvc5, Program};

/// The names that rules and requests may have, and whom to ask.
#[derive(Debug, Clone, Copy)]
pub struct Prover<'a> {
    /// The schema over the names of both sides.
    pub schema: &'a Schema,
    /// The solver.
    pub program: &'a Program,
    /// The agency of which alone these rules are ever asked; `None` for any.
    pub agency: Option<&'a EntityUid>,
}

/// An item and the agencies that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The item.
    pub item: EntityUid,
    /// Who holds it, as rules see them.
    pub owners: Vec<EntityUid>,
}

/// The items that are there, in their groups.
#[derive(Debug, Clone, Copy)]
pub struct Holdings<'a> {
    /// The items.
    pub items: &'a [Held],
    /// The items and their groups.
    pub entities: &'a Entities,
}

impl Prover<'_> {
    /// That no request which fulfils a condition is permitted, whatever the
    /// catalogue. The condition is Cedar's, on `principal`, `resource` and `context`.
    pub async fn never(&self, side: &Side, condition: &str) -> Proof {
        verdict(self.try_never(side, condition).await)
    }

    /// That whatever `new` permits `old` permits too, whatever the catalogue.
    pub async fn opens_nothing(&self, old: &Side, new: &Side) -> Proof {
        verdict(self.try_opens(old, new, None).await)
    }

    /// The same for these items alone: under a guard that each of them is found to
    /// fulfil, and that something fulfils.
    pub async fn opens_nothing_here(
        &self,
        old: &Side,
        new: &Side,
        guard: &Guard,
        holdings: Holdings<'_>,
    ) -> Proof {
        verdict(self.try_opens(old, new, Some((guard, holdings))).await)
    }

    async fn try_never(
        &self,
        side: &Side,
        condition: &str,
    ) -> Result<Option<Counterexample>, Unchecked> {
        let condition = self.of_agency(condition);
        self.satisfiable(&condition).await?;
        let Some(found) = self.permitted(&side.within(&condition)?, None).await? else {
            return Ok(None);
        };
        let fulfils = Side::of(permit_when(&condition)?).answer(&found.request, &found.entities);
        let answer = side.answer(&found.request, &found.entities);
        if !fulfils.permits || !answer.permits {
            return Err(Unchecked::NotReplayed(told(&found.request)));
        }
        Ok(Some(counterexample(&found.request, &found.entities, None, answer, Vec::new())))
    }

    async fn try_opens(
        &self,
        old: &Side,
        new: &Side,
        guard: Option<(&Guard, Holdings<'_>)>,
    ) -> Result<Option<Counterexample>, Unchecked> {
        if let Some(rule) = self.can_fail(old).await? {
            return Err(Unchecked::CanFail(rule));
        }
        let condition = match guard {
            None => self.of_agency("true"),
            Some((guard, holdings)) => {
                self.guards(guard, holdings).await?;
                self.of_agency(guard.condition())
            }
        };
        let found = self.permitted(&new.within(&condition)?, Some(old.rules())).await?;
        let Some(found) = found else { return Ok(None) };
        let opened = |request: &Request, entities: &Entities| {
            let (before, now) = (old.answer(request, entities), new.answer(request, entities));
            (now.permits && !before.permits).then_some((now, before.rules))
        };
        let Some((_, Holdings { items, entities })) = guard else {
            let (now, before) = opened(&found.request, &found.entities)
                .ok_or_else(|| Unchecked::NotReplayed(told(&found.request)))?;
            return Ok(Some(counterexample(&found.request, &found.entities, None, now, before)));
        };
        // The solver makes an item up that is like one of these, at any agency.
        let real = |item: &EntityUid, agency: Option<&EntityUid>| {
            let request = about(&found.request, item, agency, self.schema)?;
            let (now, before) = opened(&request, entities)?;
            Some(counterexample(&request, entities, Some(item), now, before))
        };
        let may_be_asked = |owner: &&EntityUid| self.agency.is_none_or(|agency| agency == *owner);
        let held = items.iter().find_map(|Held { item, owners }| {
            owners.iter().filter(may_be_asked).find_map(|owner| real(item, Some(owner)))
        });
        let real = held.or_else(|| items.iter().find_map(|Held { item, .. }| real(item, None)));
        real.map(Some).ok_or_else(|| Unchecked::NotReplayed(told(&found.request)))
    }

    /// A condition, asked of the one agency.
    fn of_agency(&self, condition: &str) -> String {
        match self.agency {
            None => condition.to_owned(),
            Some(agency) => format!("context.agency == {agency} && ({condition})"),
        }
    }

    /// That something fulfils a condition.
    async fn satisfiable(&self, condition: &str) -> Result<(), Unchecked> {
        match self.permitted(&permit_when(condition)?, None).await? {
            Some(_) => Ok(()),
            None => Err(Unchecked::Vacuous(shorten(condition))),
        }
    }

    /// That the guard lets every item in, and that there is something to let in.
    async fn guards(&self, guard: &Guard, holdings: Holdings<'_>) -> Result<(), Unchecked> {
        self.satisfiable(guard.condition()).await?;
        if holdings.items.is_empty() {
            return Err(Unchecked::Vacuous("the catalogue has no items".to_owned()));
        }
        let left_out = |held: &&Held| !guard.holds_for(&held.item, holdings.entities);
        match holdings.items.iter().find(left_out) {
            None => Ok(()),
            Some(Held { item, .. }) => Err(Unchecked::Unsupported(format!(
                "the catalogue's memberships, put as a condition, leave {item} out"
            ))),
        }
    }

    /// A request that `rules` permit and `besides` do not, if there can be one.
    async fn permitted(
        &self,
        rules: &PolicySet,
        besides: Option<&PolicySet>,
    ) -> Result<Option<Env>, Unchecked> {
        let mut asked = false;
        for kind in self.schema.request_envs() {
            asked = true;
            let compile = |rules| {
                CompiledPolicySet::compile(rules, &kind, self.schema)
                    .map_err(|error| unchecked(None, &error))
            };
            let rules = compile(rules)?;
            let besides = besides.map(compile).transpose()?;
            let mut compiler = self.compiler()?;
            let found = match &besides {
                None => compiler.check_always_denies_with_counterexample_opt(&rules).await,
                Some(besides) => {
                    compiler.check_implies_with_counterexample_opt(&rules, besides).await
                }
            };
            match found {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => return Err(unchecked(Some(compiler.solver()), &error)),
            }
        }
        match asked {
            true => Ok(None),
            false => Err(Unchecked::Vacuous("the schema has no kind of request".to_owned())),
        }
    }

    /// A rule that can fail to evaluate, if one can.
    async fn can_fail(&self, side: &Side) -> Result<Option<String>, Unchecked> {
        for kind in self.schema.request_envs() {
            for rule in side.rules().policies() {
                let compiled = CompiledPolicy::compile(rule, &kind, self.schema);
                let compiled = compiled.map_err(|error| unchecked(None, &error))?;
                let mut compiler = self.compiler()?;
                match compiler.check_never_errors_opt(&compiled).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(Some(rule.id().to_string())),
                    Err(error) => return Err(unchecked(Some(compiler.solver()), &error)),
                }
            }
        }
        Ok(None)
    }

    fn compiler(&self) -> Result<CedarSymCompiler<Cvc5>, Unchecked> {
        CedarSymCompiler::new(Cvc5::new(self.program.clone()))
            .map_err(|error| unchecked(None, &error))
    }
}

fn verdict(found: Result<Option<Counterexample>, Unchecked>) -> Proof {
    match found {
        Ok(None) => Proof::Proven,
        Ok(Some(found)) => Proof::Disproved(Box::new(found)),
        Err(reason) => Proof::NotChecked(reason),
    }
}

fn unchecked(solver: Option<&Cvc5>, error: &Error) -> Unchecked {
    match solver.and_then(Cvc5::fault) {
        Some(fault) => Unchecked::Solver(fault.clone()),
        None => Unchecked::Unsupported(shorten(&error.to_string())),
    }
}

/// Enough of a long text to know it by.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 200;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

/// The same request about another item, and of another agency if one is given.
fn about(
    request: &Request,
    item: &EntityUid,
    agency: Option<&EntityUid>,
    schema: &Schema,
) -> Option<Request> {
    let (principal, action) = (request.principal()?.clone(), request.action()?.clone());
    let mut context: Context = request.context()?.clone();
    if let Some(agency) = agency {
        let keep = |name: &str| match context.get(name) {
            Some(EvalResult::EntityUid(uid)) => Some((name.to_owned(), uid)),
            _ => None,
        };
        let agency = ("agency".to_owned(), agency.clone());
        let pairs = [keep("purpose")?, keep("basis")?, agency];
        let pairs = pairs.map(|(name, uid)| (name, RestrictedExpression::new_entity_uid(uid)));
        context = Context::from_pairs(pairs).ok()?;
    }
    Request::new(principal, action, item.clone(), context, Some(schema)).ok()
}

fn told(request: &Request) -> String {
    let parts: Vec<String> = names(request).into_values().collect();
    let resource = request.resource().map(ToString::to_string).unwrap_or_default();
    shorten(&format!("{}, {resource}", parts.join(", ")))
}

/// Consumer, purpose, basis and agency of a request, by these words.
fn names(request: &Request) -> BTreeMap<&'static str, String> {
    let of_context = |name: &'static str| {
        let value = request.context().and_then(|context| context.get(name));
        let id = match value {
            Some(EvalResult::EntityUid(uid)) => uid.id().unescaped().to_owned(),
            _ => String::new(),
        };
        (name, id)
    };
    let consumer = request.principal().map(|uid| uid.id().unescaped().to_owned());
    let consumer = ("consumer", consumer.unwrap_or_default());
    [consumer].into_iter().chain(["purpose", "basis", "agency"].map(of_context)).collect()
}

fn counterexample(
    request: &Request,
    entities: &Entities,
    item: Option<&EntityUid>,
    now: SideAnswer,
    before: Vec<String>,
) -> Counterexample {
    let mut names = names(request);
    let mut take = |name| names.remove(name).unwrap_or_default();
    let groups = request.resource().and_then(|resource| entities.ancestors(resource));
    let mut groups: Vec<String> = groups.into_iter().flatten().map(ToString::to_string).collect();
    groups.sort();
    Counterexample {
        consumer: take("consumer"),
        purpose: take("purpose"),
        basis: take("basis"),
        agency: take("agency"),
        item: item.map(|item| item.id().unescaped().to_owned()),
        groups,
        permitted_by: now.rules,
        forbidden_by: before,
    }
}
