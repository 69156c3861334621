//! Rules by chance: as the Cedar text that a role loads, and as what that text
//! means, said once more by plain comparison.

use std::fmt::Write;

use proptest::prelude::*;
use tributary::domain::catalogue::{Catalogue, Item, Sensitivity};
use tributary::domain::grant::LegalBasis;
use tributary::domain::item::ItemSet;

use super::grants::{AGENCIES, BASES, CLIENTS, PURPOSES};

/// Which items a rule is about.
#[derive(Debug, Clone)]
pub enum Scope {
    All,
    /// The domain, the category or the item itself of the item at this place.
    Domain(usize),
    Category(usize),
    Item(usize),
    Conditional,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    permit: bool,
    client: Option<usize>,
    scope: Scope,
    purpose: Option<usize>,
    basis: Option<usize>,
    agency: Option<usize>,
}

/// What a policy is asked.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    pub client: usize,
    pub purpose: usize,
    pub basis: usize,
    pub agency: usize,
}

impl Rule {
    /// Opens everything that the product's own rules leave open.
    pub const EVERYTHING: Self = Self {
        permit: true,
        client: None,
        scope: Scope::All,
        purpose: None,
        basis: None,
        agency: None,
    };

    fn covers(&self, catalogue: &Catalogue, item: &Item, now: Situation) -> bool {
        let is = |wanted: Option<usize>, found| wanted.is_none_or(|wanted| wanted == found);
        let of = |place: &usize| &catalogue.items()[*place];
        is(self.client, now.client)
            && is(self.purpose, now.purpose)
            && is(self.basis, now.basis)
            && is(self.agency, now.agency)
            && match &self.scope {
                Scope::All => true,
                Scope::Domain(place) => of(place).domain() == item.domain(),
                Scope::Category(place) => of(place).category() == item.category(),
                Scope::Item(place) => of(place).number == item.number,
                Scope::Conditional => item.sensitivity == Sensitivity::Conditional,
            }
    }

    fn write(&self, catalogue: &Catalogue, nth: usize, text: &mut String) {
        let effect = if self.permit { "permit" } else { "forbid" };
        let principal = match self.client {
            Some(client) => format!("principal == Consumer::\"{}\"", CLIENTS[client]),
            None => "principal".to_owned(),
        };
        let of = |place: &usize| &catalogue.items()[*place];
        let resource = match &self.scope {
            Scope::All => "resource".to_owned(),
            Scope::Domain(place) => format!("resource in Domain::\"{}\"", of(place).domain()),
            Scope::Category(place) => format!("resource in Category::\"{}\"", of(place).category()),
            Scope::Item(place) => format!("resource == Item::\"{}\"", of(place).id),
            Scope::Conditional => "resource in Sensitivity::\"conditional\"".to_owned(),
        };
        let mut when = Vec::new();
        let purpose = self.purpose.map(|at| format!("Purpose::\"{}\"", PURPOSES[at]));
        let basis = self.basis.map(|at| format!("Basis::\"{}\"", BASES[at].as_str()));
        let agency = self.agency.map(|at| format!("Agency::\"{}\"", AGENCIES[at]));
        for (name, value) in [("purpose", purpose), ("basis", basis), ("agency", agency)] {
            when.extend(value.map(|value| format!("context.{name} == {value}")));
        }
        let when = match when.is_empty() {
            true => String::new(),
            false => format!(" when {{ {} }}", when.join(" && ")),
        };
        writeln!(
            text,
            "@id(\"rule-{nth}\")\n{effect} ({principal}, action == Action::\"read\", \
             {resource}){when};"
        )
        .unwrap();
    }
}

/// The text of a policy.
pub fn text(catalogue: &Catalogue, rules: &[Rule]) -> String {
    let mut text = String::new();
    for (nth, rule) in rules.iter().enumerate() {
        rule.write(catalogue, nth, &mut text);
    }
    text
}

/// What a policy opens: what a rule permits and none forbids, and never a
/// conditional item without written consent.
pub fn opens(catalogue: &Catalogue, rules: &[Rule], now: Situation) -> ItemSet {
    let open = |item: &&Item| {
        let covers = |permit| {
            let mut alike = rules.iter().filter(|rule| rule.permit == permit);
            alike.any(|rule| rule.covers(catalogue, item, now))
        };
        let conditional = item.sensitivity == Sensitivity::Conditional;
        let written = BASES[now.basis] == LegalBasis::WrittenConsent;
        covers(true) && !covers(false) && (written || !conditional)
    };
    catalogue.items().iter().filter(open).map(|item| item.number).collect()
}

/// Rules by chance: two at least, of which the first two permit.
pub fn any_rules(items: usize) -> impl Strategy<Value = Vec<Rule>> {
    let scope = prop_oneof![
        3 => Just(Scope::All),
        3 => (0..items).prop_map(Scope::Domain),
        3 => (0..items).prop_map(Scope::Category),
        1 => (0..items).prop_map(Scope::Item),
        1 => Just(Scope::Conditional),
    ];
    let seldom = |count: usize| prop::option::weighted(0.25, 0..count);
    let rule = (
        any::<bool>(),
        seldom(CLIENTS.len()),
        scope,
        seldom(PURPOSES.len()),
        seldom(BASES.len()),
        seldom(AGENCIES.len()),
    );
    prop::collection::vec(rule, 2..8).prop_map(|rules| {
        let rule = |(nth, (permit, client, scope, purpose, basis, agency))| {
            let permit = nth < 2 || permit;
            // A forbid of everything makes the rest idle.
            let scope = match scope {
                Scope::All if !permit => Scope::Conditional,
                scope => scope,
            };
            let rule = Rule { permit, client, scope, purpose, basis, agency };
            match nth {
                // Something is open to everybody, or hardly anything ever leaves.
                0 => Rule { scope: rule.scope, ..Rule::EVERYTHING },
                _ => rule,
            }
        };
        rules.into_iter().enumerate().map(rule).collect()
    })
}
