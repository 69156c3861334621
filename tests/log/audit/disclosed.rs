//! A receipt is evidence of one disclosure: one of another consumer, request, grant, time,
//! decision or set of items is told from it, and so is one whose parts were exchanged.

use tributary::domain::audit::disclosed::{
    Disclosed, DisclosedError, DisclosedSection, names, records,
};
use tributary::domain::audit::{GrantId, ReceiptFile, Record, SectionRecord, Timestamp};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::peer::SpiffeId;
use tributary::domain::section::SectionStatus;

use super::support::{append, open, options, section, verifying_key};

/// The file of a receipt of these records, which are one each.
fn receipts() -> Vec<(SectionRecord, ReceiptFile)> {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), options()).unwrap();
    let receipt = |number| {
        let receipt = append(&log, number).unwrap();
        let record = Record::from(section(number));
        let names = names(&record, &receipt.entries()[0]);
        assert_eq!(names.len(), 5, "consumer, catalogue, agency, purpose and basis");
        let proof = log.prove(&receipt, names).unwrap();
        let file = receipt.file(Some(&proof));
        // The log has raised its time to that of its start.
        let time = records(&file, &verifying_key()).unwrap()[0].time;
        (SectionRecord { time, ..section(number) }, file)
    };
    (0..9).map(receipt).collect()
}

fn check(
    record: &SectionRecord,
    change: impl FnOnce(&mut Disclosed<'_>),
    proved: &[SectionRecord],
) -> Result<(), DisclosedError> {
    let grant = record.grant.clone().unwrap();
    let within = (Timestamp(record.time.0 - 5), Timestamp(record.time.0 + 5));
    let mut disclosure = Disclosed {
        request: record.request.as_str(),
        consumer: &record.consumer,
        grant: &grant,
        within,
        sections: vec![DisclosedSection {
            agency: record.agency.as_ref().unwrap().to_string(),
            status: SectionStatus::Ok,
            asked: record.items.len(),
            items: record.items,
        }],
    };
    change(&mut disclosure);
    disclosure.check(proved)
}

#[test]
fn a_receipt_proves_this_disclosure_and_no_other() {
    let key = verifying_key();
    let receipts = receipts();
    for (record, file) in &receipts {
        let proved = records(file, &key).unwrap();
        let expected = SectionRecord { rules: None, ..record.clone() };
        assert_eq!(proved, [expected]);
        check(record, |_| {}, &proved).unwrap();
    }
    let (record, file) = &receipts[4];
    let proved = records(file, &key).unwrap();
    let other: SpiffeId = "spiffe://bank.city.example/consumer/loan".parse().unwrap();
    let another = GrantId::new("another").unwrap();
    let beyond: ItemSet = [ItemNumber::new(400).unwrap()].into_iter().collect();
    type Change<'a> = Box<dyn FnOnce(&mut Disclosed<'_>) + 'a>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        ("request", Box::new(|of| of.request = "another")),
        ("time", Box::new(|of| of.within.1 = Timestamp(1))),
        ("agency", Box::new(|of| of.sections[0].agency = "lending".to_owned())),
        ("decision", Box::new(|of| of.sections[0].status = SectionStatus::NoRecord)),
        ("number of items", Box::new(|of| of.sections[0].asked += 1)),
        ("items", Box::new(|of| of.sections[0].items = beyond)),
        ("one more agency", Box::new(|of| of.sections.clear())),
    ];
    for (what, change) in changes {
        let checked = check(record, change, &proved);
        assert!(matches!(checked, Err(DisclosedError::Other(_))), "{what}: {checked:?}");
    }
    for (consumer, grant) in
        [(&other, record.grant.as_ref().unwrap()), (&record.consumer, &another)]
    {
        let of = Disclosed {
            request: record.request.as_str(),
            consumer,
            grant,
            within: (Timestamp(0), Timestamp(u64::MAX)),
            sections: Vec::new(),
        };
        assert!(matches!(of.check(&proved), Err(DisclosedError::Other(_))));
    }
    // Another's receipt, as a gateway could give that has recorded something once.
    assert!(check(&receipts[5].0, |_| {}, &proved).is_err());
}

#[test]
fn exchanged_parts_prove_nothing() {
    let key = verifying_key();
    let receipts = receipts();
    let (file, other) = (&receipts[4].1, &receipts[5].1);
    let refused = |change: &dyn Fn(&mut ReceiptFile)| {
        let mut file = file.clone();
        change(&mut file);
        assert!(records(&file, &key).is_err(), "{file:?}");
    };
    refused(&|file| file.entries = other.entries.clone());
    refused(&|file| file.entries.clear());
    refused(&|file| file.proofs.clear());
    refused(&|file| file.leaf_hashes = other.leaf_hashes.clone());
    refused(&|file| file.first_index += 1);
    for at in 0..file.names.len() {
        refused(&|file| drop(file.names.remove(at)));
        refused(&|file| file.names[at].index += 1);
        refused(&|file| drop(file.names[at].proof.pop()));
        let next = (at + 1) % file.names.len();
        refused(&|file| file.names[at].entry = file.names[next].entry.clone());
    }
}
