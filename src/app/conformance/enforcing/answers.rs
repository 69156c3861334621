//! Checks of sections: what is answered, to whom, and what never is.

use prost::Message;

use super::{Bench, Said, word};
use crate::app::conformance::{Verdict, ensure, failed, skipped};
use crate::clock;
use crate::domain::item::ItemSet;
use crate::domain::section::SectionStatus;
use crate::wire::proto::pb;
use crate::wire::section::RequestHash;

pub(super) async fn believed(bench: &Bench) -> Verdict {
    let section = bench.section(&bench.grant()?, &bench.items).await?;
    ensure(
        section.status == SectionStatus::Ok,
        format!("the first test person's section is {:?}, not OK", section.status),
    )?;
    ensure(!section.items.is_empty(), "the first test person has none of the plan's items")
}

/// A good question's section as it came, with the request's hash.
async fn raw_section(
    bench: &Bench,
    question: pb::FetchSectionRequest,
) -> Verdict<(pb::Section, RequestHash)> {
    match bench.ask(question).await? {
        Said::Section(response, hash) => match response.section {
            Some(section) => Ok((section, hash)),
            None => failed("the answer has no section"),
        },
        Said::Refused(status) => failed(format!("the question is refused: {}", word(&status))),
    }
}

fn envelope(section: &pb::Section) -> Verdict<&pb::SectionEnvelope> {
    section.envelope.as_ref().map_or_else(|| failed("the section has no envelope"), Ok)
}

fn body(section: &pb::Section) -> Verdict<pb::SectionBody> {
    match &section.body {
        Some(pb::section::Body::Clear(body)) => {
            pb::SectionBody::decode(body.clone()).or_else(|_| failed("the body is no SectionBody"))
        }
        _ => skipped("the section has no clear body: see check 220"),
    }
}

pub(super) async fn echo(bench: &Bench) -> Verdict {
    let question = bench.question(&bench.grant()?, &bench.items);
    let (section, hash) = raw_section(bench, question).await?;
    ensure(hash.is(&envelope(&section)?.request_hash), "it echoes another hash")
}

pub(super) async fn complete(bench: &Bench) -> Verdict {
    let question = bench.question(&bench.grant()?, &bench.items);
    let (section, _) = raw_section(bench, question).await?;
    let envelope = envelope(&section)?;
    if envelope.status() != pb::SectionStatus::Ok {
        return skipped("the section is not OK: see check 220");
    }
    let held = envelope.items.iter().map(|item| item.number);
    let missing = envelope.missing.iter().map(|item| item.number);
    let mut told: Vec<u32> = held.chain(missing).collect();
    told.sort_unstable();
    let asked: Vec<u32> = bench.items.iter().map(|number| u32::from(number.get())).collect();
    ensure(told == asked, "items held and items missing are not together those asked for")
}

pub(super) async fn blind(bench: &Bench) -> Verdict {
    let mut blinds = Vec::new();
    for _ in 0..3 {
        let question = bench.question(&bench.grant()?, &bench.items);
        let (section, _) = raw_section(bench, question).await?;
        blinds.push(body(&section)?.blind);
    }
    ensure(blinds.iter().all(|blind| blind.len() == 16), "a blind has not 16 bytes")?;
    blinds.sort_unstable();
    blinds.dedup();
    ensure(blinds.len() == 3, "a blind came twice, so body digests tell of values")
}

pub(super) async fn as_of(bench: &Bench) -> Verdict {
    let section = bench.section(&bench.grant()?, &bench.items).await?;
    let tomorrow = clock::today().next_day();
    let late = |day: time::Date| tomorrow.is_some_and(|tomorrow| day > tomorrow);
    ensure(!section.items.iter().any(|held| late(held.as_of)), "a value is of a day to come")
}

pub(super) async fn repeatable(bench: &Bench) -> Verdict {
    let grant = bench.grant()?;
    let first = bench.section(&grant, &bench.items).await?;
    let again = bench.section(&grant, &bench.items).await?;
    let same = (first.status, &first.items, &first.missing)
        == (again.status, &again.items, &again.missing);
    ensure(same, "the second answer differs")
}

pub(super) async fn unknown(bench: &Bench) -> Verdict {
    let wish = bench.wish(&bench.plan.unknown, &bench.items);
    let grant = bench.issue(&wish, wish.not_before)?;
    let section = bench.section(&grant, &bench.items).await?;
    ensure(
        section.status == SectionStatus::NoRecord,
        format!("the section is {:?}, not NO_RECORD", section.status),
    )
}

/// The plan's items, the first apart from the rest.
fn split(bench: &Bench) -> (ItemSet, ItemSet) {
    let first: ItemSet = bench.items.iter().take(1).collect();
    let rest = bench.items.without(&first);
    (first, rest)
}

pub(super) async fn ungranted(bench: &Bench) -> Verdict {
    let (first, rest) = split(bench);
    let wish = bench.wish(bench.person()?, &rest);
    let grant = bench.issue(&wish, wish.not_before)?;
    // Asked for beside granted ones it is denied; alone it may be refused whole.
    let section = bench.section(&grant, &bench.items).await?;
    let told: ItemSet = section.items.iter().map(|held| held.number).collect();
    ensure(told.and(&first).is_empty(), "an item is answered that the grant does not name")?;
    match bench.ask(bench.question(&grant, &first)).await? {
        Said::Refused(_) => Ok(()),
        Said::Section(response, hash) => {
            let section = bench.believe(*response, hash, &first)?;
            ensure(section.items.is_empty(), "alone, an item is answered that is not granted")
        }
    }
}

pub(super) async fn foreign(bench: &Bench) -> Verdict {
    let owned = bench.catalogue.owned_by(&bench.plan.agency);
    let items = bench.catalogue.items().iter().map(|item| item.number);
    let Some(other) = items.into_iter().find(|number| !owned.contains(*number)) else {
        return skipped("the catalogue has no other agency's item");
    };
    let mut asked = bench.items;
    asked.insert(other);
    match bench.ask(bench.question(&bench.grant()?, &asked)).await? {
        Said::Refused(_) => Ok(()),
        Said::Section(response, hash) => {
            let section = bench.believe(*response, hash, &asked)?;
            let told = section.items.iter().any(|held| held.number == other);
            ensure(!told, "an item of another agency is answered")
        }
    }
}
