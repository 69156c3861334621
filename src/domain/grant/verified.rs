//! The authority of one use: everything that can change is checked here, every
//! time, in front of a grant whose signature already holds.
//!
//! Receiver, time and status are looked at anew for each use. What pins, purposes and
//! catalogue make of a grant is a [`Standing`], which serves as long as all three are
//! the very ones that it was made under.

use std::fmt;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::claims::Claims;
use super::disclosure::{AgencyDisclosure, DisclosureFault, Period};
use super::edition::Edition;
use super::error::{AboveCeiling, GrantError, Scope};
use super::key::JwsKey;
use super::part::Part;
use super::pins::IssuerPins;
use super::presentation::PresentationDigest;
use super::purpose::{Frequency, LegalBasis, PurposeCode, PurposeTable};
use super::signed::{Granted, SignedGrant, pinned_key};
use super::statuses::StatusLists;
use super::subject::{OpeningKeys, SealError, SealedSubject};
use crate::domain::catalogue::{AgencyId, Catalogue, CatalogueDigest};
use crate::domain::item::ItemSet;
use crate::domain::names::GrantId;
use crate::domain::now::{self, Now};
use crate::domain::peer::{PeerId, SpiffeId};
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::SubjectTag;

/// By how much `iat` and `nbf` may lie ahead. `exp` has no leeway.
pub const LEEWAY: Duration = now::LEEWAY;

/// Who holds the grant in hand.
#[derive(Debug, Clone, Copy)]
pub enum Receiver<'a> {
    /// A gateway that got it from a consumer.
    Gateway {
        /// The gateway's own id, one for all its replicas.
        audience: &'a SpiffeId,
        /// The consumer at the other end of the link.
        consumer: &'a PeerId,
    },
    /// An agency that got it from a gateway.
    Agency {
        /// The agency itself.
        agency: &'a AgencyId,
        /// The gateway at the other end of the link.
        gateway: &'a PeerId,
        /// The consumer as the gateway states it.
        consumer: &'a SpiffeId,
    },
}

/// Everything that a grant is held against, all of it as of now.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Who holds the grant.
    pub receiver: Receiver<'a>,
    /// The present, between a wall clock and elapsed time.
    pub now: Now,
    /// The pinned issuers.
    pub pins: &'a IssuerPins,
    /// The purposes with their ceilings.
    pub purposes: &'a PurposeTable,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The newest status lists.
    pub statuses: &'a StatusLists,
}

/// Proof that a grant may be used now, by this consumer at this receiver.
///
/// Only [`SignedGrant::authorise`] makes one. It is for one use: whoever holds
/// it across time asks again before release: [`VerifiedGrant::still_holds`].
#[derive(Clone)]
pub struct VerifiedGrant {
    signed: Arc<SignedGrant>,
    standing: Arc<Standing>,
}

/// What pins, purposes and catalogue made of a grant, and which ones.
#[derive(Debug)]
pub(super) struct Standing {
    pins: Edition,
    purposes: Edition,
    catalogue: CatalogueDigest,
    /// The granted items, in the order of the disclosures.
    items: Vec<ItemSet>,
}

impl Standing {
    fn is_under(&self, context: &Context<'_>) -> bool {
        self.pins == context.pins.edition()
            && self.purposes == context.purposes.edition()
            && self.catalogue == context.catalogue.digest()
    }
}

impl SignedGrant {
    /// Holds the grant against everything that can change.
    ///
    /// # Errors
    /// The first check that fails; see [`GrantError::reason`].
    pub fn authorise(self: &Arc<Self>, context: &Context<'_>) -> Result<VerifiedGrant, GrantError> {
        let standing = self.standing().filter(|standing| standing.is_under(context));
        let standing = match standing {
            Some(standing) => {
                self.hold_now(context)?;
                standing
            }
            None => {
                let standing = Arc::new(self.hold(context)?);
                self.stands(Arc::clone(&standing));
                standing
            }
        };
        Ok(VerifiedGrant { signed: Arc::clone(self), standing })
    }

    /// Every check.
    fn hold(&self, context: &Context<'_>) -> Result<Standing, GrantError> {
        let claims = &self.contents.claims;
        self.check_key(context.pins)?;
        self.check_receiver(&context.receiver)?;
        check_times(claims, context.now)?;

        let scope = |scope| GrantError::Scope { issuer: claims.issuer.clone(), scope };
        let pin = context
            .pins
            .get(&claims.issuer)
            .ok_or_else(|| GrantError::Issuer(claims.issuer.clone()))?;
        pin.allows(claims).map_err(scope)?;
        let granted = &self.contents.granted;
        if !granted.iter().all(|one| pin.agencies.contains(&one.disclosure.agency)) {
            return Err(scope(Scope::Agency));
        }
        context.statuses.check(&claims.status, context.now.latest)?;
        let items: Vec<ItemSet> =
            granted.iter().map(|one| resolve(&one.disclosure, context.catalogue)).collect();
        if let Some(first) = granted.first()
            && items.iter().all(ItemSet::is_empty)
        {
            return Err(GrantError::Items(first.disclosure.agency.clone()));
        }
        self.check_ceiling(&items, context.purposes)?;
        Ok(Standing {
            pins: context.pins.edition(),
            purposes: context.purposes.edition(),
            catalogue: context.catalogue.digest(),
            items,
        })
    }

    /// The checks of what is another with each use.
    fn hold_now(&self, context: &Context<'_>) -> Result<(), GrantError> {
        let claims = &self.contents.claims;
        self.check_receiver(&context.receiver)?;
        check_times(claims, context.now)?;
        Ok(context.statuses.check(&claims.status, context.now.latest)?)
    }

    fn check_ceiling(&self, items: &[ItemSet], purposes: &PurposeTable) -> Result<(), GrantError> {
        let claims = &self.contents.claims;
        let all = items.iter().fold(ItemSet::EMPTY, |all, some| all.or(some));
        purposes
            .get(&claims.purpose)
            .ok_or_else(|| GrantError::Purpose(claims.purpose.as_str().to_owned()))?
            .allows(claims.lifetime(), &claims.frequency, &all)
            .map_err(|ceiling: AboveCeiling| GrantError::Ceiling(ceiling))
    }

    /// The key that the signature holds under must still be the pinned one.
    fn check_key(&self, pins: &IssuerPins) -> Result<(), GrantError> {
        let kid = &self.contents.kid;
        let claims = &self.contents.claims;
        if *pinned_key(pins, claims, kid)? == self.key {
            return Ok(());
        }
        Err(GrantError::Key { issuer: claims.issuer.clone(), kid: kid.clone() })
    }

    fn check_receiver(&self, receiver: &Receiver<'_>) -> Result<(), GrantError> {
        let (audience, consumer) = match receiver {
            Receiver::Gateway { audience, consumer } => {
                if self.contents.gateway.is_none() || self.contents.granted.is_empty() {
                    return Err(DisclosureFault::Missing.into());
                }
                (*audience, consumer.spiffe())
            }
            Receiver::Agency { agency, gateway, consumer } => {
                let own = match self.contents.granted.as_slice() {
                    [only] => only.disclosure.agency == **agency,
                    _ => false,
                };
                if !own || self.contents.gateway.is_some() {
                    return Err(GrantError::Agency((*agency).clone()));
                }
                (gateway.spiffe(), *consumer)
            }
        };
        if self.contents.claims.audience != *audience {
            return Err(GrantError::Audience(audience.clone()));
        }
        if self.contents.claims.client != *consumer {
            return Err(GrantError::Client(consumer.clone()));
        }
        Ok(())
    }
}

fn check_times(claims: &Claims, now: Now) -> Result<(), GrantError> {
    if now.latest >= claims.expires_at {
        return Err(GrantError::Expired);
    }
    let from = now.earliest.saturating_add(LEEWAY);
    if claims.not_before > from || claims.issued_at > from {
        return Err(GrantError::NotYetValid);
    }
    Ok(())
}

/// The items of a disclosure that this catalogue has and the agency owns in it. Others are
/// not granted here: the issuer may have another catalogue, older or newer.
fn resolve(disclosure: &AgencyDisclosure, catalogue: &Catalogue) -> ItemSet {
    let known = disclosure.items.iter().filter_map(|id| catalogue.find(id));
    let known: ItemSet = known.map(|item| item.number).collect();
    known.and(&catalogue.owned_by(&disclosure.agency))
}

impl VerifiedGrant {
    /// Whether it still holds: everything that may have changed since it was
    /// authorised, against the same catalogue.
    ///
    /// # Errors
    /// As [`SignedGrant::authorise`].
    pub fn still_holds(&self, context: &Context<'_>) -> Result<(), GrantError> {
        if self.standing.is_under(context) {
            return self.signed.hold_now(context);
        }
        self.signed.hold(context).map(drop)
    }

    /// The grant behind it, to authorise once more before release.
    pub const fn signed(&self) -> &Arc<SignedGrant> {
        &self.signed
    }

    /// The digest of the exact presentation.
    pub fn digest(&self) -> PresentationDigest {
        self.signed.digest()
    }

    /// SHA-256 of the signed part, which is the same at every receiver.
    pub fn signed_digest(&self) -> [u8; 32] {
        self.signed.signed_digest()
    }

    /// Every agency that was disclosed, with the ids in its disclosure.
    pub fn disclosed(&self) -> impl Iterator<Item = (&AgencyId, &[Box<str>])> {
        self.granted().iter().map(|one| (&one.disclosure.agency, &*one.disclosure.items))
    }

    /// Who granted.
    pub fn issuer(&self) -> &SpiffeId {
        &self.claims().issuer
    }

    /// The grant's number, unique with its issuer.
    pub fn jti(&self) -> &GrantId {
        &self.claims().jti
    }

    /// The consumer that it is for.
    pub fn client(&self) -> &SpiffeId {
        &self.claims().client
    }

    /// The gateway that it is for.
    pub fn audience(&self) -> &SpiffeId {
        &self.claims().audience
    }

    /// The key with which the consumer will prove its requests.
    pub fn proof_key(&self) -> &JwsKey {
        &self.claims().proof_key
    }

    /// What it is for, by code.
    pub fn purpose(&self) -> &PurposeCode {
        &self.claims().purpose
    }

    /// On what ground.
    pub fn legal_basis(&self) -> LegalBasis {
        self.claims().legal_basis
    }

    /// The document or the article that holds the ground.
    pub fn legal_basis_ref(&self) -> &str {
        &self.claims().legal_basis_ref
    }

    /// When it was issued.
    pub fn issued_at(&self) -> OffsetDateTime {
        self.claims().issued_at
    }

    /// From when it holds; the windows of its frequency start here.
    pub fn not_before(&self) -> OffsetDateTime {
        self.claims().not_before
    }

    /// The first moment at which it no longer holds.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.claims().expires_at
    }

    /// For how long the consumer may keep what it read.
    pub fn data_life(&self) -> Duration {
        self.claims().data_life
    }

    /// How often it may be used.
    pub fn frequency(&self) -> Frequency {
        self.claims().frequency
    }

    /// The number of the window of its frequency that a time falls into.
    pub fn window(&self, now: OffsetDateTime) -> u64 {
        self.frequency().window(self.not_before().unix_timestamp(), now.unix_timestamp())
    }

    /// The subject's tag for the gateway's log; at a gateway it is always there.
    pub fn subject_tag(&self) -> Option<SubjectTag> {
        self.signed.contents.gateway
    }

    /// Every agency that was disclosed, with its items.
    pub fn agencies(&self) -> impl Iterator<Item = (&AgencyId, &ItemSet)> {
        self.granted().iter().map(|one| &one.disclosure.agency).zip(&self.standing.items)
    }

    /// The items granted from an agency; empty for one that was not disclosed.
    pub fn items(&self, agency: &AgencyId) -> ItemSet {
        self.agencies()
            .find(|(known, _)| *known == agency)
            .map(|(_, items)| *items)
            .unwrap_or_default()
    }

    /// The period of the records that an agency may give.
    pub fn period(&self, agency: &AgencyId) -> Option<Period> {
        self.find(agency).map(|one| one.disclosure.period)
    }

    /// The subject as it is sealed to an agency.
    pub fn sealed_subject(&self, agency: &AgencyId) -> Option<&SealedSubject> {
        self.find(agency).map(|one| &one.disclosure.subject)
    }

    /// What an agency gets: the signed part and its disclosure alone.
    pub fn part(&self, agency: &AgencyId) -> Option<Part> {
        let place = self.granted().iter().position(|one| one.disclosure.agency == *agency)?;
        Some(Part::new(&self.signed, place))
    }

    /// What is forwarded to an agency that is shown its part whole.
    pub fn for_agency(&self, agency: &AgencyId) -> Option<Vec<u8>> {
        self.part(agency).map(|part| part.whole())
    }

    /// Opens the subject at the one agency that the grant was verified for. The
    /// result is kept with the signed grant, so that a cached one costs nothing.
    ///
    /// # Errors
    /// [`SealError`]; at a gateway [`SealError::NoDisclosure`].
    pub fn open_subject(&self, keys: &OpeningKeys) -> Result<Sensitive<Box<str>>, SealError> {
        match (self.granted(), self.signed.contents.gateway) {
            ([only], None) => self.signed.open(&only.disclosure, keys),
            _ => Err(SealError::NoDisclosure),
        }
    }

    fn claims(&self) -> &Claims {
        &self.signed.contents.claims
    }

    fn granted(&self) -> &[Granted] {
        &self.signed.contents.granted
    }

    fn find(&self, agency: &AgencyId) -> Option<&Granted> {
        self.granted().iter().find(|one| one.disclosure.agency == *agency)
    }
}

impl fmt::Debug for VerifiedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedGrant({} {})", self.issuer(), self.jti())
    }
}
