//! A consumer's client: what `profile get` and the demo ask with. It uses the
//! public protocol and nothing else.
//!
//! A grant that the gateway has answered for is named by its digest from then on, and
//! sent whole again where the gateway has forgotten it. What is refused for a reason that
//! passes by itself is asked again in the request's time, see [`super::patience`].

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::patience::{self, Patience};
use super::proving::{ProvingError, RequestProver, ToProve};
use crate::clock;
use crate::config::link::TrustConfig;
use crate::domain::grant::{PresentationDigest, Presented, Shown};
use crate::domain::peer::{Role, SpiffeId};
use crate::domain::trace::TraceContext;
use crate::link::connect::{ConnectError, Connector};
use crate::link::identity::{IdentityError, OwnIdentity};
use crate::link::limits::ConnectLimits;
use crate::link::tls::LinkTls;
use crate::link::trust::{Trust, TrustLoadError, TrustStore};
use crate::service::random;
use crate::wire;
use crate::wire::proto::pb;
use crate::wire::proto::pb::catalogue_service_client::CatalogueServiceClient;
use crate::wire::proto::pb::profile_service_client::ProfileServiceClient;
use crate::wire::proto::pb::status_service_client::StatusServiceClient;
use crate::wire::refusal;

/// Bytes of one answer at most.
pub(super) const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Where the gateway is, and as whom to ask it.
#[derive(Debug, Clone)]
pub struct Address {
    /// Host and port.
    pub endpoint: String,
    /// The identity that the gateway must show.
    pub gateway: SpiffeId,
    /// Own certificate, PEM.
    pub certificate: PathBuf,
    /// Own private key, PEM.
    pub key: PathBuf,
    /// The trust anchor of the gateway's domain, PEM.
    pub trust_bundle: PathBuf,
    /// The private key that proves requests, JWK, if they are to be proved.
    pub proof_key: Option<PathBuf>,
}

/// Why asking failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Own certificate and key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The gateway's anchor.
    #[error(transparent)]
    Trust(#[from] TrustLoadError),
    /// Requests cannot be proved.
    #[error(transparent)]
    Proving(#[from] ProvingError),
    /// The link.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The gateway refused.
    #[error("the gateway refused: {}", named(.reason, .status.message()))]
    Refused {
        /// The stable word.
        reason: String,
        /// The whole status.
        status: Box<Status>,
    },
    /// There is no such bundle.
    #[error("`{id}` is no bundle; there are {known}")]
    UnknownBundle {
        /// What was asked for.
        id: String,
        /// What there is.
        known: String,
    },
}

/// A refusal's text, with its reason where that is not in it.
fn named(reason: &str, message: &str) -> String {
    match message.contains(reason) {
        true => message.to_owned(),
        false => format!("{message} ({reason})"),
    }
}

/// A request that was put to a connection on its way out was cancelled by our own end of
/// it, and by nobody who asked or was asked: the connection is not available.
fn lost(status: Status) -> Status {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return Status::unavailable("the connection went before the request was answered");
        }
        cause = error.source();
    }
    status
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let status = lost(status);
        let stated = refusal::reason_of(&status);
        let reason = if stated.is_empty() { format!("{:?}", status.code()) } else { stated };
        Self::Refused { reason, status: Box::new(status) }
    }
}

/// A connection to a gateway.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    channel: Channel,
    /// The grants that it was shown; nothing where each is to be sent whole.
    shown: Option<Arc<Shown>>,
    /// Whether it asks again what passes by itself.
    repeats: bool,
    /// The trace that its requests belong to.
    trace: Option<TraceContext>,
    /// What proves its requests, if anything does.
    prover: Option<Arc<RequestProver>>,
}

/// Whether the gateway wants to be sent the grant whole.
fn is_unknown(status: &Status) -> bool {
    wire::grant::is_unknown(status.code(), &refusal::reason_of(status))
}

/// Connects to a gateway as somebody.
pub(super) async fn channel(address: &Address) -> Result<Channel, ClientError> {
    let identity = OwnIdentity::load(&address.certificate, &address.key, clock::utc())?;
    let trust = TrustStore::load(&[TrustConfig {
        domain: address.gateway.trust_domain().clone(),
        roles: vec![Role::Gateway],
        anchors: address.trust_bundle.clone(),
        crl: None,
    }])?;
    let tls = LinkTls::new(identity, Trust::new(trust));
    let limits = ConnectLimits::default();
    let connector = Connector::new(&address.endpoint, address.gateway.clone(), tls, limits)?;
    Ok(connector.channel().await?)
}

impl GatewayClient {
    /// Connects.
    ///
    /// # Errors
    /// Why there is no link.
    pub async fn connect(address: &Address) -> Result<Self, ClientError> {
        let prove = |key: &PathBuf| RequestProver::load(key, address.gateway.clone()).map(Arc::new);
        let prover = address.proof_key.as_ref().map(prove).transpose()?;
        let (channel, shown) = (channel(address).await?, Some(Arc::default()));
        Ok(Self { channel, shown, repeats: true, trace: None, prover })
    }

    /// The same with its requests as part of a trace.
    pub fn traced(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    /// A fresh proof of each request, where its requests are proved.
    ///
    /// # Errors
    /// As [`RequestProver::prove`].
    pub fn proofs(
        &self,
        requests: &[ToProve<'_>],
    ) -> Result<Vec<Option<pb::RequestProof>>, ProvingError> {
        self.prover.as_ref().map_or(Ok(Vec::new()), |prover| prover.prove(requests))
    }

    /// The same for a gateway that remembers no grants: each is sent whole.
    pub fn always_whole(self) -> Self {
        Self { shown: None, ..self }
    }

    /// The same for whoever wants each refusal as it comes: nothing is asked again.
    pub fn asking_once(self) -> Self {
        Self { repeats: false, ..self }
    }

    /// Fetches a profile.
    ///
    /// # Errors
    /// The gateway's refusal. A missing section is none.
    pub async fn profile(
        &mut self,
        grant: &str,
        items: Vec<String>,
        deadline: Duration,
    ) -> Result<pb::GetProfileResponse, ClientError> {
        self.ask(grant, items, deadline, false).await
    }

    /// Fetches a profile, and asks for the proof of its receipt.
    ///
    /// # Errors
    /// As [`profile`](Self::profile).
    pub async fn proved_profile(
        &mut self,
        grant: &str,
        items: Vec<String>,
        deadline: Duration,
    ) -> Result<pb::GetProfileResponse, ClientError> {
        self.ask(grant, items, deadline, true).await
    }

    async fn ask(
        &self,
        grant: &str,
        items: Vec<String>,
        deadline: Duration,
        prove: bool,
    ) -> Result<pb::GetProfileResponse, ClientError> {
        let until = clock::now() + deadline;
        // The same id each time, so that no agency counts a second use.
        let request_id = random::id().map_err(|refusal| refusal.into_status(""))?;
        let mut patience = Patience::default();
        loop {
            // Made anew for each attempt: a proof lives as long as one may take.
            let one = ToProve { request_id: &request_id, grant, items: &items };
            let proof = self.proofs(&[one])?.pop().flatten();
            let answer = self.once(grant, &items, until, (prove, proof), &request_id).await;
            let stated = match &answer {
                Ok(profile) => patience::of_profile(profile),
                Err(status) => patience::of_status(status),
            };
            match patience.wait(stated.filter(|_| self.repeats), clock::now(), until) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(answer?),
            }
        }
    }

    async fn once(
        &self,
        grant: &str,
        items: &[String],
        until: Instant,
        (prove, proof): (bool, Option<pb::RequestProof>),
        request_id: &str,
    ) -> Result<pb::GetProfileResponse, Status> {
        let request = |presented| pb::GetProfileRequest {
            request_id: request_id.to_owned(),
            items: items.to_vec(),
            prove,
            proof: proof.clone(),
            grant: Some(wire::grant::encode(presented)),
            ..Default::default()
        };
        let whole = || Presented::Whole(Bytes::copy_from_slice(grant.as_bytes()));
        let Some(shown) = &self.shown else {
            return self.call(request(whole()), until).await;
        };
        let digest = PresentationDigest::of(grant.as_bytes());
        if shown.knows(&digest) {
            match self.call(request(Presented::Digest(digest)), until).await {
                Err(status) if is_unknown(&status) => shown.forget(&digest),
                answered => return answered,
            }
        }
        let answer = self.call(request(whole()), until).await?;
        shown.answered(digest);
        Ok(answer)
    }

    async fn call(
        &self,
        request: pb::GetProfileRequest,
        until: Instant,
    ) -> Result<pb::GetProfileResponse, Status> {
        let mut request = tonic::Request::new(request);
        request.set_timeout(until.saturating_duration_since(clock::now()));
        if let Some(Ok(trace)) = self.trace.map(|trace| trace.to_string().parse()) {
            request.metadata_mut().insert(wire::trace::TRACEPARENT, trace);
        }
        let mut client = ProfileServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(client.get_profile(request).await?.into_inner())
    }

    /// Opens a stream on which many profiles are asked for.
    ///
    /// # Errors
    /// The gateway's refusal of the stream itself.
    pub async fn stream(
        &self,
        requests: ReceiverStream<pb::StreamProfilesRequest>,
    ) -> Result<Streaming<pb::StreamProfilesResponse>, ClientError> {
        let mut client = ProfileServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(client.stream_profiles(requests).await?.into_inner())
    }

    /// Every item of the gateway's catalogue.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn items(&mut self) -> Result<Vec<pb::CatalogueItem>, ClientError> {
        Ok(self.catalogue().list_items(pb::ListItemsRequest::default()).await?.into_inner().items)
    }

    /// The ids of a bundle's items.
    ///
    /// # Errors
    /// The gateway's refusal, or that there is no such bundle.
    pub async fn bundle(&mut self, id: &str) -> Result<Vec<String>, ClientError> {
        let bundles = self.catalogue().list_bundles(pb::ListBundlesRequest {}).await?;
        let bundles = bundles.into_inner().bundles;
        let known: Vec<&str> = bundles.iter().map(|bundle| bundle.id.as_str()).collect();
        let known = known.join(", ");
        let found = bundles.into_iter().find(|bundle| bundle.id == id);
        found
            .map(|bundle| bundle.items)
            .ok_or_else(|| ClientError::UnknownBundle { id: id.to_owned(), known })
    }

    /// How the gateway and its agencies do.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn status(&mut self) -> Result<pb::GetStatusResponse, ClientError> {
        let mut client = StatusServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(client.get_status(pb::GetStatusRequest {}).await?.into_inner())
    }

    /// Whether the gateway has a link to an agency.
    pub async fn has_link_to(&mut self, agency: &str) -> bool {
        let mut client = HealthClient::new(self.channel.clone());
        let request = HealthCheckRequest { service: format!("agency/{agency}") };
        client
            .check(request)
            .await
            .is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
    }

    fn catalogue(&self) -> CatalogueServiceClient<Channel> {
        CatalogueServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
    }
}
