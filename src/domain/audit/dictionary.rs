//! The dictionary: which index of the log stands for which long name.
//!
//! It is derived from the log's own dictionary entries and holds nothing else. A
//! reference always points backwards, so that any prefix of the log can be read
//! alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{Entry, EntryCount, EntryDecision, EntryRules, SectionEntry};
use super::record::{
    CountRecord, Decision, Record, RefusalsRecord, RuleSet, SearchRecord, SectionRecord,
};
use super::term::Term;

use crate::domain::names::RuleId;

/// Why an entry's references cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DictionaryError {
    /// Nothing of the right kind stands there.
    #[error("the reference to entry {at} is to no {what} before it")]
    Unknown {
        /// The index that it names.
        at: u64,
        /// What it should name.
        what: &'static str,
    },
    /// The same name is there already.
    #[error("the entry repeats the name that entry {0} gives")]
    Repeated(u64),
}

/// Names and their indexes.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    indexes: HashMap<Term, u64>,
    terms: HashMap<u64, Term>,
    /// By the policy's index: each rule's number, its id and its own index.
    rules: HashMap<u64, HashMap<u16, (Arc<RuleId>, u64)>>,
}

impl Dictionary {
    /// Takes up an entry of the log; any but a dictionary entry is left aside.
    ///
    /// # Errors
    /// [`DictionaryError::Repeated`] for a name that has an index, and
    /// [`DictionaryError::Unknown`] for a rule of no policy before it.
    pub fn learn(&mut self, index: u64, entry: &Entry) -> Result<(), DictionaryError> {
        if let Entry::Term(Term::Rule { policy, number, id }) = entry {
            self.policy(*policy)?;
            let rules = self.rules.entry(*policy).or_default();
            if let Some((_, known)) = rules.get(number) {
                return Err(DictionaryError::Repeated(*known));
            }
            rules.insert(*number, (Arc::new(id.clone()), index));
        } else if let Entry::Term(term) = entry {
            if let Some(known) = self.indexes.get(term) {
                return Err(DictionaryError::Repeated(*known));
            }
            self.indexes.insert(term.clone(), index);
            self.terms.insert(index, term.clone());
        }
        Ok(())
    }

    /// Turns a record into entries, the last of which is the record itself; the
    /// others name what it refers to and has no index yet.
    pub fn intern(&mut self, next: u64, record: &Record) -> Vec<Entry> {
        let mut interning = Interning { dictionary: self, next, fresh: Vec::new() };
        let entry = match record {
            Record::Section(section) => Entry::Section(Box::new(interning.section(section))),
            Record::Refusals(refusals) => Entry::Refusals {
                time: refusals.time,
                since: refusals.since,
                peer: interning.index(Term::Peer(refusals.peer.clone())),
                reason: interning.index(Term::Reason(refusals.reason.clone())),
                count: refusals.count,
            },
            Record::Search(search) => Entry::Search {
                time: search.time,
                reviewer: interning.index(Term::Peer(search.reviewer.clone())),
                kind: search.kind,
                keys: search.keys,
                hits: search.hits,
            },
            Record::Started { time, clean } => Entry::Started { time: *time, clean: *clean },
            Record::Stopped { time } => Entry::Stopped { time: *time },
            Record::Succeeds { time, ended } => {
                Entry::Succeeds { time: *time, ended: ended.clone() }
            }
        };
        let mut entries = interning.fresh;
        entries.push(entry);
        entries
    }

    /// Forgets every name from an index on: they were never written.
    pub fn forget_from(&mut self, index: u64) {
        self.indexes.retain(|_, at| *at < index);
        self.terms.retain(|at, _| *at < index);
        for rules in self.rules.values_mut() {
            rules.retain(|_, (_, at)| *at < index);
        }
        self.rules.retain(|policy, _| *policy < index);
    }

    /// Turns an entry back into a record; `None` for a dictionary entry.
    ///
    /// # Errors
    /// [`DictionaryError::Unknown`] for a reference that leads nowhere.
    pub fn resolve(&self, entry: &Entry) -> Result<Option<Record>, DictionaryError> {
        Ok(Some(match entry {
            Entry::Term(_) => return Ok(None),
            Entry::Section(section) => Record::Section(Box::new(self.section(section)?)),
            Entry::Refusals { time, since, peer, reason, count } => {
                Record::Refusals(RefusalsRecord {
                    time: *time,
                    since: *since,
                    peer: self.peer(*peer)?,
                    reason: self.reason(*reason)?,
                    count: *count,
                })
            }
            Entry::Search { time, reviewer, kind, keys, hits } => Record::Search(SearchRecord {
                time: *time,
                reviewer: self.peer(*reviewer)?,
                kind: *kind,
                keys: *keys,
                hits: *hits,
            }),
            Entry::Started { time, clean } => Record::Started { time: *time, clean: *clean },
            Entry::Stopped { time } => Record::Stopped { time: *time },
            Entry::Succeeds { time, ended } => {
                Record::Succeeds { time: *time, ended: ended.clone() }
            }
        }))
    }

    fn section(&self, entry: &SectionEntry) -> Result<SectionRecord, DictionaryError> {
        Ok(SectionRecord {
            time: entry.time,
            request: entry.request.clone(),
            consumer: self.peer(entry.consumer)?,
            purpose: entry.purpose.map(|at| self.purpose(at)).transpose()?,
            basis: entry.basis.map(|at| self.basis(at)).transpose()?,
            grant: entry.grant.clone(),
            agency: entry.agency.map(|at| self.agency(at)).transpose()?,
            items: entry.items,
            catalogue: self.catalogue(entry.catalogue)?,
            decision: match entry.decision {
                EntryDecision::Section(status) => Decision::Section(status),
                EntryDecision::Refused(at) => Decision::Refused(self.reason(at)?),
                EntryDecision::Withheld(at) => Decision::Withheld(self.reason(at)?),
            },
            rules: entry.rules.as_ref().map(|rules| self.rules(rules)).transpose()?,
            subject: entry.subject,
            count: entry.count.as_ref().map(|count| self.count(count)).transpose()?,
            blind: entry.blind,
        })
    }

    fn count(&self, entry: &EntryCount) -> Result<CountRecord, DictionaryError> {
        let EntryCount { issuer, window, expires, counted } = *entry;
        Ok(CountRecord { issuer: self.peer(issuer)?, window, expires, counted })
    }

    fn rules(&self, entry: &EntryRules) -> Result<RuleSet, DictionaryError> {
        let unknown = || DictionaryError::Unknown { at: entry.policy, what: "policy's rule" };
        let policy = self.policy(entry.policy)?;
        let known = self.rules.get(&entry.policy);
        let rules = entry.numbers().map(|number| {
            let (id, _) = known.and_then(|known| known.get(&number)).ok_or_else(unknown)?;
            Ok((number, id.clone()))
        });
        RuleSet::new(policy, rules.collect::<Result<Vec<_>, _>>()?).map_err(|_| unknown())
    }
}

macro_rules! look_up {
    ($($name:ident, $variant:ident, $kind:ty, $what:literal;)*) => {
        impl Dictionary {
            $(fn $name(&self, at: u64) -> Result<$kind, DictionaryError> {
                match self.terms.get(&at) {
                    Some(Term::$variant(found)) => Ok(found.clone()),
                    _ => Err(DictionaryError::Unknown { at, what: $what }),
                }
            })*
        }
    };
}
look_up! {
    peer, Peer, crate::domain::peer::SpiffeId, "peer";
    agency, Agency, crate::domain::catalogue::AgencyId, "agency";
    purpose, Purpose, crate::domain::purpose::PurposeCode, "purpose";
    basis, Basis, crate::domain::purpose::LegalBasis, "legal basis";
    catalogue, Catalogue, crate::domain::catalogue::CatalogueDigest, "catalogue";
    policy, Policy, [u8; 32], "policy";
    reason, Reason, crate::domain::names::ReasonWord, "reason";
}

struct Interning<'a> {
    dictionary: &'a mut Dictionary,
    next: u64,
    fresh: Vec<Entry>,
}

impl Interning<'_> {
    fn index(&mut self, term: Term) -> u64 {
        if let Some(index) = self.dictionary.indexes.get(&term) {
            return *index;
        }
        let index = self.next;
        self.next += 1;
        self.dictionary.indexes.insert(term.clone(), index);
        self.dictionary.terms.insert(index, term.clone());
        self.fresh.push(Entry::Term(term));
        index
    }

    fn rules(&mut self, set: &RuleSet) -> EntryRules {
        let policy = self.index(Term::Policy(*set.policy()));
        let known = self.dictionary.rules.entry(policy).or_default();
        for (number, id) in set.rules() {
            // The digest covers every rule's id, so a number has one id.
            known.entry(*number).or_insert_with(|| {
                let term = Term::Rule { policy, number: *number, id: RuleId::clone(id) };
                self.fresh.push(Entry::Term(term));
                self.next += 1;
                (id.clone(), self.next - 1)
            });
        }
        EntryRules::new(policy, set.rules().iter().map(|(number, _)| *number))
    }

    fn section(&mut self, record: &SectionRecord) -> SectionEntry {
        SectionEntry {
            time: record.time,
            request: record.request.clone(),
            consumer: self.index(Term::Peer(record.consumer.clone())),
            purpose: record.purpose.clone().map(|purpose| self.index(Term::Purpose(purpose))),
            basis: record.basis.map(|basis| self.index(Term::Basis(basis))),
            grant: record.grant.clone(),
            agency: record.agency.clone().map(|agency| self.index(Term::Agency(agency))),
            items: record.items,
            catalogue: self.index(Term::Catalogue(record.catalogue)),
            decision: match &record.decision {
                Decision::Section(status) => EntryDecision::Section(*status),
                Decision::Refused(reason) => {
                    EntryDecision::Refused(self.index(Term::Reason(reason.clone())))
                }
                Decision::Withheld(reason) => {
                    EntryDecision::Withheld(self.index(Term::Reason(reason.clone())))
                }
            },
            rules: record.rules.as_ref().map(|rules| self.rules(rules)),
            subject: record.subject,
            count: record.count.as_ref().map(|count| EntryCount {
                issuer: self.index(Term::Peer(count.issuer.clone())),
                window: count.window,
                expires: count.expires,
                counted: count.counted,
            }),
            blind: record.blind,
        }
    }
}
