//! The targets of the design, and what was found of each.

use std::fmt;

use crate::growth::Point;
use crate::report::{Figure, Kind, Report};

/// In flight where rates are compared.
pub const BUSY: usize = 128;

/// A target and the figure beside it.
pub struct Target {
    pub what: &'static str,
    pub bound: Bound,
    pub figure: Figure,
}

/// What the figure should be.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub fn met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// Every target for which this run has a figure.
pub fn of(report: &Report) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let over = |one: f64, other: f64| one / other;
    let rate = |row| report.figure(Kind::Rate(BUSY), row, "rate");
    let rates = |one, other| rate(one).with(&rate(other), over);
    let cpu = |row| report.figure(Kind::Cpu(BUSY), row, "gateway_cpu");
    let p50 = |row| report.figure(Kind::Rate(1), row, "p50");
    let single = |name: &str| report.single.get(name).cloned().unwrap_or_default();
    let open = |name| report.figure(Kind::Open, "unary", name);
    let at = |curve: &str, at: f64, of: fn(&Point) -> Figure| {
        let curve = report.curves.iter().find(|known| known.name == curve);
        let point = curve.and_then(|curve| curve.points.iter().find(|point| point.at == at));
        point.map(of).unwrap_or_default()
    };
    let alone = p50("unary").with(&single("fdatasync"), |unary, sync| unary - sync);
    let found = [
        ("unary rate over direct with the same checks", AtLeast(1.8), rates("unary", "direct")),
        ("unary rate over direct without any check", AtLeast(1.3), rates("unary", "bare")),
        (
            "streaming rate over direct with the same checks",
            AtLeast(2.8),
            rates("stream", "direct"),
        ),
        ("streaming rate over direct without any check", AtLeast(2.0), rates("stream", "bare")),
        (
            "unary rate over direct with the same checks, fresh grants",
            AtLeast(1.2),
            rates("unary fresh", "direct fresh"),
        ),
        (
            "the way alone: exchange over direct, both without any check",
            AtLeast(1.5),
            rates("relay", "bare"),
        ),
        (
            "gateway CPU of unary over the naive gateway's",
            AtMost(0.55),
            cpu("unary").with(&cpu("naive"), over),
        ),
        (
            "gateway CPU of streaming over the naive gateway's",
            AtMost(0.40),
            cpu("stream").with(&cpu("naive"), over),
        ),
        (
            "one at a time, p50 less one fdatasync, over direct's with the same checks",
            AtMost(1.35),
            alone.with(&p50("direct"), over),
        ),
        ("added by the gateway at 70 % load, p50, ms", AtMost(1.0), open("added_p50")),
        ("added by the gateway at 70 % load, p99, ms", AtMost(5.0), open("added_p99")),
        (
            "cost of 64 agencies over that of 4, for each section",
            AtMost(1.1),
            at("agencies", 64.0, each_section).with(&at("agencies", 4.0, each_section), over),
        ),
        (
            "rate with the audit log on the disk over that with it in memory",
            AtLeast(0.9),
            at("log", 0.0, rate_at).with(&at("log", 1.0, rate_at), over),
        ),
        ("idle gateway, MiB", AtMost(60.0), single("idle_memory")),
        (
            "gateway with 512 in flight and 493 items, MiB",
            AtMost(200.0),
            single("memory_512_in_flight_493_items"),
        ),
    ];
    let found = found.into_iter().map(|(what, bound, figure)| Target { what, bound, figure });
    found.filter(|target| !target.figure.0.is_empty()).collect()
}

fn rate_at(point: &Point) -> Figure {
    point.rate.clone()
}

/// CPU of everybody behind the consumer, for each section.
fn each_section(point: &Point) -> Figure {
    point.gateway_cpu.with(&point.agencies_cpu, |gateway, agencies| (gateway + agencies) / point.at)
}
