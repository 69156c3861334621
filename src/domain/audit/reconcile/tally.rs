//! The findings: all of them counted, and of each class the earliest so many kept.

use super::{Compared, Comparison};

/// Findings of one class.
#[derive(Debug, Default)]
struct OfClass {
    count: u64,
    kept: Vec<Compared>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Tally {
    classes: [OfClass; Comparison::ALL.len()],
    most: usize,
}

impl Tally {
    pub(super) fn new(most: usize) -> Self {
        Self { classes: Default::default(), most }
    }

    pub(super) fn add(&mut self, finding: Compared) {
        let most = self.most;
        if let Some(of) = self.classes.get_mut(finding.class as usize) {
            of.count += 1;
            of.kept.push(finding);
            if of.kept.len() > most.saturating_mul(2) {
                of.sort(most);
            }
        }
    }

    /// Those that need not be named.
    pub(super) fn count(&mut self, class: Comparison, count: u64) {
        if let Some(of) = self.classes.get_mut(class as usize) {
            of.count += count;
        }
    }

    /// How many of each class, and those that were kept, in the order in which they are
    /// told.
    pub(super) fn end(mut self) -> ([u64; Comparison::ALL.len()], Vec<Compared>) {
        let most = self.most;
        self.classes.iter_mut().for_each(|of| of.sort(most));
        let counts = self.classes.each_ref().map(|of| of.count);
        (counts, self.classes.into_iter().flat_map(|of| of.kept).collect())
    }
}

impl OfClass {
    fn sort(&mut self, most: usize) {
        self.kept.sort_by(|a, b| {
            (a.time_us, &a.request, &a.agency, &a.line, a.missing_at).cmp(&(
                b.time_us,
                &b.request,
                &b.agency,
                &b.line,
                b.missing_at,
            ))
        });
        self.kept.truncate(most);
    }
}
