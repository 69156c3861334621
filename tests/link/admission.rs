//! Who is let in, and who is not.
//! Test names carry the row of the fault matrix that they prove.

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::AlertDescription;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tributary::clock;
use tributary::domain::peer::Role;
use tributary::domain::reason::Reason;
use tributary::link::connect::ConnectError;
use tributary::link::pki::Validity;
use tributary::link::trust::{TrustError, Usage};

use super::city::{City, FOREVER, GATEWAY, SCHOOL, alert, check, closed, unhurried};
use crate::kit::pki::{Pair, Pki, Server, domain};
use crate::kit::rude::{rude, rude_connect};

#[tokio::test]
async fn the_right_peer_is_let_in_and_named() {
    let city = City::new();
    let server = city.server().await;
    let channel = city.connector(&server).channel().await.unwrap();
    check(&channel, "").await.unwrap();
    let gateway = "spiffe://gateway.city.example/gateway/main";
    assert_eq!(server.probe.seen.lock().unwrap()[0].as_str(), gateway);
}

#[tokio::test]
async fn the_key_exchange_is_hybrid() {
    let city = City::new();
    let server = city.server().await;
    let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
    let stream = rude_connect(server.address, config).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn row_01_no_certificate() {
    let city = City::new();
    let server = city.server().await;
    let alert = alert(server.address, None).await;
    assert_eq!(alert, AlertDescription::CertificateRequired);
}

#[tokio::test]
async fn row_01_plaintext() {
    let city = City::new();
    // Not closed for being slow, but for what it says.
    let server = Server::start(city.agency_tls(), unhurried()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    closed(&mut stream).await;
}

#[tokio::test]
async fn row_02_unknown_authority() {
    let city = City::new();
    let server = city.server().await;
    // The same names, another key.
    let impostors = Pki::new(&[GATEWAY, "elsewhere.example"]);
    let impostor = impostors.issue(GATEWAY, Role::Gateway, "main");
    let same_name = alert(server.address, Some(&Pair::from(&impostor))).await;
    assert_eq!(same_name, AlertDescription::UnknownCA);
    // A trust domain that nobody configured.
    let stranger = impostors.issue("elsewhere.example", Role::Gateway, "x");
    let unknown = alert(server.address, Some(&Pair::from(&stranger))).await;
    assert_eq!(unknown, AlertDescription::UnknownCA);
}

#[tokio::test]
async fn row_02_expired_and_not_yet_valid() {
    let city = City::new();
    let server = city.server().await;
    let now = clock::utc();
    for (from, until) in [(-60, -1), (60, 120)] {
        let validity = Validity {
            from: now + time::Duration::minutes(from),
            until: now + time::Duration::minutes(until),
        };
        let issued = city.pki.issue_valid(GATEWAY, Role::Gateway, "late", validity);
        let alert = alert(server.address, Some(&Pair::from(&issued))).await;
        assert_eq!(alert, AlertDescription::CertificateExpired, "{from}");
    }
}

#[tokio::test]
async fn row_07_no_purpose_and_none_or_two_names() {
    let city = City::new();
    let server = city.server().await;
    let main = "spiffe://gateway.city.example/gateway/main";
    let other = "spiffe://gateway.city.example/gateway/other";
    let pki = &city.pki;

    let proper = pki.leaf(GATEWAY, &[main], vec![ClientAuth]);
    let mut stream = rude_connect(server.address, rude(Some(&proper), &["h2"])).await.unwrap();
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0, "the control was refused");

    for purposes in [vec![], vec![ServerAuth]] {
        let leaf = pki.leaf(GATEWAY, &[main], purposes);
        let alert = alert(server.address, Some(&leaf)).await;
        assert_eq!(alert, AlertDescription::UnsupportedCertificate);
    }
    for uris in [&[][..], &[main, other], &[main, "https://gateway.city.example"]] {
        let leaf = pki.leaf(GATEWAY, uris, vec![ClientAuth]);
        let alert = alert(server.address, Some(&leaf)).await;
        assert_eq!(alert, AlertDescription::BadCertificate, "{uris:?}");
    }
}

#[tokio::test]
async fn row_08_an_authority_signs_for_another_trust_domain() {
    let city = City::new();
    let server = city.server().await;
    let main = "spiffe://gateway.city.example/gateway/main";
    let forged = city.pki.leaf(SCHOOL, &[main], vec![ClientAuth, ServerAuth]);
    let alert = alert(server.address, Some(&forged)).await;
    assert_eq!(alert, AlertDescription::UnknownCA);

    // And it is told apart from a stranger, for the alarm.
    let chain = crate::kit::pki::pem_chain(&forged.certificate);
    let store = server.tls.trust().current();
    let error = store.verify(&chain, Usage::Client, clock::utc()).unwrap_err();
    assert_eq!(error.reason(), Reason::ForeignCa);
    assert_eq!(
        error,
        TrustError::ForeignAuthority { claimed: main.parse().unwrap(), authority: domain(SCHOOL) }
    );
}

#[tokio::test]
async fn row_08_a_domain_speaks_for_its_roles_only() {
    let city = City::new();
    let server = city.server().await;
    let reviewer = city.pki.issue(SCHOOL, Role::Reviewer, "education");
    let alert = alert(server.address, Some(&Pair::from(&reviewer))).await;
    assert_eq!(alert, AlertDescription::AccessDenied);
}

#[tokio::test]
async fn row_09_tls_1_2() {
    let city = City::new();
    let server = city.server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&tls12_hello()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(FOREVER, stream.read_to_end(&mut answer))
        .await
        .expect("not closed")
        .unwrap();
    // A fatal alert, protocol_version (RFC 8446, section 6).
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70]);
}

/// A ClientHello as TLS 1.2 clients send it: no supported_versions extension.
fn tls12_hello() -> Vec<u8> {
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],     // supported_groups: secp256r1
        &[0, 11, 0, 2, 1, 0],                // ec_point_formats: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],          // signature_algorithms: ECDSA, SHA-256
        &[0, 23, 0, 0],                      // extended_master_secret
        &[0, 16, 0, 5, 0, 3, 2, b'h', b'2'], // ALPN: h2
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2, 0xc0, 0x2b]); // ECDHE-ECDSA-AES128-GCM-SHA256
    body.extend([1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(body.len() + 4).unwrap().to_be_bytes());
    record.extend([1, 0]);
    record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    record.extend(body);
    record
}

#[tokio::test]
async fn row_09_no_alpn() {
    let city = City::new();
    let server = city.server().await;
    let pair = Pair::from(&city.gateway);
    let mut stream = rude_connect(server.address, rude(Some(&pair), &[])).await.unwrap();
    let mut answer = Vec::new();
    let _ =
        tokio::time::timeout(FOREVER, stream.read_to_end(&mut answer)).await.expect("not closed");
    assert!(answer.is_empty(), "the server spoke HTTP/2 unasked");

    let other = rude_connect(server.address, rude(Some(&pair), &["http/1.1"])).await;
    let error = other.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn row_29_somebody_else_answers() {
    let city = City::new();
    let server = city.server().await;
    let expected = "spiffe://education.city.example/agency/education";
    let error = city.connector_to(server.address, expected).channel().await.unwrap_err();
    let ConnectError::WrongIdentity { expected: wanted, found, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(wanted.as_str(), expected);
    assert_eq!(found.name(), "employment");
    assert!(server.probe.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn row_49_a_certificate_expires_on_an_open_connection() {
    let city = City::new();
    let server = city.server().await;
    // Longer, where this machine does not get in before the end.
    for seconds in [2, 4, 8, 16, 32] {
        let validity = Validity {
            from: clock::utc() - time::Duration::minutes(1),
            until: clock::utc() + time::Duration::seconds(seconds),
        };
        city.pki.issue_valid(GATEWAY, Role::Gateway, "main", validity);
        let Ok(channel) = city.connector(&server).channel().await else { continue };
        if check(&channel, "").await.is_err() {
            continue;
        }
        let call = tokio::time::timeout(FOREVER, check(&channel, "stall"));
        call.await.expect("the connection stayed open").unwrap_err();
        return;
    }
    panic!("a certificate that is not over lets nobody in");
}
