//! What an agency says of itself at each endpoint, held against what is expected and
//! against its other endpoints: nothing is sent to one that does not fit, and nothing asked
//! that its catalogue and ours do not define alike.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
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
    /// Ours, and what the endpoints have said: looked at together.
    held: Mutex<Held>,
    known: ArcSwap<Known>,
    instances: Mutex<Vec<(Bytes, Weak<Shown>)>>,
}

/// Our catalogue, and what each endpoint has said.
#[derive(Debug)]
struct Held {
    catalogue: Arc<Catalogue>,
    endpoints: Vec<Said>,
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

/// What one endpoint has said of its counters and its items.
#[derive(Debug, Default)]
struct Said {
    /// Of its counters when it was last let in.
    accepted: Option<Bytes>,
    /// Of its counters last of all.
    stated: Option<Bytes>,
    /// How it defines its items; `None` while no stream of it is up.
    definitions: Option<Definitions>,
}

/// How a process defines the items of its agency.
#[derive(Debug, Clone)]
struct Definitions {
    catalogue: Bytes,
    /// Its items, and a digest for each. `None` where it cannot say so: then it has to have
    /// our catalogue.
    items: Option<(ItemSet, Bytes)>,
}

impl Definitions {
    /// What a description says of items.
    fn of(description: &pb::DescribeResponse) -> Self {
        let has = |feature| description.features().any(|is| is == feature);
        let items = ItemSet::from_bytes(&description.owned).filter(|owned| {
            description.catalogue_digest.len() == ItemDigest::BYTES
                && has(pb::ProtocolFeature::ItemDigests)
                && description.owned_digests.len() == owned.len() * ItemDigest::BYTES
        });
        Self {
            catalogue: description.catalogue_digest.clone(),
            items: items.map(|owned| (owned, description.owned_digests.clone())),
        }
    }

    /// What of these items a catalogue does not define as the process does.
    fn differing(&self, owned: &ItemSet, catalogue: &Catalogue) -> ItemSet {
        if *self.catalogue == catalogue.digest().0 {
            return ItemSet::EMPTY;
        }
        let Some((stated, digests)) = &self.items else { return *owned };
        let digests = digests.chunks(ItemDigest::BYTES);
        owned.without(&catalogue.alike(stated.iter().zip(digests)))
    }
}

impl Agreement {
    /// For an agency with so many endpoints; items are asked for by this catalogue.
    pub fn new(agency: AgencyId, catalogue: Arc<Catalogue>, endpoints: usize) -> Self {
        let endpoints = (0..endpoints).map(|_| Said::default()).collect();
        Self {
            agency,
            held: Mutex::new(Held { catalogue, endpoints }),
            known: ArcSwap::default(),
            instances: Mutex::default(),
        }
    }

    /// Asks by another catalogue from now on. What each endpoint has said is held against
    /// it at once.
    pub fn renew(&self, catalogue: &Arc<Catalogue>) {
        let mut held = self.held.lock();
        held.catalogue = catalogue.clone();
        self.learn(held, None);
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
    pub fn differing_ids(&self) -> Vec<String> {
        ids(&self.held.lock().catalogue, &self.known().differing).map(str::to_owned).collect()
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
        let mut held = self.held.lock();
        let definitions = Definitions::of(description);
        self.fits(&definitions, &held.catalogue)?;
        count_together(&mut held.endpoints, endpoint, &description.counters_domain)?;
        if let Some(said) = held.endpoints.get_mut(endpoint) {
            said.definitions = Some(definitions);
        }
        let items = description.items.iter().filter_map(|number| ItemNumber::new(*number));
        self.learn(held, Some(items.collect()));
        Ok(())
    }

    /// No stream of this endpoint is up any more, so that its catalogue keeps nothing back
    /// that the others define as we do.
    pub fn gone(&self, endpoint: usize) {
        let mut held = self.held.lock();
        if let Some(said) = held.endpoints.get_mut(endpoint) {
            said.definitions = None;
        }
        self.learn(held, None);
    }

    /// Makes anew of what was said what is known.
    fn learn(&self, held: MutexGuard<'_, Held>, items: Option<ItemSet>) {
        let before = self.known();
        let owned = held.catalogue.owned_by(&self.agency);
        let up = held.endpoints.iter().filter_map(|said| said.definitions.as_ref());
        // An item that one process defines otherwise is asked of none: who answers is not
        // known before.
        let differing = up.map(|stated| stated.differing(&owned, &held.catalogue));
        let now = Known {
            described: items.or(before.described),
            differing: differing
                .reduce(|all, some| all.or(&some))
                .unwrap_or(before.differing.and(&owned)),
        };
        self.known.store(Arc::new(now));
        if now.differing != before.differing {
            self.tell(&now.differing, &held.catalogue);
        }
    }

    /// Whether there is anything that both define alike.
    fn fits(&self, stated: &Definitions, ours: &Catalogue) -> Result<(), (Reason, String)> {
        let wrong = |why: &str| {
            let digest = ours.digest();
            let words = format!(
                "it answers by another catalogue than ours ({digest}), and {why}: give both the \
                 same catalogue folder"
            );
            Err((Reason::WrongCatalogue, words))
        };
        let owned = ours.owned_by(&self.agency);
        let differing = stated.differing(&owned, ours);
        match &stated.items {
            _ if differing.is_empty() => Ok(()),
            None => wrong("does not say in a readable way how that defines each item"),
            Some(_) if differing == owned => wrong("none of its items is defined in the same way"),
            Some(_) => Ok(()),
        }
    }

    fn tell(&self, differing: &ItemSet, ours: &Catalogue) {
        let (agency, count) = (&self.agency, differing.len());
        if differing.is_empty() {
            tracing::info!(%agency, "the agency defines every item as our catalogue does again");
            return;
        }
        let items: Vec<&str> = ids(ours, differing).take(NAMED).collect();
        tracing::warn!(
            %agency, count, items = items.join(" "), reason = %Reason::CatalogueDiffers,
            "the agency's catalogue defines items otherwise than ours, or lacks them: they are \
             not asked for, and everything else is"
        );
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

/// Whether an endpoint counts uses together with the others: failing over to one
/// that does not would use a grant twice.
fn count_together(
    endpoints: &mut [Said],
    endpoint: usize,
    domain: &Bytes,
) -> Result<(), (Reason, String)> {
    let stated = Some(domain.clone());
    let alone = endpoints.len() < 2;
    // Another endpoint may have been moved to other counters since it was let in.
    let differs =
        |said: &Said| said.accepted.is_some() && said.accepted != stated && said.stated != stated;
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

/// The ids of items, as a catalogue has them.
fn ids<'a>(catalogue: &'a Catalogue, items: &'a ItemSet) -> impl Iterator<Item = &'a str> {
    catalogue.items().iter().filter(|item| items.contains(item.number)).map(|item| &*item.id)
}

#[cfg(test)]
mod tests;
