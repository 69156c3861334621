//! What an agency says of itself at each endpoint, held against what is expected and
//! against its other endpoints: nothing is sent to one that does not fit, and nothing asked
//! that its catalogue and ours do not define alike.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;

use crate::domain::catalogue::{AgencyId, Catalogue, ItemDigest};
use crate::domain::grant::Shown;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::reason::Reason;
use crate::wire::MAX_HELLO_BYTES;
use crate::wire::proto::pb;

/// Items that a line of the log names, at most.
const NAMED: usize = 8;

/// Processes of one agency whose memory is guessed at, at most.
const INSTANCES: usize = 64;

/// What is expected of an agency, and what its endpoints have said.
#[derive(Debug)]
pub struct Agreement {
    agency: AgencyId,
    catalogue: Arc<Catalogue>,
    /// What the agency owns in our catalogue.
    owned: ItemSet,
    known: ArcSwap<Known>,
    endpoints: Mutex<Vec<Said>>,
    instances: Mutex<Vec<(Bytes, Weak<Shown>)>>,
}

/// What the agency has said of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// What it says it offers; `None` before it has said so.
    pub described: Option<ItemSet>,
    /// What of its own it is not known to define as we do, at an endpoint that is up; while
    /// none is, as it was last known.
    pub differing: ItemSet,
}

/// What one endpoint has said of its counters and its catalogue.
#[derive(Debug, Default)]
struct Said {
    /// Of its counters when it was last let in.
    accepted: Option<Bytes>,
    /// Of its counters last of all.
    stated: Option<Bytes>,
    /// What it does not define as we do; `None` while no stream of it is up.
    differing: Option<ItemSet>,
}

impl Agreement {
    /// For an agency with so many endpoints; items are asked for by this catalogue.
    pub fn new(agency: AgencyId, catalogue: Arc<Catalogue>, endpoints: usize) -> Self {
        Self {
            owned: catalogue.owned_by(&agency),
            agency,
            catalogue,
            known: ArcSwap::default(),
            endpoints: Mutex::new((0..endpoints).map(|_| Said::default()).collect()),
            instances: Mutex::default(),
        }
    }

    /// The agency.
    pub const fn agency(&self) -> &AgencyId {
        &self.agency
    }

    /// What the agency has said of items.
    pub fn known(&self) -> Known {
        **self.known.load()
    }

    /// The ids of what it is not known to define as we do.
    pub fn differing_ids(&self) -> impl Iterator<Item = &str> {
        self.ids(self.known().differing)
    }

    fn ids(&self, items: ItemSet) -> impl Iterator<Item = &str> {
        let catalogue = self.catalogue.items().iter();
        catalogue.filter(move |item| items.contains(item.number)).map(|item| &*item.id)
    }

    /// Holds an endpoint's description against what is expected.
    ///
    /// # Errors
    /// Why nothing is sent there, and in words.
    pub fn accept(
        &self,
        endpoint: usize,
        description: &pb::DescribeResponse,
    ) -> Result<(), (Reason, String)> {
        let size = description.encoded_len();
        if size > MAX_HELLO_BYTES {
            let words = format!("its Hello has {size} bytes, more than {MAX_HELLO_BYTES}");
            return Err((Reason::HelloTooLarge, words));
        }
        if description.agency != self.agency.as_str() {
            let words = "the server describes itself as another agency: correct the endpoint in \
                         the gateway's configuration";
            return Err((Reason::WrongAgency, words.to_owned()));
        }
        let differing = self.differing(description)?;
        self.count_together(endpoint, &description.counters_domain)?;
        let items = description.items.iter().filter_map(|number| ItemNumber::new(*number));
        self.learn(endpoint, Some(differing), Some(items.collect()));
        Ok(())
    }

    /// No stream of this endpoint is up any more, so that its catalogue keeps nothing back
    /// that the others define as we do.
    pub fn gone(&self, endpoint: usize) {
        self.learn(endpoint, None, None);
    }

    fn learn(&self, endpoint: usize, differing: Option<ItemSet>, items: Option<ItemSet>) {
        let mut endpoints = self.endpoints.lock();
        if let Some(said) = endpoints.get_mut(endpoint) {
            said.differing = differing;
        }
        let before = self.known();
        let up = endpoints.iter().filter_map(|said| said.differing);
        // An item that one process defines otherwise is asked of none: who answers is not
        // known before.
        let now = Known {
            described: items.or(before.described),
            differing: up.reduce(|all, some| all.or(&some)).unwrap_or(before.differing),
        };
        self.known.store(Arc::new(now));
        drop(endpoints);
        if now.differing != before.differing {
            self.tell(&now.differing);
        }
    }

    /// What of the agency's own items its catalogue does not define as ours does.
    fn differing(&self, description: &pb::DescribeResponse) -> Result<ItemSet, (Reason, String)> {
        if *description.catalogue_digest == self.catalogue.digest().0 {
            return Ok(ItemSet::EMPTY);
        }
        let wrong = |why: &str| {
            let digest = self.catalogue.digest();
            let words = format!(
                "it answers by another catalogue than ours ({digest}), and {why}: give both the \
                 same catalogue folder"
            );
            (Reason::WrongCatalogue, words)
        };
        let has = |feature| description.features().any(|is| is == feature);
        if description.catalogue_digest.len() != ItemDigest::BYTES
            || !has(pb::ProtocolFeature::ItemDigests)
        {
            return Err(wrong("does not say how that defines each item"));
        }
        let stated = ItemSet::from_bytes(&description.owned)
            .filter(|owned| description.owned_digests.len() == owned.len() * ItemDigest::BYTES)
            .ok_or_else(|| wrong("what it says of each item cannot be read"))?;
        let digests = description.owned_digests.chunks(ItemDigest::BYTES);
        let alike = self.owned.and(&self.catalogue.alike(stated.iter().zip(digests)));
        match alike.is_empty() {
            true => Err(wrong("none of its items is defined in the same way")),
            false => Ok(self.owned.without(&alike)),
        }
    }

    fn tell(&self, differing: &ItemSet) {
        let (agency, count) = (&self.agency, differing.len());
        if differing.is_empty() {
            tracing::info!(%agency, "the agency defines every item as our catalogue does again");
            return;
        }
        let items: Vec<&str> = self.ids(*differing).take(NAMED).collect();
        tracing::warn!(
            %agency, count, items = items.join(" "), reason = %Reason::CatalogueDiffers,
            "the agency's catalogue defines items otherwise than ours, or lacks them: they are \
             not asked for, and everything else is"
        );
    }

    /// Whether an endpoint counts uses together with the others: failing over to one
    /// that does not would use a grant twice.
    fn count_together(&self, endpoint: usize, domain: &Bytes) -> Result<(), (Reason, String)> {
        let mut endpoints = self.endpoints.lock();
        let stated = Some(domain.clone());
        let alone = endpoints.len() < 2;
        // Another endpoint may have been moved to other counters since it was let in.
        let differs = |said: &Said| {
            said.accepted.is_some() && said.accepted != stated && said.stated != stated
        };
        let others = endpoints.iter().enumerate().filter(|(at, _)| *at != endpoint);
        let known = others.clone().any(|(_, said)| said.accepted.is_some());
        let differs = others.map(|(_, said)| said).any(differs) || (known && domain.is_empty());
        let Some(said) = endpoints.get_mut(endpoint) else { return Ok(()) };
        said.stated.clone_from(&stated);
        if differs && !alone {
            said.accepted = None;
            let words = "it does not count uses together with the agency's other endpoints: let \
                         all of them count on one PostgreSQL database, or take it out";
            return Err((Reason::CountersDiffer, words.to_owned()));
        }
        said.accepted = stated;
        Ok(())
    }

    /// What a process was shown, by the number that it gave itself at its start.
    pub fn shown(&self, instance: &Bytes) -> Arc<Shown> {
        let mut instances = self.instances.lock();
        instances.retain(|(_, shown)| shown.strong_count() > 0);
        let known = instances.iter().find(|(known, _)| known == instance);
        if let Some(shown) = known.and_then(|(_, shown)| shown.upgrade()) {
            return shown;
        }
        let shown = Arc::new(Shown::default());
        if instances.len() < INSTANCES {
            instances.push((instance.clone(), Arc::downgrade(&shown)));
        }
        shown
    }
}

#[cfg(test)]
mod tests;
