//! The leaf's bytes: version, kind, fields in a fixed order.
//!
//! Strict both ways: [`Entry::decode`] refuses whatever [`Entry::encode`] would
//! not write, so a leaf has one meaning and a meaning has one leaf.
//!
//! | kind | fields after version (1) and kind |
//! | --- | --- |
//! | 1 name | kind of name, the name; see `term` |
//! | 2 section | time, flags, request id, consumer→, items, catalogue→, decision, and as the flags say agency→, purpose→, basis→, grant id, policy→ with rules, subject tag (32), count; blind (16) |
//! | 3 refusals | time, opening time, peer→, reason→, count |
//! | 4 started | time, 1 if the log had been closed |
//! | 5 stopped | time |
//! | 6 search | time, reviewer→, 1 list or 2 subject access, kinds of key, count |
//! | 7 succeeds | time, origin, size and root (32) of the log that it goes on from, as that ended |
//!
//! Times are microseconds since 1970 in 8 bytes, big-endian. `→` is the index of the
//! name's entry, and like a count an unsigned LEB128. Texts, items and rules have a
//! byte of length; items and rules are a bit for each, without trailing zero bytes. A
//! decision is the status, 0 OK to 5 INVALID, or 0x80 (refused) or 0x81 (withheld) and
//! reason→. A count is issuer→, window, the second of 1970 in which the grant expires, and
//! 0 (use) or 1 (repeat) with the number, all as unsigned LEB128.

use super::codec::{DecodeError, Put, Take};
use super::note::Checkpoint;
use super::record::{Blind, Counted, RuleSet, SearchKeys, SearchKind, Timestamp};
use super::term::Term;
use super::tree::Hash;

use crate::domain::item::ItemSet;
use crate::domain::names::{GrantId, RequestId};
use crate::domain::section::SectionStatus;
use crate::domain::subject::SubjectTag;

/// Most bytes of an entry.
pub const MAX_ENTRY_BYTES: usize = 512;

const VERSION: u8 = 1;

/// A record of a request and an agency, its names as references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionEntry {
    pub(super) time: Timestamp,
    pub(super) request: RequestId,
    pub(super) consumer: u64,
    pub(super) purpose: Option<u64>,
    pub(super) basis: Option<u64>,
    pub(super) grant: Option<GrantId>,
    pub(super) agency: Option<u64>,
    pub(super) items: ItemSet,
    pub(super) catalogue: u64,
    pub(super) decision: EntryDecision,
    pub(super) rules: Option<EntryRules>,
    pub(super) subject: Option<SubjectTag>,
    pub(super) count: Option<EntryCount>,
    pub(super) blind: Blind,
}

/// A count whose issuer is a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryCount {
    pub(super) issuer: u64,
    pub(super) window: u64,
    pub(super) expires: u64,
    pub(super) counted: Counted,
}

impl EntryCount {
    fn encode(&self, put: &mut Put) {
        put.varint(self.issuer);
        put.varint(self.window);
        put.varint(self.expires);
        let (kind, number) = match self.counted {
            Counted::Use(number) => (0, number),
            Counted::Repeat(number) => (1, number),
        };
        put.u8(kind);
        put.varint(number.into());
    }

    fn decode(take: &mut Take<'_>) -> Result<Self, DecodeError> {
        let (issuer, window) = (take.varint("issuer")?, take.varint("window")?);
        let expires = take.varint("end of the grant")?;
        let kind = take.u8("kind of count")?;
        let number = u32::try_from(take.varint("count")?);
        let counted = match (kind, number) {
            (0, Ok(number @ 1..)) => Counted::Use(number),
            (1, Ok(number @ 2..)) => Counted::Repeat(number),
            _ => return Err(DecodeError::Form("count")),
        };
        Ok(Self { issuer, window, expires, counted })
    }
}

/// A decision whose reason is a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryDecision {
    Section(SectionStatus),
    Refused(u64),
    Withheld(u64),
}

impl EntryDecision {
    pub(super) const fn reason(self) -> Option<u64> {
        match self {
            Self::Section(_) => None,
            Self::Refused(reason) | Self::Withheld(reason) => Some(reason),
        }
    }
}

/// The rules of a policy that determined a decision, a bit for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryRules {
    pub(super) policy: u64,
    /// Without trailing zero bytes.
    bits: Box<[u8]>,
}

impl EntryRules {
    pub(super) fn new(policy: u64, numbers: impl IntoIterator<Item = u16>) -> Self {
        let mut bits = Vec::new();
        for number in numbers {
            let at = usize::from(number / 8);
            bits.resize(bits.len().max(at + 1), 0u8);
            if let Some(byte) = bits.get_mut(at) {
                *byte |= 1 << (number % 8);
            }
        }
        Self { policy, bits: bits.into() }
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).step_by(8).zip(&self.bits).flat_map(|(first, byte)| {
            (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| first + bit)
        })
    }

    fn decode(take: &mut Take<'_>) -> Result<Self, DecodeError> {
        let policy = take.varint("policy")?;
        let bits = take.short("rules")?;
        if bits.last() == Some(&0) || bits.len() > RuleSet::LIMIT / 8 {
            return Err(DecodeError::Form("rules"));
        }
        Ok(Self { policy, bits: bits.into() })
    }
}

/// What a leaf holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A dictionary entry.
    Term(Term),
    /// A request and an agency.
    Section(Box<SectionEntry>),
    /// Counted refusals.
    Refusals {
        /// When the count was closed.
        time: Timestamp,
        /// When it was opened.
        since: Timestamp,
        /// Reference to the peer.
        peer: u64,
        /// Reference to the reason.
        reason: u64,
        /// How often.
        count: u64,
    },
    /// The log was opened.
    Started {
        /// When.
        time: Timestamp,
        /// Whether it had been closed before.
        clean: bool,
    },
    /// The log was closed.
    Stopped {
        /// When.
        time: Timestamp,
    },
    /// The log goes on from another.
    Succeeds {
        /// When.
        time: Timestamp,
        /// That log as it ended.
        ended: Checkpoint,
    },
    /// A search of the log.
    Search {
        /// When.
        time: Timestamp,
        /// Reference to the reviewer.
        reviewer: u64,
        /// What the search was.
        kind: SearchKind,
        /// What it chose by.
        keys: SearchKeys,
        /// How many records were given.
        hits: u64,
    },
}

const AGENCY: u8 = 1;
const PURPOSE: u8 = 1 << 1;
const BASIS: u8 = 1 << 2;
const GRANT: u8 = 1 << 3;
const RULES: u8 = 1 << 4;
const SUBJECT: u8 = 1 << 5;
const COUNT: u8 = 1 << 6;
const REFUSED: u8 = 0x80;
const WITHHELD: u8 = 0x81;

impl Entry {
    /// The canonical bytes, at most [`MAX_ENTRY_BYTES`]: every field is bounded
    /// by its type, and the tests hold the sum.
    pub fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.u8(VERSION);
        match self {
            Self::Term(term) => {
                put.u8(1);
                term.encode(&mut put);
            }
            Self::Section(section) => {
                put.u8(2);
                section.encode(&mut put);
            }
            Self::Refusals { time, since, peer, reason, count } => {
                put.u8(3);
                put.u64(time.0);
                put.u64(since.0);
                put.varint(*peer);
                put.varint(*reason);
                put.varint(*count);
            }
            Self::Started { time, clean } => {
                put.u8(4);
                put.u64(time.0);
                put.u8(u8::from(*clean));
            }
            Self::Stopped { time } => {
                put.u8(5);
                put.u64(time.0);
            }
            Self::Succeeds { time, ended } => {
                put.u8(7);
                put.u64(time.0);
                put.short(ended.origin.as_str().as_bytes());
                put.varint(ended.size);
                put.fixed(&ended.root.0);
            }
            Self::Search { time, reviewer, kind, keys, hits } => {
                put.u8(6);
                put.u64(time.0);
                put.varint(*reviewer);
                put.u8(match kind {
                    SearchKind::List => 1,
                    SearchKind::SubjectAccess => 2,
                });
                put.u8(keys.bits());
                put.varint(*hits);
            }
        }
        put.0
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(DecodeError::Length(bytes.len()));
        }
        let mut take = Take(bytes);
        let version = take.u8("version")?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let entry = match take.u8("kind")? {
            1 => Self::Term(Term::decode(&mut take)?),
            2 => Self::Section(Box::new(SectionEntry::decode(&mut take)?)),
            3 => Self::Refusals {
                time: Timestamp(take.u64("time")?),
                since: Timestamp(take.u64("opening time")?),
                peer: take.varint("peer")?,
                reason: take.varint("reason")?,
                count: take.varint("count")?,
            },
            4 => Self::Started {
                time: Timestamp(take.u64("time")?),
                clean: match take.u8("clean stop")? {
                    0 => false,
                    1 => true,
                    _ => return Err(DecodeError::Form("clean stop")),
                },
            },
            5 => Self::Stopped { time: Timestamp(take.u64("time")?) },
            6 => Self::Search {
                time: Timestamp(take.u64("time")?),
                reviewer: take.varint("reviewer")?,
                kind: match take.u8("kind of search")? {
                    1 => SearchKind::List,
                    2 => SearchKind::SubjectAccess,
                    _ => return Err(DecodeError::Form("kind of search")),
                },
                keys: SearchKeys::from_bits(take.u8("kinds of key")?)
                    .ok_or(DecodeError::Form("kinds of key"))?,
                hits: take.varint("count")?,
            },
            7 => Self::Succeeds {
                time: Timestamp(take.u64("time")?),
                ended: Checkpoint {
                    origin: take.text("origin")?,
                    size: take.varint("size")?,
                    root: Hash(take.array("root")?),
                },
            },
            _ => return Err(DecodeError::Form("kind")),
        };
        take.end()?;
        Ok(entry)
    }

    /// When it happened; a dictionary entry has no time of its own.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Term(_) => None,
            Self::Section(section) => Some(section.time),
            Self::Refusals { time, .. }
            | Self::Started { time, .. }
            | Self::Stopped { time }
            | Self::Succeeds { time, .. }
            | Self::Search { time, .. } => Some(*time),
        }
    }
}

impl SectionEntry {
    fn encode(&self, put: &mut Put) {
        put.u64(self.time.0);
        let mut flags = 0;
        for (flag, present) in [
            (AGENCY, self.agency.is_some()),
            (PURPOSE, self.purpose.is_some()),
            (BASIS, self.basis.is_some()),
            (GRANT, self.grant.is_some()),
            (RULES, self.rules.is_some()),
            (SUBJECT, self.subject.is_some()),
            (COUNT, self.count.is_some()),
        ] {
            flags |= if present { flag } else { 0 };
        }
        put.u8(flags);
        put.short(self.request.as_str().as_bytes());
        put.varint(self.consumer);
        put.short(&self.items.to_bytes());
        put.varint(self.catalogue);
        match self.decision {
            EntryDecision::Section(status) => {
                let at = SectionStatus::ALL.iter().position(|known| *known == status);
                put.u8(at.unwrap_or_default() as u8);
            }
            EntryDecision::Refused(reason) => {
                put.u8(REFUSED);
                put.varint(reason);
            }
            EntryDecision::Withheld(reason) => {
                put.u8(WITHHELD);
                put.varint(reason);
            }
        }
        for reference in [self.agency, self.purpose, self.basis].into_iter().flatten() {
            put.varint(reference);
        }
        if let Some(grant) = &self.grant {
            put.short(grant.as_str().as_bytes());
        }
        if let Some(rules) = &self.rules {
            put.varint(rules.policy);
            put.short(&rules.bits);
        }
        if let Some(subject) = &self.subject {
            put.fixed(subject.expose());
        }
        if let Some(count) = &self.count {
            count.encode(put);
        }
        put.fixed(&self.blind.0);
    }

    fn decode(take: &mut Take<'_>) -> Result<Self, DecodeError> {
        let time = Timestamp(take.u64("time")?);
        let flags = take.u8("flags")?;
        if flags & !(AGENCY | PURPOSE | BASIS | GRANT | RULES | SUBJECT | COUNT) != 0 {
            return Err(DecodeError::Form("flags"));
        }
        let has = |flag: u8| flags & flag != 0;
        let request = take.text("request id")?;
        let consumer = take.varint("consumer")?;
        let bits = take.short("items")?;
        if bits.last() == Some(&0) {
            return Err(DecodeError::Form("items"));
        }
        let items = ItemSet::from_bytes(bits).ok_or(DecodeError::Form("items"))?;
        let catalogue = take.varint("catalogue")?;
        let decision = match take.u8("decision")? {
            REFUSED => EntryDecision::Refused(take.varint("reason")?),
            WITHHELD => EntryDecision::Withheld(take.varint("reason")?),
            status => EntryDecision::Section(
                *SectionStatus::ALL
                    .get(usize::from(status))
                    .ok_or(DecodeError::Form("decision"))?,
            ),
        };
        let agency = has(AGENCY).then(|| take.varint("agency")).transpose()?;
        let purpose = has(PURPOSE).then(|| take.varint("purpose")).transpose()?;
        let basis = has(BASIS).then(|| take.varint("legal basis")).transpose()?;
        let grant = has(GRANT).then(|| take.text("grant id")).transpose()?;
        let rules = has(RULES).then(|| EntryRules::decode(take)).transpose()?;
        let subject =
            has(SUBJECT).then(|| take.array("subject tag").map(SubjectTag::new)).transpose()?;
        let count = has(COUNT).then(|| EntryCount::decode(take)).transpose()?;
        let blind = Blind(take.array("blind")?);
        Ok(Self {
            time,
            request,
            consumer,
            purpose,
            basis,
            grant,
            agency,
            items,
            catalogue,
            decision,
            rules,
            subject,
            count,
            blind,
        })
    }
}
