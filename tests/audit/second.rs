//! Proofs and notes held against a second implementation, and keys and signatures
//! against a vector of Go's `golang.org/x/mod/sumdb/note`.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use tributary::domain::audit::VerifyingKey;
use tributary::store::proof::{prove, prove_consistency};

use crate::independent::{climb, continues, entries, leaf, open_note, root};
use crate::support::{Dice, closed_log, origin, public, verifying_key};

#[test]
fn proofs_hold_by_another_implementation() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 700);
    let key = verifying_key();
    let note = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let (size, signed) = open_note(&note, origin().as_str(), &public());
    let leaves: Vec<_> = entries(dir.path(), size).iter().map(|entry| leaf(entry)).collect();
    assert_eq!(root(&leaves), signed);
    let mut dice = Dice(77);
    let edges = [0, 1, 2, 3, 255, 256, 257, 511, 512, size - 2, size - 1];
    let sizes: Vec<u64> = edges.into_iter().chain((0..60).map(|_| dice.roll(size))).collect();
    for index in &sizes {
        let proof = prove(dir.path(), &key, *index).unwrap();
        let path: Vec<_> = proof.path.iter().map(|hash| hash.0).collect();
        let own = leaf(&proof.entry);
        assert_eq!(own, leaves[*index as usize]);
        assert_eq!(climb(own, *index, size, &path), signed, "entry {index}");
    }
    for old in sizes.into_iter().filter(|old| *old > 0).chain([size]) {
        let proof = prove_consistency(dir.path(), &key, old).unwrap();
        let path: Vec<_> = proof.hashes.iter().map(|hash| hash.0).collect();
        let before = root(&leaves[..old as usize]);
        assert_eq!(proof.old_root.0, before);
        assert!(continues(before, old, signed, size, &path), "size {old}");
        let mut forged = before;
        forged[0] ^= 1;
        assert!(!continues(forged, old, signed, size, &path), "size {old}");
    }
}

#[test]
fn keys_and_signatures_are_those_of_go() {
    let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key: VerifyingKey = text.parse().unwrap();
    assert_eq!(key.to_string(), text);
    assert!(
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
            .parse::<VerifyingKey>()
            .is_err()
    );
    let message = "If you think cryptography is the answer to your problem,\n\
                   then you don't know what your problem is.\n";
    let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6\
                     KE6RyyBwJnAM=";
    let signature = BASE64_STANDARD.decode(signature).unwrap();
    assert_eq!(signature[..4], [0xc7, 0x4f, 0x20, 0xa3]);
    let public = BASE64_STANDARD.decode(text.rsplit('+').next().unwrap()).unwrap();
    UnparsedPublicKey::new(&ED25519, &public[1..])
        .verify(message.as_bytes(), &signature[4..])
        .unwrap();
    // Rightly signed, and no checkpoint: not taken for one.
    let note = format!("{message}\n\u{2014} PeterNeumann {}\n", BASE64_STANDARD.encode(&signature));
    assert!(key.verify(&note).is_err());
}
