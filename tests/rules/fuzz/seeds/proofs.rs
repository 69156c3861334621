//! Seeds of proofs of request: the claims stand in the token's place, and the target signs them.

use prost::Message;
use tributary::domain::audit::Hash;
use tributary::domain::names::RequestId;
use tributary::domain::request_proof::{
    AgencyEntries, AgencyProof, ConsumerProof, ProofHead, RequestLeaf, SignedLeaf, SmallTree,
};
use tributary::wire::request_proof::{encode_agency, encode_consumer};

use super::super::targets::{NOW, PROOF_GATEWAY, PROVED_GRANT, PROVED_REQUEST, wanted};
use super::{Seed, seed};

pub fn all() -> Vec<Seed> {
    let (seed_bytes, nonce, wanted) = ([5; 32], [6; 16], wanted());
    let entries = AgencyEntries::of(&seed_bytes, std::slice::from_ref(&wanted)).unwrap();
    let request_id = &RequestId::new(PROVED_REQUEST).unwrap();
    let leaf = RequestLeaf { request_id, grant: PROVED_GRANT, nonce, entries: entries.stated() };
    let under = |leaves: &[Hash], index: u64| {
        let tree = SmallTree::of(leaves).unwrap();
        let head = ProofHead {
            audience: PROOF_GATEWAY.parse().unwrap(),
            issued_at: NOW - 10,
            expires_at: NOW + 50,
            root: tree.root().unwrap(),
            size: tree.size(),
        };
        let (token, path) = (head.payload().to_string().into(), tree.path(index).unwrap());
        SignedLeaf { token, index, path, nonce }
    };
    let alone = under(&[leaf.hash()], 0);
    let among = under(&[Hash([1; 32]), Hash([2; 32]), leaf.hash()], 2);
    let entry = entries.proof_for(&wanted.agency).unwrap();
    let consumers = |leaf| encode_consumer(&ConsumerProof { leaf, seed: seed_bytes });
    let agencys = encode_agency(&AgencyProof { leaf: among.clone(), entry });
    vec![
        seed("request_proof", "alone", consumers(alone).encode_to_vec()),
        seed("request_proof", "among_others", consumers(among).encode_to_vec()),
        seed("request_proof", "an_agencys", agencys.encode_to_vec()),
    ]
}
