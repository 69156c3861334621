//! What is broken in the agencies that the kit must find out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use prost::Message;
use tonic::Status;
use tributary::domain::item::ItemSet;
use tributary::wire::proto::google::r#type::Date;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_request::Message as Asked;
use tributary::wire::proto::pb::exchange_response::Message as Told;
use tributary::wire::section::RequestHash;

use super::proxy::{Fault, Heard, Said, Then};

/// Breaks nothing.
pub struct Nothing;

impl Fault for Nothing {}

/// Every statement about itself is wrong.
pub struct Misdescribed;

impl Fault for Misdescribed {
    fn describe(&self, described: &mut pb::DescribeResponse) {
        described.agency = "another".to_owned();
        described.catalogue_digest = vec![7; 32].into();
        described.items.reverse();
        described.limits.as_mut().unwrap().max_in_flight = 0;
        described.freshness.get_or_insert_default().seconds = -1;
        described.features.push(99);
        described.owned_digests.truncate(32);
    }

    fn serving(&self) -> bool {
        false
    }
}

/// Whoever comes is let in.
pub struct OpenDoor;

impl Fault for OpenDoor {
    fn open(&self) -> bool {
        true
    }
}

/// Refuses nothing: whatever our agency refuses or knows nothing of is answered
/// with the last good section, as if it were that question's; no message closes a
/// stream.
#[derive(Default)]
pub struct Obliging(Mutex<Option<(pb::SectionEnvelope, pb::SectionBody)>>);

impl Fault for Obliging {
    fn say(&self, asked: &[u8], said: Said) -> Said {
        if let Ok(response) = &said
            && let Some(parts) = parts(response)
        {
            // A question for less must not make the next answers less.
            let mut kept = self.0.lock().unwrap();
            if kept.as_ref().is_none_or(|(_, body)| body.items.len() <= parts.1.items.len()) {
                *kept = Some(parts);
            }
            return said;
        }
        let Some((mut envelope, mut body)) = self.0.lock().unwrap().clone() else { return said };
        let request = pb::FetchSectionRequest::decode(asked).unwrap_or_default();
        if let Some(items) = ItemSet::from_bytes(&request.items).filter(|items| !items.is_empty()) {
            let wanted = |number: u32| items.iter().any(|item| u32::from(item.get()) == number);
            envelope.items.retain(|item| wanted(item.number));
            envelope.missing.retain(|item| wanted(item.number));
            body.items.retain(|item| wanted(item.number));
        }
        envelope.request_hash = RequestHash::of(asked).to_bytes();
        Ok(whole(envelope, &body))
    }

    fn heard(&self, heard: Heard<'_>) -> Then {
        match heard {
            Heard::Message(_, true) => Then::Refuse,
            Heard::Message(request, false) if request.message.is_some() => Then::Forward,
            _ => Then::Ignore,
        }
    }
}

/// Answers another agency's item with a value of its own.
pub struct Greedy;

impl Fault for Greedy {
    fn say(&self, asked: &[u8], said: Said) -> Said {
        let mut request = pb::FetchSectionRequest::decode(asked).unwrap_or_default();
        let wanted = ItemSet::from_bytes(&std::mem::take(&mut request.items)).unwrap_or_default();
        changed(said, |envelope, body| {
            for number in wanted.iter().map(|item| u32::from(item.get())) {
                if body.items.iter().all(|item| item.number != number) {
                    let stamp = pb::EnvelopeItem { number, ..envelope.items[0] };
                    envelope.missing.retain(|item| item.number != number);
                    envelope.items.push(stamp);
                    body.items.push(pb::SectionItem { number, ..body.items[0].clone() });
                }
            }
            envelope.items.sort_by_key(|item| item.number);
            body.items.sort_by_key(|item| item.number);
        })
    }
}

/// Refuses everything, and says nothing about why.
pub struct Closed;

impl Fault for Closed {
    fn say(&self, _: &[u8], _: Said) -> Said {
        Err(Status::permission_denied("no"))
    }
}

/// Echoes another hash, in sections and on streams.
pub struct OtherEcho;

impl Fault for OtherEcho {
    fn say(&self, _: &[u8], said: Said) -> Said {
        changed(said, |envelope, _| envelope.request_hash = vec![7; 32].into())
    }

    fn told(&self, mut told: pb::ExchangeResponse) -> Vec<pb::ExchangeResponse> {
        if let Some(Told::Answer(answer)) = &mut told.message {
            answer.request_hash = vec![7; 32].into();
        }
        vec![told]
    }
}

/// Leaves an item out and says nothing about it, uses one blind, and dates values
/// far ahead.
pub struct Careless;

impl Fault for Careless {
    fn say(&self, _: &[u8], said: Said) -> Said {
        changed(said, |envelope, body| {
            envelope.items.remove(0);
            body.items.remove(0);
            body.blind = vec![7; 16].into();
            for item in &mut envelope.items {
                item.as_of = Some(Date { year: 2999, month: 1, day: 1 });
            }
        })
    }
}

/// Disputes and no longer disputes, from answer to answer.
#[derive(Default)]
pub struct Restless(AtomicBool);

impl Fault for Restless {
    fn say(&self, _: &[u8], said: Said) -> Said {
        let disputed = self.0.fetch_xor(true, Ordering::Relaxed);
        changed(said, |_, body| {
            for item in &mut body.items {
                item.disputed = disputed;
            }
        })
    }
}

/// Is of no use after a caller went away who had told its deadline, or had not.
pub struct GoesAway {
    pub told: bool,
    pub gone: AtomicBool,
}

impl Fault for GoesAway {
    fn say(&self, _: &[u8], said: Said) -> Said {
        match self.gone.load(Ordering::Relaxed) {
            true => Err(Status::unavailable("gone")),
            false => said,
        }
    }

    fn gone(&self, told: bool) {
        if told == self.told {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}

/// A cancelled question or a message too long takes every stream with it; Finish
/// ends the stream at once.
pub struct Fragile;

impl Fault for Fragile {
    fn heard(&self, heard: Heard<'_>) -> Then {
        match heard {
            Heard::TooLong => Then::EndAll,
            Heard::Garbage => Then::End,
            Heard::Message(request, _) => match &request.message {
                Some(Asked::Cancel(_)) => Then::EndAll,
                Some(Asked::Finish(_)) => Then::End,
                _ => Then::Forward,
            },
        }
    }
}

/// Greets with another description than the one it gives, and answers twice.
pub struct Stutters;

impl Fault for Stutters {
    fn told(&self, mut told: pb::ExchangeResponse) -> Vec<pb::ExchangeResponse> {
        match &mut told.message {
            Some(Told::Hello(hello)) => {
                hello.description.as_mut().unwrap().items.pop();
                vec![told]
            }
            Some(Told::Answer(_)) => vec![told.clone(), told],
            _ => vec![told],
        }
    }
}

/// Counts every use anew, though it is a retry, and takes a spent one for new.
#[derive(Default)]
pub struct Forgetful(Mutex<std::collections::HashSet<String>>);

impl Fault for Forgetful {
    fn say(&self, asked: &[u8], said: Said) -> Said {
        let request = pb::FetchSectionRequest::decode(asked).unwrap_or_default();
        match self.0.lock().unwrap().insert(request.request_id) {
            true => said,
            false => Err(Status::resource_exhausted("spent")),
        }
    }
}

/// The parts of a section that is OK.
fn parts(response: &pb::FetchSectionResponse) -> Option<(pb::SectionEnvelope, pb::SectionBody)> {
    let section = response.section.as_ref()?;
    let envelope = section.envelope.clone()?;
    let Some(pb::section::Body::Clear(body)) = &section.body else { return None };
    let body = pb::SectionBody::decode(body.clone()).ok()?;
    (!body.items.is_empty()).then_some((envelope, body))
}

/// A section of these parts, with the body's digest.
fn whole(mut envelope: pb::SectionEnvelope, body: &pb::SectionBody) -> pb::FetchSectionResponse {
    let body = body.encode_to_vec();
    envelope.body_digest = digest(&SHA256, &body).as_ref().to_vec().into();
    let body = Some(pb::section::Body::Clear(body.into()));
    let section = pb::Section { envelope: Some(envelope), body, signature: None };
    pb::FetchSectionResponse { section: Some(section) }
}

/// What was said, with a good section changed.
fn changed(
    said: Said,
    change: impl FnOnce(&mut pb::SectionEnvelope, &mut pb::SectionBody),
) -> Said {
    let response = said?;
    let Some((mut envelope, mut body)) = parts(&response) else { return Ok(response) };
    change(&mut envelope, &mut body);
    Ok(whole(envelope, &body))
}
