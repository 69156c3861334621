//! Certificates and keys on the disk: what is not loaded, and what the development PKI writes.
//! Test names carry the row of the fault matrix that they prove.

use tributary::clock;
use tributary::domain::peer::Role;
use tributary::link::identity::{IdentityError, OwnIdentity};
use tributary::link::pki::{Authority, PkiError, Validity, show};
use tributary::link::trust::{TrustLoadError, TrustStore};

use super::city::{City, SCHOOL, WORK, check};
use crate::kit::pki::{Pki, domain};

#[tokio::test]
async fn row_12_a_rotated_pair_is_used_and_a_broken_one_is_not() {
    let city = City::new();
    let server = city.server().await;
    let identity = server.tls.identity();
    let before = identity.not_after();

    let halfway = city.pki.issue(WORK, Role::Agency, "halfway");
    std::fs::copy(&halfway.key, &city.work.key).unwrap();
    let error = identity.reload(clock::utc()).unwrap_err();
    assert!(matches!(error, IdentityError::Pair { .. }), "{error:?}");
    let channel = city.connector(&server).channel().await.unwrap();
    check(&channel, "").await.unwrap();

    std::fs::copy(&halfway.certificate, &city.work.certificate).unwrap();
    let error = identity.reload(clock::utc()).unwrap_err();
    assert!(matches!(error, IdentityError::OtherIdentity { .. }), "{error:?}");

    let longer = Validity::days(clock::utc(), 9).unwrap();
    city.pki.issue_valid(WORK, Role::Agency, "employment", longer);
    identity.reload(clock::utc()).unwrap();
    assert!(identity.not_after() > before);
    check(&channel, "").await.unwrap();
    let fresh = city.connector(&server).channel().await.unwrap();
    check(&fresh, "").await.unwrap();
}

#[tokio::test]
async fn row_43_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;

    let city = City::new();
    for mode in [0o640, 0o604, 0o660] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&city.work.key, permissions).unwrap();
        let error = OwnIdentity::load(&city.work.certificate, &city.work.key, clock::utc());
        let text = error.unwrap_err().to_string();
        let path = city.work.key.display();
        assert!(text.contains(&format!("`chmod 600 {path}`")), "{text}");
        assert!(text.contains(&format!("{mode:04o}")), "{text}");
    }
}

#[test]
fn an_expired_own_certificate_stops_the_start() {
    let city = City::new();
    let validity = Validity {
        from: clock::utc() - time::Duration::days(2),
        until: clock::utc() - time::Duration::days(1),
    };
    let old = city.pki.issue_valid(WORK, Role::Agency, "old", validity);
    let error = OwnIdentity::load(&old.certificate, &old.key, clock::utc()).unwrap_err();
    assert!(error.to_string().contains("expired on"), "{error}");
}

#[test]
fn unusable_anchors_stop_the_start() {
    let city = City::new();
    let file = city.pki.dir.path().join("anchors.pem");
    let leaf = std::fs::read_to_string(&city.work.certificate).unwrap();
    let good = std::fs::read_to_string(city.pki.authority(WORK).anchors()).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in [String::new(), "nonsense".to_owned(), leaf, format!("{good}{broken}")] {
        std::fs::write(&file, &text).unwrap();
        let mut entry = city.pki.trust(WORK, &[Role::Agency]);
        entry.anchors.clone_from(&file);
        let error = TrustStore::load(&[entry]).unwrap_err();
        assert!(matches!(error, TrustLoadError::Anchors { .. }), "{text:?}: {error:?}");
    }
}

#[test]
fn the_development_pki_replaces_nothing_unasked() {
    let pki = Pki::new(&[WORK]);
    let again = Authority::create(pki.dir.path(), &domain(WORK), clock::utc());
    assert!(matches!(again, Err(PkiError::Exists(_))));
    let none = Authority::open(pki.dir.path(), &domain(SCHOOL));
    assert!(matches!(none, Err(PkiError::NoAuthority { .. })));
    let left: Vec<_> = std::fs::read_dir(pki.dir.path().join(WORK))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_certificate_is_described() {
    use std::os::unix::fs::PermissionsExt;

    let pki = Pki::new(&[WORK]);
    let issued = pki.issue(WORK, Role::Agency, "employment");
    let mode = |file| std::fs::metadata(file).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&issued.key), 0o600);
    assert_eq!(mode(&issued.certificate), 0o644);
    assert_eq!(mode(&pki.dir.path().join(WORK).join("ca.key")), 0o600);

    let text = show::describe(&issued.certificate, clock::utc()).unwrap()[0].to_string();
    for expected in [
        "id           spiffe://employment.city.example/agency/employment",
        "URI:spiffe://employment.city.example/agency/employment, DNS:localhost, IP:127.0.0.1, IP:::1",
        "(0 days left)",
        "ECDSA, 256 bits",
        "clientAuth, serverAuth",
        "Tributary development authority of employment.city.example",
    ] {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
    let error = show::describe(&issued.key, clock::utc()).unwrap_err();
    assert!(error.to_string().contains("holds no certificate"), "{error}");
}
