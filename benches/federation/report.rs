//! The figures of one benchmark, as they are kept: every round's value of each,
//! so that medians, spreads and ratios can be made from the file later.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::growth::Curve;
use crate::load::{Run, quantile};
use crate::outage::Outage;

/// How a row was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// So many in flight, nothing pinned.
    Rate(usize),
    /// The same, the gateway alone on one core, everybody else on the others.
    Cpu(usize),
    /// An open loop at 70 % of the rate that this row reached.
    Open,
    /// An open loop at 70 % of what the slower of direct and unary reached.
    Shared,
}

/// What one measurement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    pub kind: Kind,
    pub row: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.row;
        match self.kind {
            Kind::Rate(in_flight) => write!(f, "{row}, {in_flight} in flight"),
            Kind::Cpu(in_flight) => write!(f, "{row}, {in_flight} in flight, gateway pinned"),
            Kind::Open => write!(f, "{row}, at 70 % of its rate"),
            Kind::Shared => write!(f, "{row}, at 70 % of the slower rate"),
        }
    }
}

/// One figure, once for each round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figure(pub Vec<f64>);

impl Figure {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        let first = sorted.first().copied().unwrap_or(f64::NAN);
        (first, sorted.last().copied().unwrap_or(f64::NAN))
    }

    /// Round by round: the two of one round had the same machine.
    pub fn with(&self, other: &Self, of: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| of(*one, *other)).collect())
    }
}

/// The figures of one cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    #[serde(flatten)]
    pub cell: Cell,
    /// By name: `rate` (profiles a second), `p50`, `p99`, `p999`, `added_p50`,
    /// `added_p99` (milliseconds), `gateway_cpu`, `agencies_cpu`, `client_cpu`
    /// (microseconds a profile), `failed` (requests).
    pub figures: BTreeMap<String, Figure>,
}

/// Everything that one run of the benchmark found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub machine: String,
    pub versions: String,
    pub setting: String,
    /// What is missing, and why.
    pub notes: Vec<String>,
    pub measured: Vec<Measured>,
    /// By name: `fdatasync` (milliseconds), `idle_memory`, `peak_memory` (MiB).
    pub single: BTreeMap<String, Figure>,
    pub curves: Vec<Curve>,
    #[serde(default)]
    pub outages: Vec<Outage>,
}

impl Report {
    pub fn new() -> Self {
        Self {
            machine: machine(),
            versions: String::new(),
            setting: String::new(),
            notes: Vec::new(),
            measured: Vec::new(),
            single: BTreeMap::new(),
            curves: Vec::new(),
            outages: Vec::new(),
        }
    }

    /// The report that a file holds.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text).with_context(|| file.display().to_string())
    }

    pub fn add(&mut self, cell: &Cell, run: &Run) {
        let figures = [
            ("rate", run.rate()),
            ("p50", quantile(&run.latency, 0.5)),
            ("p99", quantile(&run.latency, 0.99)),
            ("p999", quantile(&run.latency, 0.999)),
            ("added_p50", quantile(&run.added, 0.5)),
            ("added_p99", quantile(&run.added, 0.99)),
            ("gateway_cpu", run.each(run.gateway)),
            ("agencies_cpu", run.each(run.agencies)),
            ("client_cpu", run.each(run.client)),
            ("failed", run.failed as f64),
        ];
        let place = self.measured.iter().position(|known| known.cell == *cell);
        let place = place.unwrap_or_else(|| {
            self.measured.push(Measured { cell: cell.clone(), figures: BTreeMap::new() });
            self.measured.len() - 1
        });
        let Some(measured) = self.measured.get_mut(place) else { return };
        for (name, figure) in figures.into_iter().filter(|(_, figure)| figure.is_finite()) {
            measured.figures.entry(name.to_owned()).or_default().0.push(figure);
        }
    }

    /// Puts a curve in the place of an older one.
    pub fn add_curve(&mut self, curve: Curve) {
        self.curves.retain(|known| known.name != curve.name);
        self.curves.push(curve);
    }

    pub fn set_single(&mut self, name: &str, figure: f64) {
        self.single.insert(name.to_owned(), Figure(vec![figure]));
    }

    pub fn add_single(&mut self, name: &str, figure: f64) {
        self.single.entry(name.to_owned()).or_default().0.push(figure);
    }

    /// A figure of a cell; empty when it was not measured.
    pub fn figure(&self, kind: Kind, row: &str, name: &str) -> Figure {
        let measured = self.measured.iter().find(|m| m.cell.kind == kind && m.cell.row == row);
        measured.and_then(|m| m.figures.get(name)).cloned().unwrap_or_default()
    }
}

/// The machine in a line.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let memory = memory.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    let load = read("/proc/loadavg");
    format!(
        "{}, {} cores, {:.0} GiB, Linux {}, load {} at the start",
        model.map_or("unknown processor", |(_, name)| name),
        crate::process::cores(),
        memory.unwrap_or(f64::NAN) / 1024.0 / 1024.0,
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or_default(),
    )
}
