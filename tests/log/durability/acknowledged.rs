//! What was promised: the receipts that a client got, held against the log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tributary::domain::audit::{
    Decision, Edge, Hash, Record, SignedCheckpoint, VerifyingKey, leaf_hash,
};
use tributary::domain::section::SectionStatus;
use tributary::store::walk::walk;
use tributary::wire::proto::pb;

/// Every receipt, of whichever life of the gateway.
#[derive(Default)]
pub struct Acknowledged {
    /// By index: the leaf hash, and the request that it was given for.
    leaves: BTreeMap<u64, (Vec<u8>, String)>,
    /// By size: the root that was signed.
    roots: BTreeMap<u64, Hash>,
    /// The requests that an agency answered.
    pub released: BTreeSet<String>,
}

impl Acknowledged {
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Takes up a reply: its checkpoint must be signed, no index given twice, and no
    /// size signed with two roots.
    pub fn take(&mut self, answer: &pb::GetProfileResponse, key: &VerifyingKey) {
        let receipt = answer.receipt.as_ref().expect("a reply without a receipt");
        let signed: SignedCheckpoint = key.verify(&receipt.checkpoint).unwrap();
        let checkpoint = signed.checkpoint();
        for (index, leaf) in (receipt.first_index..).zip(&receipt.leaf_hashes) {
            assert!(index < checkpoint.size);
            let before = self.leaves.insert(index, (leaf.to_vec(), answer.request_id.clone()));
            assert_eq!(before, None, "index {index} was given twice");
        }
        let before = self.roots.insert(checkpoint.size, checkpoint.root);
        assert!(before.is_none_or(|before| before == checkpoint.root), "a forked log");
        if answer.sections.iter().any(|section| section.status() == pb::SectionStatus::Ok) {
            self.released.insert(answer.request_id.clone());
        }
    }

    /// Holds all of it against the gateway's log, as it lies on the disk.
    pub fn check(&self, log: &Path, key: &VerifyingKey) {
        let (mut edge, mut found, mut signed) = (Edge::default(), 0, 0);
        let walked = walk(log, Some(key), &mut |step| {
            let leaf = leaf_hash(step.bytes);
            if let Some((promised, request)) = self.leaves.get(&step.index) {
                assert_eq!(promised[..], leaf.0, "entry {} is another", step.index);
                let Some(Record::Section(section)) = step.record else { panic!("no section") };
                assert_eq!(section.request.as_str(), request);
                found += 1;
            }
            edge.push(leaf).unwrap();
            if let Some(root) = self.roots.get(&edge.size()) {
                assert_eq!(*root, edge.root().unwrap(), "another root at {}", edge.size());
                signed += 1;
            }
        })
        .unwrap();
        assert!(walked.faults.is_empty(), "{:?}", walked.faults);
        assert_eq!((found, signed), (self.leaves.len(), self.roots.len()), "records are missing");
    }

    /// Whatever an agency released stands in its own log, under the request's id.
    pub fn check_agency(&self, log: &Path, key: &VerifyingKey) {
        let mut recorded = BTreeSet::new();
        let walked = walk(log, Some(key), &mut |step| {
            if let Some(Record::Section(section)) = step.record
                && section.decision == Decision::Section(SectionStatus::Ok)
            {
                recorded.insert(section.request.as_str().to_owned());
            }
        })
        .unwrap();
        assert!(walked.faults.is_empty(), "{:?}", walked.faults);
        let missing: Vec<_> = self.released.difference(&recorded).collect();
        assert!(missing.is_empty(), "released and not in the agency's log: {missing:?}");
    }
}
