//! The plan: which agency is asked for which of the permitted items.

use super::catalogue::AgencyId;
use super::item::ItemSet;
use super::policy::Permit;

/// What an agency is known to offer: the items it owns in the catalogue, less
/// those that its own description leaves out, once it has described itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The agency.
    pub agency: AgencyId,
    /// The items it owns in the catalogue.
    pub owned: ItemSet,
    /// The items that it says it offers; `None` before it has said so.
    pub described: Option<ItemSet>,
}

/// The question for one agency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Whom to ask.
    pub agency: AgencyId,
    /// The agency's place in the list of offers.
    pub place: usize,
    /// What to ask for; never empty.
    pub items: ItemSet,
}

/// One fetch for each agency that holds a permitted item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The fetches, in the order of the offers.
    pub fetches: Vec<Fetch>,
    /// Permitted items that no agency offers.
    pub not_offered: ItemSet,
}

/// Plans a permitted request.
pub fn plan<'a>(permit: &Permit, offers: impl IntoIterator<Item = &'a Offer>) -> Plan {
    let mut plan = Plan { fetches: Vec::new(), not_offered: permit.items() };
    for (place, offer) in offers.into_iter().enumerate() {
        let offered = match &offer.described {
            Some(described) => offer.owned.and(described),
            None => offer.owned,
        };
        let items = permit.items_of(&offer.agency).and(&offered);
        if !items.is_empty() {
            plan.not_offered = plan.not_offered.without(&items);
            plan.fetches.push(Fetch { agency: offer.agency.clone(), place, items });
        }
    }
    plan
}
