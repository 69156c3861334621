//! What is shown as evidence: the lines of two logs, and receipts with their entries.

use std::hash::RandomState;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use prost::Message;
use tributary::domain::audit::disclosed::{self, Disclosed};
use tributary::domain::audit::export::Line;
use tributary::domain::audit::reconcile::reconcile as compare;
use tributary::domain::audit::{
    Checkpoint, GrantId, Hash, ReceiptFile, SigningKey, Timestamp, leaf_hash,
};
use tributary::wire::profile::receipt_file;
use tributary::wire::proto::pb;

/// The log of [`receipt`]'s receipts.
pub const ORIGIN: &str = "log.city.example/gateway";

/// Leaves of the log that a receipt is put into.
const LEAVES: u64 = 32;

fn lines(text: &str) -> Option<Vec<Line>> {
    text.lines().take(64).map(|line| serde_json::from_str(line).ok()).collect()
}

/// The gateway's exported log, a NUL, and an agency's.
pub fn reconcile(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Some((gateway, agency)) = text.split_once('\0') else { return false };
    let (Some(gateway), Some(agency)) = (lines(gateway), lines(agency)) else { return false };
    let reconciled = |gateways: &[&[Line]]| {
        compare(gateways, &[&agency], Duration::from_secs(1), &RandomState::new())
    };
    let findings = reconciled(&[&gateway]);
    for finding in &findings {
        assert!(finding.words().len() < 1 << 20);
    }
    // What is missing on one side is found from the other.
    let alone = reconciled(&[]);
    let released = |line: &Line| matches!(line, Line::Section(section) if section.is_release());
    if agency.iter().any(released) {
        assert!(!alone.is_empty(), "a release that no gateway knows is not named");
    }
    // Neither the order of logs nor how often one asks changes what is said.
    assert_eq!(findings, reconciled(&[&gateway]));
    true
}

/// RFC 6962, section 2.1: a node, the root of some leaves, and the way to one of them.
fn node(left: Hash, right: Hash) -> Hash {
    let whole = digest(&SHA256, &[&[1], &left.0[..], &right.0[..]].concat());
    Hash(whole.as_ref().try_into().unwrap())
}

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len() / 2);
            node(root(left), root(right))
        }
    }
}

fn path(leaves: &[Hash], at: usize) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len() / 2);
    let (mut below, beside) = match at < left.len() {
        true => (path(left, at), root(right)),
        false => (path(right, at - left.len()), root(left)),
    };
    below.push(beside);
    below
}

/// A log that has a receipt's entries and names where the receipt says, and the receipt
/// with its proofs put right, so that what they prove is looked at.
fn proved(mut receipt: pb::Receipt) -> pb::Receipt {
    let mut leaves: Vec<Hash> = (0..LEAVES).map(|at| leaf_hash(&at.to_be_bytes())).collect();
    let mut put = |index: u64, entry: &[u8]| {
        if let Some(place) = usize::try_from(index).ok().and_then(|at| leaves.get_mut(at)) {
            *place = leaf_hash(entry);
        }
    };
    for name in &receipt.names {
        put(name.index, &name.entry);
    }
    for (index, entry) in (0..LEAVES).zip(&receipt.entries) {
        put(receipt.first_index.saturating_add(index), entry);
    }
    let way = |index: u64| {
        let at = usize::try_from(index).ok().filter(|at| *at < leaves.len());
        let hashes = at.map(|at| path(&leaves, at)).unwrap_or_default();
        pb::InclusionPath { hashes: hashes.iter().map(|hash| hash.0.to_vec().into()).collect() }
    };
    for name in &mut receipt.names {
        name.proof = Some(way(name.index));
    }
    let first = receipt.first_index;
    let indexes = (0..receipt.entries.len() as u64).map(|at| first.saturating_add(at));
    receipt.proofs = indexes.map(way).collect();
    receipt.leaf_hashes =
        receipt.entries.iter().map(|entry| leaf_hash(entry).0.to_vec().into()).collect();
    let origin = ORIGIN.parse().unwrap();
    let checkpoint = Checkpoint { origin, size: LEAVES, root: root(&leaves) };
    let note = SigningKey::from_seed(&[8; 32]).unwrap().sign(&checkpoint).unwrap();
    note.as_str().clone_into(&mut receipt.checkpoint);
    receipt
}

/// A receipt, as it comes over the wire or as a file. Its proofs are put right first.
pub fn receipt(data: &[u8]) -> bool {
    let key = SigningKey::from_seed(&[8; 32]).unwrap();
    let key = key.verifying_key(&ORIGIN.parse().unwrap()).unwrap();
    let file = match data.first() {
        Some(b'{') => match serde_json::from_slice::<ReceiptFile>(data) {
            Ok(file) => file,
            Err(_) => return false,
        },
        _ => match pb::Receipt::decode(data) {
            Ok(receipt) if receipt.entries.len() <= 8 && receipt.names.len() <= 32 => {
                // As it is, and as it would be had the log these entries.
                let _ = disclosed::records(&receipt_file(&receipt), &key);
                receipt_file(&proved(receipt))
            }
            _ => return false,
        },
    };
    let Ok(records) = disclosed::records(&file, &key) else { return false };
    assert_eq!(records.len(), file.entries.len());
    let Some(first) = records.first() else { return true };
    let nobody = GrantId::new("BBBBBBBBBBBBBBBBBBBBBB").unwrap();
    let disclosure = Disclosed {
        request: first.request.as_str(),
        consumer: &first.consumer,
        grant: first.grant.as_ref().unwrap_or(&nobody),
        within: (Timestamp(0), Timestamp(u64::MAX)),
        sections: Vec::new(),
    };
    let about_agencies = records.iter().any(|record| record.agency.is_some());
    assert!(!about_agencies || disclosure.check(&records).is_err(), "it was told of no agency");
    true
}
