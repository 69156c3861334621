//! A consumer's proof of its request, in both forms.

use std::sync::LazyLock;

use aws_lc_rs::signature::KeyPair;
use prost::Message;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{Algorithm, JwsKey};
use tributary::domain::names::RequestId;
use tributary::domain::now::Now;
use tributary::domain::request_proof::{
    MAX_LEAVES, MAX_PATH, MAX_TOKEN_BYTES, ProofHead, Proven, TOKEN_TYPE, VerifiedHeads, Wanted,
};
use tributary::wire::proto::pb;
use tributary::wire::request_proof::{
    decode_agency, decode_consumer, encode_agency, encode_consumer,
};

use super::{AGENCY, SIGNER, now, signed};

pub const GATEWAY: &str = "spiffe://gateway.city.example/gateway/city";
pub const REQUEST: &str = "fuzz-1";
pub const GRANT: [u8; 32] = [3; 32];

static KEY: LazyLock<JwsKey> =
    LazyLock::new(|| JwsKey::new(Algorithm::EdDsa, SIGNER.public_key().as_ref()).unwrap());

/// What the agency is asked.
pub fn wanted() -> Wanted {
    let items = vec!["education.attainment.study_mode".into()];
    Wanted { agency: AgencyId::new(AGENCY).unwrap(), items }
}

/// A `RequestProof` with the claims in the place of the token, which are signed here. Taken
/// is what holds.
pub fn request_proof(data: &[u8]) -> bool {
    let Ok(mut proof) = pb::RequestProof::decode(data) else { return false };
    // As it came it is signed by nobody.
    assert!(ProofHead::verify(&proof.jws, &KEY).is_err());
    proof.jws = signed(TOKEN_TYPE, proof.jws.as_bytes());
    let head = ProofHead::verify(&proof.jws, &KEY);
    if let Ok(head) = &head {
        assert!(proof.jws.len() <= MAX_TOKEN_BYTES && (1..=MAX_LEAVES).contains(&head.size));
        assert!((1..=60).contains(&(head.expires_at - head.issued_at)));
    }
    let (heads, request_id) = (VerifiedHeads::default(), RequestId::new(REQUEST).unwrap());
    let request = Proven {
        request_id: &request_id,
        key: &KEY,
        grant: GRANT,
        gateway: &GATEWAY.parse().unwrap(),
        now: Now { earliest: now(), latest: now() },
        heads: &heads,
    };
    let (own, wanted) = (AgencyId::new(AGENCY).unwrap(), wanted());
    let consumers = decode_consumer(&proof).ok().and_then(|read| {
        assert_eq!(decode_consumer(&encode_consumer(&read)).ok().as_ref(), Some(&read));
        let opened = read.open(&request, std::slice::from_ref(&wanted)).ok()?;
        let share = opened.for_agency(&own).unwrap();
        assert!(share.check(&request, &wanted).is_ok(), "its own share is refused");
        Some(())
    });
    let agencys = decode_agency(&proof).ok().and_then(|read| {
        assert!(read.leaf.path.len() <= MAX_PATH && read.entry.path.len() <= MAX_PATH);
        assert_eq!(decode_agency(&encode_agency(&read)).ok().as_ref(), Some(&read));
        let leaf = read.check(&request, &wanted).ok()?;
        let more = Wanted { items: vec!["education.attainment.level".into()], ..wanted.clone() };
        assert!(read.check(&request, &more).is_err(), "the entry is of two sets");
        assert_eq!(read.check(&request, &wanted), Ok(leaf));
        Some(())
    });
    assert!(consumers.is_none() || agencys.is_none(), "both forms at once");
    assert!(head.is_ok() || consumers.is_none() && agencys.is_none());
    consumers.or(agencys).is_some()
}
