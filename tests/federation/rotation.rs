//! Certificates, anchors, revocation lists and issuers' keys that change while the
//! federation runs: nobody restarts anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use tributary::app::client::{ClientError, GatewayClient};
use tributary::clock;
use tributary::domain::peer::Role;
use tributary::link::connect::ConnectError;
use tributary::link::pki::{Authority, CertificateRequest, Validity};
use tributary::wire::proto::pb;
use x509_parser::prelude::FromDer;

use crate::kit::demo::City;
use crate::kit::files::replace;
use crate::kit::forged::part_of;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::{becomes, until};

const AGENCY: &str = "employment";
const ITEM: &str = "employment.current.started_on";
const CARD: &str = "lending.card.utilisation_ratio";
const SCORING: &str = "scoring.city.example";
const GATEWAY: &str = "gateway.city.example";
const WORK: &str = "employment.city.example";

impl City {
    fn pki(&self, domain: &str) -> PathBuf {
        self.home.join("certs/dev").join(domain)
    }

    /// Writes a revocation list of a trust domain, whole at once.
    fn revoke(&self, domain: &str, revoked: &[&Path], next_update: OffsetDateTime) -> PathBuf {
        let read = |file| std::fs::read_to_string(self.pki(domain).join(file)).unwrap();
        let key = KeyPair::from_pem(&read("ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
        let revoked_certs = revoked.iter().map(|file| RevokedCertParams {
            serial_number: SerialNumber::from(serial(file)),
            revocation_time: clock::utc() - time::Duration::minutes(1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: clock::utc() - time::Duration::minutes(1),
            next_update,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = self.pki(domain).join("ca.crl");
        replace(&file, &list.signed_by(&issuer).unwrap().pem().unwrap());
        file
    }

    /// Has a role ask a trust domain's revocation list from now on.
    fn ask_list(&self, config: &Path, domain: &str, list: &Path) {
        edit(config, |trust| {
            let entry = trust.iter_mut().find(|entry| entry["domain"].as_str() == Some(domain));
            entry.unwrap()["crl"] = toml_edit::value(list.to_str().unwrap());
        });
    }

    /// Issues a certificate in place of the one that is there.
    fn issue(&self, domain: &str, role: Role, name: &str, valid: Duration) {
        let authority = Authority::open(&self.home.join("certs/dev"), &domain.parse().unwrap());
        let from = clock::utc() - time::Duration::minutes(1);
        let validity = Validity { from, until: clock::utc() + valid };
        authority.unwrap().issue(&CertificateRequest::local(role, name, validity)).unwrap();
    }
}

fn edit(config: &Path, change: impl FnOnce(&mut toml_edit::ArrayOfTables)) {
    let text = std::fs::read_to_string(config).unwrap();
    let mut document: toml_edit::DocumentMut = text.parse().unwrap();
    change(document["link"]["trust"].as_array_of_tables_mut().unwrap());
    replace(config, &document.to_string());
}

fn serial(file: &Path) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(&std::fs::read(file).unwrap()).unwrap();
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    certificate.raw_serial().to_vec()
}

fn tomorrow() -> OffsetDateTime {
    clock::utc() + time::Duration::days(1)
}

/// `OK`, or why the agency's section is not there.
fn section(answer: &pb::GetProfileResponse, agency: &str) -> String {
    let report = answer.sections.iter().find(|section| section.agency == agency).unwrap();
    report.status().as_str_name().trim_start_matches("SECTION_STATUS_").to_owned()
}

async fn sections(city: &City, client: &mut GatewayClient) -> (String, String) {
    let items = vec![ITEM.to_owned(), CARD.to_owned()];
    let answer = client.profile(&city.grant(0), items, DEADLINE).await.unwrap();
    (section(&answer, AGENCY), section(&answer, "lending"))
}

fn both(work: &str, lending: &str) -> (String, String) {
    (work.to_owned(), lending.to_owned())
}

/// Waits until the open connection serves nothing more. By itself it would go on
/// for half an hour.
async fn is_cut(client: &mut GatewayClient) {
    let asked = async || client.bundle("basic").await.map(drop);
    drop(until("the end of the open connection", asked, Result::is_err).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_03_04_a_revoked_consumer_is_cut_off_and_kept_out() {
    let city = City::start(&[]);
    let config = city.described.gateway.config.clone();
    let mut client = city.client().await;
    let mut other = city.client_as("loan-desk").await;
    assert_eq!(city.at_gateway(&mut client, &city.grant(0), ITEM).await, "OK");

    // A list that revokes nobody changes nothing on the open connection.
    let list = city.revoke(SCORING, &[], tomorrow());
    city.ask_list(&config, SCORING, &list);
    city.logs("gateway", "read again", 1).await;
    assert_eq!(city.at_gateway(&mut client, &city.grant(0), ITEM).await, "OK");

    let certificate = city.described.consumers[0].certificate.clone();
    city.revoke(SCORING, &[&certificate], tomorrow());
    is_cut(&mut client).await;
    let refused = city.try_client("scoring-service").await.unwrap_err();
    let alert = rustls::AlertDescription::CertificateRevoked;
    assert!(
        matches!(&refused, ClientError::Connect(ConnectError::Refused { alert: found, .. }) if *found == alert),
        "{refused:?}"
    );
    other.bundle("basic").await.unwrap();

    // Taken off the list again, and then its whole trust domain is taken out.
    city.revoke(SCORING, &[], tomorrow());
    let again = async || city.try_client("scoring-service").await.map(drop);
    drop(until("the pardon", again, Result::is_ok).await);
    let mut client = city.client().await;
    client.bundle("basic").await.unwrap();
    edit(&config, |trust| trust.retain(|entry| entry["domain"].as_str() != Some(SCORING)));
    is_cut(&mut client).await;
    city.try_client("scoring-service").await.unwrap_err();
    other.bundle("basic").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_04_a_revoked_gateway_and_a_revoked_agency_lose_their_streams() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    assert_eq!(sections(&city, &mut client).await, both("OK", "OK"));

    // The agency no longer believes the gateway.
    let list = city.revoke(GATEWAY, &[&city.pki(GATEWAY).join("gateway-main.pem")], tomorrow());
    city.ask_list(city.config_of(AGENCY), GATEWAY, &list);
    becomes("the cut", both("UNAVAILABLE", "OK"), async || sections(&city, &mut client).await)
        .await;
    city.revoke(GATEWAY, &[], tomorrow());
    becomes("the pardon", both("OK", "OK"), async || sections(&city, &mut client).await).await;

    // The gateway no longer believes the agency.
    let list = city.revoke(WORK, &[&city.pki(WORK).join("agency-employment.pem")], tomorrow());
    city.ask_list(&city.described.gateway.config, WORK, &list);
    becomes("the cut", both("UNAVAILABLE", "OK"), async || sections(&city, &mut client).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_06_a_stale_or_corrupt_list_closes_its_trust_domain_only() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let closed = both("UNAVAILABLE", "OK");
    let open = both("OK", "OK");

    let list = city.revoke(WORK, &[], tomorrow());
    city.ask_list(&city.described.gateway.config, WORK, &list);
    city.logs("gateway", "read again", 1).await;
    assert_eq!(sections(&city, &mut client).await, open);
    // One that is believed for a while and then no more, with nothing changed: a
    // longer while, where this machine does not see it believed.
    let mut taken = 1;
    for seconds in [4, 8, 16, 32, 64] {
        let until = clock::utc() + time::Duration::seconds(seconds);
        city.revoke(WORK, &[], until);
        taken += 1;
        city.logs("gateway", "read again", taken).await;
        let seen = sections(&city, &mut client).await;
        if clock::utc() < until {
            assert_eq!(seen, open);
            break;
        }
        assert!(seconds < 64, "no list was ever seen before its end");
    }
    becomes("the stale list", closed.clone(), async || sections(&city, &mut client).await).await;
    city.logs("gateway", "TRUST_DOMAIN_CLOSED", 1).await;
    city.revoke(WORK, &[], tomorrow());
    becomes("the new list", open.clone(), async || sections(&city, &mut client).await).await;

    // Half a list changes nothing for a while, and closes the domain if it stays.
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, &text[..text.len() / 2]).unwrap();
    city.logs("gateway", "TRUST_KEPT", 1).await;
    becomes("the corrupt list", closed, async || sections(&city, &mut client).await).await;
    replace(&list, &text);
    becomes("the whole list", open.clone(), async || sections(&city, &mut client).await).await;

    // Anchors that cannot be read stay as they were.
    let anchors = city.pki(WORK).join("ca.pem");
    let text = std::fs::read_to_string(&anchors).unwrap();
    let before = city.log("gateway").matches("TRUST_KEPT").count();
    std::fs::write(&anchors, &text[..text.len() / 2]).unwrap();
    city.logs("gateway", "TRUST_KEPT", before + 1).await;
    assert_eq!(sections(&city, &mut client).await, open);
}

/// Calls without pause, each on a new connection or an open one, until told.
async fn load(city: &City, stop: &AtomicBool, done: &AtomicU64) {
    let mut client = city.client().await;
    let mut person = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        person = (person + 1) % 60;
        if person.is_multiple_of(5) {
            client = city.client().await;
        }
        let items = vec![ITEM.to_owned(), CARD.to_owned()];
        let answer = client.profile(&city.grant(person), items, DEADLINE).await.unwrap();
        for agency in [AGENCY, "lending"] {
            let found = section(&answer, agency);
            assert!(["OK", "NO_RECORD"].contains(&found.as_str()), "{agency}: {found}");
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_12_certificates_are_rotated_under_load_and_no_call_fails() {
    let city = Arc::new(City::start(&[]));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (city, stop, done) = (city.clone(), stop.clone(), done.clone());
            tokio::spawn(async move { load(&city, &stop, &done).await })
        })
        .collect();
    let taken = "the new certificate is in force";
    let own = [
        ("gateway", city.described.gateway.config.clone(), GATEWAY, Role::Gateway, "main"),
        (AGENCY, city.config_of(AGENCY).to_owned(), WORK, Role::Agency, "employment"),
    ];
    for round in 1..=2 {
        for (process, _, domain, role, name) in &own {
            let day = Duration::from_secs(86_400 * (40 + round));
            city.issue(domain, *role, name, day);
            city.logs(process, taken, round as usize).await;
        }
    }
    // Half a pair: another key beside the old certificate.
    let key = city.pki(GATEWAY).join("gateway-main.key");
    let whole = std::fs::read_to_string(&key).unwrap();
    let other = std::fs::read_to_string(city.pki(WORK).join("agency-employment.key")).unwrap();
    std::fs::write(&key, other).unwrap();
    city.logs("gateway", "CERTIFICATE_KEPT", 1).await;
    let before = done.load(Ordering::Relaxed);
    let calls = async || done.load(Ordering::Relaxed);
    until("calls with the old pair", calls, |done| *done > before + 50).await;
    std::fs::write(&key, whole).unwrap();
    city.logs("gateway", taken, 3).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    println!("{} calls, none failed", done.load(Ordering::Relaxed));

    // The new pair is what connections are made with: the agency refuses the old
    // one, by its number, and the gateway's next lanes come all the same.
    let mut client = city.client().await;
    assert_eq!(sections(&city, &mut client).await, both("OK", "OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_49_a_certificate_expires_on_an_open_connection_of_a_consumer() {
    let city = City::start(&[]);
    let name = "scoring-service";
    // Longer, where this machine does not get in before the end.
    let mut open = None;
    for seconds in [4, 8, 16, 32, 64] {
        city.issue(SCORING, Role::Consumer, name, Duration::from_secs(seconds));
        let Ok(mut client) = city.try_client(name).await else { continue };
        if client.bundle("basic").await.is_ok() {
            open = Some(client);
            break;
        }
    }
    is_cut(&mut open.expect("a certificate that is not over lets in")).await;
    // Renewed, it comes in again.
    city.issue(SCORING, Role::Consumer, name, Duration::from_secs(600));
    city.client().await.bundle("basic").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_pins_change_at_both_ends_and_a_broken_key_changes_nothing() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let mut agency = city.agency(AGENCY).await;
    let part = part_of(&city.grant(0), AGENCY);
    let mut nth = 0;
    let mut past_the_gateway = async || {
        nth += 1;
        let question = city.question(&format!("pins-{nth}"), &part, &[ITEM]);
        crate::kit::demo::ask(&mut agency, question).await.0
    };
    assert_eq!(past_the_gateway().await, "OK");
    assert_eq!(city.at_gateway(&mut client, &city.grant(0), ITEM).await, "OK");

    for (config, process) in [
        (city.config_of(AGENCY).to_owned(), AGENCY),
        (city.described.gateway.config.clone(), "gateway"),
    ] {
        let good = std::fs::read_to_string(&config).unwrap();
        // Broken: the last good pins stay.
        let mut document: toml_edit::DocumentMut = good.parse().unwrap();
        let issuers = document["grants"]["issuer"].as_array_of_tables_mut().unwrap();
        for issuer in issuers.iter_mut() {
            issuer["purposes"] = toml_edit::value(toml_edit::Array::from_iter(["unheard-of"]));
        }
        replace(&config, &document.to_string());
        city.logs(process, "PINS_KEPT", 1).await;
        assert_eq!(past_the_gateway().await, "OK");
        assert_eq!(city.at_gateway(&mut client, &city.grant(0), ITEM).await, "OK");
        replace(&config, &good);
    }
    city.logs(AGENCY, "pins and purposes", 1).await;

    // The agency no longer lets the issuer open it to this consumer.
    let config = city.config_of(AGENCY);
    let good = std::fs::read_to_string(config).unwrap();
    let mut document: toml_edit::DocumentMut = good.parse().unwrap();
    for issuer in document["grants"]["issuer"].as_array_of_tables_mut().unwrap().iter_mut() {
        let other = "spiffe://bank.city.example/consumer/loan-desk";
        issuer["consumers"] = toml_edit::value(toml_edit::Array::from_iter([other]));
    }
    replace(config, &document.to_string());
    becomes("narrower pins at the agency", "GRANT_ISSUER_SCOPE", &mut past_the_gateway).await;
    assert_eq!(sections(&city, &mut client).await, both("DENIED", "OK"));
    replace(config, &good);
    becomes("the pins back", "OK", &mut past_the_gateway).await;
}
