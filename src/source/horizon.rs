//! How long an adverse fact may be used after it ended.

use time::{Date, Month};

/// Whether a fact that ended on a day is past its months. A fact that ends at a
/// month's end counts to the last day of a shorter month.
pub(super) fn lapsed(ended: Date, months: u16, today: Date) -> bool {
    // Past the calendar's end nothing lapses within anyone's lifetime.
    add_months(ended, months).is_some_and(|last| last < today)
}

fn add_months(date: Date, months: u16) -> Option<Date> {
    let from_zero = i32::from(u8::from(date.month())) - 1 + i32::from(months);
    let year = date.year().checked_add(from_zero / 12)?;
    let month = Month::try_from(u8::try_from(from_zero % 12 + 1).ok()?).ok()?;
    let day = date.day().min(month.length(year));
    Date::from_calendar_date(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn the_last_usable_day_is_the_same_day_months_later() {
        assert!(!lapsed(date!(2020 - 03 - 15), 60, date!(2025 - 03 - 15)));
        assert!(lapsed(date!(2020 - 03 - 15), 60, date!(2025 - 03 - 16)));
        assert!(!lapsed(date!(2020 - 12 - 01), 1, date!(2021 - 01 - 01)));
        assert!(!lapsed(date!(2030 - 01 - 01), 1, date!(2021 - 01 - 01)));
    }

    #[test]
    fn a_months_end_is_clamped() {
        assert_eq!(add_months(date!(2023 - 01 - 31), 1), Some(date!(2023 - 02 - 28)));
        assert_eq!(add_months(date!(2024 - 01 - 31), 1), Some(date!(2024 - 02 - 29)));
        assert_eq!(add_months(date!(2024 - 02 - 29), 12), Some(date!(2025 - 02 - 28)));
        assert_eq!(add_months(date!(2023 - 10 - 31), 14), Some(date!(2024 - 12 - 31)));
        assert!(lapsed(date!(2023 - 01 - 31), 1, date!(2023 - 03 - 01)));
    }

    #[test]
    fn the_calendars_end_is_no_panic() {
        assert_eq!(add_months(date!(9999 - 12 - 31), 1), None);
        assert!(!lapsed(date!(9999 - 12 - 31), u16::MAX, date!(2025 - 01 - 01)));
    }
}
