//! What the other benches printed, kept in files beside the figures of this one: shown
//! on the page as it is, and held against the targets that are theirs.

use std::path::Path;

use crate::report::Figure;
use crate::targets::{Bound, Target};

/// File, title and command of each.
const KEPT: [(&str, &str, &str); 2] = [
    (MICRO, "Small parts", "cargo bench --profile dist --bench micro"),
    (BATCHING, "Batching", "scripts/test-postgres cargo bench --bench batching"),
];
const MICRO: &str = "micro.txt";
const BATCHING: &str = "batching.txt";

/// Each output that was kept: its title, its command, its text.
pub fn all(folder: &Path) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    KEPT.into_iter().filter_map(move |(file, title, command)| {
        let text = std::fs::read_to_string(folder.join(file)).ok()?;
        Some((title, command, text.trim().to_owned()))
    })
}

/// The targets of which one of them has the figure.
pub fn targets(folder: &Path) -> Vec<Target> {
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let (micro, batching) = (text(MICRO), text(BATCHING));
    let found = [
        (
            "PostgreSQL agencies: natural batching over one query a request, 128 in flight",
            Bound::AtLeast(4.0),
            times(&batching, "PostgreSQL", "batched over one a request: "),
        ),
        ("merge of 493 items, µs", Bound::AtMost(60.0), median(&micro, "merge_of_every_item")),
        (
            "policy and plan for 493 items, µs",
            Bound::AtMost(2.0),
            median(&micro, "policy_and_plan"),
        ),
    ];
    let target = |(what, bound, figure): (_, _, Option<Figure>)| {
        figure.map(|figure| Target { what, bound, figure })
    };
    found.into_iter().filter_map(target).collect()
}

/// Microseconds that divan printed: fastest with the name, slowest, median, mean.
fn median(text: &str, name: &str) -> Option<Figure> {
    let line = text.lines().find(|line| line.split_whitespace().any(|word| word == name))?;
    let mut columns = line.split('│').map(micros);
    let fastest = columns.find_map(|figure| figure)?;
    let slowest = columns.next()??;
    let median = columns.next()??;
    Some(Figure(vec![fastest, median, slowest]))
}

/// The last two words of a column, a number and its unit.
fn micros(column: &str) -> Option<f64> {
    let mut words = column.split_whitespace().rev();
    let scale = match words.next()? {
        "ns" => 1e-3,
        "µs" => 1.0,
        "ms" => 1e3,
        _ => return None,
    };
    Some(words.next()?.parse::<f64>().ok()? * scale)
}

/// `20.4 (19.1–24.9) times`, under a title.
fn times(text: &str, title: &str, before: &str) -> Option<Figure> {
    let under = text.split_once(title)?.1;
    let line = under.lines().find_map(|line| line.split_once(before))?.1;
    let (median, rest) = line.split_once(" (")?;
    let (least, most) = rest.split_once(')')?.0.split_once('–')?;
    let figures = [least, median, most].map(|figure| figure.trim().parse().ok());
    figures.into_iter().collect::<Option<Vec<f64>>>().map(Figure)
}
