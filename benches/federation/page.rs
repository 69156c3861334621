//! The figures of a run in Markdown: what the terminal shows, and what stands between
//! two marks in `docs/performance.md`. What they mean is written there by hand.

use std::fmt::{self, Display};
use std::path::Path;

use anyhow::Context;

use crate::growth::{Curve, Point};
use crate::outage::Outage;
use crate::report::{Figure, Kind, Measured, Report};
use crate::targets::{self, BUSY};

const BEGIN: &str = "<!-- figures: made by the benchmark -->\n";
const END: &str = "<!-- figures end -->";

/// Puts the figures between the marks of a page.
pub fn renew(report: &Report, file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.with_context(|| {
        format!("{} has no lines `{}` and `{END}`", file.display(), BEGIN.trim_end())
    })?;
    std::fs::write(file, format!("{before}{BEGIN}{report}\n{END}{after}"))?;
    Ok(())
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, versions, setting, .. } = self;
        write!(f, "\n## The run\n\n- {machine}\n- {versions}\n- {setting}\n")?;
        self.notes.iter().try_for_each(|note| writeln!(f, "- {note}"))?;
        writeln!(f, "\n## Targets\n")?;
        head(f, &["", "target", "found (least–most)", ""], 4)?;
        for target in targets::of(self) {
            let met = if target.bound.met(target.figure.median()) { "met" } else { "**not met**" };
            let found = spread(&target.figure, 2);
            writeln!(f, "| {} | {} | {found} | {met} |", target.what, target.bound)?;
        }
        rows(f, self)?;
        if !self.curves.is_empty() {
            f.write_str(GROWTH)?;
        }
        self.curves.iter().try_for_each(|curve| growth(f, curve))?;
        outages(f, &self.outages)
    }
}

const GROWTH: &str = "
## Growth

A made-up town of as many agencies, items and gateways as are wanted, all real processes.
Slopes are least squares over the medians.
";

fn outages(f: &mut fmt::Formatter<'_>, outages: &[Outage]) -> fmt::Result {
    if outages.is_empty() {
        return Ok(());
    }
    f.write_str(OUTAGES)?;
    head(f, &OUTAGE, 1)?;
    outages.iter().try_for_each(|outage| writeln!(f, "{}", self::outage(outage)))
}

/// One line of the table.
pub fn outage(outage: &Outage) -> String {
    let [healthy, noticed] = [&outage.healthy, &outage.noticed].map(|f| spread(f, 1));
    let others = [&outage.others_healthy, &outage.others, &outage.others_noticed];
    let [before, during, after] = others.map(|f| spread(f, 1));
    let kept = spread(&outage.kept, 2);
    let counts = [&outage.failed, &outage.others_failed, &outage.lost];
    let [failed, others, lost] = counts.map(|f| spread(f, 0));
    let [told, back] = [&outage.told, &outage.back].map(|f| spread(f, 2));
    format!(
        "| {} | {} | {healthy} | {noticed} | {kept} | {before} | {during} | {after} | {failed} | \
         {others} | {lost} | {told} | {back} | {} |",
        outage.fault, outage.rate, outage.said
    )
}

const OUTAGES: &str = "
## One of seven agencies fails

Eight callers; half of the calls ask all seven, half the other six. *Noticed*: from 2.5 s
after the fault until its end. The medians of the rounds, with the least and the most.

";

const OUTAGE: [&str; 14] = [
    "fault",
    "calls/s",
    "p50 before, ms",
    "p50 noticed, ms",
    "rate kept",
    "others' p99 before, ms",
    "others' p99 from the fault on, ms",
    "others' p99 noticed, ms",
    "calls failed",
    "others' failed",
    "its sections lost",
    "health ended, s",
    "back, s",
    "its section",
];

type Of = fn(Kind) -> bool;

/// The kinds of measurement, each with its title.
const GROUPS: [(&str, Of); 4] = [
    ("Closed loop, nothing pinned", |kind| matches!(kind, Kind::Rate(_))),
    ("Closed loop, the gateway on a core of its own", |kind| matches!(kind, Kind::Cpu(_))),
    ("Open loop at 70 % of the row's own rate", |kind| matches!(kind, Kind::Open)),
    ("Open loop at 70 % of the slower of direct and unary", |kind| matches!(kind, Kind::Shared)),
];

const COLUMNS: [&str; 9] = [
    "row",
    "in flight",
    "profiles/s (least–most)",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU µs a profile: gateway",
    "agencies",
    "client",
];

fn rows(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    writeln!(f, "\n## Rows")?;
    for (title, of) in GROUPS {
        let cells: Vec<&Measured> = report.measured.iter().filter(|m| of(m.cell.kind)).collect();
        if cells.is_empty() {
            continue;
        }
        writeln!(f, "\n{title}:\n")?;
        head(f, &COLUMNS, 1)?;
        cells.into_iter().try_for_each(|measured| row(f, measured))?;
    }
    writeln!(f)?;
    for (name, figure) in &report.single {
        writeln!(f, "- {name}: {}", spread(figure, 2))?;
    }
    writeln!(f, "\nfdatasync in ms, memory in MiB under these loads ({BUSY} in flight).")
}

fn row(f: &mut fmt::Formatter<'_>, measured: &Measured) -> fmt::Result {
    let in_flight = match measured.cell.kind {
        Kind::Rate(in_flight) | Kind::Cpu(in_flight) => in_flight.to_string(),
        Kind::Open | Kind::Shared => "open loop".into(),
    };
    let rate = measured.figures.get("rate").cloned().unwrap_or_default();
    write!(f, "| {} | {in_flight} | {} |", measured.cell.row, spread(&rate, 0))?;
    let columns = [
        ("p50", 2),
        ("p99", 2),
        ("p999", 2),
        ("gateway_cpu", 0),
        ("agencies_cpu", 0),
        ("client_cpu", 0),
    ];
    for (name, places) in columns {
        let figure = measured.figures.get(name).map_or(f64::NAN, Figure::median);
        write!(f, " {figure:.places$} |")?;
    }
    writeln!(f)
}

fn growth(f: &mut fmt::Formatter<'_>, curve: &Curve) -> fmt::Result {
    let labelled = curve.points.iter().any(|point| !point.label.is_empty());
    let rest =
        ["profiles/s (least–most)", "p50 ms", "p99 ms", "gateway CPU µs a profile", "agencies'"];
    writeln!(f)?;
    head(f, &[&[curve.name.as_str()], &rest[..]].concat(), 1)?;
    for point in &curve.points {
        let at = if labelled { point.label.clone() } else { format!("{:.0}", point.at) };
        writeln!(
            f,
            "| {at} | {} | {:.2} | {:.2} | {:.0} | {:.0} |",
            spread(&point.rate, 0),
            point.p50.median(),
            point.p99.median(),
            point.gateway_cpu.median(),
            point.agencies_cpu.median(),
        )?;
    }
    if labelled {
        return Ok(());
    }
    let (gateway, fixed) = slope(curve, |point| point.gateway_cpu.median());
    let (agencies, _) = slope(curve, |point| point.agencies_cpu.median());
    writeln!(
        f,
        "\nGateway: {fixed:.0} µs and {gateway:.2} µs for each one more; agencies together \
         {agencies:.2} µs for each one more."
    )
}

/// The head of a table, of which the columns from one on are numbers.
fn head(f: &mut fmt::Formatter<'_>, columns: &[&str], numbers_from: usize) -> fmt::Result {
    let rule = |place| if place < numbers_from { "---" } else { "--:" };
    let rules: Vec<&str> = (0..columns.len()).map(rule).collect();
    writeln!(f, "| {} |\n| {} |", columns.join(" | "), rules.join(" | "))
}

/// The median and the spread, or that nothing was measured.
fn spread(figure: &Figure, places: usize) -> String {
    if figure.0.is_empty() {
        return "–".to_owned();
    }
    let (least, most) = figure.range();
    format!("{:.places$} ({least:.places$}–{most:.places$})", figure.median())
}

/// Slope and intercept of a figure over a curve, by least squares.
fn slope(curve: &Curve, of: impl Fn(&Point) -> f64) -> (f64, f64) {
    let count = curve.points.len() as f64;
    let mean = |of: &dyn Fn(&Point) -> f64| curve.points.iter().map(of).sum::<f64>() / count;
    let (at, level) = (mean(&|point| point.at), mean(&|point| of(point)));
    let joint = mean(&|point| (point.at - at) * (of(point) - level));
    let own = mean(&|point| (point.at - at).powi(2));
    let slope = if own > 0.0 { joint / own } else { 0.0 };
    (slope, level - slope * at)
}
