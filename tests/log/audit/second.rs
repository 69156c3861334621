//! Roots and proofs held against `ct-merkle`, and what other implementations made:
//! a checkpoint and a proof of a running log, and a note of Go's
//! `golang.org/x/mod/sumdb/note`.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;
use tributary::domain::audit::{Hash, VerifyingKey, check_inclusion, leaf_hash};
use tributary::store::proof::{prove, prove_consistency};

use super::independent::{entries, open_note};
use super::support::{
    Dice, closed_log, open, options, origin, public, record, verifying_key, wait,
};

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn root(root: [u8; 32], size: u64) -> RootHash<Sha256> {
    RootHash::new(root.into(), size)
}

/// Whether ct-merkle takes an inclusion proof for an entry.
fn holds(entry: &[u8], index: u64, signed: &RootHash<Sha256>, path: &[Hash]) -> bool {
    let proof = InclusionProof::try_from_bytes(bytes(path)).unwrap();
    signed.verify_inclusion(&entry, index, &proof).is_ok()
}

#[test]
fn proofs_hold_by_another_implementation() {
    let dir = tempfile::tempdir().unwrap();
    closed_log(dir.path(), 700);
    let key = verifying_key();
    let note = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let (size, signed) = open_note(&note, origin().as_str(), &public());
    let signed = root(signed, size);
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    // The root at every size.
    let mut roots = vec![tree.root()];
    for entry in entries(dir.path(), size) {
        tree.push(entry);
        roots.push(tree.root());
    }
    assert_eq!(tree.root(), signed);

    let mut dice = Dice(77);
    let edges = [0, 1, 2, 3, 255, 256, 257, 511, 512, size - 2, size - 1];
    let sizes: Vec<u64> = edges.into_iter().chain((0..60).map(|_| dice.roll(size))).collect();
    for index in &sizes {
        let proof = prove(dir.path(), &key, *index).unwrap();
        assert_eq!(proof.entry, tree.items()[*index as usize]);
        assert!(holds(&proof.entry, *index, &signed, &proof.path), "entry {index}");
        assert_eq!(bytes(&proof.path), tree.prove_inclusion(*index as usize).as_bytes());
        let mut other = proof.entry;
        other[0] ^= 1;
        assert!(!holds(&other, *index, &signed, &proof.path), "entry {index}");
    }
    for old in sizes.into_iter().filter(|old| *old > 0).chain([size]) {
        let ours = prove_consistency(dir.path(), &key, old).unwrap();
        assert_eq!(root(ours.old_root.0, old), roots[old as usize], "size {old}");
        let proof = ConsistencyProof::try_from_bytes(bytes(&ours.hashes)).unwrap();
        signed.verify_consistency(&roots[old as usize], &proof).unwrap();
        assert_eq!(
            proof.as_bytes(),
            tree.prove_consistency((size - old) as usize).as_bytes(),
            "size {old}"
        );
        let mut forged = ours.old_root.0;
        forged[0] ^= 1;
        assert!(signed.verify_consistency(&root(forged, old), &proof).is_err(), "size {old}");
    }
}

#[test]
fn what_a_receipt_proves_holds_by_another_implementation() {
    let dir = tempfile::tempdir().unwrap();
    let mut proved = Vec::new();
    // Tiles end in the middle, so that paths come from tiles and from memory.
    for part in 0..2u64 {
        let log = open(dir.path(), options()).unwrap();
        for number in part * 300..(part + 1) * 300 {
            let records = (0..1 + number % 3).map(|nth| record(number * 10 + nth)).collect();
            let receipt = wait(log.append(records)).unwrap();
            let proof = log.prove(&receipt, Vec::new()).unwrap();
            let checkpoint = receipt.checkpoint().as_str();
            let (size, signed) = open_note(checkpoint, origin().as_str(), &public());
            proved
                .extend(receipt.indexes().zip(proof.paths).map(|pair| (pair, root(signed, size))));
        }
        log.close().unwrap();
    }
    let size = verifying_key()
        .verify(&std::fs::read_to_string(dir.path().join("checkpoint")).unwrap())
        .unwrap()
        .checkpoint()
        .size;
    let entries = entries(dir.path(), size);
    assert!(proved.len() > 1000);
    for ((index, path), signed) in proved {
        let entry = &entries[index as usize];
        assert!(holds(entry, index, &signed, &path), "entry {index}");
        assert!(!holds(entry, index + 1, &signed, &path), "entry {index}");
    }
}

/// From a log that others run with other software: Rekor's shard of 2025, C2SP
/// tlog-tiles by Tessera, in Go. Its entry 412,114, the last of the checkpoint; and
/// a checkpoint of 2026.
const REKOR: &str =
    "log2025-1.rekor.sigstore.dev+cf119915+AbfK5adZJxsI323FwGD2AJJ9F4i89cfDuLdGJBIYntuO";
const REKOR_CHECKPOINTS: [&str; 2] = [
    "log2025-1.rekor.sigstore.dev\n412115\n+8vUkEgBK/ansexBUomzocaWoPEmPIzxJC/y+xNMQN4=\n\n\
     \u{2014} log2025-1.rekor.sigstore.dev zxGZFahCZ/+MqTjH4rC5MWcdLDWbpetE5l30RZfQc4BQkRjWSoKip\
     EUPjvHENeZDHIlAsuezJcLzUVvItpNjaSRoMAs=\n",
    "log2025-1.rekor.sigstore.dev\n34356369\ndA9mMr0smTXgo7nGsE01Zdc5KOOqTs2/zYfdSqxO+ks=\n\n\
     \u{2014} log2025-1.rekor.sigstore.dev zxGZFQZgTebN28s0D7vKP5gX8R+CsXCved700HCQAHgDHbdkaH3tf\
     x7+DMPkccNhzsnSy7LijLzWMa+evZduylLs0wc=\n",
];
const REKOR_ENTRY: &str = "\
    eyJhcGlWZXJzaW9uIjoiMC4wLjIiLCJraW5kIjoiaGFzaGVkcmVrb3JkIiwic3BlYyI6eyJoYXNoZWRSZWtv\
    cmRWMDAyIjp7ImRhdGEiOnsiYWxnb3JpdGhtIjoiU0hBMl8yNTYiLCJkaWdlc3QiOiI1ZEoyU2FrVWVPWFk0\
    dXQxaEJIUG9teitoVG42dGMwS1R6Y0dvc0ErZXBFPSJ9LCJzaWduYXR1cmUiOnsiY29udGVudCI6Ik1FWUNJ\
    UURjSk84Mm56MXJydHUxRHhTcHJ1WDFvZ0p1bThkbDRJaUdCTVB6M2pZY2JnSWhBS3dROHdOdTFPbjhwWWZo\
    QUpDSzhPcVQwT09HVGgveUFRK0FuL2UzZC9kVSIsInZlcmlmaWVyIjp7ImtleURldGFpbHMiOiJQS0lYX0VD\
    RFNBX1AyNTZfU0hBXzI1NiIsInB1YmxpY0tleSI6eyJyYXdCeXRlcyI6Ik1Ga3dFd1lIS29aSXpqMENBUVlJ\
    S29aSXpqMERBUWNEUWdBRTBxOVErdGRHMTk1Q1hLZm1VeDFZYXR2Wi9tTjNyaGpwT2ZtMWx2c2tXcHJIOVB4\
    cGU5WGM2TGpFSmJCY1ZQaHV0a2ZVdkJCOVJEays0MlNORTYvNXhnPT0ifX19fX19";
const REKOR_PATH: [&str; 9] = [
    "KIoYVJ0TqmaEkFboP7YWTjSh8vFjVECmokcTOAByfIM=",
    "Umf0h0cK2hegTzNnSgsXszyiA4bp5OvEvP+GrWq3C8w=",
    "vNQeSNBfepYZI2Ez3ViKdCft0JH87ZS8IGKwixxUVjc=",
    "JBAugd5awOqmHXIKgz1MOjlR5f37VqmP0bWoRVcHX5M=",
    "xYH2mAxGxfOgvSOLnItT2LsJt+Z2a2egjf8QJFwK7jA=",
    "PbZWM3NitzChx9A22m/kddDtzh2bAKX5Fy7j76l3z2k=",
    "sKX9Sbsahvw5DiC2oP6pbZsDi1NzuNS1nIULXkCC57o=",
    "pfTCxXHnCM253jwYxVJcuUhmoTTtDxznn92QhN0M4Ws=",
    "cJ8uk2ZvZyfg+HRILKOHcyHu2pvI8Fz3R1MyMvyzWtA=",
];

#[test]
fn what_another_log_has_signed_and_proves_is_taken() {
    let key: VerifyingKey = REKOR.parse().unwrap();
    let [first, later] = REKOR_CHECKPOINTS.map(|note| key.verify(note).unwrap());
    assert_eq!((first.checkpoint().size, later.checkpoint().size), (412_115, 34_356_369));
    for note in REKOR_CHECKPOINTS {
        assert!(key.verify(&note.replacen('1', "2", 1)).is_err(), "another name");
        assert!(key.verify(&note.replacen("\n3", "\n2", 1).replacen("\n4", "\n3", 1)).is_err());
        assert!(verifying_key().verify(note).is_err(), "another key");
    }
    let entry = BASE64_STANDARD.decode(REKOR_ENTRY).unwrap();
    let path: Vec<Hash> = REKOR_PATH
        .map(|hash| Hash(BASE64_STANDARD.decode(hash).unwrap().try_into().unwrap()))
        .into();
    check_inclusion(first.checkpoint(), 412_114, leaf_hash(&entry), &path).unwrap();
    assert!(check_inclusion(first.checkpoint(), 412_113, leaf_hash(&entry), &path).is_err());
    assert!(check_inclusion(later.checkpoint(), 412_114, leaf_hash(&entry), &path).is_err());
    assert!(check_inclusion(first.checkpoint(), 412_114, leaf_hash(b"other"), &path).is_err());
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
