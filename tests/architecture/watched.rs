//! Board, alarms and the page of alarms name metrics that exist, and every metric is of
//! use to one of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tributary::telemetry::metrics::names;

const RULES: &str = "deploy/prometheus/tributary.rules.yml";
const TESTS: &str = "deploy/prometheus/tributary.rules.test.yml";
const BOARD: &str = "deploy/grafana/tributary.json";

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whatever looks like a metric of ours.
fn metrics(text: &str) -> BTreeSet<&str> {
    let word = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_');
    let words = text.split(word);
    words.filter(|word| ["tributary_", "rpc_"].iter().any(|ours| word.starts_with(ours))).collect()
}

/// Labels that begin like a metric, and file names.
const LABELS: [&str; 2] = ["rpc_method", "rpc_response_status_code"];

fn unknown(text: &str) -> Vec<&str> {
    let known: BTreeSet<String> = names::ALL.iter().flat_map(|name| name.series()).collect();
    let all = metrics(text).into_iter().filter(|metric| !LABELS.contains(metric));
    all.filter(|metric| !known.contains(*metric)).collect()
}

#[test]
fn board_and_alarms_name_metrics_that_exist() {
    for file in [RULES, TESTS, BOARD] {
        let text = read(file);
        assert_eq!(unknown(&text), Vec::<&str>::new(), "{file}");
        assert!(metrics(&text).len() > 10, "{file} names hardly any metric");
    }
    assert_eq!(
        unknown("rate(tributary_sections_total[5m]) / tributary_section"),
        ["tributary_section"]
    );
}

#[test]
fn every_metric_is_on_the_board_and_on_the_page() {
    let (board, page) = (read(BOARD), read("docs/operations.md"));
    let of_board = metrics(&board);
    for name in names::ALL {
        let series = name.series();
        assert!(series.iter().any(|one| of_board.contains(one.as_str())), "{BOARD}: no {series:?}");
        let family = name.family();
        assert!(page.contains(&format!("`{family}`")), "docs/operations.md: no `{family}`");
    }
    serde_json::from_str::<serde_json::Value>(&board).unwrap();
}

#[test]
fn every_alarm_has_its_test_and_its_row() {
    let (rules, tests, page) = (read(RULES), read(TESTS), read("docs/operations.md"));
    let alarms: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alarms.len() > 10, "{alarms:?}");
    for alarm in alarms {
        // Raised in a test, not only silent in one.
        let raised = tests.contains(&format!("- alertname: {alarm}\n"));
        assert!(raised, "{TESTS} never raises {alarm}");
        assert!(page.contains(&format!("| `{alarm}` |")), "docs/operations.md: no `{alarm}`");
    }
}

#[test]
fn alarms_rise_and_fall_as_their_tests_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut promtool = Command::new("promtool");
    let output = promtool.args(["test", "rules", TESTS]).current_dir(folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}
