//! Sealed bundles: a full bundle of entries in a quarter of its room, as one member of
//! gzip (RFC 1952) beside the name that C2SP gives it, `tile/entries/000.gz`.
//!
//! Records of one request repeat each other; in the tree and in every proof they stay
//! what they are. A bundle is sealed when its entries leave the write-ahead segments;
//! until then, and in logs from before, it stands under its own name. Who wants which is
//! not known here: this file has the form of the bytes, and finds a tile in either.
//!
//! The form is stricter than gzip's, so that no byte of a file can change unseen: the
//! header is fixed, and holds a CRC-32C over the compressed bytes.

use std::io;
use std::path::Path;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile};
use crate::files;

const CRC32: crc::Crc<u32, crc::Table<16>> =
    crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
const CRC32C: crc::Crc<u32, crc::Table<16>> =
    crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// Magic, deflate, an extra field, no time, no level, no system; then eight bytes of
/// extra field, in which `TB` has four.
const HEADER: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'T', b'B', 4, 0];

/// Bytes around the compressed ones: header and its CRC before, CRC and length after.
const AROUND: usize = HEADER.len() + 4 + 8;

/// How hard it is compressed: more costs twice the work and saves a sixteenth.
const LEVEL: u8 = 1;

/// Seals a bundle.
pub(super) fn seal(bundle: &[u8]) -> Vec<u8> {
    let packed = compress_to_vec(bundle, LEVEL);
    let mut sealed = Vec::with_capacity(packed.len() + AROUND);
    sealed.extend_from_slice(&HEADER);
    sealed.extend_from_slice(&CRC32C.checksum(&packed).to_le_bytes());
    sealed.extend_from_slice(&packed);
    sealed.extend_from_slice(&CRC32.checksum(bundle).to_le_bytes());
    sealed.extend_from_slice(&(bundle.len() as u32).to_le_bytes());
    sealed
}

/// Opens a sealed bundle; `None` for bytes that [`seal`] did not write.
pub(super) fn unseal(sealed: &[u8]) -> Option<Vec<u8>> {
    let (crc, rest) = sealed.strip_prefix(&HEADER)?.split_first_chunk::<4>()?;
    let (rest, length) = rest.split_last_chunk::<4>()?;
    let (packed, whole) = rest.split_last_chunk::<4>()?;
    if CRC32C.checksum(packed) != u32::from_le_bytes(*crc) {
        return None;
    }
    let most = usize::try_from(Shelf::Entries.max_bytes()).ok()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let bundle = decompress_to_vec_with_limit(packed, length.min(most)).ok()?;
    let is_whole = bundle.len() == length && CRC32.checksum(&bundle) == u32::from_le_bytes(*whole);
    is_whole.then_some(bundle)
}

/// A tile that was found.
#[derive(Debug)]
pub(super) struct FoundTile {
    /// Its path within the log.
    pub(super) path: String,
    /// What it holds; `None` where a sealed bundle is damaged.
    pub(super) content: Option<Vec<u8>>,
}

/// Every path at which a tile may stand, the narrowest first: its own, that of the full
/// one for which a partial one may have gone, and that of a sealed bundle.
pub(super) fn paths(tile: &Tile) -> Vec<String> {
    let mut paths = vec![tile.path()];
    if tile.width < TILE_WIDTH {
        paths.push(tile.full_path());
    }
    paths.extend(tile.sealed_path());
    paths
}

/// Reads what stands at one of the [`paths`] of a tile.
pub(super) fn read_at(log: &Path, tile: &Tile, path: String) -> io::Result<FoundTile> {
    let bytes = files::read(&log.join(&path), tile.shelf.max_bytes())?;
    let is_sealed = tile.sealed_path().is_some_and(|sealed| sealed == path);
    let content = if is_sealed { unseal(&bytes) } else { Some(bytes) };
    Ok(FoundTile { path, content })
}

/// Reads a tile where it stands; the error of its own path where it stands nowhere.
pub(super) fn read(log: &Path, tile: &Tile) -> io::Result<FoundTile> {
    let mut missing = None;
    for path in paths(tile) {
        match read_at(log, tile, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.get_or_insert(error);
            }
            found => return found,
        }
    }
    Err(missing.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bundle like those of a log, and one that does not get smaller.
    fn bundles() -> [Vec<u8>; 3] {
        let mut number = 9u32;
        let noise = (0..9000).map(|_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (number >> 24) as u8
        });
        [b"\0\x05entry".repeat(256), noise.collect(), Vec::new()]
    }

    #[test]
    fn what_is_sealed_comes_back_and_is_gzip_to_others() {
        for bundle in bundles() {
            let sealed = seal(&bundle);
            assert_eq!(unseal(&sealed), Some(bundle.clone()));
            let path = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(path.path(), &sealed).unwrap();
            let input = std::fs::File::open(path.path()).unwrap();
            let gzip = std::process::Command::new("gzip").arg("-dc").stdin(input).output().unwrap();
            assert!(gzip.status.success(), "{gzip:?}");
            assert_eq!(gzip.stdout, bundle);
        }
    }

    #[test]
    fn no_bit_of_it_can_change_and_no_byte_be_more_or_less() {
        for bundle in bundles() {
            let sealed = seal(&bundle);
            for at in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[at / 8] ^= 1 << (at % 8);
                assert_eq!(unseal(&changed), None, "bit {at}");
            }
            assert_eq!(unseal(&[&sealed[..], &[0]].concat()), None);
            for end in 0..sealed.len() {
                assert_eq!(unseal(&sealed[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn no_more_comes_out_than_a_bundle_has() {
        let most = usize::try_from(Shelf::Entries.max_bytes()).unwrap();
        assert!(unseal(&seal(&vec![0; most])).is_some());
        assert_eq!(unseal(&seal(&vec![0; most + 1])), None);
    }
}
