//! A question for one agency, in the forms in which it may be put: with the agency's part
//! of the grant whole, or with that part named by its digest; and to a process with another
//! catalogue also with the digest of each item's definition.
//!
//! A form is made when it is first put, so that nobody pays for the one that nobody
//! needs. Which one it is to be, [`super::client`] decides.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use prost::Message;

use crate::domain::catalogue::Catalogue;
use crate::domain::grant::{Part, PresentationDigest, Presented};
use crate::domain::item::ItemSet;
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
    /// The trace that it belongs to, which goes beside the request.
    pub trace: Bytes,
}

/// A form that names the grant by its digest.
const NAMED: u8 = 1;

/// A form for a process with another catalogue.
const FOREIGN: u8 = 2;

/// A question for one agency.
#[derive(Debug)]
pub struct Question {
    /// All of it but the part of the grant.
    message: pb::FetchSectionRequest,
    part: Option<Part>,
    until: Instant,
    kind: u64,
    asker: Asker,
    /// Its items, and the catalogue that defines them.
    defined: Option<(ItemSet, Arc<Catalogue>)>,
    /// By [`NAMED`] and [`FOREIGN`].
    forms: [OnceLock<Form>; 4],
    /// The form that was put last.
    last: AtomicU8,
    /// The agency did not know the digest: whole from then on.
    unknown: AtomicBool,
    trace: Bytes,
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
            defined: None,
            forms: Default::default(),
            last: AtomicU8::new(0),
            unknown: AtomicBool::new(false),
            trace: Bytes::new(),
        }
    }

    /// The same as part of this trace, encoded.
    #[must_use]
    pub fn traced(self, trace: Bytes) -> Self {
        Self { trace, ..self }
    }

    /// The same for these items as this catalogue defines them, also to be put to a process
    /// with another one.
    #[must_use]
    pub fn defined_by(mut self, items: ItemSet, catalogue: &Arc<Catalogue>) -> Self {
        self.message.items = items.to_bytes().into();
        self.message.catalogue_digest = Bytes::copy_from_slice(&catalogue.digest().0);
        self.kind = number_of(&self.message.items);
        self.defined = Some((items, catalogue.clone()));
        self
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

    /// The form to put to a process that answers by this catalogue: the one with the digest
    /// where `by_digest` allows it of a digest.
    pub fn put(
        &self,
        catalogue: &[u8],
        by_digest: impl FnOnce(&PresentationDigest) -> bool,
    ) -> &Form {
        let digest = self.digest().filter(|_| !self.unknown.load(Ordering::Relaxed));
        let named = digest.is_some_and(|digest| by_digest(&digest));
        let foreign = *catalogue != *self.message.catalogue_digest;
        let form = if named { NAMED } else { 0 } | if foreign { FOREIGN } else { 0 };
        self.last.store(form, Ordering::Relaxed);
        self.last()
    }

    /// The form that was put last, and so the one that an answer is to.
    pub fn last(&self) -> &Form {
        let [whole, named, foreign, named_foreign] = &self.forms;
        let last = self.last.load(Ordering::Relaxed);
        let form = match (last & NAMED != 0, last & FOREIGN != 0) {
            (false, false) => whole,
            (true, false) => named,
            (false, true) => foreign,
            (true, true) => named_foreign,
        };
        form.get_or_init(|| self.form(last & NAMED != 0, last & FOREIGN != 0))
    }

    fn form(&self, named: bool, foreign: bool) -> Form {
        let mut message = self.message.clone();
        if let Some((items, catalogue)) = self.defined.as_ref().filter(|_| foreign) {
            message.item_digests = catalogue.digests_of(items).into();
            if let Some(entry) = message.proof.as_mut().and_then(|proof| proof.entry.as_mut()) {
                let ids = items.iter().filter_map(|number| catalogue.item(number));
                entry.items = ids.map(|item| item.id.to_string()).collect();
            }
        }
        if let Some(part) = &self.part {
            message.grant = Some(grant::encode(match named {
                true => Presented::Digest(part.digest()),
                false => Presented::Whole(part.whole().into()),
            }));
        }
        let request = Bytes::from(message.encode_to_vec());
        Form { hash: RequestHash::of(&request), request, named, trace: self.trace.clone() }
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
