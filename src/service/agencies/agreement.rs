//! What an agency says of itself at each endpoint, held against what is expected and
//! against its other endpoints: nothing is sent to one that does not fit.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;

use crate::domain::catalogue::{AgencyId, CatalogueDigest};
use crate::domain::grant::Shown;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::reason::Reason;
use crate::wire::MAX_HELLO_BYTES;
use crate::wire::proto::pb;

/// Processes of one agency whose memory is guessed at, at most.
const INSTANCES: usize = 64;

/// What is expected of an agency, and what its endpoints have said.
#[derive(Debug)]
pub struct Agreement {
    agency: AgencyId,
    digest: CatalogueDigest,
    described: ArcSwapOption<ItemSet>,
    endpoints: Mutex<Vec<Said>>,
    instances: Mutex<Vec<(Bytes, Weak<Shown>)>>,
}

/// What one endpoint has said of its counters.
#[derive(Debug, Default)]
struct Said {
    /// When it was last let in.
    accepted: Option<Bytes>,
    /// Last of all.
    stated: Option<Bytes>,
}

impl Agreement {
    /// For an agency with so many endpoints that answers by this catalogue.
    pub fn new(agency: AgencyId, digest: CatalogueDigest, endpoints: usize) -> Self {
        Self {
            agency,
            digest,
            described: ArcSwapOption::empty(),
            endpoints: Mutex::new((0..endpoints).map(|_| Said::default()).collect()),
            instances: Mutex::default(),
        }
    }

    /// The agency.
    pub const fn agency(&self) -> &AgencyId {
        &self.agency
    }

    /// What the agency says it offers; `None` before it has said so.
    pub fn described(&self) -> Option<ItemSet> {
        self.described.load().as_ref().map(|items| **items)
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
        if *description.catalogue_digest != self.digest.0 {
            let words = format!(
                "it answers by another catalogue than ours ({}): give both the same catalogue \
                 folder",
                self.digest
            );
            return Err((Reason::WrongCatalogue, words));
        }
        self.count_together(endpoint, &description.counters_domain)?;
        let items = description.items.iter().filter_map(|number| ItemNumber::new(*number));
        self.described.store(Some(Arc::new(items.collect())));
        Ok(())
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
mod tests {
    use super::*;

    fn agreement(endpoints: usize) -> Agreement {
        let digest = CatalogueDigest([7; 32]);
        Agreement::new(AgencyId::new("lending").unwrap(), digest, endpoints)
    }

    fn hello(counters: &'static [u8]) -> pb::DescribeResponse {
        pb::DescribeResponse {
            agency: "lending".into(),
            catalogue_digest: vec![7; 32].into(),
            counters_domain: Bytes::from_static(counters),
            ..Default::default()
        }
    }

    fn reason(outcome: Result<(), (Reason, String)>) -> Option<Reason> {
        outcome.err().map(|(reason, _)| reason)
    }

    #[test]
    fn endpoints_that_count_apart_are_not_one_agency() {
        let agreement = agreement(2);
        let differ = Some(Reason::CountersDiffer);
        assert_eq!(reason(agreement.accept(0, &hello(b"one"))), None);
        assert_eq!(reason(agreement.accept(1, &hello(b"two"))), differ);
        assert_eq!(reason(agreement.accept(1, &hello(b""))), differ, "it says nothing");
        // The first is still let in after a restart, and the second still is not.
        assert_eq!(reason(agreement.accept(0, &hello(b"one"))), None);
        assert_eq!(reason(agreement.accept(1, &hello(b"two"))), differ);
        assert_eq!(reason(agreement.accept(1, &hello(b"one"))), None);
        // All are moved to other counters, one after the other.
        assert_eq!(reason(agreement.accept(0, &hello(b"new"))), differ);
        assert_eq!(reason(agreement.accept(1, &hello(b"new"))), None);
        assert_eq!(reason(agreement.accept(0, &hello(b"new"))), None);
    }

    #[test]
    fn one_endpoint_alone_may_count_where_it_likes() {
        let agreement = agreement(1);
        for counters in [&b""[..], b"one", b"two"] {
            assert_eq!(reason(agreement.accept(0, &hello(counters))), None);
        }
    }

    #[test]
    fn nothing_is_sent_to_somebody_else() {
        let agreement = agreement(1);
        let other = pb::DescribeResponse { agency: "traffic".into(), ..hello(b"") };
        assert_eq!(reason(agreement.accept(0, &other)), Some(Reason::WrongAgency));
        let other = pb::DescribeResponse { catalogue_digest: Bytes::new(), ..hello(b"") };
        assert_eq!(reason(agreement.accept(0, &other)), Some(Reason::WrongCatalogue));
        let long = pb::DescribeResponse { items: (0..100_000).collect(), ..hello(b"") };
        assert_eq!(reason(agreement.accept(0, &long)), Some(Reason::HelloTooLarge));
        assert_eq!(agreement.described(), None);
    }
}
