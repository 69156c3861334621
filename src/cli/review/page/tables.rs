//! The page's tables: changes, incidents, rules, certificates; and the evidence
//! that the whole rests on.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use time::{Duration, OffsetDateTime, Time};

use super::matrix::short;
use super::together::{Together, together};
use super::{Review, agency_title};
use crate::cli::review::compared::{Compared, JudgedEdit, Judgement};
use crate::cli::review::drift::Found;
use crate::cli::review::forms;
use crate::domain::catalogue::Catalogue;
use crate::domain::flows::change::Class;
use crate::domain::flows::diff::frequency;
use crate::domain::flows::federation::Federation;
use crate::domain::item::ItemSet;
use crate::domain::purpose::LegalBasis;

/// Certificates that end sooner than this are told.
const SOON: Duration = Duration::days(30);

pub(super) fn changes(compared: &Compared, judgement: &Judgement<'_>) -> Markup {
    let [old, new] = &compared.labels;
    let mut listed = Listed::default();
    html! {
        section aria-labelledby="changes" {
            h2 #changes { "What changed" }
            p { "From " code { (old) } " to " code { (new) } ". Each change is blamed on the line \
                 that made it." }
            @if judgement.flows.is_empty() { p { "No flow changed." } } @else {
                div.scroll tabindex="0" role="group" aria-labelledby="changes" {
                    table.stack {
                        thead { tr {
                            @for head in ["change", "from → to", "for", "items", "legal basis",
                                "blamed on", "accepted"] { th scope="col" { (head) } }
                        } }
                        tbody { @for row in together(&judgement.flows) { (change(compared, &row, &mut listed)) } }
                    }
                }
            }
            @if !judgement.edits.is_empty() {
                h3 #keys { "Keys that say something else" }
                div.scroll tabindex="0" role="group" aria-labelledby="keys" {
                    table.stack {
                        thead { tr {
                            @for head in ["change", "what it means", "from → to", "blamed on",
                                "accepted"] { th scope="col" { (head) } }
                        } }
                        tbody { @for judged in &judgement.edits { (edit(compared, judged)) } }
                    }
                }
            }
        }
    }
}

fn badge(class: Class) -> Markup {
    html! {
        span.badge.(class.as_str()) {
            span aria-hidden="true" { (sign(class)) } " " (class.as_str().to_uppercase())
        }
    }
}

const fn sign(class: Class) -> &'static str {
    match class {
        Class::Opened => "◆",
        Class::Widened => "▲",
        Class::Trust => "◈",
        Class::Reviewers => "◉",
        Class::Release => "▤",
        Class::Ceilings => "⊤",
        Class::Remapped => "↬",
        Class::Rerouted => "⇄",
        Class::Reclassified => "◧",
        Class::Narrowed => "▽",
        Class::Closed => "◇",
        Class::Operations => "·",
    }
}

fn edit(compared: &Compared, judged: &JudgedEdit<'_>) -> Markup {
    let edit = judged.edit;
    html! {
        tr {
            th scope="row" { (badge(edit.class)) }
            td data-h="what it means" {
                (edit.says)
                @if edit.items.len() > 1 {
                    details {
                        summary { (edit.items.len()) " items" }
                        ul { @for item in &edit.items { li { code { (item) } } } }
                    }
                }
            }
            td data-h="from → to" { (forms::key(edit)) }
            td data-h="blamed on" { (compared.at(edit.place.as_ref(), edit.edit)) }
            td data-h="accepted" {
                @match &judged.accepted {
                    Some(entries) => @for entry in entries {
                        div { span.yes { "✓" } " " (entry) }
                    },
                    None if judged.forbidden => span.badge.no { "✕ not accepted" },
                    None => "not needed",
                }
            }
        }
    }
}

fn change(compared: &Compared, row: &Together<'_>, listed: &mut Listed) -> Markup {
    let (judged, change) = (row.like, row.like.change);
    html! {
        tr {
            th scope="row" { (badge(change.class)) }
            td data-h="from → to" {
                (agency_title(&compared.new, change.agency.as_str())) " → "
                (several(&row.consumers, "consumers", |consumer| html! {
                    span title=(consumer) { (short(consumer)) }
                }))
            }
            td data-h="for" { (several(&row.purposes, "purposes", |purpose| html! { (purpose) })) }
            td data-h="items" {
                (listed.items(compared.catalogues(), &change.items))
                @if !change.detail.is_empty() { br; (change.detail) }
            }
            td data-h="legal basis" { (forms::bases(&change.bases).join(", ")) }
            td data-h="blamed on" {
                @for blame in &change.blames { div { (blame) } }
                @if !change.through.is_empty() {
                    div { "through " (change.through.join(", ")) ", unchanged" }
                }
            }
            td data-h="accepted" {
                @match &judged.accepted {
                    Some(entries) => @for entry in entries {
                        div { span.yes { "✓" } " " (entry) }
                    },
                    None if judged.forbidden => span.badge.no { "✕ not accepted" },
                    None => "not needed",
                }
            }
        }
    }
}

/// Names; more than three behind a disclosure.
fn several(names: &BTreeSet<&str>, what: &str, one: impl Fn(&str) -> Markup) -> Markup {
    html! {
        @if names.len() > 3 {
            details {
                summary { (names.len()) " " (what) }
                ul { @for name in names { li { (one(name)) } } }
            }
        } @else {
            @for (at, name) in names.iter().enumerate() { @if at > 0 { ", " } (one(name)) }
        }
    }
}

/// Sets of items that were listed, each under an anchor: what many changes are about is
/// written out once.
#[derive(Default)]
struct Listed(Vec<ItemSet>);

impl Listed {
    fn items(&mut self, catalogues: [&Catalogue; 2], of: &ItemSet) -> Markup {
        if let Some(at) = self.0.iter().position(|listed| listed == of) {
            return html! { a href=(format!("#items-{at}")) { (of.len()) " items, as above" } };
        }
        let list = items(catalogues, of);
        if of.len() < 2 {
            return list;
        }
        self.0.push(*of);
        html! { div id=(format!("items-{}", self.0.len() - 1)) { (list) } }
    }
}

/// Items by name; more than one behind a disclosure.
fn items(catalogues: [&Catalogue; 2], items: &ItemSet) -> Markup {
    let named = |number| {
        let item = catalogues.iter().find_map(|catalogue| catalogue.item(number));
        item.map(|item| (item.title.en.as_str(), &*item.id))
    };
    let found: Vec<(&str, &str)> = items.iter().filter_map(named).collect();
    let one = |(title, id): &(&str, &str)| html! { (title) " " code { (id) } };
    html! {
        @if let [only] = found.as_slice() { (one(only)) } @else {
            details {
                summary { (found.len()) " items" }
                ul { @for item in &found { li { (one(item)) } } }
            }
        }
    }
}

pub(super) fn drift(review: &Review, found: &Found) -> Markup {
    let drift = &found.drift;
    let catalogue = &review.federation.catalogue;
    html! {
        section aria-labelledby="drift" {
            h2 #drift { "What happened" }
            p {
                @match drift.window {
                    Some((from, to)) => { "Releases from " (second(from)) " to " (second(to)) ". " },
                    None => "Nothing was released. ",
                }
                "For " (drift.covered) " of " (drift.releases) " the policy of that moment was \
                 kept and evaluated again. " (found.coverage())
            }
            @if drift.incidents.is_empty() && found.omitted() == 0 {
                p { "Every release was declared by the policy that was in force." }
            } @else {
                div.scroll tabindex="0" role="group" aria-labelledby="drift" {
                    table.stack {
                        thead { tr {
                            @for head in ["finding", "when", "from → to", "for", "items", "why",
                                "record"] { th scope="col" { (head) } }
                        } }
                        tbody {
                            @for incident in &drift.incidents { tr {
                                th scope="row" { span.badge.undeclared { "✕ UNDECLARED" } }
                                td data-h="when" { (incident.time) }
                                td data-h="from → to" {
                                    (agency_title(&review.federation, incident.agency.as_str()))
                                    " → " span title=(incident.consumer) {
                                        (short(incident.consumer.as_str()))
                                    }
                                }
                                td data-h="for" {
                                    (incident.purpose.as_deref().unwrap_or("nothing stated"))
                                }
                                td data-h="items" { (items([catalogue, catalogue], &incident.items)) }
                                td data-h="why" { (incident.why) }
                                td.id data-h="record" { (incident.house) " " (incident.index) }
                            } }
                            @for finding in found.unreconciled() { tr {
                                th scope="row" { span.badge.undeclared { "✕ UNRECONCILED" } }
                                td data-h="when" {
                                    (crate::domain::audit::Timestamp(finding.time_us))
                                }
                                td data-h="from → to" { (finding.agency) }
                                td data-h="for" {}
                                td data-h="items" {}
                                td data-h="why" {
                                    "two logs do not have this alike: " (finding.class.as_str()) (finding.words())
                                }
                                td.id data-h="record" { "request " (finding.request) }
                            } }
                        }
                    }
                }
                @for more in found.unlisted() { p { (more) } }
            }
        }
    }
}

/// A time as people read it; records have it to the microsecond.
fn second(time: impl std::fmt::Display) -> String {
    let time = time.to_string();
    match time.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => time,
    }
}

/// Rules that open flows: by consumer, purpose, agency.
pub(super) fn rules(review: &Review) -> Markup {
    type Key<'a> = (&'a str, Vec<LegalBasis>, bool, String);
    type Row<'a> = (&'a str, &'a str, &'a str, bool, String, u16);
    type Group<'a> = BTreeMap<Key<'a>, ItemSet>;
    let mut groups: BTreeMap<(&str, &str), Group<'_>> = BTreeMap::new();
    let mut conditions: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    // The same items on several bases are one row.
    let mut bases: BTreeMap<Row<'_>, Vec<LegalBasis>> = BTreeMap::new();
    for flow in &review.flows {
        let agency = flow.rules.agency.as_ref().map_or("?".to_owned(), |rules| rules.join(", "));
        let rules = format!("{} + {agency}", flow.rules.gateway.join(", "));
        let (consumer, purpose) = (flow.consumer.as_str(), flow.purpose.as_str());
        let grantable = flow.condition.grantable();
        for item in flow.items.iter() {
            let key =
                (consumer, purpose, flow.agency.as_str(), grantable, rules.clone(), item.get());
            bases.entry(key).or_default().push(flow.basis);
        }
        if let Some(life) = flow.condition.max_lifetime {
            let uses: Vec<String> =
                flow.condition.max_frequency.iter().map(|most| frequency(*most)).collect();
            let text = format!("{} days, {}", life.whole_days(), uses.join(" and "));
            conditions.entry((consumer, purpose)).or_default().insert(text);
        }
    }
    for ((consumer, purpose, agency, grantable, rules, item), mut on) in bases {
        on.sort();
        let group = groups.entry((consumer, purpose)).or_default();
        let items = group.entry((agency, on, grantable, rules)).or_default();
        if let Some(item) = crate::domain::item::ItemNumber::new(u32::from(item)) {
            items.insert(item);
        }
    }
    // Purposes for which it is all the same are told together.
    type Told<'a> = (&'a str, Vec<&'a str>, Group<'a>, BTreeSet<String>);
    let mut all: Vec<Told<'_>> = Vec::new();
    for ((consumer, purpose), rows) in groups {
        let most = conditions.remove(&(consumer, purpose)).unwrap_or_default();
        let alike = |told: &&mut Told<'_>| (told.0, &told.2, &told.3) == (consumer, &rows, &most);
        match all.iter_mut().find(alike) {
            Some((_, purposes, ..)) => purposes.push(purpose),
            None => all.push((consumer, vec![purpose], rows, most)),
        }
    }
    html! {
        section aria-labelledby="rules" {
            h2 #rules { "By which rules" }
            p { "A flow is open when the gateway's rules and the agency's rules both open it, \
                 and the person's grant covers it. “No issuer” says that nobody whose grants are \
                 believed may write one for it." }
            @for (consumer, purposes, rows, most) in &all {
                details {
                    summary { b { (short(consumer)) } " for " b { (purposes.join(", ")) } }
                    p { code { (consumer) } @for text in most { "; a grant goes at most " (text) } }
                    div.scroll tabindex="0" role="group"
                        aria-label=(format!("{consumer} for {}", purposes.join(", "))) {
                        table.stack {
                            thead { tr { @for head in ["agency", "items", "of", "legal basis",
                                "opened by gateway + agency"] { th scope="col" { (head) } } } }
                            tbody { @for ((agency, bases, grantable, rules), items) in rows { tr {
                                th scope="row" { (agency_title(&review.federation, agency)) }
                                td data-h="items" { (items.len()) }
                                td data-h="of" { (domains(&review.federation, items)) }
                                td data-h="legal basis" {
                                    (forms::bases(bases).join(", "))
                                    @if !grantable { " (no issuer)" }
                                }
                                td.id data-h="opened by" { (rules) }
                            } } }
                        }
                    }
                }
            }
        }
    }
}

fn domains(federation: &Federation, items: &ItemSet) -> String {
    let domains: BTreeSet<&str> =
        items.iter().filter_map(|item| Some(federation.catalogue.item(item)?.domain())).collect();
    domains.into_iter().collect::<Vec<_>>().join(", ")
}

fn ends(review: &Review, not_after: OffsetDateTime) -> Option<&'static str> {
    let day = review.as_of.with_time(Time::MIDNIGHT).assume_utc();
    if not_after < day {
        Some("✕ expired")
    } else if not_after < day.saturating_add(SOON) {
        Some("▲ within 30 days")
    } else {
        None
    }
}

/// How many certificates are expired, or soon will be.
pub(super) fn expired(review: &Review) -> usize {
    let certificates: BTreeSet<(&str, OffsetDateTime)> = review
        .anchors
        .iter()
        .flat_map(|anchor| anchor.certificates.iter().flatten())
        .map(|certificate| (certificate.fingerprint.as_str(), certificate.not_after))
        .collect();
    certificates.into_iter().filter(|(_, not_after)| ends(review, *not_after).is_some()).count()
}

pub(super) fn trust(review: &Review) -> Markup {
    html! {
        section aria-labelledby="trust" {
            h2 #trust { "Whose certificates are believed" }
            div.scroll tabindex="0" role="group" aria-labelledby="trust" {
                table.stack {
                    thead { tr { @for head in ["house", "believes", "roles", "subject",
                        "valid until", "SHA-256"] { th scope="col" { (head) } } } }
                    tbody { @for anchor in &review.anchors {
                        @match &anchor.certificates {
                            Err(why) => tr {
                                th scope="row" { (anchor.house) }
                                td data-h="believes" { (anchor.domain.as_deref().unwrap_or("own certificate")) }
                                td data-h="roles" { (anchor.roles.join(", ")) }
                                td data-h="subject" { (anchor.file) ": " (why) }
                                td data-h="valid until" { "unknown" }
                                td {}
                            },
                            Ok(certificates) => @for certificate in certificates { tr {
                                th scope="row" { (anchor.house) }
                                td data-h="believes" { (anchor.domain.as_deref().unwrap_or("own certificate")) }
                                td data-h="roles" { (anchor.roles.join(", ")) }
                                td data-h="subject" { (certificate.subject) }
                                td data-h="valid until" {
                                    (certificate.not_after.date())
                                    @if let Some(state) = ends(review, certificate.not_after) {
                                        br; span.badge.no { (state) }
                                    }
                                }
                                td.id data-h="SHA-256" title=(certificate.fingerprint) {
                                    (certificate.fingerprint.get(..23).unwrap_or_default()) "…"
                                }
                            } },
                        }
                    } }
                }
            }
        }
    }
}

pub(super) fn evidence(review: &Review) -> Markup {
    let federation = &review.federation;
    html! {
        footer aria-labelledby="evidence" {
            h2 #evidence { "What this rests on" }
            dl {
                dt { "federation" } dd { (review.label) }
                dt { "catalogue" } dd { code { (federation.catalogue.digest()) } }
                dt { "policy of the gateway" } dd { code { (federation.gateway.engine.digest()) } }
                @for agency in &federation.agencies {
                    dt { "policy of " (agency.id) }
                    dd { @match &agency.own {
                        Some(own) => code { (own.house.engine.digest()) },
                        None => "not at hand: its flows are an upper bound",
                    } }
                }
                @if let Some(compared) = &review.compared {
                    dt { "compared with" } dd { (compared.labels.first().map_or("", |l| l)) }
                    dt { "its catalogue" } dd { code { (compared.old.catalogue.digest()) } }
                    dt { "its policy of the gateway" }
                    dd { code { (compared.old.gateway.engine.digest()) } }
                }
                @if let Some(found) = &review.drift {
                    @for log in &found.logs {
                        dt { "checkpoint of " (log.report.origin) }
                        dd { (log.report.published) " entries, root " code { (log.report.root) } }
                    }
                }
                dt { "made by" } dd { "tributary " (env!("CARGO_PKG_VERSION")) ", from files alone" }
            }
        }
    }
}
