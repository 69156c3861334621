//! Decisions by (consumer, purpose, basis, agency), bounded.
//!
//! Reading takes no lock and allocates nothing. Writing copies the map, which is
//! rare: once for each combination after a load. When the map is full, the oldest
//! entry makes room.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::answer::PolicyDecision;
use crate::domain::purpose::LegalBasis;

/// One combination, as places in the vocabulary's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub consumer: u16,
    pub purpose: u16,
    pub agency: u16,
    pub basis: LegalBasis,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Counts up: the smallest is the oldest.
    age: u64,
    decision: Arc<PolicyDecision>,
}

#[derive(Debug)]
pub(super) struct Cache {
    entries: ArcSwap<HashMap<Key, Entry>>,
    capacity: usize,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: ArcSwap::default(), capacity: capacity.max(1) }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<PolicyDecision>> {
        self.entries.load().get(key).map(|entry| Arc::clone(&entry.decision))
    }

    pub(super) fn insert(&self, key: Key, decision: &Arc<PolicyDecision>) {
        self.entries.rcu(|entries| {
            let mut next = HashMap::clone(entries);
            if next.len() >= self.capacity && !next.contains_key(&key) {
                let oldest = next.iter().min_by_key(|(_, entry)| entry.age).map(|(key, _)| *key);
                if let Some(oldest) = oldest {
                    next.remove(&oldest);
                }
            }
            let age = next.values().map(|entry| entry.age + 1).max().unwrap_or_default();
            next.insert(key, Entry { age, decision: Arc::clone(decision) });
            next
        });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.load().len()
    }
}
