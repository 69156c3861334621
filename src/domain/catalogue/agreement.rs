//! On which items two catalogues agree: those that both define alike, by digest.
//!
//! Numbers are permanent, so that an item with the same number and the same digest is the
//! same item, whatever else is in the two catalogues. What is not known to be alike counts
//! as different. How the digests get from one party to another is not here.

use std::fmt;

use super::{Catalogue, digest};
use crate::domain::item::{ItemNumber, ItemSet};

/// SHA-256 over all that policy, types and merging read of one item.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemDigest(pub [u8; 32]);

impl ItemDigest {
    /// How long one is.
    pub const BYTES: usize = 32;
}

impl fmt::Display for ItemDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ItemDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Catalogue {
    /// The digest of the item with a number.
    pub fn item_digest(&self, number: ItemNumber) -> Option<&ItemDigest> {
        self.digests.get(self.place(number)?)
    }

    /// Those of the stated items that this catalogue defines alike. Of an item that is
    /// stated twice every statement must hold.
    pub fn alike<'a>(&self, stated: impl IntoIterator<Item = (ItemNumber, &'a [u8])>) -> ItemSet {
        let (mut alike, mut other) = (ItemSet::EMPTY, ItemSet::EMPTY);
        for (number, digest) in stated {
            let own = self.item_digest(number);
            match own.is_some_and(|own| own.0 == *digest) {
                true => alike.insert(number),
                false => other.insert(number),
            };
        }
        alike.without(&other)
    }

    /// The digests of several items one after the other, ascending by number. An item that
    /// is not in this catalogue has one of zeros, which is nobody's.
    pub fn digests_of(&self, items: &ItemSet) -> Vec<u8> {
        let unknown = ItemDigest([0; ItemDigest::BYTES]);
        items.iter().flat_map(|number| self.item_digest(number).unwrap_or(&unknown).0).collect()
    }

    /// One digest for the definitions of several items. `None` where one of them is not in
    /// this catalogue: what is unknown is alike with nothing.
    pub fn digest_of(&self, items: &ItemSet) -> Option<[u8; 32]> {
        let digest = |number| Some((number, self.item_digest(number)?));
        let digests: Option<Vec<_>> = items.iter().map(digest).collect();
        Some(digest::of_items(digests?.into_iter()))
    }
}
