//! Whom we believe: the trust store, and the one verification that both
//! directions use.
//!
//! Few authorities are bound to their own trust domain by name constraints, so each
//! domain has its own anchors, chosen by the sole SPIFFE id in the certificate: an
//! agency's authority can vouch for that agency's domain and for no other.
//!
//! `domain` verifies a path, and asks `purpose`, `names` and `revocation`.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::certificate::{CertificateError, Claim};
use crate::domain::peer::{PeerId, SpiffeId, TrustDomain};
use crate::domain::reason::Reason;

mod domain;
pub mod load;
mod names;
mod purpose;
mod revocation;

use domain::{Domain, Revocation};
pub use load::{BadList, TrustLoadError};
pub use purpose::Usage;

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
                webpki::Error::InvalidCrlSignatureForPublicKey
                | webpki::Error::IssuerNotCrlSigner => Reason::RevocationUnusable,
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
    /// When what was verified runs out: a certificate of the path, its anchor's among
    /// them, or a revocation list that was asked. Ask again then.
    pub until: OffsetDateTime,
}

/// Every trust domain that is believed, as read at one moment.
#[derive(Debug, Default)]
pub struct TrustStore {
    domains: BTreeMap<TrustDomain, Domain>,
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
        let Claim { id, .. } = Claim::read(leaf)?;
        let Some(domain) = self.domains.get(id.trust_domain()) else {
            return Err(TrustError::UnknownDomain { claimed: id });
        };
        if !domain.roles.contains(&id.role()) {
            return Err(TrustError::RoleNotAllowed { claimed: id });
        }
        if let Revocation::Unusable(problem) = &*domain.revocation {
            return Err(TrustError::Revocation { claimed: id, problem: problem.clone() });
        }
        match domain.verify(leaf, intermediates, usage, now) {
            Ok(until) => Ok(Verified { peer: PeerId::from_verified_certificate(id), until }),
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

    /// Trust domains that have an authority in common, the later one first.
    pub fn shared_authorities(&self) -> Vec<(&TrustDomain, &TrustDomain)> {
        let mut shared = Vec::new();
        for (at, (one, domain)) in self.domains.iter().enumerate() {
            let before = self.domains.iter().take(at);
            let before = before.filter(|(_, other)| domain.anchors.share(&other.anchors));
            shared.extend(before.map(|(other, _)| (one, other)));
        }
        shared
    }

    /// Until when each trust domain has an anchor: the last one's end.
    pub fn anchors_until(&self) -> Vec<(TrustDomain, OffsetDateTime)> {
        let until = |(name, domain): (&TrustDomain, &Domain)| {
            domain.anchors.until().map(|until| (name.clone(), until))
        };
        self.domains.iter().filter_map(until).collect()
    }

    /// For each trust domain with revocation lists, the one that is to be renewed first:
    /// when it was made, and by when.
    pub fn lists_until(&self) -> Vec<(TrustDomain, OffsetDateTime, OffsetDateTime)> {
        let first = |(name, domain): (&TrustDomain, &Domain)| match &*domain.revocation {
            Revocation::Lists(lists) => lists.first().map(|(from, by)| (name.clone(), from, by)),
            Revocation::NotConfigured | Revocation::Unusable(_) => None,
        };
        self.domains.iter().filter_map(first).collect()
    }

    /// Trust domains of which nobody is believed at `now`, with the reason: for
    /// an alarm metric.
    pub fn alarms(&self, now: OffsetDateTime) -> Vec<(TrustDomain, String)> {
        let problem = |domain: &Domain| match &*domain.revocation {
            Revocation::NotConfigured => None,
            Revocation::Unusable(problem) => Some(problem.clone()),
            Revocation::Lists(lists) => lists
                .overdue(now)
                .map(|date| format!("a revocation list was to be renewed by {date}")),
        };
        self.domains
            .iter()
            .filter_map(|(name, domain)| Some((name.clone(), problem(domain)?)))
            .collect()
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
