//! The write-ahead segments: the form of their bytes.
//!
//! A segment is a header and frames; a frame is what one sync made durable:
//! entries and the root after them, under a CRC32C. The CRC finds accidents; what
//! finds deliberate changes is the root under a signed checkpoint.
//!
//! Segments hold what the tiles do not hold yet, and for a while what they hold: one
//! goes when all its entries are in sealed bundles.

use std::path::{Path, PathBuf};

use crate::domain::audit::{Hash, Origin, leaf_hash};

const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

const SEGMENT_MAGIC: &[u8; 8] = b"TRBWAL01";
const FRAME_MAGIC: &[u8; 4] = b"TRBF";

/// Bytes of a segment's header: magic, first index, hash of the origin, CRC32C.
pub(super) const SEGMENT_HEADER: usize = 8 + 8 + 32 + 4;

/// Bytes of a frame before its payload: magic, payload's length, first index,
/// CRC32C over length, first index and payload.
pub(super) const FRAME_HEADER: usize = 4 + 4 + 8 + 4;

/// No frame's payload is longer.
pub(super) const MAX_PAYLOAD: usize = 8 * 1024 * 1024;

/// No segment is longer: a writer that finds no room for the next one stops there.
pub(super) const MAX_SEGMENT: u64 = 256 * 1024 * 1024;

/// Most segments of a log at once; each goes soon after tiles hold it.
pub(super) const MAX_SEGMENTS: usize = 512;

/// Most bytes that are read for frames after a damaged one.
const MAX_SEARCHED: usize = 64 * MAX_PAYLOAD;

/// Where segments are, within the log's folder.
pub(super) const FOLDER: &str = "wal";

/// The path of the segment that begins with an index.
pub(super) fn path(log: &Path, first: u64) -> PathBuf {
    log.join(FOLDER).join(format!("{first:020}.wal"))
}

/// The segments' paths, in order.
pub(super) fn list(log: &Path) -> std::io::Result<Vec<PathBuf>> {
    let folder = match std::fs::read_dir(log.join(FOLDER)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        folder => folder?,
    };
    let mut paths =
        folder.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "wal"));
    paths.sort();
    Ok(paths)
}

/// The first index of a segment, as its name says.
pub(super) fn first_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// A segment's header.
pub(super) fn header(origin: &Origin, first: u64) -> Vec<u8> {
    let mut bytes = SEGMENT_MAGIC.to_vec();
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&leaf_hash(origin.as_str().as_bytes()).0);
    let crc = CRC.checksum(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

/// The first index that a segment's header gives; `None` when the header is not
/// one, or of another log.
pub(super) fn read_header(bytes: &[u8], origin: Option<&Origin>) -> Option<u64> {
    let bytes = bytes.get(..SEGMENT_HEADER)?;
    let first = u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?);
    let crc = CRC.checksum(bytes.get(..SEGMENT_HEADER - 4)?);
    let ours = bytes.starts_with(SEGMENT_MAGIC)
        && bytes.ends_with(&crc.to_be_bytes())
        && origin.is_none_or(|origin| header(origin, first) == bytes);
    ours.then_some(first)
}

/// Builds a frame entry by entry.
#[derive(Debug)]
pub(super) struct FrameBuilder {
    first: u64,
    count: u32,
    payload: Vec<u8>,
}

impl FrameBuilder {
    pub(super) fn new(first: u64) -> Self {
        Self { first, count: 0, payload: vec![0; 4] }
    }

    /// Adds an entry, which has at most 64 KiB.
    pub(super) fn push(&mut self, entry: &[u8]) {
        self.payload.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        self.payload.extend_from_slice(entry);
        self.count += 1;
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// The frame with the root of the tree after its last entry.
    pub(super) fn finish(mut self, root: Hash) -> Vec<u8> {
        if let Some(count) = self.payload.first_chunk_mut::<4>() {
            *count = self.count.to_be_bytes();
        }
        self.payload.extend_from_slice(&root.0);
        let length = (self.payload.len() as u32).to_be_bytes();
        let first = self.first.to_be_bytes();
        let mut digest = CRC.digest();
        digest.update(&length);
        digest.update(&first);
        digest.update(&self.payload);
        let crc = digest.finalize().to_be_bytes();
        [FRAME_MAGIC.as_slice(), &length, &first, &crc, &self.payload].concat()
    }
}

/// A frame that was read whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Index of its first entry.
    pub(super) first: u64,
    /// Its entries, and where each begins in the bytes that were given.
    pub(super) entries: Vec<(usize, &'a [u8])>,
    /// The root after its last entry.
    pub(super) root: Hash,
    /// How many bytes it has.
    pub(super) length: usize,
}

/// How long the frame at the start of these bytes is, by its header.
pub(super) fn frame_length(header: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(header.get(4..8)?.try_into().ok()?) as usize;
    (header.starts_with(FRAME_MAGIC) && length <= MAX_PAYLOAD).then_some(FRAME_HEADER + length)
}

/// Reads the frame at the start of these bytes.
pub(super) fn read_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let length = frame_length(bytes)?;
    let frame = bytes.get(..length)?;
    let (head, payload) = frame.split_at_checked(FRAME_HEADER)?;
    let mut digest = CRC.digest();
    digest.update(head.get(4..16)?);
    digest.update(payload);
    if head.get(16..)? != digest.finalize().to_be_bytes() {
        return None;
    }
    let first = u64::from_be_bytes(head.get(8..16)?.try_into().ok()?);
    let (body, root) = payload.split_last_chunk::<32>()?;
    let (count, mut rest) = body.split_first_chunk::<4>()?;
    let count = u32::from_be_bytes(*count);
    let mut entries = Vec::new();
    for _ in 0..count {
        let (size, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        entries.push((length - 32 - after.len() - entry.len(), entry));
        rest = after;
    }
    rest.is_empty().then_some(Frame { first, entries, root: Hash(*root), length })
}

/// Whether what begins at `at`, and is no whole frame, can be the rest of a write
/// that a crash cut short: then nothing that was written later can follow it. What is
/// made up of beginnings of frames, so that looking at each would take for ever, is not.
pub(super) fn is_torn_tail(segment: &[u8], at: usize) -> bool {
    let rest = segment.get(at..).unwrap_or_default();
    if frame_length(rest).is_some_and(|length| length < rest.len()) {
        return false;
    }
    let later = rest.get(1..).unwrap_or_default();
    let mut searched = 0;
    !later.windows(FRAME_MAGIC.len()).enumerate().any(|(from, window)| {
        let begun = if window == FRAME_MAGIC { later.get(from..) } else { None };
        let Some((begun, length)) = begun.and_then(|begun| Some((begun, frame_length(begun)?)))
        else {
            return false;
        };
        searched += length.min(begun.len());
        searched > MAX_SEARCHED || read_frame(begun).is_some()
    })
}
