//! The findings as a table, as JSON and as JUnit's XML.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::titles;
use crate::app::conformance::{Level, Outcome, Report};

fn columns(header: [&str; 3]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

pub(super) fn list_table(levels: &[Level]) -> String {
    let mut table = columns(["check", "level", "what must hold"]);
    for level in levels {
        for title in titles(*level) {
            table.add_row([&title.number.to_string(), level.as_str(), title.text]);
        }
    }
    table.to_string()
}

pub(super) fn list_json(levels: &[Level]) -> String {
    let checks: Vec<_> = levels
        .iter()
        .flat_map(|level| {
            titles(*level).into_iter().map(|title| {
                json!({"number": title.number, "level": level.as_str(), "title": title.text})
            })
        })
        .collect();
    format!("{:#}", json!({ "checks": checks }))
}

fn summary(report: &Report) -> String {
    let [passed, failed, skipped] = report.counts();
    format!("{}: {passed} passed, {failed} failed, {skipped} skipped", report.level.as_str())
}

pub(super) fn table(report: &Report) -> String {
    let mut table = columns(["check", "outcome", "what must hold"]);
    for finding in &report.findings {
        let text = match finding.outcome.why() {
            "" => finding.title.text.to_owned(),
            why => format!("{}\n  {why}", finding.title.text),
        };
        table.add_row([&finding.title.number.to_string(), finding.outcome.as_str(), &text]);
    }
    format!("{table}\n\n{}", summary(report))
}

pub(super) fn json(report: &Report, endpoint: &str) -> String {
    let [passed, failed, skipped] = report.counts();
    let checks: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "number": finding.title.number,
                "title": finding.title.text,
                "outcome": finding.outcome.as_str(),
                "why": finding.outcome.why(),
                "seconds": finding.took.as_secs_f64(),
            })
        })
        .collect();
    let report = json!({
        "level": report.level.as_str(),
        "endpoint": endpoint,
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "checks": checks,
    });
    format!("{report:#}")
}

/// The XML that build servers read: https://github.com/testmoapp/junitxml.
pub(super) fn junit(report: &Report) -> String {
    use std::fmt::Write as _;

    let [_, failed, skipped] = report.counts();
    let level = report.level.as_str();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"tributary.conformance.\
         {level}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\">\n",
        report.findings.len()
    );
    for finding in &report.findings {
        let inner = match &finding.outcome {
            Outcome::Passed => String::new(),
            Outcome::Failed(why) => format!("<failure message=\"{}\"/>", escaped(why)),
            Outcome::Skipped(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
        };
        // Writing to a text cannot fail.
        let _ = writeln!(
            xml,
            "  <testcase classname=\"{level}\" name=\"{} {}\" time=\"{:.3}\">{inner}</testcase>",
            finding.title.number,
            escaped(finding.title.text),
            finding.took.as_secs_f64(),
        );
    }
    xml.push_str("</testsuite>");
    xml
}

/// Text for an attribute. What XML 1.0 has no character for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::conformance::{Finding, Title};

    fn report() -> Report {
        let finding = |number, outcome| Finding {
            title: Title { number, text: "a <b> holds" },
            outcome,
            took: Duration::from_millis(5),
        };
        Report {
            level: Level::Source,
            findings: vec![
                finding(101, Outcome::Passed),
                finding(102, Outcome::Failed("a & \"b\"\u{0}\ndiffer".into())),
                finding(103, Outcome::Skipped("not announced".into())),
            ],
        }
    }

    #[test]
    fn junit_counts_and_escapes() {
        let xml = junit(&report());
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("name=\"101 a &lt;b&gt; holds\" time=\"0.005\"></testcase>"), "{xml}");
        assert!(xml.contains("<failure message=\"a &amp; &quot;b&quot; differ\"/>"), "{xml}");
        assert!(xml.contains("<skipped message=\"not announced\"/>"), "{xml}");
    }

    #[test]
    fn json_and_table_say_the_same() {
        let json: serde_json::Value = serde_json::from_str(&json(&report(), "unix:x")).unwrap();
        assert_eq!(
            (&json["passed"], &json["failed"], &json["skipped"]),
            (&1.into(), &1.into(), &1.into())
        );
        assert_eq!(json["checks"][2]["outcome"], "SKIPPED");
        let table = table(&report());
        assert!(table.ends_with("source: 1 passed, 1 failed, 1 skipped"), "{table}");
        assert!(table.contains("FAILED") && table.contains("not announced"), "{table}");
    }
}
