//! Tests of [`super`].

use time::macros::date;

use super::*;
use crate::domain::zone::Zone;

const DAY: Date = date!(2025 - 01 - 31);

/// A form and a text that it reads as 31 January 2025.
const STATED: &[(&str, &str)] = &[
    ("YYYY-MM-DD", "2025-01-31"),
    ("YYYYMMDD", "20250131"),
    ("YYYY/MM/DD", "2025/01/31"),
    ("DD.MM.YYYY", "31.01.2025"),
    ("DD/MM/YYYY", "31/01/2025"),
    ("MM/DD/YYYY", "01/31/2025"),
    ("D-Mon-YY", "31-Jan-25"),
    ("DD Mon YYYY", "31 JAN 2025"),
    ("DDMonYYYY", "31jan2025"),
    ("YYYY年M月D日", "2025年1月31日"),
    ("YYYY/M/D h:mm", "2025/1/31 0:00"),
    ("D.M.YYYY hh:mm:ss", "31.1.2025 23:59:59"),
];

fn form(written: &str) -> DateForm {
    DateForm::new(written).unwrap()
}

fn day(written: &str, text: &str) -> Option<Date> {
    match form(written).text(text)? {
        Written::Day(day) => Some(day),
        Written::Moment(moment) => Zone::new("UTC").unwrap().day(moment),
    }
}

#[test]
fn each_form_reads_its_own_and_no_other() {
    for (written, text) in STATED {
        assert_eq!(day(written, text), Some(DAY), "{written}");
        for (other, theirs) in STATED.iter().filter(|(other, _)| other != written) {
            assert_eq!(day(written, theirs), None, "{written} reads {other}");
        }
    }
    assert_eq!(day("unix", "1738281600"), Some(DAY));
    assert_eq!(day("unix-ms", "1738281600000"), Some(DAY));
    assert_eq!(form("YYYYMMDD").number(20_250_131), Some(Written::Day(DAY)));
    for other in ["YYYY-MM-DD", "DDMMYYYY", "YYYY/M/D"] {
        assert_eq!(form(other).number(20_250_131), None, "{other}");
    }
}

#[test]
fn one_digit_is_read_where_the_form_has_one_letter() {
    for text in ["2024/1/5", "2024/01/05", "2024/1/05"] {
        assert_eq!(day("YYYY/M/D", text), Some(date!(2024 - 01 - 05)), "{text}");
    }
    for text in ["2024/1/5 ", "2024/1/", "2024/1/005", "24/1/5", "2024/13/5", "2024-1-5"] {
        assert_eq!(day("YYYY/M/D", text), None, "{text}");
    }
    assert_eq!(day("YYYY/MM/DD", "2024/1/5"), None);
    assert_eq!(day("D-Mon-YY", "5-Jan-24"), Some(date!(2024 - 01 - 05)));
    assert_eq!(day("D-Mon-YY", "5-Jan-69"), Some(date!(1969 - 01 - 05)));
    assert_eq!(day("D-Mon-YY", "5-Jän-24"), None);
}

#[test]
fn a_form_says_year_month_and_day_once_and_where_each_ends() {
    for written in [
        "",
        "YYYY",
        "YYYY-MM",
        "DD/MM",
        "YYYYMD",
        "YYYY-M-DMM",
        "YYYY-MM-DD-DD",
        "yyyy-mm-dd",
        "YYYY-MMM-DD",
        "Y-M-D",
        "YYYY/M/Dh",
        "ISO",
        "YYYY-MM-DD\n",
        "                   YYYY-MM-DD",
    ] {
        let refused = DateForm::new(written).unwrap_err().to_string();
        assert!(refused.contains("is no form of days"), "{written}: {refused}");
    }
}

#[test]
fn without_an_offset_it_is_its_own_day_and_with_one_a_moment() {
    for time in ["", "T23:59:60", " 08:00:00", " 08:00:00.123456"] {
        let text = format!("2025-01-31{time}");
        assert_eq!(form("YYYY-MM-DD").text(&text), Some(Written::Day(DAY)), "{text}");
    }
    // 2025-01-31T00:00:00Z.
    let moment = Some(Written::Moment(Moment::from_seconds(1_738_281_600)));
    for text in [
        "2025-01-31T00:00:00Z",
        "2025-01-31 08:00:00+08",
        "2025-01-31T08:00:00.9+0800",
        "2025-01-30T18:30:00-05:30",
        "2025-01-31T05:45:00+05:45",
    ] {
        assert_eq!(form("YYYY-MM-DD").text(text), moment, "{text}");
    }
    for time in
        ["T", "T8:00:00", "T25:00:00", "T08:00", "T08:00:00.", "T08:00:00+8", "x", "T08:00:00+080"]
    {
        assert_eq!(form("YYYY-MM-DD").text(&format!("2025-01-31{time}")), None, "{time}");
    }
}

#[test]
fn what_is_no_day_is_none() {
    for text in ["", "0000-00-00", "0000-01-01", "2023-02-30", "2023-13-01", "２０２３-01-01"] {
        assert_eq!(day("YYYY-MM-DD", text), None, "{text}");
    }
    for text in ["0", "00000000", "20230230", "2023013", "-2023011"] {
        assert_eq!(day("YYYYMMDD", text), None, "{text}");
    }
    for number in [i64::MAX, i64::MIN] {
        assert_eq!(day("unix", &number.to_string()), None);
        assert_eq!(day("unix-ms", &number.to_string()), None);
    }
}
