//! A question for one agency, in the two forms in which it may be put: with the
//! agency's part of the grant whole, or with that part named by its digest.
//!
//! A form is made when it is first put, so that nobody pays for the one that nobody
//! needs. Which one it is to be, [`super::client`] decides.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use prost::Message;

use crate::domain::grant::{Part, PresentationDigest, Presented};
use crate::wire::grant;
use crate::wire::proto::pb;
use crate::wire::section::RequestHash;

use super::limit::Asker;

/// A question as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Form {
    /// The encoded `FetchSectionRequest`.
    pub request: Bytes,
    /// Its hash, which the answer must echo.
    pub hash: RequestHash,
    /// Whether it names the grant by its digest.
    pub named: bool,
}

/// A question for one agency.
#[derive(Debug)]
pub struct Question {
    /// All of it but the part of the grant.
    message: pb::FetchSectionRequest,
    part: Option<Part>,
    until: Instant,
    kind: u64,
    asker: Asker,
    whole: OnceLock<Form>,
    named: OnceLock<Form>,
    /// Whether the form that was put last is the one with the digest.
    last_named: AtomicBool,
    /// The agency did not know the digest: whole from then on.
    unknown: AtomicBool,
}

impl Question {
    /// A question that is waited for until `until`. The agency gets `part`; without
    /// one the message is put as it stands.
    pub fn new(message: pb::FetchSectionRequest, part: Option<Part>, until: Instant) -> Self {
        Self {
            kind: number_of(&message.items),
            asker: asker(&message.consumer),
            message,
            part,
            until,
            whole: OnceLock::new(),
            named: OnceLock::new(),
            last_named: AtomicBool::new(false),
            unknown: AtomicBool::new(false),
        }
    }

    /// When the gateway stops waiting.
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// Its kind: the same for the same items.
    pub const fn kind(&self) -> u64 {
        self.kind
    }

    /// For whom it is put.
    pub const fn asker(&self) -> Asker {
        self.asker
    }

    /// The digest of the agency's part.
    pub fn digest(&self) -> Option<PresentationDigest> {
        self.part.as_ref().map(Part::digest)
    }

    /// Names the digest no more, whoever else has shown the grant meanwhile: that the
    /// agency does not know it is to be heard once for a question.
    pub fn always_whole(&self) {
        self.unknown.store(true, Ordering::Relaxed);
    }

    /// The form to put: the one with the digest where `by_digest` allows it of a digest.
    pub fn put(&self, by_digest: impl FnOnce(&PresentationDigest) -> bool) -> &Form {
        let digest = self.digest().filter(|_| !self.unknown.load(Ordering::Relaxed));
        let named = digest.is_some_and(|digest| by_digest(&digest));
        self.last_named.store(named, Ordering::Relaxed);
        self.last()
    }

    /// The form that was put last, and so the one that an answer is to.
    pub fn last(&self) -> &Form {
        match self.last_named.load(Ordering::Relaxed) {
            true => self.named.get_or_init(|| self.form(true)),
            false => self.whole.get_or_init(|| self.form(false)),
        }
    }

    fn form(&self, named: bool) -> Form {
        let mut message = self.message.clone();
        if let Some(part) = &self.part {
            message.grant = Some(grant::encode(match named {
                true => Presented::Digest(part.digest()),
                false => Presented::Whole(part.whole().into()),
            }));
        }
        let request = Bytes::from(message.encode_to_vec());
        Form { hash: RequestHash::of(&request), request, named }
    }
}

/// The consumer of this SPIFFE id, `spiffe://DOMAIN/…`.
fn asker(consumer: &str) -> Asker {
    let domain = consumer.split('/').nth(2).unwrap_or_default();
    Asker { domain: number_of(domain.as_bytes()), consumer: number_of(consumer.as_bytes()) }
}

/// A number that is the same for the same bytes, within this process.
fn number_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
