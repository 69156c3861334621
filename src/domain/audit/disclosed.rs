//! What a receipt says of a disclosure, and whether that is the disclosure which somebody
//! has in hands: a receipt that proves some record proves nothing of this one.
//!
//! The records come with the receipt, and so do the dictionary entries that give their
//! names; everything is proved under the receipt's checkpoint. Which rules decided is the
//! gateway's own and not shown.

use super::dictionary::{Dictionary, DictionaryError};
use super::entry::{Entry, SectionEntry};
use super::note::{NoteError, VerifyingKey};
use super::proof::{ProofError, check_inclusion};
use super::receipt::{Named, ReceiptFile};
use super::record::{Decision, Record, SectionRecord, Timestamp};
use super::term::Term;
use super::tree::leaf_hash;
use super::{DecodeError, GrantId};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::section::SectionStatus;

/// Why a receipt is no evidence of a disclosure.
#[derive(Debug, thiserror::Error)]
pub enum DisclosedError {
    /// Its checkpoint is not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A proof in it does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A record in it is none.
    #[error(transparent)]
    Entry(#[from] DecodeError),
    /// A record refers to a name that does not come with it.
    #[error(transparent)]
    Name(#[from] DictionaryError),
    /// Its parts do not fit together.
    #[error("the receipt proves nothing of a disclosure: {0}")]
    Form(&'static str),
    /// It is about something else.
    #[error("the receipt is of another disclosure: {0}")]
    Other(String),
}

/// The names that a record's entry refers to; none for what is no section.
pub fn names(record: &Record, entry: &[u8]) -> Vec<Named> {
    let (Record::Section(record), Ok(Entry::Section(entry))) = (record, Entry::decode(entry))
    else {
        return Vec::new();
    };
    let terms = [
        Some((entry.consumer, Term::Peer(record.consumer.clone()))),
        Some((entry.catalogue, Term::Catalogue(record.catalogue))),
        entry.agency.zip(record.agency.clone().map(Term::Agency)),
        entry.purpose.zip(record.purpose.clone().map(Term::Purpose)),
        entry.basis.zip(record.basis.map(Term::Basis)),
        entry.decision.reason().zip(match &record.decision {
            Decision::Refused(reason) | Decision::Withheld(reason) => {
                Some(Term::Reason(reason.clone()))
            }
            Decision::Section(_) => None,
        }),
    ];
    terms.into_iter().flatten().map(|(at, term)| (at, Entry::Term(term).encode())).collect()
}

/// The records that a receipt proves.
///
/// # Errors
/// [`DisclosedError`], but for [`DisclosedError::Other`].
pub fn records(
    receipt: &ReceiptFile,
    key: &VerifyingKey,
) -> Result<Vec<SectionRecord>, DisclosedError> {
    let checkpoint = key.verify(&receipt.checkpoint)?;
    let checkpoint = checkpoint.checkpoint();
    let form = DisclosedError::Form;
    let leaves = receipt.records().ok_or(form("a leaf hash is not 64 hexadecimal digits"))?;
    let paths = receipt.paths().ok_or(form("a hash of a proof is not 64 hexadecimal digits"))?;
    if receipt.entries.len() != leaves.len() || paths.len() != leaves.len() {
        return Err(form("it does not have an entry and a proof for each record"));
    }
    let mut names = receipt.names().ok_or(form("a name of it is not in hexadecimal digits"))?;
    names.sort_unstable_by_key(|((index, _), _)| *index);
    let mut dictionary = Dictionary::default();
    for ((index, entry), path) in names {
        check_inclusion(checkpoint, index, leaf_hash(&entry), &path)?;
        dictionary.learn(index, &Entry::decode(&entry)?)?;
    }
    let mut records = Vec::with_capacity(leaves.len());
    for (((index, leaf), path), entry) in leaves.iter().zip(&paths).zip(&receipt.entries) {
        let entry = super::receipt::parse_bytes(entry);
        let entry = entry.ok_or(form("an entry is not in hexadecimal digits"))?;
        if leaf_hash(&entry) != *leaf {
            return Err(form("an entry is not the one of its leaf hash"));
        }
        check_inclusion(checkpoint, *index, *leaf, path)?;
        let Entry::Section(section) = Entry::decode(&entry)? else {
            return Err(form("an entry is of no request"));
        };
        let shown = SectionEntry { rules: None, count: None, ..*section };
        match dictionary.resolve(&Entry::Section(Box::new(shown)))? {
            Some(Record::Section(section)) => records.push(*section),
            _ => return Err(form("an entry is of no request")),
        }
    }
    Ok(records)
}

/// A disclosure as its consumer knows it.
#[derive(Debug)]
pub struct Disclosed<'a> {
    /// The request's id.
    pub request: &'a str,
    /// Who asked.
    pub consumer: &'a SpiffeId,
    /// Under which grant.
    pub grant: &'a GrantId,
    /// From before it asked until after it was answered, with what clocks may differ.
    pub within: (Timestamp, Timestamp),
    /// What became of each agency's section.
    pub sections: Vec<DisclosedSection>,
}

/// What the consumer was told of one agency.
#[derive(Debug)]
pub struct DisclosedSection {
    /// The agency.
    pub agency: String,
    /// The section's status.
    pub status: SectionStatus,
    /// How many items it was asked for.
    pub asked: usize,
    /// Items of which it is said to have a value, or none.
    pub items: ItemSet,
}

impl Disclosed<'_> {
    /// Holds proved records against what is known.
    ///
    /// # Errors
    /// [`DisclosedError::Other`], with the first difference.
    pub fn check(&self, records: &[SectionRecord]) -> Result<(), DisclosedError> {
        let other = |what: String| Err(DisclosedError::Other(what));
        for record in records {
            if record.request.as_str() != self.request {
                return other(format!("its request is {}, not {}", record.request, self.request));
            }
            if record.consumer != *self.consumer {
                return other(format!("its consumer is {}", record.consumer));
            }
            if record.grant.as_ref() != Some(self.grant) {
                return other("it is under another grant".to_owned());
            }
            let (from, to) = self.within;
            if !(from..=to).contains(&record.time) {
                return other(format!("it was recorded at {}", record.time));
            }
        }
        let asked = || records.iter().filter(|record| record.agency.is_some());
        if asked().count() != self.sections.len() {
            return other("it has other agencies".to_owned());
        }
        for told in &self.sections {
            let of = |record: &&SectionRecord| {
                record.agency.as_ref().is_some_and(|agency| agency.as_str() == told.agency)
            };
            let Some(record) = asked().find(of) else {
                return other(format!("it has nothing of {}", told.agency));
            };
            if record.decision != Decision::Section(told.status) {
                return other(format!(
                    "its decision for {} is not {}",
                    told.agency,
                    told.status.as_str()
                ));
            }
            if record.items.len() != told.asked || !told.items.is_subset(&record.items) {
                return other(format!("it has other items of {}", told.agency));
            }
        }
        Ok(())
    }
}
