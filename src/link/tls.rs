//! The rustls configurations: TLS 1.3 only, hybrid post-quantum key exchange
//! first, HTTP/2 only, both sides with certificates, nothing resumed.
//!
//! Resumption would skip the certificate verifier, and with it revocation
//! (RFC 8446, section 4.6.1: a ticket stands in for the handshake's
//! authentication). So there are no tickets and no session storage.
//!
//! Each connection gets its own configuration, because its verifier notes whom it
//! verified, or why not.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::verify_tls13_signature;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerMisbehaved,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;

use super::crypto;
use super::identity::OwnIdentity;
use super::trust::{Trust, TrustError, Usage, Verified};
use crate::clock;
use crate::domain::peer::SpiffeId;

/// The only application protocol, as ALPN names it (RFC 9113, section 3.2).
pub const HTTP2: &[u8] = b"h2";

/// What both directions need: who we are and whom we believe. Clones share both.
#[derive(Debug, Clone)]
pub struct LinkTls {
    identity: Arc<OwnIdentity>,
    trust: Trust,
}

impl LinkTls {
    /// Puts the two together.
    pub const fn new(identity: Arc<OwnIdentity>, trust: Trust) -> Self {
        Self { identity, trust }
    }

    /// Who we are.
    pub const fn identity(&self) -> &Arc<OwnIdentity> {
        &self.identity
    }

    /// Whom we believe.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The configuration for one inbound connection.
    pub(super) fn inbound(&self) -> Result<(Arc<ServerConfig>, Arc<Verifier>), rustls::Error> {
        let verifier = Arc::new(Verifier::new(self.trust.clone(), None));
        let client_verifier: Arc<dyn ClientCertVerifier> = Arc::<Verifier>::clone(&verifier);
        let mut config = ServerConfig::builder_with_details(crypto::provider(), Arc::new(OurClock))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(client_verifier)
            .with_cert_resolver(Arc::<OwnIdentity>::clone(&self.identity));
        config.alpn_protocols = vec![HTTP2.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok((Arc::new(config), verifier))
    }

    /// The configuration for one connection to `expected` and nobody else.
    pub(super) fn outbound(
        &self,
        expected: &SpiffeId,
    ) -> Result<(Arc<ClientConfig>, Arc<Verifier>), rustls::Error> {
        let verifier = Arc::new(Verifier::new(self.trust.clone(), Some(expected.clone())));
        let server_verifier: Arc<dyn ServerCertVerifier> = Arc::<Verifier>::clone(&verifier);
        let mut config = ClientConfig::builder_with_details(crypto::provider(), Arc::new(OurClock))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(server_verifier)
            .with_client_cert_resolver(Arc::<OwnIdentity>::clone(&self.identity));
        config.alpn_protocols = vec![HTTP2.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok((Arc::new(config), verifier))
    }
}

/// rustls's time, from our clock: the later one, since it is certificates and revocation
/// lists that expire by it.
#[derive(Debug)]
pub(super) struct OurClock;

impl TimeProvider for OurClock {
    fn current_time(&self) -> Option<UnixTime> {
        unix(clock::process().now().latest)
    }
}

/// The wall clock's, for the web servers that status lists are fetched from: those lists
/// are signed, and right the other clock where it is wrong.
#[derive(Debug)]
pub(super) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        unix(clock::utc())
    }
}

fn unix(time: OffsetDateTime) -> Option<UnixTime> {
    let seconds = u64::try_from(time.unix_timestamp()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// Verifies one connection's peer and keeps the finding.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    /// The one identity that may answer; none for inbound connections.
    expected: Option<SpiffeId>,
    finding: OnceLock<Result<Verified, TrustError>>,
}

impl Verifier {
    const fn new(trust: Trust, expected: Option<SpiffeId>) -> Self {
        Self { trust, expected, finding: OnceLock::new() }
    }

    /// What was found, if the handshake came so far.
    pub(super) fn finding(&self) -> Option<&Result<Verified, TrustError>> {
        self.finding.get()
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let now = i64::try_from(now.as_secs())
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .ok_or(rustls::Error::FailedToGetCurrentTime)?;
        let mut chain = vec![leaf.clone()];
        chain.extend(intermediates.iter().cloned());
        let finding = self.trust.current().verify(&chain, usage, now);
        let finding = match (finding, &self.expected) {
            (Ok(verified), Some(expected)) if verified.peer.spiffe() != expected => {
                Err(TrustError::WrongIdentity {
                    expected: expected.clone(),
                    found: verified.peer.spiffe().clone(),
                })
            }
            (finding, _) => finding,
        };
        let outcome = finding.as_ref().map(|_| ()).map_err(alert_for);
        // A handshake verifies one certificate once.
        let _ = self.finding.set(finding);
        outcome
    }
}

/// The error that makes rustls send the alert which tells a peer's operator most.
fn alert_for(error: &TrustError) -> rustls::Error {
    use webpki::Error::{
        CertExpired, CertNotValidYet, CertRevoked, CrlExpired, InvalidCrlSignatureForPublicKey,
        InvalidSignatureForPublicKey, IssuerNotCrlSigner, RequiredEkuNotFoundContext,
        UnknownIssuer, UnknownRevocationStatus,
    };
    let known = match error {
        TrustError::Certificate(_) => CertificateError::BadEncoding,
        TrustError::UnknownDomain { .. } | TrustError::ForeignAuthority { .. } => {
            CertificateError::UnknownIssuer
        }
        TrustError::RoleNotAllowed { .. } => CertificateError::ApplicationVerificationFailure,
        TrustError::Revocation { .. } => CertificateError::UnknownRevocationStatus,
        TrustError::Invalid { source, .. } => match source {
            CertExpired { .. } => CertificateError::Expired,
            CertNotValidYet { .. } => CertificateError::NotValidYet,
            CertRevoked => CertificateError::Revoked,
            CrlExpired { .. } => CertificateError::ExpiredRevocationList,
            UnknownRevocationStatus | InvalidCrlSignatureForPublicKey | IssuerNotCrlSigner => {
                CertificateError::UnknownRevocationStatus
            }
            UnknownIssuer | InvalidSignatureForPublicKey => CertificateError::UnknownIssuer,
            RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
            other => CertificateError::Other(OtherError(Arc::new(other.clone()))),
        },
        TrustError::WrongIdentity { .. } => {
            CertificateError::Other(OtherError(Arc::new(error.clone())))
        }
    };
    known.into()
}

/// No configuration of ours offers TLS 1.2, so rustls never asks.
fn no_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(PeerMisbehaved::SelectedUnusableCipherSuiteForVersion.into())
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(leaf, intermediates, Usage::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &crypto::provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto::provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(leaf, intermediates, Usage::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &crypto::provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto::provider().signature_verification_algorithms.supported_schemes()
    }
}
