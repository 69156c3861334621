//! Links over real sockets: who is let in, who is not, and what stays bounded.
//! Test names carry the row of the fault matrix that they prove.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::kit::pki::{Pair, Pki, Server, domain, link_tls};
use crate::kit::rude::{rude, rude_connect};
use crate::kit::waiting::{Reserved, until};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::{AlertDescription, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tributary::clock;
use tributary::domain::peer::{Role, SpiffeId};
use tributary::domain::reason::Reason;
use tributary::link::connect::{ConnectError, Connector};
use tributary::link::identity::{IdentityError, OwnIdentity};
use tributary::link::limits::{ConnectLimits, LinkLimits};
use tributary::link::pki::{Authority, Issued, PkiError, Validity, show};
use tributary::link::tls;
use tributary::link::trust::{BadList, TrustError, TrustLoadError, TrustStore, Usage};

const GATEWAY: &str = "gateway.city.example";
const WORK: &str = "employment.city.example";
const SCHOOL: &str = "education.city.example";
/// Only a hang reaches it.
const FOREVER: Duration = Duration::from_secs(90);

/// A gateway and two agencies; the server under test is the employment agency.
struct City {
    pki: Pki,
    gateway: Issued,
    work: Issued,
}

impl City {
    fn new() -> Self {
        let pki = Pki::new(&[GATEWAY, WORK, SCHOOL]);
        Self {
            gateway: pki.issue(GATEWAY, Role::Gateway, "main"),
            work: pki.issue(WORK, Role::Agency, "employment"),
            pki,
        }
    }

    fn agency_tls(&self) -> tls::LinkTls {
        let gateways = self.pki.trust(GATEWAY, &[Role::Gateway]);
        let school = self.pki.trust(SCHOOL, &[Role::Agency]);
        link_tls(&self.work, &[gateways, school])
    }

    fn gateway_tls(&self) -> tls::LinkTls {
        let work = self.pki.trust(WORK, &[Role::Agency]);
        let school = self.pki.trust(SCHOOL, &[Role::Agency]);
        link_tls(&self.gateway, &[work, school])
    }

    async fn server(&self) -> Server {
        Server::start(self.agency_tls(), LinkLimits::default()).await
    }

    fn connector(&self, server: &Server) -> Connector {
        self.connector_to(server.address, "spiffe://employment.city.example/agency/employment")
    }

    fn connector_to(&self, address: SocketAddr, expected: &str) -> Connector {
        let expected: SpiffeId = expected.parse().unwrap();
        let address = address.to_string();
        Connector::new(&address, expected, self.gateway_tls(), ConnectLimits::default()).unwrap()
    }
}

async fn check(channel: &Channel, service: &str) -> Result<(), tonic::Status> {
    let mut client = HealthClient::new(channel.clone());
    let request = HealthCheckRequest { service: service.to_owned() };
    client.check(request).await.map(|_| ())
}

/// Connects rudely and reads on; gives the alert that comes.
async fn alert(address: SocketAddr, pair: Option<&Pair>) -> AlertDescription {
    let reading = async {
        let mut stream = rude_connect(address, rude(pair, &["h2"])).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await
    };
    let error = tokio::time::timeout(FOREVER, reading)
        .await
        .expect("no alert came")
        .expect_err("the server let it in, or closed without an alert");
    let inner = error.get_ref().expect("no TLS error");
    match inner.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("no alert but {other:?} ({error})"),
    }
}

/// Waits until the server closes.
async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut all = Vec::new();
    let _ = tokio::time::timeout(FOREVER, stream.read_to_end(&mut all))
        .await
        .expect("the server did not close");
}

/// Limits in which no handshake and no silence is ever too long.
fn unhurried() -> LinkLimits {
    LinkLimits { handshake: FOREVER * 2, silence: FOREVER * 2, ..LinkLimits::default() }
}

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
async fn many_requests_at_once_on_one_connection() {
    let city = City::new();
    let server = city.server().await;
    let channel = city.connector(&server).channel().await.unwrap();
    let calls = (0..128).map(|_| check(&channel, ""));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
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

/// An agency that asks the gateways' revocation list.
fn with_crl(city: &City, crl: std::path::PathBuf) -> tls::LinkTls {
    let mut gateways = city.pki.trust(GATEWAY, &[Role::Gateway]);
    gateways.crl = Some(crl);
    let school = city.pki.trust(SCHOOL, &[Role::Agency]);
    link_tls(&city.work, &[gateways, school])
}

#[tokio::test]
async fn row_03_revoked() {
    let city = City::new();
    let tomorrow = clock::utc() + time::Duration::days(1);
    let other = city.pki.issue(GATEWAY, Role::Gateway, "other");
    let crl = city.pki.crl(GATEWAY, &[&city.gateway], tomorrow);
    let server = Server::start(with_crl(&city, crl), LinkLimits::default()).await;

    let revoked = alert(server.address, Some(&Pair::from(&city.gateway))).await;
    assert_eq!(revoked, AlertDescription::CertificateRevoked);
    let connecting = city.connector(&server).channel().await;
    assert!(
        matches!(
            &connecting,
            Err(ConnectError::Refused { alert: AlertDescription::CertificateRevoked, .. })
        ),
        "{connecting:?}"
    );
    // The one that is not on the list comes in.
    let config = rude(Some(&Pair::from(&other)), &["h2"]);
    let mut stream = rude_connect(server.address, config).await.unwrap();
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
}

#[tokio::test]
async fn row_04_revoked_on_an_open_connection() {
    let city = City::new();
    let server = city.server().await;
    let channel = city.connector(&server).channel().await.unwrap();
    check(&channel, "").await.unwrap();
    let stalled = tokio::spawn({
        let channel = channel.clone();
        async move { check(&channel, "stall").await }
    });
    server.probe.saw(2).await;

    let tomorrow = clock::utc() + time::Duration::days(1);
    let mut gateways = city.pki.trust(GATEWAY, &[Role::Gateway]);
    gateways.crl = Some(city.pki.crl(GATEWAY, &[&city.gateway], tomorrow));
    let store = TrustStore::load(&[gateways]).unwrap();
    server.tls.trust().replace(store);

    drop(until("a refusal", async || check(&channel, "").await, Result::is_err).await);
    let seen = server.probe.seen.lock().unwrap().len();
    check(&channel, "").await.unwrap_err();
    assert_eq!(server.probe.seen.lock().unwrap().len(), seen, "a request got through");
    tokio::time::timeout(FOREVER, stalled)
        .await
        .expect("the connection stayed open")
        .unwrap()
        .unwrap_err();
}

#[tokio::test]
async fn row_04_a_revoked_server_loses_its_open_connection() {
    let city = City::new();
    let server = city.server().await;
    let tls = city.gateway_tls();
    let expected = "spiffe://employment.city.example/agency/employment";
    let connector = Connector::new(
        &server.address.to_string(),
        expected.parse().unwrap(),
        tls.clone(),
        ConnectLimits::default(),
    )
    .unwrap();
    let channel = connector.channel().await.unwrap();
    check(&channel, "").await.unwrap();

    let tomorrow = clock::utc() + time::Duration::days(1);
    let mut work = city.pki.trust(WORK, &[Role::Agency]);
    work.crl = Some(city.pki.crl(WORK, &[&city.work], tomorrow));
    tls.trust().replace(TrustStore::load(&[work]).unwrap());
    // The one that finds it out may have been under way.
    drop(
        until("the end of the connection", async || check(&channel, "").await, Result::is_err)
            .await,
    );
    let seen = server.probe.seen.lock().unwrap().len();
    assert_eq!(check(&channel, "").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.probe.seen.lock().unwrap().len(), seen, "a request got through");
}

#[tokio::test]
async fn row_05_nothing_is_resumed() {
    let city = City::new();
    let server = city.server().await;
    // rustls clients resume wherever the server lets them.
    let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
    for _ in 0..2 {
        let mut stream = rude_connect(server.address, Arc::clone(&config)).await.unwrap();
        // The first frame would come after any ticket.
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        let session = stream.get_ref().1;
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn row_05_a_revoked_client_that_would_resume_is_met_with_an_alert() {
    let city = City::new();
    let server = city.server().await;
    // One configuration, which remembers whatever could be resumed.
    let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
    let mut stream = rude_connect(server.address, Arc::clone(&config)).await.unwrap();
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);

    let tomorrow = clock::utc() + time::Duration::days(1);
    let mut gateways = city.pki.trust(GATEWAY, &[Role::Gateway]);
    gateways.crl = Some(city.pki.crl(GATEWAY, &[&city.gateway], tomorrow));
    server.tls.trust().replace(TrustStore::load(&[gateways]).unwrap());
    let reading = async {
        let mut stream = rude_connect(server.address, config).await?;
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await
    };
    let error = reading.await.unwrap_err();
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let revoked = rustls::Error::AlertReceived(AlertDescription::CertificateRevoked);
    assert_eq!(error, Some(&revoked));
}

/// Half a list, or none, leaves the last good one in force; and closes its trust
/// domain, and no other, when it is not to be waited for.
#[test]
fn row_06_a_reload_keeps_the_last_good_list_or_closes_the_domain() {
    let city = City::new();
    let tomorrow = clock::utc() + time::Duration::days(1);
    let other = city.pki.issue(GATEWAY, Role::Gateway, "other");
    let crl = city.pki.crl(GATEWAY, &[&other], tomorrow);
    let mut gateways = city.pki.trust(GATEWAY, &[Role::Gateway]);
    gateways.crl = Some(crl.clone());
    let config = [gateways, city.pki.trust(SCHOOL, &[Role::Agency])];
    let chain = |issued| crate::kit::pki::pem_chain(&Pair::from(issued).certificate);
    let (main, other) = (chain(&city.gateway), chain(&other));
    let school = chain(&city.pki.issue(SCHOOL, Role::Agency, "education"));
    let believes = |store: &TrustStore, chain: &[rustls_pki_types::CertificateDer<'static>]| {
        store.verify(chain, Usage::Client, clock::utc()).is_ok()
    };
    let good = TrustStore::load(&config).unwrap();
    let list = std::fs::read_to_string(&crl).unwrap();
    for text in ["", "nonsense", &list[..list.len() / 2]] {
        std::fs::write(&crl, text).unwrap();
        let (kept, faults) = good.reload(&config, BadList::Keep);
        assert!(matches!(&faults[..], [TrustLoadError::Lists { .. }]), "{faults:?}");
        assert!(believes(&kept, &main) && !believes(&kept, &other), "{text:?}");
        let (closed, _) = kept.reload(&config, BadList::Close);
        assert!(!believes(&closed, &main) && believes(&closed, &school), "{text:?}");
        // What is closed is not opened again by waiting.
        let (still, _) = closed.reload(&config, BadList::Keep);
        assert!(!believes(&still, &main), "{text:?}");
    }
    std::fs::write(&crl, &list).unwrap();
    // Anchors that cannot be read stay; what else changed is taken.
    std::fs::write(&config[1].anchors, "nonsense").unwrap();
    let (kept, faults) = good.reload(&config, BadList::Keep);
    assert!(matches!(&faults[..], [TrustLoadError::Anchors { .. }]), "{faults:?}");
    assert!(believes(&kept, &main) && believes(&kept, &school));
    let (narrower, _) = kept.reload(&config[1..], BadList::Keep);
    assert!(!believes(&narrower, &main) && believes(&narrower, &school));
}

#[tokio::test]
async fn row_06_a_stale_list_closes_its_trust_domain_only() {
    let city = City::new();
    let yesterday = clock::utc() - time::Duration::days(1);
    let tls = with_crl(&city, city.pki.crl(GATEWAY, &[], yesterday));
    assert_eq!(tls.trust().current().alarms(clock::utc())[0].0, domain(GATEWAY));
    let server = Server::start(tls, LinkLimits::default()).await;
    let alert = alert(server.address, Some(&Pair::from(&city.gateway))).await;
    assert_eq!(alert, AlertDescription::UnknownCA);

    let school = city.pki.issue(SCHOOL, Role::Agency, "education");
    let config = rude(Some(&Pair::from(&school)), &["h2"]);
    let mut stream = rude_connect(server.address, config).await.unwrap();
    assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
}

#[tokio::test]
async fn row_06_a_corrupt_list_closes_its_trust_domain() {
    let city = City::new();
    let tomorrow = clock::utc() + time::Duration::days(1);
    let crl = city.pki.crl(GATEWAY, &[], tomorrow);
    for text in ["", "nonsense", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
        std::fs::write(&crl, text).unwrap();
        let tls = with_crl(&city, crl.clone());
        let chain = crate::kit::pki::pem_chain(&Pair::from(&city.gateway).certificate);
        let error = tls.trust().current().verify(&chain, Usage::Client, clock::utc()).unwrap_err();
        assert!(matches!(error, TrustError::Revocation { .. }), "{text:?}: {error:?}");
        assert_eq!(tls.trust().current().alarms(clock::utc()).len(), 1);
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
async fn row_10_stalled_handshakes_are_closed_and_keep_nobody_out() {
    let city = City::new();
    // None is ever closed for its time: an honest one gets in past them.
    let server =
        Server::start(city.agency_tls(), LinkLimits { handshakes: 4, ..unhurried() }).await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        stalled.push(TcpStream::connect(server.address).await.unwrap());
    }
    let channel = city.connector(&server).channel().await.unwrap();
    check(&channel, "").await.unwrap();
    drop(stalled);

    let limits = LinkLimits { handshake: Duration::from_millis(600), ..unhurried() };
    let server = Server::start(city.agency_tls(), limits).await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        stalled.push(TcpStream::connect(server.address).await.unwrap());
    }
    for mut stream in stalled {
        closed(&mut stream).await;
    }
    let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
    let honest = async || rude_connect(server.address, config.clone()).await.map(drop);
    drop(until("a handshake within its time", honest, Result::is_ok).await);
}

#[tokio::test]
async fn row_11_silence_after_the_handshake() {
    let city = City::new();
    let silence = Duration::from_millis(300);
    let server = Server::start(city.agency_tls(), LinkLimits { silence, ..unhurried() }).await;
    let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
    let started = clock::now();
    let mut stream = rude_connect(server.address, config).await.unwrap();
    closed(&mut stream).await;
    assert!(started.elapsed() >= silence, "{:?}", started.elapsed());

    // Whoever asked once, in time, may be quiet afterwards.
    let connector = city.connector(&server);
    let channel = tokio::time::timeout(FOREVER, async {
        loop {
            if let Ok(channel) = connector.channel().await
                && check(&channel, "").await.is_ok()
            {
                return channel;
            }
        }
    });
    let channel = channel.await.expect("no request came in time");
    tokio::time::sleep(2 * silence).await;
    check(&channel, "").await.unwrap();
}

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
async fn row_26_a_panicking_handler_answers_internal() {
    let city = City::new();
    let server = city.server().await;
    let channel = city.connector(&server).channel().await.unwrap();
    let status = check(&channel, "panic").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    assert!(!status.message().contains("as asked"), "the panic's text got out");

    let mut stream = HealthClient::new(channel.clone())
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    check(&channel, "").await.unwrap();
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
async fn an_absent_or_silent_server_is_told_apart() {
    let city = City::new();
    let kept = Reserved::new();
    let address = kept.address();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let mut connector = Connector::new(
        &address.to_string(),
        "spiffe://employment.city.example/agency/employment".parse().unwrap(),
        city.gateway_tls(),
        ConnectLimits { handshake: Duration::from_millis(200), ..ConnectLimits::default() },
    )
    .unwrap();
    let error = connector.channel().await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    drop(listener);
    connector = city.connector_to(address, connector.expected().as_str());
    let error = connector.channel().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_broken_channel_stays_broken() {
    let (city, kept) = (City::new(), Reserved::new());
    let server = Server::at(kept.address(), city.agency_tls(), LinkLimits::default()).await;
    let connector = city.connector(&server);
    let channel = connector.channel().await.unwrap();
    check(&channel, "").await.unwrap();
    let tls = server.tls.clone();
    let address = server.address;
    server.stop().await;
    let status = check(&channel, "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    // The same address answers again; the old channel must not go there by itself.
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let probe = crate::kit::pki::Probe::default();
    let service = tonic_health::pb::health_server::HealthServer::new(probe.clone());
    let forever = std::future::pending();
    let serving =
        tributary::link::accept::serve(listener, tls, service, LinkLimits::default(), forever);
    let serving = tokio::spawn(serving);
    check(&channel, "").await.unwrap_err();
    let fresh = connector.channel().await.unwrap();
    check(&fresh, "").await.unwrap();
    assert_eq!(probe.seen.lock().unwrap().len(), 1);
    serving.abort();
}

#[tokio::test]
async fn row_35_a_stop_is_bounded() {
    let city = City::new();
    // What is idle is not waited for: here that would be without end.
    let limits = LinkLimits { drain: FOREVER * 2, ..unhurried() };
    let idle = Server::start(city.agency_tls(), limits).await;
    let channel = city.connector(&idle).channel().await.unwrap();
    check(&channel, "").await.unwrap();
    let stopped = tokio::time::timeout(FOREVER, idle.stop()).await;
    assert!(stopped.is_ok(), "an idle connection held it up");

    let drain = Duration::from_millis(500);
    let server = Server::start(city.agency_tls(), LinkLimits { drain, ..unhurried() }).await;
    let channel = city.connector(&server).channel().await.unwrap();
    let call = tokio::spawn(async move { check(&channel, "stall").await });
    let _unfinished = TcpStream::connect(server.address).await.unwrap();
    server.probe.saw(1).await;
    let stopped = tokio::time::timeout(FOREVER, server.stop()).await;
    assert!(stopped.expect("the stop has no end") >= drain, "a call was not waited for");
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_connection_goes_at_its_age() {
    let city = City::new();
    let limits = LinkLimits {
        age: Duration::from_millis(400),
        drain: Duration::from_millis(300),
        ..unhurried()
    };
    let server = Server::start(city.agency_tls(), limits).await;
    let connector = city.connector(&server);
    let (mut took, mut ended) = (Duration::ZERO, Ok(()));
    // Until a call comes to the server before the connection has its age.
    while server.probe.seen.lock().unwrap().is_empty() {
        let started = clock::now();
        let call = async { check(&connector.channel().await?, "stall").await.map_err(Into::into) };
        let call: Result<Result<(), Box<dyn std::error::Error>>, _> =
            tokio::time::timeout(FOREVER, call).await;
        ended = call.expect("it goes at no age").map_err(|error| error.to_string());
        took = started.elapsed();
    }
    // The age less up to a tenth, and the drain.
    assert!(took >= Duration::from_millis(660), "{took:?} {ended:?}");
    ended.unwrap_err();
}

#[tokio::test]
async fn a_peer_has_its_share_of_connections() {
    let city = City::new();
    let limits = LinkLimits { connections_per_peer: 2, ..LinkLimits::default() };
    let server = Server::start(city.agency_tls(), limits).await;
    let connector = city.connector(&server);
    let first = connector.channel().await.unwrap();
    let second = connector.channel().await.unwrap();
    check(&first, "").await.unwrap();
    check(&second, "").await.unwrap();
    connector.channel().await.unwrap_err();
    drop(first);
    let third = async || connector.channel().await;
    let third = until("a third in the place of the first", third, Result::is_ok).await.unwrap();
    check(&third, "").await.unwrap();
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
