//! A running agency.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tonic_health::ServingStatus;

use super::governing;
use super::rotation::{Changing, LinkWatch, PinsWatch};
use super::serving::{self, StartError};
use crate::config::agency::AgencyConfig;
use crate::config::catalogue;
use crate::domain::catalogue::Source;
use crate::domain::peer::Role;
use crate::domain::subject::SubjectFormat;
use crate::service::agency::answer::{Agency, AgencyParts};
use crate::service::agency::server::AgencyServer;
use crate::source::{Holdings, Mapping, Written};
use crate::store::audit_log::Options as LogOptions;
use crate::store::frequency::{Counters, Newest};
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::proto::pb::agency_service_server::AgencyServiceServer;

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
    let (config, text) = AgencyConfig::load(path)?;
    let catalogue = Arc::new(catalogue::load(&config.catalogue)?);
    if catalogue.owned_by(&config.id).is_empty() {
        let known: Vec<String> = catalogue.agencies().iter().map(ToString::to_string).collect();
        return Err(StartError::UnknownAgency {
            file: path.display().to_string(),
            id: config.id.to_string(),
            known: known.join(", "),
        });
    }
    let name = serving::name_of(path);
    let written = Written {
        file: Source { name: &name, text: &text },
        folder: path.parent().unwrap_or(Path::new(".")),
        source: &config.source,
        queries: &config.query,
    };
    let mapping = Mapping::compile(&config.id, &catalogue, written).map_err(StartError::Mapping)?;
    let links = LinkWatch::new(path, changing, &config.link);
    let pins = PinsWatch::new(path, changing, &config.grants);
    let tls = serving::link(&config.link, Role::Agency)?;
    links.start(tls.clone(), &stop);
    let (listener, address) = serving::bind(config.listen).await?;

    let holdings = Holdings::open(mapping);
    if let Err(faults) = holdings.check().await {
        // The source may come up later; until then sections say what is wrong.
        for fault in faults {
            tracing::warn!(agency = %config.id, "{fault}");
        }
    }
    let again = look(&holdings, &config.subject.format).await;
    let folder = path.parent().unwrap_or(Path::new("."));
    let keys = config.grants.opening_keys(folder)?;
    let max_deadline = config.limits.max_deadline;
    let mut newest = Newest::new(max_deadline);
    let (recorder, witnesses) =
        governing::recorder(&config.audit, &catalogue, options, &mut |record| newest.see(record))?;
    let counters = Counters::open(&config.counters, folder, newest).await?;
    let authority = governing::authority(
        &catalogue,
        &config.grants,
        governing::enforcing(&config.policy, &config.audit, &config.catalogue, None)?,
        folder,
        Some(&config.id),
        pins,
        &stop,
    )
    .await?;
    let agency = Arc::new(Agency::new(AgencyParts {
        id: config.id.clone(),
        catalogue,
        holdings,
        authority,
        keys,
        counters,
        recorder: recorder.clone(),
        witnesses: witnesses.clone(),
        format: config.subject.format.clone(),
        limits: config.limits,
        enabled: governing::kill_switch(path, config.enabled, &stop),
    }));
    if again {
        tokio::spawn(look_again(Arc::clone(&agency), config.subject.format, stop.clone()));
    }
    let (health, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(governing::report_logs(witnesses, health.clone(), stop.clone()));
    let serving_now = ServingStatus::Serving;
    health.set_service_status("tributary.v1.AgencyService", serving_now).await;
    let mut routes = tonic::service::Routes::builder();
    routes.add_service(
        AgencyServiceServer::new(AgencyServer::new(agency, stop.clone()))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(2 * MAX_MESSAGE_BYTES),
    );
    let service = serving::with_standard_services(routes, health_service, max_deadline)?;
    tracing::info!(agency = %config.id, %address, "listening");
    ready(address);
    let serving = serving::serve(listener, tls, service, stop);
    governing::while_recorded(recorder, serving).await?;
    tracing::info!(agency = %config.id, "stopped");
    Ok(())
}

/// How long a source that was away is left before its rows are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Looks at a sample of the source's rows, and says what is wrong with them. Whether to
/// look again.
async fn look(holdings: &Holdings, format: &SubjectFormat) -> bool {
    let looked = holdings.look(format).await;
    for fault in looked.faults {
        tracing::error!("{fault}");
    }
    looked.again
}

/// Looks until the source has been seen.
async fn look_again(agency: Arc<Agency>, format: SubjectFormat, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let looked = agency.holdings().look(&format).await;
        if !looked.again {
            for fault in looked.faults {
                tracing::error!("{fault}");
            }
            return;
        }
    }
}

fn changing(path: &Path) -> Result<Changing, StartError> {
    let (AgencyConfig { link, grants, .. }, _) = AgencyConfig::load(path)?;
    Ok(Changing { link, grants })
}
