//! What the integration tests share: a PKI in a temporary folder, and a small
//! gRPC server behind our accept loop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tributary::clock;
use tributary::config::link::{LinkConfig, TrustConfig};
use tributary::domain::peer::{PeerId, Role, SpiffeId, TrustDomain};
use tributary::link::accept;
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::LinkLimits;
use tributary::link::pki::{Authority, Issued, Validity};
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};

pub use super::rude::{Pair, pem_chain};

/// Authorities in a temporary folder.
pub struct Pki {
    pub dir: tempfile::TempDir,
}

impl Pki {
    pub fn new(domains: &[&str]) -> Self {
        let pki = Self { dir: tempfile::tempdir().unwrap() };
        for name in domains {
            Authority::create(pki.dir.path(), &domain(name), clock::utc()).unwrap();
        }
        pki
    }

    pub fn authority(&self, name: &str) -> Authority {
        Authority::open(self.dir.path(), &domain(name)).unwrap()
    }

    pub fn issue(&self, domain: &str, role: Role, name: &str) -> Issued {
        let validity = Validity::days(clock::utc(), 1).unwrap();
        self.issue_valid(domain, role, name, validity)
    }

    pub fn issue_valid(&self, domain: &str, role: Role, name: &str, validity: Validity) -> Issued {
        let request = tributary::link::pki::CertificateRequest::local(role, name, validity);
        self.authority(domain).issue(&request).unwrap()
    }

    fn issuer(&self, domain: &str) -> Issuer<'static, KeyPair> {
        let read = |file| std::fs::read_to_string(self.dir.path().join(domain).join(file)).unwrap();
        let key = KeyPair::from_pem(&read("ca.key")).unwrap();
        Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap()
    }

    /// A leaf that `domain`'s authority signs, with whatever URI names and
    /// purposes.
    pub fn leaf(
        &self,
        domain: &str,
        uris: &[&str],
        purposes: Vec<ExtendedKeyUsagePurpose>,
    ) -> Pair {
        let mut params = CertificateParams::default();
        params.not_before = clock::utc() - time::Duration::minutes(1);
        params.not_after = clock::utc() + time::Duration::days(1);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "made by hand");
        params.subject_alt_names =
            uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer(domain)).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes a revocation list of `domain`.
    pub fn crl(&self, domain: &str, revoked: &[&Issued], next_update: OffsetDateTime) -> PathBuf {
        let revoked_certs = revoked
            .iter()
            .map(|issued| RevokedCertParams {
                serial_number: SerialNumber::from(serial(issued)),
                revocation_time: clock::utc() - time::Duration::minutes(1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update: next_update - time::Duration::days(7),
            next_update,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer(domain)).unwrap();
        let file = self.dir.path().join(domain).join("ca.crl");
        std::fs::write(&file, list.pem().unwrap()).unwrap();
        file
    }

    pub fn trust(&self, domain_name: &str, roles: &[Role]) -> TrustConfig {
        TrustConfig {
            domain: domain(domain_name),
            roles: roles.to_vec(),
            anchors: self.dir.path().join(domain_name).join("ca.pem"),
            crl: None,
        }
    }
}

fn serial(issued: &Issued) -> Vec<u8> {
    use x509_parser::prelude::FromDer;

    let der = &pem_chain(&std::fs::read_to_string(&issued.certificate).unwrap())[0];
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
    certificate.raw_serial().to_vec()
}

pub fn domain(name: &str) -> TrustDomain {
    name.parse().unwrap()
}

/// The link of whoever has this certificate.
pub fn tls(certificate: &Path, key: &Path, trust: &[TrustConfig]) -> LinkTls {
    let identity = OwnIdentity::load(certificate, key, clock::utc()).unwrap();
    LinkTls::new(identity, Trust::new(TrustStore::load(trust).unwrap()))
}

/// The link of whoever has this configuration.
pub fn tls_of(link: &LinkConfig) -> LinkTls {
    tls(&link.certificate, &link.key, &link.trust)
}

pub fn link_tls(issued: &Issued, trust: &[TrustConfig]) -> LinkTls {
    tls(&issued.certificate, &issued.key, trust)
}

/// What the small server does: the asked service's name chooses.
#[derive(Clone, Default)]
pub struct Probe {
    pub seen: Arc<Mutex<Vec<SpiffeId>>>,
}

#[tonic::async_trait]
impl Health for Probe {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let peer = request.extensions().get::<PeerId>().unwrap().clone();
        self.seen.lock().unwrap().push(peer.spiffe().clone());
        match request.get_ref().service.as_str() {
            "panic" => panic!("as asked"),
            "stall" => std::future::pending().await,
            _ => Ok(Response::new(HealthCheckResponse { status: 1 })),
        }
    }

    type WatchStream = std::pin::Pin<
        Box<dyn futures_util::Stream<Item = Result<HealthCheckResponse, Status>> + Send>,
    >;

    /// One message, and then a panic in the middle of the stream.
    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut polls = 0;
        let stream = futures_util::stream::poll_fn(move |context| {
            polls += 1;
            match polls {
                1 => Poll::Ready(Some(Ok(HealthCheckResponse { status: 1 }))),
                // Lets the first message out.
                2 => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => panic!("as asked"),
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

impl Probe {
    /// Waits until so many requests have come.
    pub async fn saw(&self, requests: usize) {
        let look = async || self.seen.lock().unwrap().len();
        super::waiting::until("a request at the server", look, |seen| *seen >= requests).await;
    }
}

/// The small server, running.
pub struct Server {
    pub address: SocketAddr,
    pub probe: Probe,
    pub tls: LinkTls,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(tls: LinkTls, limits: LinkLimits) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), tls, limits).await
    }

    pub async fn at(address: SocketAddr, tls: LinkTls, limits: LinkLimits) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe = Probe::default();
        let service = HealthServer::new(probe.clone());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(accept::serve(listener, tls.clone(), service, limits, shutdown));
        Self { address, probe, tls, stop: Some(stop), task }
    }

    /// Asks it to stop and waits; gives how long it took.
    pub async fn stop(mut self) -> Duration {
        let started = clock::now();
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap();
        started.elapsed()
    }
}
