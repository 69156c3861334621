//! What each agency is asked, as a tree of which an agency is shown its own entry alone.
//!
//! Salts and decoys come out of one seed, so that the gateway makes the tree that the consumer
//! made, and an agency tells neither whether another entry is one, nor of whom.

use aws_lc_rs::hmac;

use super::fault::ProofFault;
use super::tree::{SmallTree, leads, leaf_of};
use crate::domain::audit::Hash;
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::subject::length_prefixed;

/// What makes a leaf one of this tree and of no other.
const DOMAIN: &str = "tributary-request-entry-v1";

/// How many entries a tree may have, decoys among them.
const SIZES: [u64; 3] = [16, 32, 64];

/// What one agency is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The agency.
    pub agency: AgencyId,
    /// Ids of items, ascending, each once.
    pub items: Vec<Box<str>>,
}

/// The tree of a request's entries.
#[derive(Debug)]
pub struct AgencyEntries {
    tree: SmallTree,
    root: Hash,
    /// Each agency with its salt and its entry's index.
    places: Vec<(AgencyId, [u8; 32], u64)>,
}

/// That an agency is asked something, among other entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProof {
    /// Hides what the entry says.
    pub salt: [u8; 32],
    /// How many entries the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The entry's index.
    pub index: u64,
    /// From the entry's sibling upward.
    pub path: Vec<Hash>,
}

fn derived(key: &hmac::Key, what: &str, of: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hmac::sign(key, &length_prefixed(&[what, of])).as_ref());
    bytes
}

fn entry_hash(salt: &[u8; 32], agency: &AgencyId, items: &[Box<str>]) -> Hash {
    let mut data = length_prefixed(&[DOMAIN]);
    data.extend_from_slice(salt);
    let texts: Vec<&str> =
        std::iter::once(agency.as_str()).chain(items.iter().map(|item| &**item)).collect();
    data.extend(length_prefixed(&texts));
    leaf_of(&data)
}

impl AgencyEntries {
    /// The tree of what is wanted, filled up with decoys.
    ///
    /// # Errors
    /// Nothing is wanted, or of more agencies than there may be.
    pub fn of(seed: &[u8; 32], wanted: &[Wanted]) -> Result<Self, ProofFault> {
        let size = SIZES.into_iter().find(|size| wanted.len() as u64 <= *size);
        let size = size.filter(|_| !wanted.is_empty()).ok_or(ProofFault::Nothing)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, seed);
        let salted = |one: &Wanted| {
            let salt = derived(&key, "salt", one.agency.as_str());
            (entry_hash(&salt, &one.agency, &one.items), one.agency.clone(), salt)
        };
        let own: Vec<_> = wanted.iter().map(salted).collect();
        let decoys =
            (wanted.len() as u64..size).map(|n| Hash(derived(&key, "decoy", &n.to_string())));
        let mut leaves: Vec<Hash> = own.iter().map(|(hash, ..)| *hash).chain(decoys).collect();
        // Their order says nothing.
        leaves.sort_unstable();
        let place = |(hash, agency, salt): (Hash, AgencyId, [u8; 32])| {
            let index = leaves.binary_search(&hash).map_err(|_| ProofFault::Tree)?;
            Ok::<_, ProofFault>((agency, salt, index as u64))
        };
        let places = own.into_iter().map(place).collect::<Result<_, ProofFault>>()?;
        let tree = SmallTree::of(&leaves)?;
        Ok(Self { root: tree.root()?, tree, places })
    }

    /// How many entries there are, and the root of their tree.
    pub const fn stated(&self) -> (u64, Hash) {
        (self.tree.size(), self.root)
    }

    /// What an agency is shown.
    pub fn proof_for(&self, agency: &AgencyId) -> Option<EntryProof> {
        let (_, salt, index) = self.places.iter().find(|(known, ..)| known == agency)?;
        let path = self.tree.path(*index).ok()?;
        let (size, root) = self.stated();
        Some(EntryProof { salt: *salt, size, root, index: *index, path })
    }
}

impl EntryProof {
    /// Holds it against what an agency is asked.
    ///
    /// # Errors
    /// [`ProofFault::Entry`].
    pub(super) fn check(&self, wanted: &Wanted) -> Result<(), ProofFault> {
        let entry = entry_hash(&self.salt, &wanted.agency, &wanted.items);
        let holds = SIZES.contains(&self.size)
            && leads(self.root, self.size, self.index, entry, &self.path);
        if holds { Ok(()) } else { Err(ProofFault::Entry) }
    }
}
