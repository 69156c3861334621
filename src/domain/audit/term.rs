//! Dictionary entries: the long names of a log, each written once.
//!
//! A name has no blind: it says nothing of any person.

use super::codec::{DecodeError, Put, Take};
use super::record::RuleSet;
use crate::domain::catalogue::{AgencyId, CatalogueDigest};
use crate::domain::names::{ReasonWord, RuleId};
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// A long name, to which later entries of the same log refer by its index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Term {
    /// A consumer or another peer.
    Peer(SpiffeId),
    /// An agency.
    Agency(AgencyId),
    /// A purpose.
    Purpose(PurposeCode),
    /// A legal basis.
    Basis(LegalBasis),
    /// A catalogue.
    Catalogue(CatalogueDigest),
    /// The reason for a refusal.
    Reason(ReasonWord),
    /// The digest of a policy.
    Policy([u8; 32]),
    /// A rule of a policy.
    Rule {
        /// Reference to the policy.
        policy: u64,
        /// The rule's place in it.
        number: u16,
        /// The rule's id.
        id: RuleId,
    },
}

impl Term {
    pub(super) fn encode(&self, put: &mut Put) {
        match self {
            Self::Peer(id) => {
                put.u8(1);
                put.short(id.as_str().as_bytes());
            }
            Self::Agency(agency) => {
                put.u8(2);
                put.short(agency.as_str().as_bytes());
            }
            Self::Purpose(purpose) => {
                put.u8(3);
                put.short(purpose.as_str().as_bytes());
            }
            Self::Basis(basis) => {
                put.u8(4);
                put.short(basis.as_str().as_bytes());
            }
            Self::Catalogue(digest) => {
                put.u8(5);
                put.fixed(&digest.0);
            }
            Self::Reason(reason) => {
                put.u8(7);
                put.short(reason.as_str().as_bytes());
            }
            Self::Policy(digest) => {
                put.u8(8);
                put.fixed(digest);
            }
            Self::Rule { policy, number, id } => {
                put.u8(9);
                put.varint(*policy);
                put.varint(u64::from(*number));
                put.short(id.as_str().as_bytes());
            }
        }
    }

    pub(super) fn decode(take: &mut Take<'_>) -> Result<Self, DecodeError> {
        Ok(match take.u8("kind of term")? {
            1 => Self::Peer(take.text("peer")?),
            2 => {
                let name = std::str::from_utf8(take.short("agency")?).ok();
                Self::Agency(name.and_then(AgencyId::new).ok_or(DecodeError::Form("agency"))?)
            }
            3 => {
                let code = std::str::from_utf8(take.short("purpose")?).ok();
                Self::Purpose(code.and_then(PurposeCode::new).ok_or(DecodeError::Form("purpose"))?)
            }
            4 => Self::Basis(take.text("legal basis")?),
            5 => Self::Catalogue(CatalogueDigest(take.array("catalogue digest")?)),
            7 => Self::Reason(take.text("reason")?),
            8 => Self::Policy(take.array("policy digest")?),
            9 => Self::Rule {
                policy: take.varint("policy")?,
                number: u16::try_from(take.varint("rule number")?)
                    .ok()
                    .filter(|number| usize::from(*number) < RuleSet::LIMIT)
                    .ok_or(DecodeError::Form("rule number"))?,
                id: take.text("rule id")?,
            },
            _ => return Err(DecodeError::Form("kind of term")),
        })
    }
}
