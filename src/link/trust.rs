//! Whom we believe: the trust store, and the one verification that both
//! directions use.
//!
//! URI name constraints cannot bind an authority to its own trust domain, so each
//! domain has its own anchors, chosen by the sole SPIFFE id in the certificate:
//! an agency's authority can vouch for that agency's domain and for no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use tokio::sync::watch;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationOptionsBuilder,
};

use super::certificate::{self, CertificateError, Claim};
use super::tls;
use crate::domain::peer::{PeerId, Role, SpiffeId, TrustDomain};
use crate::domain::reason::Reason;

pub mod load;

pub use load::{BadList, TrustLoadError};

/// Which end of a connection a certificate is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The peer connects to us: it needs the clientAuth purpose.
    Client,
    /// We connect to the peer: it needs the serverAuth purpose.
    Server,
}

impl Usage {
    /// Unlike webpki's own constructors, these want the purpose to be stated: a
    /// certificate without any is refused.
    const fn required(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::required(&[0x2b, 6, 1, 5, 5, 7, 3, 2]),
            Self::Server => KeyUsage::required(&[0x2b, 6, 1, 5, 5, 7, 3, 1]),
        }
    }
}

/// Why a peer is not believed. `claimed` is what its certificate says and is
/// proved by nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The certificate names no identity of ours.
    #[error("the peer's certificate identifies nobody")]
    Certificate(#[from] CertificateError),
    /// No entry for the trust domain.
    #[error(
        "the peer claims {claimed}, of a trust domain that is not configured: \
         add it under `trust` if it should be believed"
    )]
    UnknownDomain {
        /// Who the peer says it is.
        claimed: SpiffeId,
    },
    /// The trust domain may not speak for that role.
    #[error(
        "the peer claims {claimed}, but its trust domain may not speak for the role \
         `{}`: add the role to the domain's entry if it should", claimed.role()
    )]
    RoleNotAllowed {
        /// Who the peer says it is.
        claimed: SpiffeId,
    },
    /// Another trust domain's authority signed it: somebody impersonates.
    #[error(
        "the peer claims {claimed}, but the authority of `{authority}` signed its certificate: \
         tell both organisations"
    )]
    ForeignAuthority {
        /// Who the peer says it is.
        claimed: SpiffeId,
        /// Whose authority signed.
        authority: TrustDomain,
    },
    /// The revocation lists cannot be used, so nobody of the domain is believed.
    #[error(
        "the peer claims {claimed}, but the revocation lists of its trust domain cannot be \
         used ({problem}): install a current list"
    )]
    Revocation {
        /// Who the peer says it is.
        claimed: SpiffeId,
        /// What is wrong with the lists.
        problem: String,
    },
    /// The certificate is not valid.
    #[error("the peer claims {claimed}, but its certificate is not valid")]
    Invalid {
        /// Who the peer says it is.
        claimed: SpiffeId,
        /// Which check failed.
        source: webpki::Error,
    },
    /// A valid certificate, of somebody else than was expected.
    #[error(
        "expected {expected} but found {found}: check the address and the expected identity; \
         nothing was sent"
    )]
    WrongIdentity {
        /// Whom the configuration names.
        expected: SpiffeId,
        /// Who answered.
        found: SpiffeId,
    },
}

impl TrustError {
    /// Who the peer says it is, where it says anything.
    pub const fn claimed(&self) -> Option<&SpiffeId> {
        match self {
            Self::Certificate(_) => None,
            Self::UnknownDomain { claimed }
            | Self::RoleNotAllowed { claimed }
            | Self::ForeignAuthority { claimed, .. }
            | Self::Revocation { claimed, .. }
            | Self::Invalid { claimed, .. } => Some(claimed),
            Self::WrongIdentity { found, .. } => Some(found),
        }
    }

    /// A stable word for logs and metrics.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Certificate(_) => Reason::CertificateWithoutIdentity,
            Self::UnknownDomain { .. } => Reason::UnknownTrustDomain,
            Self::RoleNotAllowed { .. } => Reason::RoleNotAllowed,
            Self::ForeignAuthority { .. } => Reason::ForeignCa,
            Self::Revocation { .. } => Reason::RevocationUnusable,
            Self::WrongIdentity { .. } => Reason::WrongIdentity,
            Self::Invalid { source, .. } => match source {
                webpki::Error::CertExpired { .. } => Reason::CertificateExpired,
                webpki::Error::CertNotValidYet { .. } => Reason::CertificateNotYetValid,
                webpki::Error::CertRevoked => Reason::CertificateRevoked,
                webpki::Error::CrlExpired { .. } => Reason::RevocationListExpired,
                webpki::Error::UnknownRevocationStatus => Reason::RevocationUnknown,
                webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                    Reason::UnknownCa
                }
                webpki::Error::RequiredEkuNotFoundContext(_) => Reason::CertificatePurpose,
                _ => Reason::CertificateInvalid,
            },
        }
    }
}

/// A peer whose certificate was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The peer.
    pub peer: PeerId,
    /// When what was verified runs out: the certificate, or the revocation list
    /// that was asked. Ask again then.
    pub until: OffsetDateTime,
}

/// Every trust domain that is believed, as read at one moment.
#[derive(Debug, Default)]
pub struct TrustStore {
    domains: BTreeMap<TrustDomain, Domain>,
}

#[derive(Debug)]
struct Domain {
    roles: Vec<Role>,
    anchors: Arc<Anchors>,
    revocation: Arc<Revocation>,
}

/// A trust domain's authorities.
#[derive(Debug, Default)]
struct Anchors {
    /// In the same order as `ends`.
    anchors: Vec<TrustAnchor<'static>>,
    ends: Vec<OffsetDateTime>,
}

/// A trust domain's revocation lists.
#[derive(Debug)]
enum Revocation {
    NotConfigured,
    Lists {
        lists: Vec<CertRevocationList<'static>>,
        next_update: OffsetDateTime,
    },
    /// Configured, but unreadable or corrupt: nobody of the domain is believed.
    Unusable(String),
}

impl Revocation {
    const fn has_lists(&self) -> bool {
        matches!(self, Self::Lists { .. })
    }
}

impl TrustStore {
    /// Verifies a peer's certificate chain, leaf first, as shown for `usage` at
    /// `now`.
    ///
    /// # Errors
    /// [`TrustError`] says why the peer is not believed.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        usage: Usage,
        now: OffsetDateTime,
    ) -> Result<Verified, TrustError> {
        let (leaf, intermediates) = chain
            .split_first()
            .ok_or_else(|| CertificateError::Unreadable("no certificate".to_owned()))?;
        let Claim { id, not_after, .. } = Claim::read(leaf)?;
        let Some(domain) = self.domains.get(id.trust_domain()) else {
            return Err(TrustError::UnknownDomain { claimed: id });
        };
        if !domain.roles.contains(&id.role()) {
            return Err(TrustError::RoleNotAllowed { claimed: id });
        }
        let until = match &*domain.revocation {
            Revocation::NotConfigured => not_after,
            Revocation::Lists { next_update, .. } => not_after.min(*next_update),
            Revocation::Unusable(problem) => {
                return Err(TrustError::Revocation { claimed: id, problem: problem.clone() });
            }
        };
        match domain.verify(leaf, intermediates, usage, now) {
            Ok(intermediates_end) => Ok(Verified {
                peer: PeerId::from_verified_certificate(id),
                until: intermediates_end.map_or(until, |end| until.min(end)),
            }),
            Err(source) => Err(self.explain(id, source, chain, usage, now)),
        }
    }

    /// A missing issuer is an alarm when another domain's authority signed.
    fn explain(
        &self,
        claimed: SpiffeId,
        source: webpki::Error,
        chain: &[CertificateDer<'_>],
        usage: Usage,
        now: OffsetDateTime,
    ) -> TrustError {
        if let (webpki::Error::UnknownIssuer, Some((leaf, intermediates))) =
            (&source, chain.split_first())
        {
            for (authority, domain) in &self.domains {
                if authority != claimed.trust_domain()
                    && domain.verify(leaf, intermediates, usage, now).is_ok()
                {
                    return TrustError::ForeignAuthority { claimed, authority: authority.clone() };
                }
            }
        }
        TrustError::Invalid { claimed, source }
    }

    /// Trust domains of which nobody is believed at `now`, with the reason: for
    /// an alarm metric.
    pub fn alarms(&self, now: OffsetDateTime) -> Vec<(TrustDomain, String)> {
        let problem = |domain: &Domain| match &*domain.revocation {
            Revocation::NotConfigured => None,
            Revocation::Unusable(problem) => Some(problem.clone()),
            Revocation::Lists { next_update, .. } => (now >= *next_update)
                .then(|| format!("a revocation list was to be renewed by {next_update}")),
        };
        self.domains
            .iter()
            .filter_map(|(name, domain)| Some((name.clone(), problem(domain)?)))
            .collect()
    }
}

impl Domain {
    /// Gives the earliest end of the intermediates on the path, if there are any.
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, webpki::Error> {
        let at = unix_time(now);
        let lists: Vec<&CertRevocationList<'_>> = match &*self.revocation {
            Revocation::Lists { lists, .. } => lists.iter().collect(),
            Revocation::NotConfigured | Revocation::Unusable(_) => Vec::new(),
        };
        // With lists: the whole chain is checked and an unknown status is a
        // refusal, by webpki's defaults. A list past its date is one by ours.
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|options| options.with_expiration_policy(ExpirationPolicy::Enforce).build());
        let end_entity = EndEntityCert::try_from(leaf)?;
        let path = end_entity.verify_for_usage(
            tls::provider().signature_verification_algorithms.all,
            &self.anchors.anchors,
            intermediates,
            at,
            usage.required(),
            revocation,
            Some(&|path| self.refuse_expired_anchor(path.anchor(), now)),
        )?;
        let mut end = None;
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            let parsed = certificate::parse(&der).map_err(|_| webpki::Error::BadDer)?;
            let not_after = parsed.validity().not_after.to_datetime();
            end = Some(end.map_or(not_after, |end: OffsetDateTime| end.min(not_after)));
        }
        Ok(end)
    }

    /// webpki takes an anchor for ever; an authority's own certificate says until
    /// when it may be believed.
    fn refuse_expired_anchor(
        &self,
        anchor: &TrustAnchor<'_>,
        now: OffsetDateTime,
    ) -> Result<(), webpki::Error> {
        let not_after = self
            .anchors
            .anchors
            .iter()
            .zip(&self.anchors.ends)
            .filter(|(ours, _)| ours == &anchor)
            .map(|(_, end)| *end)
            .max();
        match not_after {
            Some(end) if now <= end => Ok(()),
            Some(end) => {
                Err(webpki::Error::CertExpired { time: unix_time(now), not_after: unix_time(end) })
            }
            None => Err(webpki::Error::UnknownIssuer),
        }
    }
}

fn unix_time(time: OffsetDateTime) -> UnixTime {
    let seconds = u64::try_from(time.unix_timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

/// The trust store as links use it: always the latest one. Clones share it.
#[derive(Debug, Clone)]
pub struct Trust(Arc<watch::Sender<Arc<TrustStore>>>);

impl Trust {
    /// Starts with `store`.
    pub fn new(store: TrustStore) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(store))))
    }

    /// Puts another store in place. New connections are held to it at once, and
    /// every open one is verified against it again.
    pub fn replace(&self, store: TrustStore) {
        self.0.send_replace(Arc::new(store));
    }

    /// The store of this moment.
    pub fn current(&self) -> Arc<TrustStore> {
        Arc::clone(&self.0.borrow())
    }

    /// Tells of every replacement from now on.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<TrustStore>> {
        self.0.subscribe()
    }
}
