//! Paths to an anchor: purposes, URI name constraints, and the times of the anchor. Test
//! names carry the row of the fault matrix that they prove.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use tributary::clock;

use super::authorities::{Authority, Files, day, list, uri_constraints};

fn purposes(purposes: &[ExtendedKeyUsagePurpose]) -> impl FnOnce(&mut CertificateParams) + use<> {
    let purposes = purposes.to_vec();
    move |params| params.extended_key_usages = purposes
}

#[test]
fn row_07_purposes_are_wanted_of_leaves_and_limit_where_an_authority_states_them() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};

    let root = Authority::root("Root");
    let files = Files::new(&[&root]);
    let silent = Authority::made("Silent", Some(&root), |_| {});
    let lower = Authority::made("Lower", Some(&silent), |_| {});
    let leaf = lower.leaf(|_| {});
    assert_eq!(files.word(&leaf, &[&lower, &silent]), "accepted");
    assert_eq!(files.word(&leaf, &[&silent, &lower]), "accepted");

    for (stated, word) in [
        (&[ClientAuth, ServerAuth][..], "accepted"),
        (&[ClientAuth], "accepted"),
        (&[Any], "accepted"),
        (&[ServerAuth], "CERTIFICATE_PURPOSE"),
    ] {
        let bound = Authority::made("Bound", Some(&root), purposes(stated));
        assert_eq!(files.word(&bound.leaf(|_| {}), &[&bound]), word, "{stated:?}");
        let below = Authority::made("Below", Some(&bound), |_| {});
        assert_eq!(files.word(&below.leaf(|_| {}), &[&below, &bound]), word, "{stated:?}");
    }
    for stated in [&[][..], &[ServerAuth], &[Any]] {
        let leaf = silent.leaf(purposes(stated));
        assert_eq!(files.word(&leaf, &[&silent]), "CERTIFICATE_PURPOSE", "{stated:?}");
    }
}

#[test]
fn row_08_uri_name_constraints_bind_an_authority_to_hosts() {
    let fits = [
        (&["own.lab.example"][..], &[][..]),
        (&["OWN.lab.Example"], &[]),
        (&["other.example", ".lab.example"], &[]),
        (&[".example"], &["other.example", ".own.lab.example"]),
        (&[], &["lab.example", "wn.lab.example"]),
    ];
    let breaks = [
        (&["other.example"][..], &[][..]),
        (&["lab.example"], &[]),
        (&[".own.lab.example"], &[]),
        (&[""], &[]),
        (&["spiffe://own.lab.example"], &[]),
        (&[], &["own.lab.example"]),
        (&[".lab.example"], &[".example"]),
        (&[], &[""]),
        (&[], &["spiffe://other.example"]),
    ];
    let fits = fits.iter().map(|both| (both, "accepted"));
    for ((permitted, excluded), word) in
        fits.chain(breaks.iter().map(|both| (both, "CERTIFICATE_INVALID")))
    {
        let bind = |params: &mut CertificateParams| {
            params.custom_extensions = vec![uri_constraints(permitted, excluded)];
        };
        let told = format!("{permitted:?} without {excluded:?}");
        let root = Authority::made("Root", None, bind);
        assert_eq!(Files::new(&[&root]).word(&root.leaf(|_| {}), &[]), word, "root: {told}");

        let root = Authority::root("Root");
        let mut files = Files::new(&[&root]);
        let bound = Authority::made("Bound", Some(&root), bind);
        assert_eq!(files.word(&bound.leaf(|_| {}), &[&bound]), word, "bound: {told}");
        let below = Authority::made("Below", Some(&bound), |_| {});
        let leaf = below.leaf(|_| {});
        assert_eq!(files.word(&leaf, &[&below, &bound]), word, "below: {told}");
        // Neither lists nor other names beside the id change anything.
        files.lists(&[&root.list(list(1, 1, &[])), &bound.list(list(1, 1, &[]))]);
        let named = bound.leaf(|params| {
            params.subject_alt_names.push(SanType::DnsName("app.example".try_into().unwrap()));
        });
        assert_eq!(files.word(&named, &[&bound]), word, "with lists: {told}");
    }
}

/// An authority's own URI is held to what is above it, too; and what is permitted at two
/// places has to be permitted at both.
#[test]
fn row_08_uri_name_constraints_hold_all_the_way_down() {
    let bind = |hosts: &[&str]| {
        let bound = uri_constraints(hosts, &[]);
        move |params: &mut CertificateParams| params.custom_extensions = vec![bound]
    };
    let root = Authority::made("Root", None, bind(&[".lab.example"]));
    let files = Files::new(&[&root]);
    let narrow = Authority::made("Narrow", Some(&root), bind(&["own.lab.example"]));
    let other = Authority::made("Other", Some(&root), bind(&["other.lab.example"]));
    assert_eq!(files.word(&narrow.leaf(|_| {}), &[&narrow]), "accepted");
    assert_eq!(files.word(&other.leaf(|_| {}), &[&other]), "CERTIFICATE_INVALID");
    for (uri, word) in [
        ("spiffe://own.lab.example", "accepted"),
        ("spiffe://own.example", "CERTIFICATE_INVALID"),
        ("urn:lab:own", "CERTIFICATE_INVALID"),
        ("https://10.0.0.1/lab.example", "CERTIFICATE_INVALID"),
    ] {
        let named = Authority::made("Named", Some(&root), |params| {
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        });
        assert_eq!(files.word(&named.leaf(|_| {}), &[&named]), word, "{uri}");
    }
}

/// What webpki is shown is nobody's certificate: whoever sends it, with the real one
/// beside it, is held to the constraints of the real one.
#[test]
fn row_08_a_certificate_as_it_is_shown_to_the_library_is_no_way_around() {
    let root = Authority::root("Root");
    let files = Files::new(&[&root]);
    let bound = Authority::made("Bound", Some(&root), |params| {
        params.custom_extensions = vec![uri_constraints(&["other.example"], &[])];
    });
    let host = bound.der.windows(15).position(|at| at == b"\x86\x0dother.example").unwrap();
    let mut bytes = bound.der.to_vec();
    bytes[host] = 0xa3;
    let twin = |bytes: Vec<u8>| Authority { der: bytes.into(), ..Authority::root("Twin") };
    let mut resigned = bound.der.to_vec();
    *resigned.last_mut().unwrap() ^= 1;
    let (twin, resigned, leaf) = (twin(bytes), twin(resigned), bound.leaf(|_| {}));
    for via in [
        &[&twin][..],
        &[&twin, &bound],
        &[&bound, &twin],
        &[&twin, &resigned],
        &[&resigned, &twin],
        &[&resigned, &twin, &bound],
    ] {
        assert_ne!(files.word(&leaf, via), "accepted");
    }
}

#[test]
fn row_02_an_anchor_before_or_after_its_time() {
    let lasting = |from, until| {
        move |params: &mut CertificateParams| {
            (params.not_before, params.not_after) = (day(from), day(until));
        }
    };
    let soon = Authority::made("Root", None, lasting(2, 400));
    let past = Authority::made("Root", None, lasting(-100, -1));
    let short = Authority::made("Root", None, lasting(-1, 3));
    for (anchor, word) in
        [(&soon, "CERTIFICATE_NOT_YET_VALID"), (&past, "CERTIFICATE_EXPIRED"), (&short, "accepted")]
    {
        let below = Authority::made("Below", Some(anchor), |_| {});
        for anchors in [&[anchor][..], &[&short, anchor], &[&soon, &past, anchor]] {
            let files = Files::new(anchors);
            assert_eq!(files.word(&anchor.leaf(|_| {}), &[]), word);
            assert_eq!(files.word(&below.leaf(|_| {}), &[&below]), word);
        }
    }
    // Who is believed by it is asked again when it ends.
    let until = Files::new(&[&short]).show(&short.leaf(|_| {}), &[]).unwrap();
    assert!(until <= day(3) && until > clock::utc());
}
