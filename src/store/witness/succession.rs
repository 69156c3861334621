//! A log that has ended, and the log that goes on from it: what a peer shows of the turn is
//! taken up as one step. From then on the old log has one end and one successor, also after
//! a restart.
//!
//! Kept is the proof of the successor's first entry (C2SP tlog-proof), in a file beside the
//! old log's checkpoint: it names the end, and is signed.

use std::io;

use super::{Offered, Witness, WitnessError};
use crate::domain::audit::{
    Checkpoint, Entry, Hash, Origin, SignedCheckpoint, TlogProof, VerifyingKey,
};
use crate::files;

/// The file name extension of a log's end.
const ENDED: &str = "ended";

/// What a peer shows of a log's end and of the log that goes on from it.
#[derive(Debug)]
pub struct Succession<'a> {
    /// The key of the log that has ended.
    pub old: &'a VerifyingKey,
    /// The size of it that was held when the peer was asked.
    pub asked: u64,
    /// Its last checkpoint.
    pub last: &'a str,
    /// The proof that this goes on from the size that was held.
    pub consistency: &'a [Hash],
    /// The key of the log that goes on from it, which the old log named in a note.
    pub new: &'a VerifyingKey,
    /// The first entry of that log under its newest checkpoint; index 0.
    pub first: &'a TlogProof,
}

/// How a log ended.
struct End {
    checkpoint: Checkpoint,
    successor: Origin,
    /// The proof of the successor's first entry.
    proof: String,
}

impl Witness {
    /// Takes up that a log has ended and another goes on from it, of which nothing is held.
    /// The end is on the disk before anything of the new log is held.
    ///
    /// # Errors
    /// [`WitnessError`], as [`offer`](Self::offer). With [`WitnessError::Unproven`] nothing
    /// of the new log is held.
    pub fn succeed(&self, shown: &Succession<'_>) -> Result<Offered, WitnessError> {
        let Succession { old, new, first, .. } = *shown;
        let unproven = |missing| {
            let (origin, before) = (new.origin().clone(), old.origin().clone());
            WitnessError::Unproven { origin, before, missing }
        };
        let last = old.verify(shown.last)?;
        let newest = new.verify(&first.checkpoint)?;
        let ended = ended_by(&first.entry).ok_or_else(|| {
            unproven("its first entry is none by which a log goes on from another")
        })?;
        if ended.origin != *old.origin() {
            return Err(unproven("its first entry goes on from another log"));
        }
        if first.index != 0 || first.leads_to(newest.checkpoint()).is_err() {
            return Err(unproven("no proof leads from its first entry to its checkpoint"));
        }
        let _offering = self.offering.lock();
        let before = self.end(old.origin())?;
        if let Some(end) = &before
            && (end.successor != *new.origin() || end.checkpoint != ended)
        {
            return Err(WitnessError::TwoSuccessors {
                origin: old.origin().clone(),
                first: end.successor.clone(),
                other: new.origin().clone(),
                evidence: Box::new([end.proof.clone(), first.to_text()]),
            });
        }
        if self.take_up(old, shown.asked, shown.last, shown.consistency)? == Offered::Late {
            return Ok(Offered::Late);
        }
        let end = last.checkpoint();
        if ended.size > end.size {
            // What was shown may be an older checkpoint than the last.
            return Err(unproven(
                "the log before it is shown with fewer entries than those with which it ended",
            ));
        }
        if ended != *end {
            return Err(WitnessError::Outgrown {
                origin: old.origin().clone(),
                successor: new.origin().clone(),
                ended: ended.size,
                offered: end.size,
                evidence: Box::new([first.to_text(), shown.last.to_owned()]),
            });
        }
        if before.is_none() {
            let path = self.path(old.origin()).with_extension(ENDED);
            self.write(&path, first.to_text().as_bytes())?;
        }
        self.take_up(new, 0, &first.checkpoint, &[])
    }

    /// Whether a log is known to have ended, and by which log: its size and root are in the
    /// checkpoint.
    ///
    /// # Errors
    /// [`WitnessError::Io`], also when the file was changed.
    pub fn ended(&self, origin: &Origin) -> Result<Option<(Checkpoint, Origin)>, WitnessError> {
        Ok(self.end(origin)?.map(|end| (end.checkpoint, end.successor)))
    }

    /// Refuses a checkpoint beyond its log's end.
    pub(super) fn check_end(&self, signed: &SignedCheckpoint) -> Result<(), WitnessError> {
        let Checkpoint { origin, size, .. } = signed.checkpoint();
        match self.end(origin)? {
            Some(end) if *size > end.checkpoint.size => Err(WitnessError::Outgrown {
                origin: origin.clone(),
                successor: end.successor,
                ended: end.checkpoint.size,
                offered: *size,
                evidence: Box::new([end.proof, signed.as_str().to_owned()]),
            }),
            _ => Ok(()),
        }
    }

    fn end(&self, origin: &Origin) -> Result<Option<End>, WitnessError> {
        let path = self.path(origin).with_extension(ENDED);
        let proof = match files::read_text(&path, files::SMALL) {
            Ok(proof) => proof,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(WitnessError::Io { path, source }),
        };
        let read = || {
            let first = TlogProof::parse(&proof).ok()?;
            let newest = SignedCheckpoint::parse_unverified(&first.checkpoint).ok()?;
            first.leads_to(newest.checkpoint()).ok()?;
            let checkpoint = ended_by(&first.entry).filter(|ended| ended.origin == *origin)?;
            Some((checkpoint, newest.checkpoint().origin.clone()))
        };
        let Some((checkpoint, successor)) = read() else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it was changed");
            return Err(WitnessError::Io { path, source });
        };
        Ok(Some(End { checkpoint, successor, proof }))
    }
}

/// The end of the log before, in a log's first entry.
fn ended_by(entry: &[u8]) -> Option<Checkpoint> {
    match Entry::decode(entry) {
        Ok(Entry::Succeeds { ended, .. }) => Some(ended),
        _ => None,
    }
}
