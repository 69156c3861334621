//! From the issuer through the gateway to the agency.

use std::collections::BTreeMap;
use std::path::Path;

use time::{Date, Duration, Month};
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{
    Contents, Frequency, GrantError, LegalBasis, MAX_BYTES, Per, Presentation, PresentationDigest,
    PurposeCode, SealError, StatusList, StatusLists, base64, verify,
};
use tributary::domain::item::ItemSet;
use tributary::issuer::{
    AgencyRequest, GrantRequest, IssueError, Issuer, PersonKeys, SealingKeyPair, StatusDirectory,
};

use super::support::*;

/// The world's issuer, with records in a folder.
pub fn issuer(world: &World, folder: &std::path::Path) -> Issuer {
    let sealing: BTreeMap<_, _> = world
        .sealing
        .iter()
        .map(|(name, pair)| (agency(name), (pair.kid.clone(), pair.public)))
        .collect();
    Issuer {
        id: spiffe(ISSUER),
        signing: tributary::issuer::SigningKey::from_jwk(
            world.ed25519.to_jwk().unwrap().expose().as_bytes(),
        )
        .unwrap(),
        sealing,
        persons: PersonKeys::new(&PersonKeys::generate_secret().unwrap()),
        records: StatusDirectory::open(folder, STATUS_URI).unwrap(),
    }
}

pub fn request(world: &World, agencies: Vec<(&str, Vec<String>)>) -> GrantRequest {
    let day = |year| Date::from_calendar_date(year, Month::January, 1).unwrap();
    GrantRequest {
        audience: spiffe(GATEWAY),
        client: spiffe(CONSUMER),
        proof_key: world.p256.verifying_key().unwrap(),
        purpose: PurposeCode::new("credit_assessment").unwrap(),
        purpose_text: "一笔贷款".to_owned(),
        legal_basis: LegalBasis::Consent,
        legal_basis_ref: "form 7".to_owned(),
        not_before: world.now,
        expires_at: world.now + Duration::days(30),
        data_life: Duration::ZERO,
        frequency: Frequency { count: 1, per: Per::Day },
        subject: subject(),
        agencies: agencies
            .into_iter()
            .map(|(name, items)| AgencyRequest {
                agency: agency(name),
                items,
                from: day(2020),
                to: day(2026),
            })
            .collect(),
    }
}

#[test]
fn a_grant_reaches_each_agency_and_tells_it_of_no_other() {
    let mut world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&world, folder.path());
    let wanted = [
        ("education", own_items("education")[..2].to_vec()),
        ("lending", own_items("lending")[..4].to_vec()),
    ];
    let issued = issuer.issue(&request(&world, wanted.to_vec()), world.now).unwrap();
    let token = issuer.records.signed_list(&world.status_key, world.now).unwrap();
    world.statuses = StatusLists::default();
    let list = StatusList::verify(token.as_bytes(), STATUS_URI, &world.pins, world.now).unwrap();
    world.statuses.accept(list).unwrap();

    let at_gateway = verify(issued.presentation.as_bytes(), &world.at_gateway()).unwrap();
    assert_eq!(at_gateway.jti().as_str(), issued.jti);
    assert!(at_gateway.subject_tag().is_some());
    assert_eq!(
        at_gateway.open_subject(&world.opening_keys("education")),
        Err(SealError::NoDisclosure)
    );
    assert_eq!(at_gateway.items(&agency("tax")), ItemSet::EMPTY);
    assert!(at_gateway.for_agency(&agency("tax")).is_none());

    for (name, items) in wanted {
        assert_eq!(at_gateway.items(&agency(name)), item_set(&items));
        let forwarded = at_gateway.for_agency(&agency(name)).unwrap();
        let part = at_gateway.part(&agency(name)).unwrap();
        assert_eq!(part.whole(), forwarded);
        assert_eq!(part.digest(), PresentationDigest::of(&forwarded));
        world.agency = agency(name);
        let at_agency = verify(&forwarded, &world.at_agency()).unwrap();
        assert_eq!(at_agency.agencies().count(), 1);
        assert_eq!(at_agency.items(&agency(name)), item_set(&items));
        assert_eq!(at_agency.subject_tag(), None);
        let opened = at_agency.open_subject(&world.opening_keys(name)).unwrap();
        assert_eq!(&**opened.expose(), SUBJECT);
        // Every other disclosure, and every other agency's name, stays behind.
        let text = String::from_utf8(forwarded).unwrap();
        assert_eq!(text.matches('~').count(), 2);
        let other = if name == "education" { "lending" } else { "education" };
        for part in text.trim_end_matches('~').split(['~', '.']) {
            let clear = base64::decode(part).unwrap();
            assert!(!String::from_utf8_lossy(&clear).contains(other));
        }
    }
    let records = std::fs::read_to_string(folder.path().join("grants.json")).unwrap();
    assert!(records.contains(SUBJECT) && records.contains(&issued.jti));
}

#[test]
fn two_grants_of_one_person_share_nothing_but_the_issuers_records() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&world, folder.path());
    let items = own_items("education")[..1].to_vec();
    let request = request(&world, vec![("education", items)]);
    let (one, two) =
        (issuer.issue(&request, world.now).unwrap(), issuer.issue(&request, world.now).unwrap());
    let tag = |text: &str| verify(text.as_bytes(), &world.at_gateway());
    // These indices are beyond the short list of the world, which tells that
    // everything before the status held.
    assert_eq!(tag(&one.presentation).unwrap_err().reason().as_str(), "GRANT_STATUS_INDEX");
    assert_ne!(one.index, two.index);
    let parts = |text: &str| text.split('~').map(str::to_owned).collect::<Vec<_>>();
    for (a, b) in parts(&one.presentation).iter().zip(parts(&two.presentation)) {
        assert!(a.is_empty() || *a != b);
    }
}

#[test]
fn revocation_reaches_the_list() {
    let mut world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&world, folder.path());
    let items = own_items("education")[..1].to_vec();
    let issued = issuer.issue(&request(&world, vec![("education", items)]), world.now).unwrap();
    let publish = |world: &mut World, now| {
        let token = issuer.records.signed_list(&world.status_key, now).unwrap();
        let list = StatusList::verify(token.as_bytes(), STATUS_URI, &world.pins, now).unwrap();
        world.statuses.accept(list).unwrap();
    };
    let now = world.now;
    publish(&mut world, now);
    let verified = verify(issued.presentation.as_bytes(), &world.at_gateway()).unwrap();
    assert!(issuer.records.revoke(&issued.jti).unwrap());
    assert!(!issuer.records.revoke(&issued.jti).unwrap());
    publish(&mut world, now + Duration::seconds(1));
    // The same signed grant, authorised once more before release.
    let refused = verified.signed().authorise(&world.at_gateway()).unwrap_err();
    assert_eq!(refused.reason().as_str(), "GRANT_REVOKED");
    assert!(issuer.records.revoke("unknown").is_err());
}

#[test]
fn a_request_that_verifiers_would_refuse_leaves_no_record() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&world, folder.path());
    let items = own_items("education")[..1].to_vec();
    let mut wrong = request(&world, vec![("education", items)]);
    wrong.expires_at = wrong.not_before;
    assert!(issuer.issue(&wrong, world.now).is_err());
    let records = std::fs::read_to_string(folder.path().join("grants.json")).unwrap();
    assert!(!records.contains(SUBJECT));
}

#[test]
fn an_es256_issuer_is_verified_too() {
    let mut attempt = Attempt::new();
    attempt.header["alg"] = "ES256".into();
    attempt.header["kid"] = "es".into();
    attempt.signer = Signer::P256;
    assert_eq!(attempt.reasons(), ("OK", "OK"));
}

#[test]
fn a_subject_opens_for_its_own_grant_agency_and_key_alone() {
    // Sealed anew by someone who knows the agency's public key, for another
    // number or another agency: the signature is the issuer's, the seal is not.
    for (sealed_for, jti) in [("lending", JTI), ("education", "BBBBBBBBBBBBBBBBBBBBBB")] {
        let mut attempt = Attempt::new();
        attempt.agencies[0].1["subject"] = attempt.world.sealed(sealed_for, jti);
        let (_, text) = attempt.texts();
        let verified = verify(text.as_bytes(), &attempt.world.at_agency()).unwrap();
        let keys = attempt.world.opening_keys("education");
        let refused = verified.open_subject(&keys).unwrap_err();
        assert_eq!((refused, refused.reason().as_str()), (SealError::Open, "GRANT_SUBJECT"));
    }
    let attempt = Attempt::new();
    let (_, text) = attempt.texts();
    let verified = verify(text.as_bytes(), &attempt.world.at_agency()).unwrap();
    assert_eq!(verified.open_subject(&attempt.world.opening_keys("lending")), Err(SealError::Open));
    assert_eq!(verified.open_subject(&Default::default()), Err(SealError::UnknownKey));
    let keys = attempt.world.opening_keys("education");
    assert_eq!(&**verified.open_subject(&keys).unwrap().expose(), SUBJECT);
    // Opened once, it still needs the key.
    assert_eq!(verified.open_subject(&Default::default()), Err(SealError::UnknownKey));
    assert!(!format!("{:?}", verified.open_subject(&keys)).contains(SUBJECT));
}

/// An issuer that pins a sealing key for each of these agencies.
fn issuer_for(world: &World, folder: &std::path::Path, agencies: &[AgencyId]) -> Issuer {
    let pair = SealingKeyPair::generate(kid("seal-1")).unwrap();
    let sealing = agencies.iter().map(|agency| (agency.clone(), (kid("seal-1"), pair.public)));
    Issuer { sealing: sealing.collect(), ..issuer(world, folder) }
}

#[test]
fn a_grant_over_the_whole_catalogue_fits() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let city = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city/catalogue");
    let catalogue = tributary::config::catalogue::load(&city).unwrap();
    let agencies: Vec<AgencyId> = catalogue.agencies().into_iter().cloned().collect();
    let issuer = issuer_for(&world, folder.path(), &agencies);
    let ids = |owner: &AgencyId| -> Vec<String> {
        let owned = catalogue.owned_by(owner);
        owned.iter().map(|number| catalogue.item(number).unwrap().id.to_string()).collect()
    };
    let wanted: Vec<(&str, Vec<String>)> =
        agencies.iter().map(|owner| (owner.as_str(), ids(owner))).collect();
    let issued = issuer.issue(&request(&world, wanted.clone()), world.now).unwrap();

    let presentation = Presentation::parse(issued.presentation.as_bytes()).unwrap();
    let contents = Contents::read(&presentation).unwrap();
    assert_eq!(contents.agencies().count(), wanted.len());
    for (disclosed, (owner, mut items)) in contents.agencies().zip(wanted) {
        items.sort_unstable();
        assert_eq!(disclosed.agency.as_str(), owner);
        assert!(disclosed.items.iter().map(|id| &**id).eq(items.iter().map(String::as_str)));
    }
    // Room for names twice as long.
    assert!(
        issued.presentation.len() < MAX_BYTES / 2 + MAX_BYTES / 8,
        "{}",
        presentation.text().len()
    );
}

#[test]
fn a_grant_names_64_agencies_and_no_more() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..65).map(|place| format!("agency_{place}")).collect();
    let agencies: Vec<AgencyId> = names.iter().map(|name| agency(name)).collect();
    let issuer = issuer_for(&world, folder.path(), &agencies);
    let issue = |count| {
        let items = || vec!["education.degree".to_owned()];
        let wanted = names.iter().take(count).map(|name| (name.as_str(), items())).collect();
        issuer.issue(&request(&world, wanted), world.now)
    };
    let issued = issue(64).unwrap();
    let presentation = Presentation::parse(issued.presentation.as_bytes()).unwrap();
    assert_eq!(Contents::read(&presentation).unwrap().agencies().count(), 64);
    assert!(matches!(issue(65), Err(IssueError::Refused(GrantError::Size))));
}
