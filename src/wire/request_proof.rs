//! A consumer's proof of request as a message carries it, in both forms: to a gateway with the
//! seed, to an agency with the agency's entry. Nothing in it is checked but its form.

use bytes::Bytes;

use super::proto::pb;
use super::refusal::FieldFault;
use crate::domain::audit::Hash;
use crate::domain::request_proof::{
    AgencyProof, ConsumerProof, EntryProof, MAX_PATH, MAX_TOKEN_BYTES, SignedLeaf,
};

fn wrong(field: impl Into<String>, description: &str) -> FieldFault {
    FieldFault { field: field.into(), description: description.to_owned() }
}

fn exactly<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], FieldFault> {
    bytes.try_into().map_err(|_| wrong(field, &format!("must have {N} bytes")))
}

fn path(field: &str, hashes: &[Bytes]) -> Result<Vec<Hash>, FieldFault> {
    if hashes.len() > MAX_PATH {
        return Err(wrong(field, &format!("must have at most {MAX_PATH} hashes")));
    }
    let hash = |(at, hash): (usize, &Bytes)| exactly(&format!("{field}[{at}]"), hash).map(Hash);
    hashes.iter().enumerate().map(hash).collect()
}

fn leaf(proof: &pb::RequestProof) -> Result<SignedLeaf, FieldFault> {
    if proof.jws.is_empty() || proof.jws.len() > MAX_TOKEN_BYTES {
        return Err(wrong("proof.jws", &format!("must have 1 to {MAX_TOKEN_BYTES} bytes")));
    }
    Ok(SignedLeaf {
        token: proof.jws.as_str().into(),
        index: proof.index,
        path: path("proof.path", &proof.path)?,
        nonce: exactly("proof.nonce", &proof.nonce)?,
    })
}

/// Reads what a consumer gives to a gateway.
///
/// # Errors
/// The first field that is wrong.
pub fn decode_consumer(proof: &pb::RequestProof) -> Result<ConsumerProof, FieldFault> {
    if proof.entry.is_some() {
        return Err(wrong("proof.entry", "is a gateway's to an agency: leave it out"));
    }
    Ok(ConsumerProof { leaf: leaf(proof)?, seed: exactly("proof.seed", &proof.seed)? })
}

/// Reads what a gateway hands to an agency.
///
/// # Errors
/// The first field that is wrong.
pub fn decode_agency(proof: &pb::RequestProof) -> Result<AgencyProof, FieldFault> {
    if !proof.seed.is_empty() {
        return Err(wrong("proof.seed", "is a consumer's to its gateway: leave it out"));
    }
    let Some(entry) = &proof.entry else {
        return Err(wrong("proof.entry", "is missing"));
    };
    let entry = EntryProof {
        salt: exactly("proof.entry.salt", &entry.salt)?,
        size: entry.size.into(),
        root: Hash(exactly("proof.entry.root", &entry.root)?),
        index: entry.index.into(),
        path: path("proof.entry.path", &entry.path)?,
    };
    Ok(AgencyProof { leaf: leaf(proof)?, entry })
}

fn hashes(path: &[Hash]) -> Vec<Bytes> {
    path.iter().map(|hash| Bytes::copy_from_slice(&hash.0)).collect()
}

fn encode_leaf(leaf: &SignedLeaf) -> pb::RequestProof {
    pb::RequestProof {
        jws: leaf.token.to_string(),
        index: leaf.index,
        path: hashes(&leaf.path),
        nonce: Bytes::copy_from_slice(&leaf.nonce),
        ..Default::default()
    }
}

/// Writes what a consumer gives to a gateway.
pub fn encode_consumer(proof: &ConsumerProof) -> pb::RequestProof {
    pb::RequestProof { seed: Bytes::copy_from_slice(&proof.seed), ..encode_leaf(&proof.leaf) }
}

/// Writes what a gateway hands to an agency.
pub fn encode_agency(proof: &AgencyProof) -> pb::RequestProof {
    let entry = &proof.entry;
    let entry = pb::AgencyEntry {
        salt: Bytes::copy_from_slice(&entry.salt),
        size: u32::try_from(entry.size).unwrap_or(u32::MAX),
        root: Bytes::copy_from_slice(&entry.root.0),
        index: u32::try_from(entry.index).unwrap_or(u32::MAX),
        path: hashes(&entry.path),
        items: Vec::new(),
    };
    pb::RequestProof { entry: Some(entry), ..encode_leaf(&proof.leaf) }
}
