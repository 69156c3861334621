//! Revocation, of new and of open connections, and lists that are stale or broken.
//! Test names carry the row of the fault matrix that they prove.

use std::sync::Arc;

use rustls::{AlertDescription, HandshakeKind};
use tokio::io::AsyncReadExt;
use tonic::Code;
use tributary::clock;
use tributary::domain::peer::Role;
use tributary::link::connect::{ConnectError, Connector};
use tributary::link::limits::{ConnectLimits, LinkLimits};
use tributary::link::tls;
use tributary::link::trust::{BadList, TrustError, TrustLoadError, TrustStore, Usage};

use super::city::{City, FOREVER, GATEWAY, SCHOOL, WORK, alert, check};
use crate::kit::pki::{Pair, Server, domain, link_tls};
use crate::kit::rude::{rude, rude_connect};
use crate::kit::waiting::until;

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
