//! A running gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::governing;
use super::serving::{self, StartError};
use crate::config::catalogue;
use crate::config::gateway::GatewayConfig;
use crate::domain::peer::Role;
use crate::link::connect::Connector;
use crate::link::limits::ConnectLimits;
use crate::service::catalogue::CatalogueServer;
use crate::service::gateway::{Gateway, GatewayServer};
use crate::service::uplink::Uplink;
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::proto::pb::catalogue_service_server::CatalogueServiceServer;
use crate::wire::proto::pb::profile_service_server::ProfileServiceServer;

/// Encoded bytes of one answer at most: a whole profile with its alternatives.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Runs a gateway from its configuration file until `stop` turns true. `ready` is
/// told the address once it listens.
///
/// # Errors
/// Why it does not start.
pub async fn run(
    path: &Path,
    ready: impl FnOnce(SocketAddr),
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let config = GatewayConfig::load(path)?;
    let catalogue = Arc::new(catalogue::load(&config.catalogue)?);
    config.check_agencies(path, &catalogue)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let tls = serving::link(&config.link, Role::Gateway)?;
    let (listener, address) = serving::bind(config.listen).await?;

    let mut uplinks = Vec::with_capacity(config.agency.len());
    for entry in &config.agency {
        let limits = ConnectLimits::default();
        let identity = entry.identity.clone();
        let connector = Connector::new(&entry.endpoint, identity, tls.clone(), limits)?;
        let digest = catalogue.digest();
        uplinks.push(Uplink::start(entry.id.clone(), connector, digest, entry.lanes, &stop));
    }
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("tributary.v1.ProfileService", ServingStatus::Serving).await;
    for uplink in &uplinks {
        tokio::spawn(report(uplink.clone(), health.clone(), stop.clone()));
    }
    let recorder = governing::recorder(&config.audit, &catalogue)?;
    let routing = config.agency.iter().map(|agency| {
        serde_json::json!({
            "id": agency.id, "identity": agency.identity, "endpoint": agency.endpoint,
        })
    });
    let routing = serde_json::Value::Array(routing.collect()).to_string();
    let keeper = governing::keeper(&config.audit, &config.catalogue, Some(routing))?;
    let authority = governing::authority(
        &catalogue,
        &config.grants,
        &config.policy,
        folder,
        None,
        keeper,
        &stop,
    )
    .await?;
    let id = tls.identity().id();
    let gateway = Arc::new(Gateway::new(
        id,
        catalogue.clone(),
        authority,
        recorder.clone(),
        uplinks,
        config.limits,
    ));
    let mut routes = tonic::service::Routes::builder();
    routes
        .add_service(
            ProfileServiceServer::new(GatewayServer::new(gateway))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_ANSWER_BYTES),
        )
        .add_service(
            CatalogueServiceServer::new(CatalogueServer::new(catalogue))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_ANSWER_BYTES),
        );
    let service = serving::with_standard_services(routes, health_service)?;
    tracing::info!(%address, "listening");
    ready(address);
    let serving = serving::serve(listener, tls, service, stop);
    governing::while_recorded(recorder, serving).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells an agency's state to the health service, as `agency/ID`.
async fn report(uplink: Arc<Uplink>, health: HealthReporter, mut stop: watch::Receiver<bool>) {
    let name = format!("agency/{}", uplink.agency());
    let mut changes = uplink.changes();
    loop {
        changes.mark_unchanged();
        let status =
            if uplink.is_up() { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status(&name, status).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
