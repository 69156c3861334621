//! A running agency.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::governing::authority::{self, First};
use super::governing::counting::Counting;
use super::governing::rulebook::Governing;
use super::governing::switch::kill_switch;
use super::governing::turn::{Settled, Turning, keep_beside};
use super::governing::{fixed, health, limits, log, mirror, peers, ready};
use super::mapped::Mapped;
use super::mapping_file::AsWritten;
use super::reading::{self, Common};
use super::serving::{self, StartError};
use super::standing::{Changing, RoleLimits};
use super::telemetry::{self, Looking, traces};
use super::watching::Rounds;
use super::{rotation, running_out};
use crate::config::agency::AgencyConfig;
use crate::config::faults::Faults;
use crate::config::parties::Written;
use crate::config::review::ReviewConfig;
use crate::config::status::StatusConfig;
use crate::link::limits::LinkLimits;
use crate::service::agency::answer::{Agency, AgencyParts};
use crate::service::agency::server::AgencyServer;
use crate::service::edge::Longest;
use crate::service::health::Health;
use crate::service::rulebook::Rulebook;
use crate::store::audit_log::Options as LogOptions;
use crate::store::enforced::Keeper;
use crate::telemetry::metrics::Metrics;
use crate::wire::proto::pb::agency_service_server::AgencyServiceServer;
use crate::wire::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};

/// What health calls its service.
const SERVICE: &str = "tributary.v1.AgencyService";

/// Runs an agency from its configuration file until `stop` turns true. `ready` is
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

/// As [`run`], with other settings of the audit log, as the gateway's `run_with`.
///
/// # Errors
/// Why it does not start.
pub async fn run_with(
    path: &Path,
    options: LogOptions,
    ready: impl FnOnce(SocketAddr),
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let (config, read, mapping, opening_keys) = reading::agency(path, changing)?;
    let Common { texts, standing, tls, links, grants, lists, engine, files, keys, logs } = read;
    let rounds = Rounds::start(&stop).map_err(StartError::Thread)?;
    standing.start(&rounds);
    links.start(tls.clone(), standing.news(), &rounds);
    let folder = serving::folder_of(path);
    let opening_keys = rotation::opening_keys(opening_keys, standing.news(), folder, &rounds);
    let (listener, address) = serving::bind(config.listen).await?;
    let fixed = fixed::Telling::of(standing.news(), address);
    let pages = telemetry::bind(config.telemetry.as_ref()).await?;

    let own = (config.id.clone(), config.subject.format.clone(), folder);
    let opened = Mapped::open(own, mapping, stop.clone()).await;
    let (mapped, holdings) = opened.map_err(StartError::Account)?;
    let max_deadline = config.limits.max_deadline;
    let mut counting = Counting::begin(&config.counters, folder, max_deadline).await?;
    let see = &mut |record: &_| counting.see(record);
    // Each request that is let in has a place in the log's queue.
    let room = limits::room_for(config.limits.max_total);
    let options = options.with_room_for(room);
    let opened = log::open(&config.audit, keys, options, see)?;
    let counters = counting.open(&config.counters, folder, opened.before()).await?;
    let settling = counters.clone();
    let settled: Settled = Arc::new(move || {
        settling.settle().map_err(|error| format!("the counters cannot be synced: {error}"))
    });
    let at_once = settled.clone();
    let (recorder, witnesses) = opened.go_on(&config.audit, logs, move || at_once())?;
    let mirroring = mirror::keep(&config.audit, recorder.log().folder().key)?;
    peers::keep(standing.news(), &witnesses, &rounds);
    fixed.keep(&recorder, &rounds);
    let counters_domain = counters.domain(witnesses.origin().as_str());
    let statement_limit = config.source.sql.as_ref().map(|sql| sql.get_ref().statement_timeout);
    let keeper = Keeper::new(&config.audit.folder, None);
    keeper.know(engine.catalogue().digest(), texts);
    let governing = Governing {
        files,
        news: standing.news(),
        folder: folder.to_owned(),
        catalogue: config.catalogue.clone(),
        policy: config.policy.clone(),
        own: Some(config.id.clone()),
        keeper: keeper.clone(),
        mapper: Box::new(mapped),
    };
    let (grants, engine) = (Arc::new(grants), Arc::new(engine));
    let rulebook = Rulebook { grants, engine, earlier: Vec::new(), mapped: holdings };
    let (cache, known) = (config.grants.cache, recorder.last_time());
    let first = First { rulebook, lists, cache, known };
    let prompt = Rounds::start(&stop).map_err(StartError::Thread)?;
    let authority = authority::start(governing, first, [&rounds, &prompt]).await?;
    running_out::watch_for(tls.clone(), &recorder, &stop);
    let enabled = kill_switch(path, config.enabled, &prompt);
    let (rules, statuses) = (authority.rules().clone(), authority.statuses().clone());
    let keeping = keep_beside(keeper, rules.clone());
    Turning::new(&recorder, &witnesses, mirroring.as_ref(), settled, keeping)
        .keep(standing.news(), &rounds);
    let checks = ready::checks(&recorder, &witnesses, &authority, &stop);
    let readiness = Arc::new(ready::with_switch(checks, enabled.clone()));
    let metrics = Metrics::new(telemetry::methods());
    let (spans, sending) = traces::start(config.telemetry.as_ref(), "tributary-agency");
    let looking = Looking::new("agency", &recorder, &readiness)
        .rules(rules)
        .link(tls.clone())
        .statuses(statuses.clone())
        .mirror(mirroring.as_ref())
        .peers(witnesses.clone())
        .counters(counters.clone())
        .spans(spans.clone());
    let agency = Arc::new(Agency::new(AgencyParts {
        id: config.id.clone(),
        authority,
        keys: opening_keys,
        counters,
        recorder: recorder.clone(),
        witnesses: witnesses.clone(),
        format: config.subject.format,
        limits: config.limits,
        enabled,
        counters_domain,
        statement_limit,
        metrics: metrics.clone(),
        spans,
    }));
    let longest = Longest::new(max_deadline);
    let (door, within) = watch::channel(LinkLimits::from(&config.door));
    let (of, time) = (Arc::downgrade(&agency), longest.clone());
    limits::keep(standing.news(), &rounds, room, door, move |limits| {
        if let (RoleLimits::Agency(limits), Some(agency)) = (limits, of.upgrade()) {
            time.change(limits.max_deadline);
            agency.replace_limits(limits.clone());
        }
    });
    let health = Health::new(stop.clone());
    tokio::spawn(health::report_logs(witnesses, health.clone(), stop.clone()));
    prompt
        .keep_looking(readiness.teller(health.clone(), SERVICE, move || ready::issuers(&statuses)));
    let under_way = agency.clone();
    let readable = looking.requests(move || under_way.in_flight()).readable(&metrics);
    let pages = pages.serve(readiness, health.clone(), readable);
    let mut routes = tonic::service::Routes::builder();
    routes.add_service(
        AgencyServiceServer::new(AgencyServer::new(agency, stop.clone()))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_FRAME_BYTES),
    );
    let service = serving::with_standard_services(routes, health, longest, metrics)?;
    tracing::info!(agency = %config.id, %address, "listening");
    ready(address);
    let serving = serving::serve(listener, tls, service, within, stop);
    let served = log::while_recorded(recorder, pages, serving).await;
    mirror::end(mirroring).await;
    served?;
    sending.end().await;
    tracing::info!(agency = %config.id, "stopped");
    Ok(())
}

pub(super) fn changing(written: &Written) -> (Option<Changing>, Faults) {
    let (config, faults) = AgencyConfig::judge_written(written);
    let changing = config.map(|config| Changing {
        fixed: fixed::of_agency(&config),
        policy: config.policy,
        limits: RoleLimits::Agency(config.limits),
        door: config.door,
        catalogue: config.catalogue,
        link: config.link,
        grants: config.grants,
        audit: config.audit,
        agencies: Vec::new(),
        review: ReviewConfig::default(),
        status: StatusConfig::default(),
        mapping: Some(Arc::new(AsWritten::of(written, config.source, config.query))),
        faults: faults.clone(),
    });
    (changing, faults)
}
