//! What the agency holds of a question's items, as a section: what is found in the period that
//! the grant opens, and of the rest why it is not there. Nothing is counted or recorded here.

use std::time::Instant;

use crate::domain::grant::VerifiedGrant;
use crate::domain::item::ItemNumber;
use crate::domain::policy::Permit;
use crate::domain::section::{Absence, HeldItem, Section, SectionStatus};
use crate::domain::subject::Subject;
use crate::source::Held;
use crate::wire::fetch::FetchRequest;

use super::{Admitted, Agency};

impl Agency {
    /// Looks up what is permitted of the items that were asked for.
    pub(super) async fn look_up(
        &self,
        admitted: &Admitted,
        permit: &Permit,
        subject: &Subject,
        until: Instant,
    ) -> Section {
        let FetchRequest { items: asked, alike, .. } = admitted.question;
        let (permitted, holdings) = (permit.items_of(&self.parts.id), &admitted.rules.mapped);
        let offered = permitted.and(&holdings.items());
        let held = if offered.is_empty() {
            Held::Answered { items: Vec::new(), missing: Vec::new() }
        } else {
            holdings.fetch(subject, &offered, until).await
        };
        let bare =
            |status, reason| Section::without_values(self.parts.id.clone(), asked, status, reason);
        // Of these nothing was looked up, so that whatever was found says nothing of them.
        let unread = [
            (asked.without(&alike), Absence::CatalogueDiffers),
            (alike.without(&permitted), Absence::Denied),
            (permitted.without(&offered), Absence::NotOffered),
        ];
        let unread =
            unread.iter().flat_map(|(items, absence)| items.iter().map(|item| (item, *absence)));
        match held {
            Held::NoRecord => {
                let mut missing: Vec<_> = unread.collect();
                missing.sort_unstable_by_key(|(item, _)| *item);
                Section { missing, ..bare(SectionStatus::NoRecord, None) }
            }
            Held::Failed { status, reason } => bare(status, Some(reason)),
            Held::Answered { items, mut missing } => {
                let items = self.within_period(&admitted.grant, items, &mut missing);
                missing.extend(unread);
                missing.sort_unstable_by_key(|(item, _)| *item);
                Section { items, missing, ..bare(SectionStatus::Ok, None) }
            }
        }
    }

    /// Leaves out what lies outside the period of records that the grant opens.
    fn within_period(
        &self,
        grant: &VerifiedGrant,
        mut items: Vec<HeldItem>,
        missing: &mut Vec<(ItemNumber, Absence)>,
    ) -> Vec<HeldItem> {
        let period = grant.period(&self.parts.id);
        items.retain(|held| {
            let inside =
                period.is_some_and(|period| (period.from..=period.to).contains(&held.as_of));
            if !inside {
                missing.push((held.number, Absence::Denied));
            }
            inside
        });
        items
    }
}
