//! Who is at the other end of a link: SPIFFE ids, trust domains and roles.
//!
//! An id is parsed strictly and compared exactly (SPIFFE-ID, section 2). How a
//! certificate proves one is the business of `link`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest accepted SPIFFE id in bytes (SPIFFE-ID, section 2.3 allows 2048;
/// ours are far shorter, and they stand in every record).
const MAX_ID_BYTES: usize = 255;

/// Why a text is not one of our SPIFFE ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The text has not the form `spiffe://trust-domain/role/id`.
    #[error("`{0}` is not a SPIFFE id of the form spiffe://trust-domain/role/id")]
    Form(String),
    /// The role is none of ours.
    #[error("`{0}` is not a role: use gateway, agency, consumer, reviewer or issuer")]
    Role(String),
    /// The trust domain has characters that SPIFFE forbids.
    #[error("`{0}` is not a trust domain: use lower-case letters, digits, '.', '-' and '_'")]
    TrustDomain(String),
}

/// An organisation's namespace of identities, such as `education.city.example`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The name as it stands in an id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(PeerError::TrustDomain(text.escape_default().to_string()));
        }
        Ok(Self(text.into()))
    }
}

/// What an identity may act as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs a gateway.
    Gateway,
    /// Answers for an agency.
    Agency,
    /// Asks for profiles: a scoring service.
    Consumer,
    /// Reads the audit log.
    Reviewer,
    /// Issues grants.
    Issuer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Gateway, Self::Agency, Self::Consumer, Self::Reviewer, Self::Issuer];

    /// The role's word in a SPIFFE path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Agency => "agency",
            Self::Consumer => "consumer",
            Self::Reviewer => "reviewer",
            Self::Issuer => "issuer",
        }
    }
}

impl FromStr for Role {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        [Self::Gateway, Self::Agency, Self::Consumer, Self::Reviewer, Self::Issuer]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| PeerError::Role(text.escape_default().to_string()))
    }
}

/// An identity of the form `spiffe://trust-domain/role/id`, claimed or expected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    // Shared, since each request carries its peer through several hands.
    text: Arc<str>,
    trust_domain: TrustDomain,
    role: Role,
}

impl SpiffeId {
    /// Puts an id together from its three parts.
    ///
    /// # Errors
    /// [`PeerError::Form`] when `name` is not one path segment of letters,
    /// digits, `.`, `-` and `_`.
    pub fn new(trust_domain: &TrustDomain, role: Role, name: &str) -> Result<Self, PeerError> {
        format!("spiffe://{}/{}/{name}", trust_domain.as_str(), role.as_str()).parse()
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The organisation that the id belongs to.
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// What the id acts as.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The last segment: the name within trust domain and role.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for SpiffeId {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let form = || {
            PeerError::Form(text.chars().take(80).collect::<String>().escape_default().to_string())
        };
        if text.len() > MAX_ID_BYTES {
            return Err(form());
        }
        let path = text.strip_prefix("spiffe://").ok_or_else(form)?;
        let mut segments = path.split('/');
        let (Some(domain), Some(role), Some(name), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(form());
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name == "." || name == ".." || !name.bytes().all(allowed) {
            return Err(form());
        }
        Ok(Self { trust_domain: domain.parse()?, role: role.parse()?, text: text.into() })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! through_string {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = PeerError;

            fn try_from(text: String) -> Result<Self, PeerError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}
through_string!(TrustDomain);
through_string!(SpiffeId);

/// Proof that the peer of a link showed a certificate for this id, chained to
/// the anchor of its trust domain, in a role that the domain may speak for.
///
/// Only `link` makes one; `tests/architecture` holds that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerId(SpiffeId);

impl PeerId {
    /// Records what certificate verification found.
    pub const fn from_verified_certificate(id: SpiffeId) -> Self {
        Self(id)
    }

    /// The verified id.
    pub const fn spiffe(&self) -> &SpiffeId {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_apart() {
        let id: SpiffeId = "spiffe://education.city.example/agency/education".parse().unwrap();
        assert_eq!(id.trust_domain().as_str(), "education.city.example");
        assert_eq!(id.role(), Role::Agency);
        assert_eq!(id.name(), "education");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "https://education.city.example/agency/education",
            "spiffe://education.city.example/agency",
            "spiffe://education.city.example/agency/a/b",
            "spiffe://education.city.example/agency/",
            "spiffe://education.city.example/agency/..",
            "spiffe://education.city.example/agency/a?b",
            "spiffe://education.city.example/mayor/a",
            "spiffe://Education.city.example/agency/a",
            "spiffe://education.city.example:443/agency/a",
            "spiffe:///agency/a",
            "SPIFFE://education.city.example/agency/a",
            "spiffe://education.city.example/agency/a\n",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text:?} was accepted");
        }
    }
}
