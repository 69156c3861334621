//! Item numbers and sets of items.
//!
//! A set is a bitset over the catalogue's permanent numbers, so that "requested
//! and granted and permitted and offered" is four ANDs. It knows nothing of ids,
//! titles or types.

use std::fmt;

/// How many numbers there are: an item's number is 0 to 511, for ever.
pub const CAPACITY: u16 = 512;

const WORDS: usize = CAPACITY as usize / 64;

/// Bytes of a whole set on the wire.
pub const SET_BYTES: usize = CAPACITY as usize / 8;

/// An item's permanent number, 0 to 511.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemNumber(u16);

impl ItemNumber {
    /// The number, if it is within the catalogue's range.
    pub const fn new(number: u32) -> Option<Self> {
        if number < CAPACITY as u32 { Some(Self(number as u16)) } else { None }
    }

    /// The number itself.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number as an index into a table of [`CAPACITY`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ItemNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of items.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ItemSet([u64; WORDS]);

impl ItemSet {
    /// The set without items.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds an item; true if it was not there.
    pub fn insert(&mut self, item: ItemNumber) -> bool {
        let bit = 1u64 << (item.0 % 64);
        match self.0.get_mut(usize::from(item.0 / 64)) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    /// Whether the item is in the set.
    pub fn contains(&self, item: ItemNumber) -> bool {
        self.0.get(usize::from(item.0 / 64)).is_some_and(|word| word & (1u64 << (item.0 % 64)) != 0)
    }

    /// The items that are in both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// The items that are in either set.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// The items of this set that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Whether every item of this set is in the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.without(other).is_empty()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The items in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = ItemNumber> + '_ {
        self.0.iter().zip(0u16..).flat_map(|(word, at)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as u16;
                rest &= rest - 1;
                Some(ItemNumber(at * 64 + bit))
            })
        })
    }

    /// The set as bytes: bit n is bit n%8 of byte n/8. Trailing zero bytes are
    /// left out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used);
        bytes
    }

    /// The set from bytes; `None` when there are more than [`SET_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > SET_BYTES {
            return None;
        }
        let mut set = Self::EMPTY;
        for (word, chunk) in set.0.iter_mut().zip(bytes.chunks(8)) {
            for (at, byte) in chunk.iter().enumerate() {
                *word |= u64::from(*byte) << (8 * at);
            }
        }
        Some(set)
    }

    fn zip(&self, other: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
        let mut joined = *self;
        for (word, other) in joined.0.iter_mut().zip(other.0) {
            *word = join(*word, other);
        }
        joined
    }
}

impl FromIterator<ItemNumber> for ItemSet {
    fn from_iter<I: IntoIterator<Item = ItemNumber>>(items: I) -> Self {
        let mut set = Self::EMPTY;
        for item in items {
            set.insert(item);
        }
        set
    }
}

impl fmt::Debug for ItemSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(ItemNumber::get)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: &BTreeSet<u16>) -> ItemSet {
        numbers.iter().filter_map(|n| ItemNumber::new(u32::from(*n))).collect()
    }

    fn numbers() -> impl Strategy<Value = BTreeSet<u16>> {
        proptest::collection::btree_set(0..CAPACITY, 0..80)
    }

    proptest! {
        #[test]
        fn agrees_with_an_ordered_set(a in numbers(), b in numbers()) {
            let (left, right) = (set(&a), set(&b));
            prop_assert_eq!(left.and(&right), set(&(&a & &b)));
            prop_assert_eq!(left.or(&right), set(&(&a | &b)));
            prop_assert_eq!(left.without(&right), set(&(&a - &b)));
            prop_assert_eq!(left.is_subset(&right), a.is_subset(&b));
            prop_assert_eq!(left.len(), a.len());
            prop_assert_eq!(left.is_empty(), a.is_empty());
            let listed: Vec<u16> = left.iter().map(ItemNumber::get).collect();
            prop_assert_eq!(listed, a.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn survives_the_wire(a in numbers()) {
            let bytes = set(&a).to_bytes();
            prop_assert!(bytes.last() != Some(&0));
            prop_assert_eq!(ItemSet::from_bytes(&bytes), Some(set(&a)));
        }
    }

    #[test]
    fn more_bytes_than_the_catalogue_has_bits_are_refused() {
        assert!(ItemSet::from_bytes(&[0; SET_BYTES]).is_some());
        assert!(ItemSet::from_bytes(&[0; SET_BYTES + 1]).is_none());
    }
}
