//! The end of a log that is in no tile yet: its last second, or what a crash left.
//! It is read from the segments at each search and not kept.

use std::path::Path;

use crate::domain::audit::{Dictionary, Entry, Hash, Record, leaf_hash};
use crate::files;
use crate::store::wal;

/// Hands over the records from an index on. What cannot be read ends it: a write
/// may be under way, and whether the log is sound is for `verify` to say. Blocking.
pub(super) fn unpublished(
    log: &Path,
    from: u64,
    mut dictionary: Dictionary,
    on_record: &mut dyn FnMut(u64, Hash, Record),
) -> std::io::Result<()> {
    let mut next = from;
    for path in wal::list(log)? {
        let bytes = match files::read(&path, wal::MAX_SEGMENT) {
            Ok(bytes) => bytes,
            // Published and removed meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut at = wal::SEGMENT_HEADER;
        while let Some(frame) = bytes.get(at..).and_then(wal::read_frame) {
            at += frame.length;
            for (index, (_, entry)) in (frame.first..).zip(&frame.entries) {
                if index != next {
                    continue;
                }
                next += 1;
                let Ok(read) = Entry::decode(entry) else { return Ok(()) };
                if dictionary.learn(index, &read).is_err() {
                    return Ok(());
                }
                if let Ok(Some(record)) = dictionary.resolve(&read) {
                    on_record(index, leaf_hash(entry), record);
                }
            }
        }
    }
    Ok(())
}
