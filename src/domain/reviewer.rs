//! Who may read the audit log, and how often. Default: nobody.
//!
//! Pure: times come in as arguments. Whether a peer is who it says is `link`'s
//! business.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use super::peer::{Role, SpiffeId};

/// What a reviewer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// List records.
    List,
    /// Gather what concerns one person, from tags.
    SubjectAccess,
    /// Have checkpoints and proofs, which say nothing of anybody.
    Prove,
}

/// Why a reviewer gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReviewRefusal {
    /// An identity in another role.
    #[error("only an identity in the role of a reviewer may read the audit log")]
    NotAReviewer,
    /// A reviewer that the configuration does not name, or not for this.
    #[error("the gateway's configuration does not allow this reviewer to do this")]
    NotAllowed,
    /// More questions than it may ask in a minute.
    #[error("a reviewer may ask {0} times a minute")]
    Quota(u32),
}

/// Who may do what.
#[derive(Debug, Clone, Default)]
pub struct ReviewPolicy {
    reviewers: HashMap<SpiffeId, BTreeSet<Act>>,
    per_minute: u32,
}

impl ReviewPolicy {
    /// What these may do, each so often in a minute.
    pub fn new(
        reviewers: impl IntoIterator<Item = (SpiffeId, BTreeSet<Act>)>,
        per_minute: u32,
    ) -> Self {
        Self { reviewers: reviewers.into_iter().collect(), per_minute }
    }

    /// Whether a peer may do it now; counts the question if it may. `minute` is any
    /// number that rises by one a minute.
    ///
    /// # Errors
    /// [`ReviewRefusal`].
    pub fn admit(
        &self,
        asked: &mut Questions,
        peer: &SpiffeId,
        act: Act,
        minute: u64,
    ) -> Result<(), ReviewRefusal> {
        if peer.role() != Role::Reviewer {
            return Err(ReviewRefusal::NotAReviewer);
        }
        if !self.reviewers.get(peer).is_some_and(|acts| acts.contains(&act)) {
            return Err(ReviewRefusal::NotAllowed);
        }
        // Of named reviewers alone, so there are few of them.
        let (since, count) = asked.0.entry(peer.clone()).or_insert((minute, 0));
        if *since != minute {
            (*since, *count) = (minute, 0);
        }
        if *count >= self.per_minute {
            return Err(ReviewRefusal::Quota(self.per_minute));
        }
        *count += 1;
        Ok(())
    }
}

/// How often each reviewer asked in the present minute.
#[derive(Debug, Default)]
pub struct Questions(HashMap<SpiffeId, (u64, u32)>);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SpiffeId {
        text.parse().unwrap()
    }

    #[test]
    fn nobody_reads_who_is_not_named_for_it() {
        let board = id("spiffe://audit.city.example/reviewer/board");
        let policy = ReviewPolicy::new([(board.clone(), BTreeSet::from([Act::List]))], 2);
        let mut asked = Questions::default();
        let mut may = |peer: &SpiffeId, act, minute| policy.admit(&mut asked, peer, act, minute);
        assert_eq!(may(&board, Act::List, 1), Ok(()));
        assert_eq!(may(&board, Act::SubjectAccess, 1), Err(ReviewRefusal::NotAllowed));
        let stranger = id("spiffe://audit.city.example/reviewer/other");
        assert_eq!(may(&stranger, Act::List, 1), Err(ReviewRefusal::NotAllowed));
        for role in ["consumer", "agency", "gateway", "issuer"] {
            let other = id(&format!("spiffe://audit.city.example/{role}/board"));
            assert_eq!(may(&other, Act::List, 1), Err(ReviewRefusal::NotAReviewer));
        }
        assert_eq!(may(&board, Act::List, 1), Ok(()));
        assert_eq!(may(&board, Act::List, 1), Err(ReviewRefusal::Quota(2)));
        assert_eq!(may(&board, Act::List, 2), Ok(()));
        // The default names nobody.
        let none = ReviewPolicy::default();
        let refused = none.admit(&mut Questions::default(), &board, Act::Prove, 1);
        assert_eq!(refused, Err(ReviewRefusal::NotAllowed));
    }
}
