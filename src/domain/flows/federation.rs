//! A federation as far as its flows depend on it: catalogue, everybody's rules,
//! everybody's trust in issuers, and the routes from the gateway to the agencies.

use std::sync::Arc;

use time::Duration;

use super::acceptors::Acceptors;
use super::places::Places;
use super::settings::Text;
use crate::domain::catalogue::{AgencyId, Catalogue, Title};
use crate::domain::grant::{Frequency, PurposeTable};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::policy::engine::Engine;
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// Configuration of a gateway and of its agencies.
#[derive(Debug)]
pub struct Federation {
    /// The catalogue that all of them share.
    pub catalogue: Arc<Catalogue>,
    /// The gateway's own rules and trust.
    pub gateway: House,
    /// The agencies that the gateway asks, in the order of its file.
    pub agencies: Vec<Agency>,
    /// Where everything stands that a change can be blamed on.
    pub places: Places,
    /// What all its files say.
    pub files: Vec<Text>,
    /// Who may accept a change of it.
    pub acceptors: Acceptors,
}

/// What one organisation decides for itself.
#[derive(Debug)]
pub struct House {
    /// Its rules.
    pub engine: Engine,
    /// Its ceilings of grants, by purpose.
    pub purposes: PurposeTable,
    /// The issuers whose grants it believes.
    pub issuers: Vec<Issuer>,
}

/// An issuer as it is pinned: what it may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Who.
    pub id: SpiffeId,
    /// On which grounds.
    pub legal_bases: Vec<LegalBasis>,
    /// For what.
    pub purposes: Vec<PurposeCode>,
    /// Which agencies it may open.
    pub agencies: Vec<AgencyId>,
    /// To whom.
    pub consumers: Vec<SpiffeId>,
}

/// An agency that the gateway asks.
#[derive(Debug)]
pub struct Agency {
    /// Its name in the catalogue.
    pub id: AgencyId,
    /// The identity that its server must show.
    pub identity: SpiffeId,
    /// Where it is asked: host and port.
    pub endpoint: String,
    /// What it decides itself; `None` where its configuration is not at hand, and
    /// then its flows are an upper bound.
    pub own: Option<Own>,
}

/// An agency's own configuration.
#[derive(Debug)]
pub struct Own {
    /// Its name for people.
    pub title: Title,
    /// Its rules and trust.
    pub house: House,
    /// The items that its mapping answers.
    pub mapped: ItemSet,
    /// Its kill switch: `false` releases nothing.
    pub enabled: bool,
}

/// What a house lets grants do for one consumer, purpose, basis and agency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// The issuers that may state it.
    pub issuers: Vec<SpiffeId>,
    /// The items that may be granted; none without an issuer.
    pub items: ItemSet,
    /// The longest life of a grant and its most frequent use.
    pub most: Option<(Duration, Frequency)>,
}

impl House {
    pub(super) fn ceiling(
        &self,
        consumer: &SpiffeId,
        purpose: &PurposeCode,
        basis: LegalBasis,
        agency: &AgencyId,
    ) -> Ceiling {
        let speaks = |issuer: &&Issuer| {
            issuer.legal_bases.contains(&basis)
                && issuer.purposes.contains(purpose)
                && issuer.agencies.contains(agency)
                && issuer.consumers.contains(consumer)
        };
        let issuers: Vec<SpiffeId> =
            self.issuers.iter().filter(speaks).map(|issuer| issuer.id.clone()).collect();
        let most = self.purposes.get(purpose).filter(|_| !issuers.is_empty());
        Ceiling {
            items: most.map_or(ItemSet::EMPTY, |most| most.items),
            most: most.map(|most| (most.max_lifetime, most.max_frequency)),
            issuers,
        }
    }
}

impl Federation {
    /// The agency with a name, if the gateway asks it.
    pub fn agency(&self, id: &AgencyId) -> Option<&Agency> {
        self.agencies.iter().find(|agency| agency.id == *id)
    }

    /// Items by sensitivity: the ordinary ones, then the conditional ones.
    pub(super) fn by_sensitivity(&self) -> [ItemSet; 2] {
        use crate::domain::catalogue::Sensitivity;
        let of = |sensitivity| {
            let items = self.catalogue.items().iter();
            items.filter(|item| item.sensitivity == sensitivity).map(|item| item.number).collect()
        };
        [of(Sensitivity::Ordinary), of(Sensitivity::Conditional)]
    }
}
