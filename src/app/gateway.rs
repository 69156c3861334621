//! A running gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::governing::authority::{self, First};
use super::governing::rulebook::{Governing, Nothing};
use super::governing::turn::{Turning, keep_beside};
use super::governing::{fixed, health, limits, log, mirror, peers, published, ready};
use super::reading::{self, Common};
use super::routes::{Roads, Route, Routes, routing};
use super::running_out;
use super::serving::{self, StartError};
use super::standing::{Changing, Heard, RoleLimits};
use super::telemetry::{self, Looking, own, traces};
use super::watching::Rounds;
use crate::config::faults::Faults;
use crate::config::gateway::GatewayConfig;
use crate::config::parties::Written;
use crate::link::limits::LinkLimits;
use crate::service::agencies::hearing::Hearing;
use crate::service::audit::server::{Review, ReviewServer};
use crate::service::catalogue::CatalogueServer;
use crate::service::edge::Longest;
use crate::service::gateway::answer::Gateway;
use crate::service::gateway::server::GatewayServer;
use crate::service::gateway::status::{Readers, StatusServer};
use crate::service::health::Health;
use crate::service::rulebook::Rulebook;
use crate::store::audit_log::Options as LogOptions;
use crate::store::enforced::Keeper;
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
    let (config, read) = reading::gateway(path, changing)?;
    let Common { texts, standing, tls, links, grants, lists, engine, files, keys, logs } = read;
    let rounds = Rounds::start(&stop).map_err(StartError::Thread)?;
    standing.start(&rounds);
    links.start(tls.clone(), standing.news(), &rounds);
    let (listener, address) = serving::bind(config.listen).await?;
    let fixed = fixed::Telling::of(standing.news(), address);
    let pages = telemetry::bind(config.telemetry.as_ref()).await?;

    // Each request that is let in has a place in the log's queue.
    let room = limits::room_for(config.limits.max_in_flight);
    let options = options.with_room_for(room);
    let opened = log::open(&config.audit, keys, options, &mut |_| {})?;
    let (recorder, witnesses) = opened.go_on(&config.audit, logs, || Ok(()))?;
    let mirroring = mirror::keep(&config.audit, recorder.log().folder().key)?;
    peers::keep(standing.news(), &witnesses, &rounds);
    fixed.keep(&recorder, &rounds);
    let health = Health::new(stop.clone());
    let roads = Roads {
        tls: tls.clone(),
        catalogue: engine.catalogue().clone(),
        witnesses: witnesses.clone(),
        hearing: Arc::new(Hearing::default()),
        health: health.clone(),
        stop: stop.clone(),
    };
    let routes = config.agency.iter().map(|entry| roads.open(entry));
    let routes = routes.collect::<Result<Vec<Route>, _>>()?;
    tokio::spawn(health::report_logs(witnesses.clone(), health.clone(), stop.clone()));
    let keeper = Keeper::new(&config.audit.folder, Some(routing(&config.agency)));
    keeper.know(engine.catalogue().digest(), texts);
    let governing = Governing {
        files,
        news: standing.news(),
        folder: serving::folder_of(path).to_owned(),
        catalogue: config.catalogue.clone(),
        policy: config.policy.clone(),
        own: None,
        keeper: keeper.clone(),
        mapper: Box::new(Nothing),
    };
    let (grants, engine) = (Arc::new(grants), Arc::new(engine));
    let rulebook = Rulebook { grants, engine, earlier: Vec::new(), mapped: () };
    let (cache, known) = (config.grants.cache, recorder.last_time());
    let first = First { rulebook, lists, cache, known };
    let prompt = Rounds::start(&stop).map_err(StartError::Thread)?;
    let authority = authority::start(governing, first, [&rounds, &prompt]).await?;
    let (rules, statuses) = (authority.rules().clone(), authority.statuses().clone());
    let keeping = keep_beside(keeper.clone(), rules.clone());
    Turning::new(&recorder, &witnesses, mirroring.as_ref(), Arc::new(|| Ok(())), keeping)
        .keep(standing.news(), &rounds);
    let readiness = Arc::new(ready::checks(&recorder, &witnesses, &authority, &stop));
    let issuers = statuses.clone();
    prompt
        .keep_looking(readiness.teller(health.clone(), SERVICE, move || ready::issuers(&issuers)));
    let metrics = Metrics::new(telemetry::methods());
    let (spans, sending) = traces::start(config.telemetry.as_ref(), "tributary-gateway");
    running_out::watch_for(tls.clone(), &recorder, &stop);
    let review =
        Arc::new(Review::new(config.review.policy(), config.review.max_page, recorder.clone()));
    let readers = Readers::new(config.status.may());
    // Weak, for they end with what serves them, and the log with them.
    let reviewers = Arc::downgrade(&review);
    let (asking, mut news) = (readers.clone(), standing.news());
    rounds.keep_looking(move || {
        if let (Some(Heard::Changed(now)), Some(review)) = (news.take(), reviewers.upgrade()) {
            review.replace(now.review.policy(), now.review.max_page);
            asking.replace(now.status.may());
        }
    });
    let id = tls.identity().id();
    let longest = Longest::new(config.limits.max_deadline);
    let (door, within) = watch::channel(LinkLimits::from(&config.door));
    let gateway = Arc::new(Gateway::new(
        id,
        authority,
        recorder.clone(),
        routes.iter().map(|(_, client)| client.clone()).collect(),
        config.limits,
        (metrics.clone(), spans.clone()),
    ));
    let gateway_of = Arc::downgrade(&gateway);
    Routes { roads, routes, gateway: gateway_of, keeper, rules: rules.clone() }
        .keep(standing.news(), &rounds);
    let (of, time) = (Arc::downgrade(&gateway), longest.clone());
    limits::keep(standing.news(), &rounds, room, door, move |limits| {
        if let (RoleLimits::Gateway(limits), Some(gateway)) = (limits, of.upgrade()) {
            time.change(limits.max_deadline);
            gateway.replace_limits(limits.clone());
        }
    });
    let published = published::keep(standing.news(), rules.clone(), &rounds);
    let of = Arc::downgrade(&gateway);
    let looking = Looking::new("gateway", &recorder, &readiness)
        .rules(rules.clone())
        .link(tls.clone())
        .statuses(statuses)
        .mirror(mirroring.as_ref())
        .peers(witnesses)
        .spans(spans)
        .agencies(move || of.upgrade().map(|gateway| gateway.clients()).unwrap_or_default());
    let under_way = gateway.clone();
    let readable = looking.requests(move || under_way.in_flight()).readable(&metrics);
    let own = own::look(tls.clone(), recorder.clone(), readiness.clone(), rules.clone());
    let status = StatusServer::new(gateway.clone(), readers, own);
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
            CatalogueServiceServer::new(CatalogueServer::new(rules, published))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_ANSWER_BYTES),
        );
    let service = serving::with_standard_services(routes, health, longest, metrics)?;
    tracing::info!(%address, "listening");
    ready(address);
    let serving = serving::serve(listener, tls, service, within, stop);
    let served = log::while_recorded(recorder, pages, serving).await;
    mirror::end(mirroring).await;
    served?;
    sending.end().await;
    tracing::info!("stopped");
    Ok(())
}

pub(super) fn changing(written: &Written) -> (Option<Changing>, Faults) {
    let (config, faults) = GatewayConfig::judge_written(written);
    let changing = config.map(|config| Changing {
        fixed: fixed::of_gateway(&config),
        policy: config.policy,
        limits: RoleLimits::Gateway(config.limits),
        door: config.door,
        catalogue: config.catalogue,
        link: config.link,
        grants: config.grants,
        audit: config.audit,
        agencies: config.agency,
        review: config.review,
        status: config.status,
        mapping: None,
        faults: faults.clone(),
    });
    (changing, faults)
}
