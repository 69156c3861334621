//! What a grant is for, on what ground and how often; and the closed table of
//! purposes with their ceilings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::Duration;

use super::edition::Edition;
use super::error::AboveCeiling;
use crate::domain::item::ItemSet;
pub use crate::domain::purpose::{LegalBasis, PurposeCode};

/// The window in which uses are counted. Windows are fixed from `nbf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
    /// Seven days.
    Week,
    /// Thirty days.
    Month,
    /// The grant's whole life.
    Grant,
}

impl Per {
    /// The window as it stands in a grant.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Grant => "grant",
        }
    }

    /// The window with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Grant]
            .into_iter()
            .find(|per| per.as_str() == name)
    }

    /// Seconds of a window; `None` for the grant's whole life.
    pub const fn seconds(self) -> Option<i64> {
        match self {
            Self::Hour => Some(3_600),
            Self::Day => Some(86_400),
            Self::Week => Some(7 * 86_400),
            Self::Month => Some(30 * 86_400),
            Self::Grant => None,
        }
    }
}

/// How often a grant may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frequency {
    /// Uses in one window, at least 1.
    pub count: u32,
    /// The window.
    pub per: Per,
}

impl Frequency {
    /// The number of the window that a time falls into, counted from `nbf`;
    /// the first window also holds the leeway before it.
    pub fn window(&self, not_before: i64, now: i64) -> u64 {
        let seconds = self.per.seconds().unwrap_or(i64::MAX);
        u64::try_from(now.saturating_sub(not_before) / seconds).unwrap_or_default()
    }

    /// Whether no window of the ceiling can see more uses than it allows, over a
    /// grant that lives for `lifetime` seconds.
    pub fn is_within(&self, ceiling: &Self, lifetime: i64) -> bool {
        let outer = ceiling.per.seconds().unwrap_or(lifetime).min(lifetime).max(1);
        let inner = self.per.seconds().unwrap_or(lifetime).max(1);
        // Windows that are not multiples of one another can overlap at both ends.
        let windows = if inner % outer == 0 || inner >= lifetime {
            1
        } else if outer % inner == 0 {
            outer / inner
        } else if ceiling.per == Per::Grant || outer == lifetime {
            outer / inner + 1
        } else {
            outer / inner + 2
        };
        i64::from(self.count).saturating_mul(windows) <= i64::from(ceiling.count)
    }
}

/// What a purpose allows at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// The longest time from the earlier of `iat` and `nbf` to `exp`.
    pub max_lifetime: Duration,
    /// The most frequent use.
    pub max_frequency: Frequency,
    /// The items that may be asked for.
    pub items: ItemSet,
}

impl Purpose {
    /// Holds a grant's figures against the ceiling.
    ///
    /// # Errors
    /// The first ceiling that the grant is above.
    pub fn allows(
        &self,
        lifetime: i64,
        frequency: &Frequency,
        items: &ItemSet,
    ) -> Result<(), AboveCeiling> {
        if lifetime > self.max_lifetime.whole_seconds() {
            return Err(AboveCeiling::Lifetime);
        }
        if !frequency.is_within(&self.max_frequency, lifetime) {
            return Err(AboveCeiling::Frequency);
        }
        if !items.is_subset(&self.items) {
            return Err(AboveCeiling::Items);
        }
        Ok(())
    }
}

/// The closed list of purposes.
#[derive(Debug, Clone)]
pub struct PurposeTable {
    purposes: BTreeMap<PurposeCode, Purpose>,
    edition: Edition,
}

impl PurposeTable {
    /// The purpose with a code.
    pub fn get(&self, code: &PurposeCode) -> Option<&Purpose> {
        self.purposes.get(code)
    }

    /// Every purpose, in order of code.
    pub fn iter(&self) -> impl Iterator<Item = (&PurposeCode, &Purpose)> {
        self.purposes.iter()
    }

    pub(super) const fn edition(&self) -> Edition {
        self.edition
    }
}

impl Default for PurposeTable {
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl FromIterator<(PurposeCode, Purpose)> for PurposeTable {
    fn from_iter<I: IntoIterator<Item = (PurposeCode, Purpose)>>(purposes: I) -> Self {
        Self { purposes: purposes.into_iter().collect(), edition: Edition::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn per() -> impl Strategy<Value = Per> {
        prop::sample::select(vec![Per::Hour, Per::Day, Per::Week, Per::Month, Per::Grant])
    }

    proptest! {
        /// Spends all of a window's uses at one moment of it and counts what each
        /// window of the ceiling sees.
        #[test]
        fn a_frequency_within_its_ceiling_never_exceeds_it(
            count in 1u32..4, per in per(), most in 1u32..200, outer in per(),
            hours in 1i64..1500, late in any::<bool>(),
        ) {
            let frequency = Frequency { count, per };
            let ceiling = Frequency { count: most, per: outer };
            let lifetime = hours * 3600;
            prop_assume!(frequency.is_within(&ceiling, lifetime));
            let mut moments = std::collections::BTreeMap::new();
            for now in (0..lifetime).step_by(1800) {
                let moment = moments.entry(frequency.window(0, now)).or_insert(now);
                if late {
                    *moment = now;
                }
            }
            let mut seen = std::collections::HashMap::new();
            for moment in moments.into_values() {
                *seen.entry(ceiling.window(0, moment)).or_insert(0) += count;
            }
            prop_assert!(seen.values().all(|uses| *uses <= most));
        }
    }

    #[test]
    fn windows_are_counted_from_the_start() {
        let daily = Frequency { count: 1, per: Per::Day };
        assert_eq!(daily.window(100, 95), 0);
        assert_eq!(daily.window(100, 100 + 86_399), 0);
        assert_eq!(daily.window(100, 100 + 86_400), 1);
        assert_eq!(Frequency { count: 1, per: Per::Grant }.window(0, i64::MAX - 1), 0);
    }

    #[test]
    fn a_finer_window_counts_as_often_as_it_fits() {
        let ceiling = Frequency { count: 24, per: Per::Day };
        let month = 30 * 86_400;
        assert!(Frequency { count: 1, per: Per::Hour }.is_within(&ceiling, month));
        assert!(!Frequency { count: 2, per: Per::Hour }.is_within(&ceiling, month));
        assert!(Frequency { count: 24, per: Per::Week }.is_within(&ceiling, month));
        assert!(!Frequency { count: 25, per: Per::Grant }.is_within(&ceiling, month));
    }
}
