//! Flows and changes as JSON: the forms that scripts, SARIF and the evidence pack
//! share.

use serde_json::{Value, json};
use time::Date;

use crate::domain::catalogue::{AgencyId, Catalogue, Item};
use crate::domain::flows::change::{Blame, Change, Class};
use crate::domain::flows::diff::frequency;
use crate::domain::flows::edits::Edited;
use crate::domain::flows::federation::Federation;
use crate::domain::flows::lock::day;
use crate::domain::flows::open::{Condition, Flow};
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// Who accepted something.
#[derive(Debug, Clone, Copy)]
pub(super) struct By<'a> {
    pub who: &'a str,
    pub why: &'a str,
    pub until: Date,
    pub signed: bool,
}

impl<'a> By<'a> {
    pub(super) fn new(who: &'a str, why: &'a str, until: &str) -> Self {
        By { who, why, until: day(until).unwrap_or(Date::MIN), signed: false }
    }
}

impl std::fmt::Display for By<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.signed { " (signed)" } else { "" };
        write!(f, "{} until {}{how}: {}", self.who, self.until, self.why)
    }
}

/// What a federation decides by: every digest.
pub(super) fn digests(federation: &Federation) -> Value {
    let agencies: Vec<Value> = federation
        .agencies
        .iter()
        .map(|agency| {
            let own = agency.own.as_ref();
            json!({
                "agency": agency.id.as_str(),
                "identity": agency.identity.as_str(),
                "endpoint": agency.endpoint,
                "policy": own.map(|own| own.house.engine.digest().to_string()),
                "enabled": own.map(|own| own.enabled),
            })
        })
        .collect();
    json!({
        "catalogue": federation.catalogue.digest().to_string(),
        "gateway_policy": federation.gateway.engine.digest().to_string(),
        "agencies": agencies,
    })
}

/// A flow; its items by id.
pub(super) fn flow(federation: &Federation, flow: &Flow) -> Value {
    json!({
        "consumer": flow.consumer.as_str(),
        "purpose": flow.purpose.as_str(),
        "agency": flow.agency.as_str(),
        "basis": flow.basis.as_str(),
        "sensitivity": flow.sensitivity.as_str(),
        "items": ids([&federation.catalogue, &federation.catalogue], &flow.items),
        "rules": { "gateway": flow.rules.gateway, "agency": flow.rules.agency },
        "condition": condition(&flow.condition),
    })
}

fn condition(condition: &Condition) -> Value {
    let issuers: Vec<&str> = condition.issuers.iter().map(SpiffeId::as_str).collect();
    let frequencies: Vec<String> =
        condition.max_frequency.iter().map(|most| frequency(*most)).collect();
    json!({
        "grantable": condition.grantable(),
        "issuers": issuers,
        "max_lifetime_days": condition.max_lifetime.map(time::Duration::whole_days),
        "max_frequency": frequencies,
    })
}

/// A change, and by whom it was accepted.
pub(super) fn change(
    catalogues: [&Catalogue; 2],
    change: &Change,
    accepted: Option<&[By<'_>]>,
    forbidden: bool,
) -> Value {
    let blames: Vec<Value> = change.blames.iter().map(blame).collect();
    let accepted = accepted.map(acceptances);
    json!({
        "class": change.class.as_str(),
        "consumer": change.consumer.as_str(),
        "purpose": change.purpose.as_str(),
        "agency": change.agency.as_str(),
        "bases": bases(&change.bases),
        "items": ids(catalogues, &change.items),
        "detail": change.detail,
        "blame": blames,
        "through": change.through,
        "accepted": accepted,
        "forbidden": forbidden,
    })
}

fn acceptances(entries: &[By<'_>]) -> Vec<Value> {
    let one = |by: &By<'_>| {
        json!({
            "who": by.who, "why": by.why, "until": by.until.to_string(), "signed": by.signed,
        })
    };
    entries.iter().map(one).collect()
}

/// An edit of a key.
pub(super) fn edit(
    edit: &Edited,
    accepted: Option<&[By<'_>]>,
    forbidden: bool,
    commit: Option<String>,
) -> Value {
    let accepted = accepted.map(acceptances);
    json!({
        "class": edit.class.as_str(),
        "houses": edit.houses,
        "key": edit.key,
        "edit": edit.edit.as_str(),
        "says": edit.says,
        "from": edit.from,
        "to": edit.to,
        "items": edit.items,
        "file": edit.place.as_ref().map(|place| &place.file),
        "line": edit.place.as_ref().map(|place| place.line),
        "commit": commit,
        "digest": edit.digest,
        "accepted": accepted,
        "forbidden": forbidden,
    })
}

/// A key with what stood and stands there.
pub(super) fn key(edit: &Edited) -> String {
    let house = match edit.houses.join(", ") {
        house if house.is_empty() => String::new(),
        house => format!(" ({house})"),
    };
    match (&edit.from, &edit.to) {
        (None, None) => format!("{}{house}", edit.key),
        (from, to) => {
            let shown =
                |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
            format!("{}{house}: {} → {}", edit.key, shown(from), shown(to))
        }
    }
}

fn blame(blame: &Blame) -> Value {
    json!({
        "kind": blame.kind.as_str(),
        "edit": blame.edit.as_str(),
        "name": blame.name,
        "house": blame.house,
        "file": blame.place.as_ref().map(|place| &place.file),
        "line": blame.place.as_ref().map(|place| place.line),
    })
}

/// The words of legal bases.
pub(super) fn bases(bases: &[LegalBasis]) -> Vec<&'static str> {
    bases.iter().map(|basis| basis.as_str()).collect()
}

/// Ids of items, each as the first catalogue that has it says.
pub(super) fn ids(catalogues: [&Catalogue; 2], items: &ItemSet) -> Vec<String> {
    items.iter().map(|number| id(catalogues, number)).collect()
}

fn id(catalogues: [&Catalogue; 2], number: ItemNumber) -> String {
    let item: Option<&Item> = catalogues.into_iter().find_map(|catalogue| catalogue.item(number));
    item.map_or_else(|| number.to_string(), |item| item.id.to_string())
}

/// One line for people: what flows from whom to whom.
pub(super) fn route(
    class: Option<Class>,
    agency: &AgencyId,
    consumer: &SpiffeId,
    purpose: &PurposeCode,
) -> String {
    let class =
        class.map_or_else(String::new, |class| format!("{} ", class.as_str().to_uppercase()));
    format!("{class}{agency} → {} for {purpose}", consumer.name())
}
