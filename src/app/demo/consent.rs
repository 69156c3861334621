//! The demo's consent service: its keys, the agencies' sealing keys, and a grant
//! for each of the people whom the demo shows.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use time::{Duration, OffsetDateTime};
use tokio::net::TcpSocket;

use super::Options;
use super::city::{City, DemoError, domain_of};
use super::federation::GrantEntry;
use super::people::People;
use crate::domain::audit::Origin;
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::{Algorithm, Frequency, KeyId, LegalBasis, Per, PurposeCode};
use crate::domain::item::ItemSet;
use crate::domain::sensitive::Sensitive;
use crate::issuer::{AgencyRequest, GrantRequest, IssuerSettings, key_files, write_private};

/// The consent service's name among the processes.
pub(super) const CONSENT: &str = "consent";

/// The name of every key of the demo, as the examples pin them.
const KID: &str = "2026-1";
const STATUS_KID: &str = "status-2026-1";

/// A grant that the demo issued.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    pub(super) jti: String,
    pub(super) presentation: String,
}

/// Makes every key of consent service, agencies and consumers.
pub(super) fn make_keys(city: &City) -> Result<(), DemoError> {
    let consent = city.home.join("consent");
    let signing =
        |stem: &Path, name| key_files::signing(stem, Algorithm::EdDsa, &kid(name)?).map_err(broken);
    signing(&consent.join("signing"), KID)?;
    signing(&consent.join("status"), STATUS_KID)?;
    key_files::secret(&consent.join("person.secret")).map_err(broken)?;
    for agency in &city.agencies {
        let domain = domain_of(agency);
        let folder = city.home.join("certs/dev").join(&domain);
        key_files::sealing(&folder.join("sealing"), &kid(KID)?).map_err(broken)?;
        log_key(&folder, &domain)?;
        key_files::secret(&folder.join("tags.seed")).map_err(broken)?;
    }
    log_key(&city.home.join("certs/dev/gateway.city.example"), "gateway.city.example")?;
    for consumer in &city.consumers {
        let folder = consumer.certificate.parent().unwrap_or(&city.home);
        signing(&folder.join("proof"), KID)?;
    }
    Ok(())
}

/// The key of an audit log, and its public half for verifiers.
fn log_key(folder: &Path, domain: &str) -> Result<(), DemoError> {
    let origin: Origin = format!("{domain}/2026").parse().map_err(broken)?;
    key_files::log(&folder.join("audit"), &origin).map(drop).map_err(broken)
}

fn kid(name: &str) -> Result<KeyId, DemoError> {
    KeyId::new(name).ok_or_else(|| DemoError::Inconsistent(format!("`{name}` is no key's name")))
}

fn broken(error: impl std::error::Error) -> DemoError {
    DemoError::Inconsistent(error.to_string())
}

/// A port for the consent service: the address stands in every grant, so it must
/// be known before the service listens. While the socket is kept the system gives
/// the port to nobody who asks for any, and the service, which asks for this one,
/// gets it.
pub(super) fn reserve_port() -> Result<(u16, Option<TcpSocket>), DemoError> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let port = socket.local_addr()?.port();
    // Other systems keep a port that is bound from everybody.
    Ok((port, cfg!(target_os = "linux").then_some(socket)))
}

/// Issues a grant for each of these people over a bundle's items, as each would
/// have done with the consent service.
pub(super) fn issue(
    city: &City,
    people: People,
    persons: std::ops::Range<usize>,
    options: &Options,
    now: OffsetDateTime,
) -> Result<(Vec<GrantEntry>, Option<Granted>), DemoError> {
    let issuer = settings(city)?.issuer().map_err(broken)?;
    let folder = city.home.join("grants");
    std::fs::create_dir_all(&folder)?;
    let mut entries = Vec::new();
    let mut first = None;
    for person in persons {
        let subject = people.card_number(person);
        let request = request(city, &subject, options, now)?;
        let issued = issuer.issue(&request, now).map_err(broken)?;
        // Named by the grant, never by the person.
        let file = folder.join(format!("{}.sd-jwt", issued.jti));
        write_private(&file, issued.presentation.as_bytes()).map_err(broken)?;
        entries.push(GrantEntry {
            subject,
            consumer: request.client.to_string(),
            jti: issued.jti.clone(),
            file,
        });
        first.get_or_insert(Granted { jti: issued.jti, presentation: issued.presentation });
    }
    Ok((entries, first))
}

/// Revokes a grant, as the person would have done with the consent service.
pub(super) fn revoke(city: &City, jti: &str) -> Result<(), DemoError> {
    settings(city)?.records().map_err(broken)?.revoke(jti).map(drop).map_err(broken)
}

pub(super) fn settings_file(city: &City) -> PathBuf {
    city.home.join("consent/issuer.toml")
}

fn settings(city: &City) -> Result<IssuerSettings, DemoError> {
    IssuerSettings::read(&settings_file(city)).map_err(broken)
}

fn request(
    city: &City,
    subject: &str,
    options: &Options,
    now: OffsetDateTime,
) -> Result<GrantRequest, DemoError> {
    let missing = |what: &str| DemoError::Inconsistent(format!("there is no {what}"));
    let consumer = city.consumers.first().ok_or_else(|| missing("consumer"))?;
    let folder = consumer.certificate.parent().unwrap_or(&city.home);
    let proof_key =
        crate::config::key_file::verifying_key(&folder.join("proof.pub.jwk")).map_err(broken)?;
    let known = city.catalogue.bundles();
    let bundle = known.iter().find(|known| known.id == options.bundle).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|bundle| bundle.id.as_str()).collect();
        DemoError::Inconsistent(format!(
            "`{}` is no bundle; there are {}",
            options.bundle,
            known.join(", ")
        ))
    })?;
    let days = |days| now.date().saturating_add(Duration::days(days));
    let agency = |id: &String| {
        let agency = AgencyId::new(id)?;
        let items = city.catalogue.owned_by(&agency).and(&bundle.items);
        let items: Vec<String> = ids(city, &items);
        (!items.is_empty()).then(|| AgencyRequest {
            agency,
            items,
            from: days(-3650),
            to: days(365),
        })
    };
    Ok(GrantRequest {
        audience: super::city::GATEWAY_ID.parse().map_err(broken)?,
        client: consumer.id.clone(),
        proof_key,
        purpose: PurposeCode::new("credit_profile").ok_or_else(|| missing("purpose"))?,
        purpose_text: "A credit profile, to see how the demo works.".into(),
        legal_basis: LegalBasis::WrittenConsent,
        legal_basis_ref: "demo consent form".into(),
        not_before: now,
        expires_at: now + Duration::days(7),
        data_life: Duration::days(1),
        frequency: Frequency { count: options.grant_uses, per: Per::Day },
        subject: Sensitive::new(subject.to_owned()),
        agencies: city.agencies.iter().filter_map(agency).collect(),
    })
}

fn ids(city: &City, items: &ItemSet) -> Vec<String> {
    let items = items.iter().filter_map(|number| city.catalogue.item(number));
    items.map(|item| item.id.to_string()).collect()
}
