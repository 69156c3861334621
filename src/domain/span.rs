//! A length of time in words, in days at most: a month is not always as long.

use std::time::Duration;

const DAY: u64 = 24 * 60 * 60;

/// As people write it in a configuration: `60days`, `1day 12h`, `90ms`.
pub fn in_days(span: Duration) -> String {
    let days = span.as_secs() / DAY;
    let rest = span - Duration::from_secs(days * DAY);
    let day = match days {
        0 => return humantime::format_duration(span).to_string(),
        1 => "1day".to_owned(),
        many => format!("{many}days"),
    };
    match rest.is_zero() {
        true => day,
        false => format!("{day} {}", humantime::format_duration(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_read_as_the_same_and_has_no_months() {
        for text in ["0s", "90ms", "23h 59m 59s", "1day", "60days", "366days 1h 1ns", "2years"] {
            let span = humantime::parse_duration(text).unwrap();
            let said = in_days(span);
            assert_eq!(humantime::parse_duration(&said).unwrap(), span, "{said}");
            assert!(!said.contains("month") && !said.contains("year"), "{said}");
        }
        assert_eq!(in_days(Duration::from_secs(60 * DAY)), "60days");
    }
}
