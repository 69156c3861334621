//! A running gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::governing::policy::Enforcing;
use super::governing::{authority, health, log, ready};
use super::reading::{self, Common};
use super::rotation::Changing;
use super::running_out;
use super::serving::{self, StartError};
use super::telemetry::{self, Looking, own};
use super::watching::Rounds;
use crate::config::file::FileError;
use crate::config::gateway::GatewayConfig;
use crate::service::agencies::client::{AgencyClient, ClientParts};
use crate::service::agencies::hearing::Hearing;
use crate::service::audit::server::{Review, ReviewServer};
use crate::service::catalogue::CatalogueServer;
use crate::service::gateway::answer::Gateway;
use crate::service::gateway::server::GatewayServer;
use crate::service::gateway::status::StatusServer;
use crate::service::health::Health;
use crate::store::audit_log::{AuditError, Options as LogOptions};
use crate::telemetry::metrics::Metrics;
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::proto::pb::audit_service_server::AuditServiceServer;
use crate::wire::proto::pb::catalogue_service_server::CatalogueServiceServer;
use crate::wire::proto::pb::profile_service_server::ProfileServiceServer;
use crate::wire::proto::pb::status_service_server::StatusServiceServer;

/// What health calls its service.
const SERVICE: &str = "tributary.v1.ProfileService";

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
    run_with(path, LogOptions::default(), ready, stop).await
}

/// As [`run`], with other settings of the audit log: on a disk that a test lets
/// fail, or that ends the process at a step.
///
/// # Errors
/// Why it does not start.
pub async fn run_with(
    path: &Path,
    options: LogOptions,
    ready: impl FnOnce(SocketAddr),
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let (config, read, endpoints) = reading::gateway(path, changing)?;
    let Common { catalogue, texts, tls, links, grants, pins, lists, engine, policy, keys, logs } =
        read;
    let log_key = keys.signing.verifying_key(&keys.origin).map_err(AuditError::from)?;
    let rounds = Rounds::start(&stop);
    links.start(tls.clone(), &rounds);
    let (listener, address) = serving::bind(config.listen).await?;
    let pages = telemetry::bind(config.telemetry).await?;

    // Each request that is let in has a place in the log's queue.
    let options = options.with_room_for(config.limits.max_in_flight);
    let (recorder, witnesses) =
        log::open(&config.audit, keys, logs, &catalogue, options, &mut |_| {})?;
    let hearing = Arc::new(Hearing::default());
    let mut clients = Vec::with_capacity(config.agency.len());
    for (entry, endpoints) in config.agency.iter().zip(endpoints) {
        if witnesses.peer(&entry.identity).is_none() {
            tracing::info!(agency = %entry.id, "its audit log is not pinned, so nobody here would see that it was rewritten");
        }
        let parts = ClientParts {
            agency: entry.id.clone(),
            endpoints,
            catalogue: catalogue.clone(),
            connections: entry.connections,
            max_in_flight: entry.max_in_flight,
            witnesses: witnesses.clone(),
            hearing: hearing.clone(),
        };
        clients.push(AgencyClient::start(parts, &stop));
    }
    let health = Health::new(stop.clone());
    for client in &clients {
        tokio::spawn(health::report_agency(client.clone(), health.clone(), stop.clone()));
    }
    tokio::spawn(health::report_logs(witnesses.clone(), health.clone(), stop.clone()));
    let routing = config.agency.iter().map(|agency| {
        serde_json::json!({
            "id": agency.id, "identity": agency.identity, "endpoint": agency.endpoints.join(", "),
        })
    });
    let routing = serde_json::Value::Array(routing.collect()).to_string();
    let read = (&catalogue, texts);
    let enforcing = Enforcing::new(&config.policy, &config.audit, read, Some(routing), None);
    let believed = (grants, lists, pins, config.grants.cache);
    let governing = (enforcing, engine, policy);
    let known = recorder.last_time();
    let authority = authority::start(&catalogue, believed, governing, known, &rounds).await?;
    let (policy, statuses) = (authority.policy().clone(), authority.statuses().clone());
    let readiness = Arc::new(ready::checks(&recorder, &witnesses, &authority, &stop));
    let issuers = statuses.clone();
    readiness.tell(health.clone(), SERVICE, move || ready::issuers(&issuers));
    let metrics = Metrics::new(telemetry::methods());
    running_out::watch_for(tls.clone(), config.audit.folder.clone(), &stop);
    let review = Arc::new(Review::new(
        config.review.policy(),
        config.review.max_page,
        recorder.clone(),
        config.audit.folder.clone(),
        log_key,
    ));
    let id = tls.identity().id();
    let max_deadline = config.limits.max_deadline;
    let gateway = Arc::new(Gateway::new(
        id,
        catalogue.clone(),
        authority,
        recorder.clone(),
        clients.clone(),
        config.limits,
        metrics.clone(),
    ));
    let looking = Looking::new("gateway", catalogue.digest(), &recorder, &readiness)
        .link(tls.clone())
        .statuses(statuses)
        .policy(policy.clone())
        .peers(witnesses)
        .agencies(clients);
    let under_way = gateway.clone();
    let readable = looking.requests(move || under_way.in_flight()).readable(&metrics);
    let own =
        own::look(tls.clone(), recorder.clone(), readiness.clone(), policy, catalogue.digest());
    let status = StatusServer::new(gateway.clone(), config.status.may(), own);
    let pages = pages.serve(readiness, health.clone(), readable);
    let mut routes = tonic::service::Routes::builder();
    routes
        .add_service(
            ProfileServiceServer::new(GatewayServer::new(gateway, stop.clone()))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_ANSWER_BYTES),
        )
        .add_service(
            AuditServiceServer::new(ReviewServer::new(review))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_ANSWER_BYTES),
        )
        .add_service(
            StatusServiceServer::new(status)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_ANSWER_BYTES),
        )
        .add_service(
            CatalogueServiceServer::new(CatalogueServer::new(catalogue))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_ANSWER_BYTES),
        );
    let service = serving::with_standard_services(routes, health, max_deadline, metrics)?;
    tracing::info!(%address, "listening");
    ready(address);
    let serving = serving::serve(listener, tls, service, &config.door, stop);
    log::while_recorded(recorder, pages, serving).await?;
    tracing::info!("stopped");
    Ok(())
}

pub(super) fn changing(path: &Path) -> Result<Changing, FileError> {
    let (config, faults) = GatewayConfig::judge(path)?;
    Changing::of(config.map(|config| (config.link, config.grants)), faults)
}
