//! The canonical encoding: laws over random records and random bytes.

use proptest::prelude::*;
use tributary::domain::audit::export::Line;
use tributary::domain::audit::{
    Blind, Checkpoint, CountRecord, Counted, Decision, Dictionary, Entry, GrantId, Hash,
    MAX_ENTRY_BYTES, ReasonWord, Record, RefusalsRecord, RequestId, RuleId, RuleSet, SearchKeys,
    SearchKind, SearchRecord, SectionRecord, SubjectTag, Timestamp, leaf_hash,
};
use tributary::domain::catalogue::{AgencyId, CatalogueDigest};
use tributary::domain::item::ItemNumber;
use tributary::domain::peer::SpiffeId;
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::section::SectionStatus;
use tributary::wire::audit::{decode_record, encode_record};

fn text(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(0x20u8..0x7f, 1..=most)
        .prop_map(|bytes| String::from_utf8(bytes).unwrap())
}

fn peer() -> impl Strategy<Value = SpiffeId> {
    (1usize..100, 1usize..100).prop_map(|(domain, name)| {
        format!("spiffe://{}/consumer/{}", "d".repeat(domain), "n".repeat(name)).parse().unwrap()
    })
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        prop::sample::select(vec![
            SectionStatus::Ok,
            SectionStatus::Denied,
            SectionStatus::NoRecord,
            SectionStatus::Timeout,
            SectionStatus::Unavailable,
            SectionStatus::Invalid,
        ])
        .prop_map(Decision::Section),
        text(64).prop_map(|reason| Decision::Refused(ReasonWord::new(&reason).unwrap())),
        text(64).prop_map(|reason| Decision::Withheld(ReasonWord::new(&reason).unwrap())),
    ]
}

fn rules() -> impl Strategy<Value = RuleSet> {
    let numbered = proptest::collection::vec((0u16..1024, text(100)), 0..20);
    (any::<[u8; 32]>(), numbered).prop_map(|(policy, rules)| {
        let rules = rules.iter().map(|(number, id)| (*number, RuleId::new(id).unwrap().into()));
        RuleSet::new(policy, rules).unwrap()
    })
}

fn count() -> impl Strategy<Value = CountRecord> {
    let counted = prop_oneof![
        (1..=u32::MAX).prop_map(Counted::Use),
        (2..=u32::MAX).prop_map(Counted::Repeat),
    ];
    (peer(), any::<u64>(), any::<u64>(), counted).prop_map(|(issuer, window, expires, counted)| {
        CountRecord { issuer, window, expires, counted }
    })
}

prop_compose! {
    fn section()(
        time in any::<u64>(),
        request in text(64),
        consumer in peer(),
        purpose in prop::option::of("[a-z][a-z0-9_]{0,63}"),
        basis in prop::option::of(prop::sample::select(LegalBasis::ALL.to_vec())),
        grant in prop::option::of(text(64)),
        agency in prop::option::of("[a-z][a-z0-9_]{0,63}"),
        items in proptest::collection::vec(0u32..512, 0..80),
        catalogue in any::<[u8; 32]>(),
        decision in decision(),
        (rules, subject, count, blind) in (
            prop::option::of(rules()),
            prop::option::of(any::<[u8; 32]>()),
            prop::option::of(count()),
            any::<[u8; 16]>(),
        ),
    ) -> Record {
        SectionRecord {
            time: Timestamp(time),
            request: RequestId::new(&request).unwrap(),
            consumer,
            purpose: purpose.map(|text| PurposeCode::new(&text).unwrap()),
            basis,
            grant: grant.map(|text| GrantId::new(&text).unwrap()),
            agency: agency.map(|name| AgencyId::new(&name).unwrap()),
            items: items.into_iter().filter_map(ItemNumber::new).collect(),
            catalogue: CatalogueDigest(catalogue),
            decision,
            rules,
            subject: subject.map(SubjectTag::new),
            count,
            blind: Blind(blind),
        }
        .into()
    }
}

fn keys(chosen: [bool; 5]) -> SearchKeys {
    let kinds = [
        SearchKeys::REQUEST,
        SearchKeys::CONSUMER,
        SearchKeys::AGENCY,
        SearchKeys::TIME,
        SearchKeys::TAG,
    ];
    let chosen = kinds.into_iter().zip(chosen).filter(|(_, chosen)| *chosen);
    chosen.fold(SearchKeys::default(), |all, (kind, _)| all.with(kind))
}

fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        8 => section(),
        1 => (any::<u64>(), any::<u64>(), peer(), text(64), any::<u64>()).prop_map(
            |(time, since, peer, reason, count)| Record::Refusals(RefusalsRecord {
                time: Timestamp(time),
                since: Timestamp(since),
                peer,
                reason: ReasonWord::new(&reason).unwrap(),
                count,
            })
        ),
        1 => (any::<u64>(), peer(), any::<bool>(), any::<[bool; 5]>(), any::<u64>()).prop_map(
            |(time, reviewer, list, chosen, hits)| Record::Search(SearchRecord {
                time: Timestamp(time),
                reviewer,
                kind: if list { SearchKind::List } else { SearchKind::SubjectAccess },
                keys: keys(chosen),
                hits,
            })
        ),
        1 => (any::<u64>(), any::<bool>())
            .prop_map(|(time, clean)| Record::Started { time: Timestamp(time), clean }),
        1 => any::<u64>().prop_map(|time| Record::Stopped { time: Timestamp(time) }),
        1 => (any::<u64>(), "[a-z./]{1,128}", any::<u64>(), any::<[u8; 32]>()).prop_map(
            |(time, origin, size, root)| Record::Succeeds {
                time: Timestamp(time),
                ended: Checkpoint { origin: origin.parse().unwrap(), size, root: Hash(root) },
            }
        ),
    ]
}

proptest! {
    #[test]
    fn records_come_back_and_every_entry_is_bounded(
        records in proptest::collection::vec(any_record(), 1..8),
        // References take most bytes in a long log.
        start in prop::sample::select(vec![0, 1 << 32, u64::MAX >> 1]),
    ) {
        let mut writing = Dictionary::default();
        let mut reading = Dictionary::default();
        let mut index = start;
        for record in &records {
            let entries = writing.intern(index, record);
            let mut found = None;
            for entry in entries {
                let bytes = entry.encode();
                prop_assert!(bytes.len() <= MAX_ENTRY_BYTES, "{} bytes", bytes.len());
                let decoded = Entry::decode(&bytes).unwrap();
                prop_assert_eq!(&decoded, &entry);
                reading.learn(index, &decoded).unwrap();
                found = reading.resolve(&decoded).unwrap();
                index += 1;
            }
            prop_assert_eq!(found.as_ref(), Some(record));
        }
    }

    /// A reviewer's client and an export say the same of a record, the count included,
    /// and what is exported is read back.
    #[test]
    fn the_wire_and_an_export_say_the_same(record in any_record(), index in any::<u64>()) {
        let line = Line::new("o", index, &record, false);
        let sent = decode_record("o", encode_record(index, leaf_hash(b"leaf"), &record));
        prop_assert_eq!(sent.as_ref(), Some(&line));
        let json = serde_json::to_string(&line).unwrap();
        prop_assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line.clone());
        let count = |record: &Record| match record {
            Record::Section(section) => section.count.as_ref().map(|count| count.counted),
            _ => None,
        };
        let told = match &line {
            Line::Section(section) => section.count.as_ref(),
            _ => None,
        };
        prop_assert_eq!(told.map(|told| (told.used, told.released)), match count(&record) {
            Some(Counted::Use(used)) => Some((used, 1)),
            Some(Counted::Repeat(times)) => Some((0, times)),
            None => None,
        });
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        record in any_record(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for entry in Dictionary::default().intern(0, &record) {
            let mut bytes = entry.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(decoded) = Entry::decode(&bytes) {
                prop_assert_eq!(decoded.encode(), bytes);
            }
        }
    }

    #[test]
    fn random_bytes_never_stop_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Entry::decode(&[&[1, 2][..], &bytes].concat());
        let _ = Entry::decode(&bytes);
    }

    #[test]
    fn cut_or_longer_bytes_are_refused(record in any_record(), cut in any::<prop::sample::Index>()) {
        for entry in Dictionary::default().intern(0, &record) {
            let bytes = entry.encode();
            prop_assert!(Entry::decode(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert!(Entry::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }
}

#[test]
fn nothing_of_a_subject_is_printed() {
    let text = format!("{:?}", super::support::record(9));
    assert!(text.contains("[sensitive]") && !text.contains("9, 9, 9"), "{text}");
}
