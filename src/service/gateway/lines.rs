//! The lines of a request's record: one for each agency that was asked, and one for what none
//! was. How they become records is the business of [`crate::service::audit::recorder`].

use crate::domain::audit::Decision;
use crate::domain::item::ItemSet;
use crate::domain::plan::{Fetch, Plan};
use crate::domain::reason::Reason;
use crate::domain::section::Section;
use crate::service::audit::recorder::{self, Line};

/// A line for each agency of a plan, by its place there.
pub(super) fn asked(plan: &Plan, decision: impl Fn(usize) -> Decision) -> Vec<Line> {
    let line = |(at, fetch): (usize, &Fetch)| Line {
        agency: Some(fetch.agency.clone()),
        items: fetch.items,
        decision: decision(at),
        count: None,
    };
    plan.fetches.iter().enumerate().map(line).collect()
}

/// A line about what no agency was asked.
pub(super) const fn whole(items: ItemSet, decision: Decision) -> Line {
    Line { agency: None, items, decision, count: None }
}

pub(super) fn abandoned() -> Decision {
    recorder::refused(Reason::Abandoned)
}

/// That the grant's uses are spent, or the request's id, where no agency told anything of
/// the person: neither passes while the window lasts, whoever acts.
pub(super) fn spent(sections: &[Section]) -> Option<Reason> {
    let lasting = [Reason::FrequencyExhausted, Reason::RequestIdReused];
    let answered = sections.iter().any(|section| section.status.is_answered());
    let mut reasons = sections.iter().filter_map(|section| section.reason);
    reasons.find(|reason| lasting.contains(reason)).filter(|_| !answered)
}
