//! What both roles share: loading the link, binding, serving, stopping.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::Layer;

use crate::config::catalogue::CatalogueError;
use crate::config::file::FileError;
use crate::config::policy::PolicyLoadError;
use crate::domain::audit::Origin;
use crate::issuer::{SettingsError, StatusStateError};
use crate::link::accept;
use crate::link::connect::ConnectError;
use crate::link::https::{AnchorsError, HttpsUriError, ServerPairError};
use crate::link::limits::LinkLimits;
use crate::link::tls::LinkTls;
use crate::service::edge::{Edge, EdgeLayer, Longest};
use crate::service::health::Health;
use crate::service::metered::{Metered, MeteredLayer};
use crate::service::status_lists::StatusPlanError;
use crate::source::SourceError;
use crate::store::audit_log::AuditError;
use crate::store::frequency::CounterError;
use crate::store::witness::WitnessError;
use crate::telemetry::metrics::Metrics;
use crate::wire::proto::DESCRIPTORS;

/// Why a process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A configuration file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is enforced cannot be kept beside the audit log.
    #[error("what is enforced cannot be kept beside the audit log: {0}")]
    Kept(std::io::Error),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// An agency's account that can do more than read.
    #[error("{0}")]
    Account(SourceError),
    /// The policy.
    #[error("the policy does not load:\n{0}")]
    Policy(#[from] PolicyLoadError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What was seen of peers' audit logs.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The audit log went out of use while serving.
    #[error("the audit log is out of use, so nothing may be disclosed: {0}")]
    AuditLost(String),
    /// The audit log is to go on from one that has not ended.
    #[error(
        "the audit log has not begun, and the one that audit.succeeds names has not ended: name \
         the seed of that one's key as audit.succeeds.key, so that it can say how it ended"
    )]
    LogNotEnded,
    /// The counters hold nothing, and the log goes on from one that was not read.
    #[error(
        "the counters hold nothing, and the audit log goes on from `{0}`, which is not there to \
         be read, or goes on from another itself: uses that were counted then would be given \
         back. Count them again with `tributary agency recount`, from all of this agency's logs \
         or their mirrors"
    )]
    CountersLost(Origin),
    /// The counters.
    #[error(transparent)]
    Counters(#[from] CounterError),
    /// Anchors of an issuer's HTTPS servers.
    #[error(transparent)]
    Anchors(#[from] AnchorsError),
    /// Status lists.
    #[error(transparent)]
    Statuses(#[from] StatusPlanError),
    /// An issuer's settings or keys.
    #[error(transparent)]
    Issuer(#[from] SettingsError),
    /// An issuer's records.
    #[error(transparent)]
    Records(#[from] StatusStateError),
    /// The address under which an issuer publishes.
    #[error("the issuer's `status_uri` cannot be served: {0}")]
    StatusUri(#[from] HttpsUriError),
    /// A web server's certificate and key.
    #[error(transparent)]
    ServerPair(#[from] ServerPairError),
    /// TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// An agency's address.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The port.
    #[error(
        "cannot listen on {address}: {source}; choose another `listen`, or stop what is using it"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("the system gives no thread that looks at files ({0}): raise its limit of tasks")]
    Thread(std::io::Error),
    /// Where the audit log's mirror is.
    #[error("the mirror of the audit log cannot be kept: {0}")]
    Mirror(String),
    /// The reflection service.
    #[error("the embedded descriptors cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The folder from which a configuration file's relative paths start.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Binds the configured address.
pub(super) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// A role's services with health and reflection beside them, behind the edge,
/// which ends calls beyond the role's longest deadline.
pub(super) fn with_standard_services(
    mut routes: tonic::service::RoutesBuilder,
    health: Health,
    longest: Longest,
    metrics: Arc<Metrics>,
) -> Result<Metered<Edge<Routes>>, StartError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    routes.add_service(HealthServer::new(health)).add_service(reflection);
    let edge = EdgeLayer { longest }.layer(routes.routes().prepare());
    Ok(MeteredLayer(metrics).layer(edge))
}

/// Serves until `stop` turns true, and returns once every connection is closed.
pub(super) async fn serve(
    listener: TcpListener,
    tls: LinkTls,
    service: Metered<Edge<Routes>>,
    limits: watch::Receiver<LinkLimits>,
    mut stop: watch::Receiver<bool>,
) {
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    accept::serve_within(listener, tls, service, limits, stopped).await;
}

/// A file's name for messages.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
