//! The plan: which agency is asked for which of the permitted items, and which
//! owner is not asked for what, and why.

use super::catalogue::{AgencyId, Catalogue};
use super::item::ItemSet;
use super::owners::{Cause, Unasked};
use super::policy::Permit;

/// What an agency is known to offer: the items it owns in the catalogue, less
/// those that its own description leaves out or defines otherwise, once it has described
/// itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The agency.
    pub agency: AgencyId,
    /// The items it owns in the catalogue.
    pub owned: ItemSet,
    /// The items that it says it offers; `None` before it has said so.
    pub described: Option<ItemSet>,
    /// Those of the owned items that its own catalogue is not known to define alike.
    pub differing: ItemSet,
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
    /// Of these, the ones of which the answer is heard: permitted, and as far as is known
    /// owned, offered and defined alike. More is asked only where the consumer has signed it.
    pub heard: ItemSet,
    /// Whether the agency has said what it offers.
    pub described: bool,
}

/// One fetch for each agency that holds a permitted item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The fetches, in the order of the offers.
    pub fetches: Vec<Fetch>,
    /// Every wanted item that an owner is not asked for. Items that are asked of
    /// nobody stand here alone.
    pub unasked: Vec<Unasked>,
}

/// Plans a permitted request.
pub fn plan<'a>(
    permit: &Permit,
    catalogue: &Catalogue,
    offers: impl IntoIterator<Item = &'a Offer>,
) -> Plan {
    let mut plan = Plan::default();
    let mut configured = Vec::new();
    for (place, offer) in offers.into_iter().enumerate() {
        let alike = offer.owned.without(&offer.differing);
        let offered = match &offer.described {
            Some(described) => alike.and(described),
            None => alike,
        };
        let permitted = permit.items_of(&offer.agency);
        let items = permitted.and(&offered);
        if !items.is_empty() {
            let described = offer.described.is_some();
            let (agency, heard) = (offer.agency.clone(), items);
            plan.fetches.push(Fetch { agency, place, items, heard, described });
        }
        let differing = permitted.and(&offer.owned).and(&offer.differing);
        plan.leave_out(&offer.agency, differing, Cause::CatalogueDiffers);
        plan.leave_out(&offer.agency, permitted.and(&alike).without(&items), Cause::NotOffered);
        configured.push(&offer.agency);
    }
    for (agency, owned) in catalogue.owners() {
        let wanted = permit.requested().and(owned);
        let (granted, permitted) = (permit.granted_of(agency), permit.items_of(agency));
        plan.leave_out(agency, wanted.without(&granted), Cause::NotGranted);
        plan.leave_out(agency, wanted.and(&granted).without(&permitted), Cause::NotPermitted);
        if !configured.contains(&agency) {
            plan.leave_out(agency, wanted.and(&permitted), Cause::NotConfigured);
        }
    }
    plan
}

impl Plan {
    /// Why owners may turn out not to have answered: those that are not asked, and
    /// those that are asked without its being known what they offer.
    pub fn silent(&self) -> Vec<Unasked> {
        let blindly = self.fetches.iter().filter(|fetch| !fetch.described).map(|fetch| Unasked {
            agency: fetch.agency.clone(),
            items: fetch.items,
            cause: Cause::NotDescribed,
        });
        self.unasked.iter().cloned().chain(blindly).collect()
    }

    /// The same where the consumer has signed what it asks of each agency. An agency answers
    /// that and nothing less, so it is asked all of it, and heard of what it would be asked
    /// anyway; one of which the policy opens only a part is not asked.
    #[must_use]
    pub fn as_signed(mut self, permit: &Permit, signed: impl Fn(&AgencyId) -> ItemSet) -> Self {
        let fetches = std::mem::take(&mut self.fetches);
        for mut fetch in fetches {
            let signed = signed(&fetch.agency);
            let opened = permit.items_of(&fetch.agency) == permit.granted_of(&fetch.agency);
            if opened && fetch.heard.is_subset(&signed) {
                fetch.items = signed;
                self.fetches.push(fetch);
            } else {
                self.leave_out(&fetch.agency, fetch.items, Cause::NotAsked);
            }
        }
        self
    }

    fn leave_out(&mut self, agency: &AgencyId, items: ItemSet, cause: Cause) {
        if !items.is_empty() {
            self.unasked.push(Unasked { agency: agency.clone(), items, cause });
        }
    }
}
