//! The report as tables for a terminal.

use std::fmt;

use crate::report::{Figure, Kind, Measured, Report};
use crate::targets;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.machine, self.versions, self.setting)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))?;
        for (title, of) in GROUPS {
            let cells: Vec<&Measured> =
                self.measured.iter().filter(|measured| of(measured.cell.kind)).collect();
            if cells.is_empty() {
                continue;
            }
            writeln!(f, "\n{title}\n{HEAD}")?;
            cells.into_iter().try_for_each(|measured| line(f, measured))?;
        }
        writeln!(f)?;
        for (name, figure) in &self.single {
            writeln!(f, "{name}: {}", spread(figure, 2))?;
        }
        writeln!(f, "\n{:<76}{:>8}  found (least–most)", "target", "")?;
        for target in targets::of(self) {
            let met = if target.bound.met(target.figure.median()) { "" } else { "  NOT MET" };
            let found = spread(&target.figure, 2);
            writeln!(f, "{:<76}{:>8}  {found}{met}", target.what, target.bound.to_string())?;
        }
        Ok(())
    }
}

pub type Of = fn(Kind) -> bool;

/// The kinds of measurement, each with its title.
pub const GROUPS: [(&str, Of); 4] = [
    ("Closed loop, nothing pinned", |kind| matches!(kind, Kind::Rate(_))),
    ("Closed loop, the gateway on a core of its own", |kind| matches!(kind, Kind::Cpu(_))),
    ("Open loop at 70 % of the row's own rate", |kind| matches!(kind, Kind::Open)),
    ("Open loop at 70 % of the slower of direct and unary", |kind| matches!(kind, Kind::Shared)),
];

const HEAD: &str = "\
                                                                                  CPU µs a profile
row          in flight  profiles/s (least–most)     p50     p99   p99.9 ms   gateway  agencies  client";

fn line(f: &mut fmt::Formatter<'_>, measured: &Measured) -> fmt::Result {
    let figure = |name: &str| measured.figures.get(name).map_or(f64::NAN, Figure::median);
    let in_flight = match measured.cell.kind {
        Kind::Rate(in_flight) | Kind::Cpu(in_flight) => in_flight.to_string(),
        Kind::Open | Kind::Shared => String::from("open"),
    };
    let rate = measured.figures.get("rate").cloned().unwrap_or_default();
    let (least, most) = rate.range();
    writeln!(
        f,
        "{:<13}{in_flight:>9}{:>12.0} {:<14}{:>7.2}{:>8.2}{:>8.2}{:>13.0}{:>10.0}{:>8.0}",
        measured.cell.row,
        rate.median(),
        format!("({least:.0}–{most:.0})"),
        figure("p50"),
        figure("p99"),
        figure("p999"),
        figure("gateway_cpu"),
        figure("agencies_cpu"),
        figure("client_cpu"),
    )
}

/// The median and the spread.
pub fn spread(figure: &Figure, places: usize) -> String {
    let (least, most) = figure.range();
    format!("{:.places$} ({least:.places$}–{most:.places$})", figure.median())
}
