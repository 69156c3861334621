//! Fetches a mirror into a folder, whatever it holds: what is missing or damaged there is
//! missing or damaged in the copy, where `verify` says so.
//!
//! Nothing has to be listed. The checkpoint says which tiles and bundles there are, and the
//! timeline of `enforced/` which files.

use std::collections::BTreeSet;
use std::io;

use super::{ENFORCED, ENFORCED_BYTES, MirrorError, Store};
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile};
use crate::domain::audit::{NoteError, SignedCheckpoint, VerifyingKey};
use crate::files;
use crate::store::pruned::{NAMES, NAMES_BYTES, STATEMENT};
use crate::store::sealed;
use crate::store::walk::{CHECKPOINT, MIRROR};

/// How often it is begun anew when the mirror moved on meanwhile.
const TRIES: usize = 5;

/// The timeline of what was enforced.
const TIMELINE: &str = "timeline.jsonl";

/// Fetches the mirror of the log with this key; gives its size. `progress` is told how many
/// entries are there. The folder's checkpoint comes last. Blocking.
///
/// # Errors
/// [`MirrorError::Other`] where there is no mirror of this log; the stores'.
pub fn fetch(
    from: &dyn Store,
    key: &VerifyingKey,
    to: &dyn Store,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, MirrorError> {
    let other = |what: &str| MirrorError::Other(what.to_owned());
    let before = to.get(CHECKPOINT, files::SMALL)?;
    if before.is_some() && to.get(MIRROR, files::SMALL)?.is_none() {
        return Err(other("a log and no mirror"));
    }
    let held = before.as_deref().and_then(|note| std::str::from_utf8(note).ok());
    let held = held.map(|note| key.verify(note)).transpose()?;
    let mut tried = 1;
    loop {
        let signed = published(from, key)?;
        let size = signed.checkpoint().size;
        if held.as_ref().is_some_and(|held| held.checkpoint().size > size) {
            return Err(other("a newer copy of this log"));
        }
        let missing = tiles(from, size, to, progress)?;
        // One that is kept meanwhile takes away what its newest checkpoint does not need.
        if missing > 0 && tried < TRIES && published(from, key)? != signed {
            tried += 1;
            continue;
        }
        enforced(from, to)?;
        for (name, most) in [(NAMES, NAMES_BYTES), (STATEMENT, files::SMALL)] {
            if let Some(content) = from.get(name, most)? {
                to.put(name, &content)?;
            }
        }
        let mark = from.get(MIRROR, files::SMALL)?;
        let mark = mark.ok_or_else(|| other("a log and no mirror"))?;
        to.put(MIRROR, &mark)?;
        to.settle()?;
        if !to.exchange(CHECKPOINT, before.as_deref(), signed.as_str().as_bytes())? {
            return Err(MirrorError::Raced);
        }
        return Ok(size);
    }
}

fn published(from: &dyn Store, key: &VerifyingKey) -> Result<SignedCheckpoint, MirrorError> {
    let note = from.get(CHECKPOINT, files::SMALL)?;
    let note = note.ok_or_else(|| MirrorError::Other("no checkpoint".to_owned()))?;
    let note = String::from_utf8(note).map_err(|_| NoteError::Form("it is not UTF-8"))?;
    Ok(key.verify(&note)?)
}

/// Copies what a checkpoint of this size leads to; gives how many files are missing.
fn tiles(
    from: &dyn Store,
    size: u64,
    to: &dyn Store,
    progress: &mut dyn FnMut(u64),
) -> Result<usize, MirrorError> {
    let mut missing = 0;
    let mut one = |tile: Tile| -> io::Result<()> {
        // Sealed bundles are more than others.
        for path in sealed::paths(&tile).into_iter().rev() {
            if let Some(content) = from.get(&path, tile.shelf.max_bytes())? {
                return to.put(&path, &content);
            }
        }
        missing += 1;
        Ok(())
    };
    for number in 0..size.div_ceil(TILE_WIDTH) {
        one(super::of_width(Shelf::Entries, number, size))?;
        one(super::of_width(Shelf::Level(0), number, size))?;
        progress((number * TILE_WIDTH + TILE_WIDTH).min(size));
    }
    for level in 1u8.. {
        let count = size >> (8 * u32::from(level)).min(63);
        if count == 0 {
            break;
        }
        for number in 0..count.div_ceil(TILE_WIDTH) {
            one(super::of_width(Shelf::Level(level), number, count))?;
        }
    }
    Ok(missing)
}

/// Copies what was enforced, by the digests of the timeline.
fn enforced(from: &dyn Store, to: &dyn Store) -> Result<(), MirrorError> {
    let name = format!("{ENFORCED}/{TIMELINE}");
    let Some(timeline) = from.get(&name, ENFORCED_BYTES)? else { return Ok(()) };
    let mut names = BTreeSet::new();
    for line in String::from_utf8_lossy(&timeline).lines() {
        let Ok(serde_json::Value::Object(moment)) = serde_json::from_str(line) else { continue };
        for kind in ["catalogue", "policy", "routing"] {
            let digest = moment.get(kind).and_then(serde_json::Value::as_str);
            let is_digest = |digest: &&str| digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            names.extend(digest.filter(is_digest).map(|digest| format!("{kind}-{digest}.json")));
        }
    }
    for file in names {
        let file = format!("{ENFORCED}/{file}");
        if let Some(content) = from.get(&file, ENFORCED_BYTES)? {
            to.put(&file, &content)?;
        }
    }
    to.put(&name, &timeline)?;
    Ok(())
}
