//! Who may read what.
//!
//! Until grants arrive, the gateway's configuration says which consumer may read
//! which items, and the default is nothing. A [`Permit`] can only come out of
//! [`AccessRules::decide`].
//!
//! [`engine`] is the policy proper: rules in the Cedar language, checked against
//! the catalogue when they are loaded and evaluated to item sets.

mod answer;
mod cache;
mod digest;
pub mod engine;
pub mod finding;
mod operand;
mod rules;
pub mod schema;
mod statement;
pub mod vocabulary;

use std::collections::HashMap;

use super::item::ItemSet;
use super::peer::{PeerId, Role, SpiffeId};

/// Which consumer may read which items.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    readable: HashMap<SpiffeId, ItemSet>,
}

/// Proof that a consumer may read these items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    consumer: SpiffeId,
    requested: ItemSet,
    items: ItemSet,
}

/// Why a request is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The peer is no consumer.
    #[error("only an identity in the role of a consumer may ask for a profile")]
    NotAConsumer,
    /// No rule names this consumer.
    #[error("no rule opens any item to this consumer")]
    UnknownConsumer,
    /// None of the items asked for is open to this consumer.
    #[error("none of the items asked for is open to this consumer")]
    NothingPermitted,
}

impl Denial {
    /// The stable word for programs; each has a page in `docs/errors`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotAConsumer => "NOT_A_CONSUMER",
            Self::UnknownConsumer => "UNKNOWN_CONSUMER",
            Self::NothingPermitted => "NOTHING_PERMITTED",
        }
    }
}

impl AccessRules {
    /// Opens items to a consumer, beside those that are open already.
    pub fn open(&mut self, consumer: SpiffeId, items: &ItemSet) {
        let readable = self.readable.entry(consumer).or_default();
        *readable = readable.or(items);
    }

    /// Decides on a request.
    ///
    /// # Errors
    /// The reason for which nothing at all is permitted.
    pub fn decide(&self, peer: &PeerId, requested: &ItemSet) -> Result<Permit, Denial> {
        let consumer = peer.spiffe();
        if consumer.role() != Role::Consumer {
            return Err(Denial::NotAConsumer);
        }
        let readable = self.readable.get(consumer).ok_or(Denial::UnknownConsumer)?;
        let items = requested.and(readable);
        if items.is_empty() {
            return Err(Denial::NothingPermitted);
        }
        Ok(Permit { consumer: consumer.clone(), requested: *requested, items })
    }
}

impl Permit {
    /// For whom.
    pub const fn consumer(&self) -> &SpiffeId {
        &self.consumer
    }

    /// What may be read.
    pub const fn items(&self) -> &ItemSet {
        &self.items
    }

    /// What was asked for and may not be read.
    pub fn denied(&self) -> ItemSet {
        self.requested.without(&self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::item::ItemNumber;

    fn set(numbers: &[u32]) -> ItemSet {
        numbers.iter().filter_map(|n| ItemNumber::new(*n)).collect()
    }

    fn peer(id: &str) -> PeerId {
        PeerId::from_verified_certificate(id.parse().unwrap())
    }

    const SCORING: &str = "spiffe://scoring.city.example/consumer/scoring";

    #[test]
    fn the_default_is_nothing() {
        let denial = AccessRules::default().decide(&peer(SCORING), &set(&[1]));
        assert_eq!(denial, Err(Denial::UnknownConsumer));
    }

    #[test]
    fn only_what_is_requested_and_open_is_permitted() {
        let mut rules = AccessRules::default();
        rules.open(SCORING.parse().unwrap(), &set(&[1, 2]));
        let permit = rules.decide(&peer(SCORING), &set(&[2, 3])).unwrap();
        assert_eq!(*permit.items(), set(&[2]));
        assert_eq!(permit.denied(), set(&[3]));
        assert_eq!(rules.decide(&peer(SCORING), &set(&[3])), Err(Denial::NothingPermitted));
    }

    #[test]
    fn another_role_is_refused_even_when_a_rule_names_it() {
        let gateway = "spiffe://gateway.city.example/gateway/main";
        let mut rules = AccessRules::default();
        rules.open(gateway.parse().unwrap(), &set(&[1]));
        assert_eq!(rules.decide(&peer(gateway), &set(&[1])), Err(Denial::NotAConsumer));
    }
}
