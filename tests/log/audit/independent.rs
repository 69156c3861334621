//! A second implementation, straight from the specifications, that shares no code
//! with the log: RFC 6962 hashes, C2SP tiles, notes and checkpoints. Proofs are
//! `ct-merkle`'s: see `second.rs`.

use std::path::Path;
use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};

pub type Hash = [u8; 32];

pub fn sha256(parts: &[&[u8]]) -> Hash {
    digest(&SHA256, &parts.concat()).as_ref().try_into().unwrap()
}

pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// MTH of RFC 6962, section 2.1.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            sha256(&[&[1], &root(&leaves[..half]), &root(&leaves[half..])])
        }
    }
}

/// Origin, size and root of a note that the key has signed.
pub fn open_note(note: &str, name: &str, public: &[u8]) -> (u64, Hash) {
    let (text, signatures) = note.split_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let typed = [&[1u8], public].concat();
    let hash = sha256(&[name.as_bytes(), b"\n", &typed]);
    let signed = signatures.lines().any(|line| {
        let line = line.strip_prefix("\u{2014} ").unwrap();
        let (who, signature) = line.split_once(' ').unwrap();
        let signature = BASE64_STANDARD.decode(signature).unwrap();
        who == name
            && signature[..4] == hash[..4]
            && UnparsedPublicKey::new(&ED25519, public)
                .verify(text.as_bytes(), &signature[4..])
                .is_ok()
    });
    assert!(signed, "no signature of the key on:\n{note}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], name);
    let root = BASE64_STANDARD.decode(lines[2]).unwrap().try_into().unwrap();
    (lines[1].parse().unwrap(), root)
}

fn number(n: u64) -> String {
    let mut parts = vec![format!("{:03}", n % 1000)];
    let mut rest = n / 1000;
    while rest > 0 {
        parts.insert(0, format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    parts.join("/")
}

/// A bundle, or what `gzip` makes of it where it is sealed.
fn bundle(path: &Path) -> Vec<u8> {
    if let Ok(bundle) = std::fs::read(path) {
        return bundle;
    }
    let gzip = Command::new("gzip").arg("-dc").arg(path.with_extension("gz")).output();
    let gzip = gzip.unwrap();
    assert!(gzip.status.success(), "{}: {gzip:?}", path.display());
    gzip.stdout
}

/// Every entry of a log, as a monitor downloads them.
pub fn entries(log: &Path, size: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for n in 0..size.div_ceil(256) {
        let width = (size - n * 256).min(256);
        let part = if width == 256 { String::new() } else { format!(".p/{width}") };
        let bundle = bundle(&log.join(format!("tile/entries/{}{part}", number(n))));
        let mut rest = &bundle[..];
        while let [high, low, after @ ..] = rest {
            let (entry, after) = after.split_at(usize::from(*high) * 256 + usize::from(*low));
            all.push(entry.to_vec());
            rest = after;
        }
    }
    assert_eq!(all.len() as u64, size);
    all
}

/// Every tile of hashes, as the specification defines it.
pub fn check_tiles(log: &Path, leaves: &[Hash]) {
    let (mut level, mut hashes) = (0, leaves.to_vec());
    while !hashes.is_empty() {
        for (n, tile) in hashes.chunks(256).enumerate() {
            let part = if tile.len() == 256 { String::new() } else { format!(".p/{}", tile.len()) };
            let path = log.join(format!("tile/{level}/{}{part}", number(n as u64)));
            assert_eq!(std::fs::read(&path).unwrap(), tile.concat(), "{}", path.display());
        }
        hashes = hashes.chunks_exact(256).map(root).collect();
        level += 1;
    }
}
