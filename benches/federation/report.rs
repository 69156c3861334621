//! The figures: medians over the rounds, their spread, and what is compared.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::city::City;
use crate::load::Run;

/// What one measurement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub in_flight: usize,
    pub row: &'static str,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} in flight", self.row, self.in_flight)
    }
}

/// One figure, once for each round.
#[derive(Debug, Default)]
struct Figure(Vec<f64>);

impl Figure {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        let first = sorted.first().copied().unwrap_or(f64::NAN);
        (first, sorted.last().copied().unwrap_or(f64::NAN))
    }

    fn json(&self) -> Value {
        let (least, most) = self.range();
        json!({ "median": self.median(), "least": least, "most": most })
    }
}

#[derive(Debug, Default)]
struct Figures {
    rate: Figure,
    p50: Figure,
    p99: Figure,
    gateway: Figure,
    agencies: Figure,
    client: Figure,
}

/// Every figure of one benchmark.
pub struct Report {
    machine: String,
    setting: String,
    cells: BTreeMap<Cell, Figures>,
}

impl Report {
    pub fn new(city: &City, rounds: usize, seconds: f64, connections: usize) -> Self {
        let setting = format!(
            "{} agencies, {} items, {} people, {rounds} rounds of {seconds} s, \
             {connections} connection(s) to each server; grants, policy and audit log at both ends",
            city.agencies.len(),
            city.items.len(),
            city.people.len(),
        );
        Self { machine: machine(), setting, cells: BTreeMap::new() }
    }

    pub fn add(&mut self, cell: Cell, run: &Run) {
        let figures = self.cells.entry(cell).or_default();
        figures.rate.0.push(run.rate());
        figures.p50.0.push(run.latency(0.5));
        figures.p99.0.push(run.latency(0.99));
        figures.gateway.0.push(run.each(run.gateway));
        figures.agencies.0.push(run.each(run.agencies));
        figures.client.0.push(run.each(run.client));
    }

    /// For each number in flight, the rate of unary over that of direct, round by
    /// round: the two of one round had the same machine.
    fn ratios(&self) -> Vec<(usize, Figure)> {
        let rates = |in_flight, row| self.cells.get(&Cell { in_flight, row }).map(|f| &f.rate.0);
        let numbers = self.cells.keys().filter(|cell| cell.row == "unary");
        numbers
            .filter_map(|cell| {
                let (unary, direct) =
                    (rates(cell.in_flight, "unary")?, rates(cell.in_flight, "direct")?);
                let ratios = unary.iter().zip(direct).map(|(unary, direct)| unary / direct);
                Some((cell.in_flight, Figure(ratios.collect())))
            })
            .collect()
    }

    pub fn json(&self) -> Value {
        let cells = self.cells.iter().map(|(cell, figures)| {
            json!({
                "row": cell.row,
                "in_flight": cell.in_flight,
                "profiles_per_second": figures.rate.json(),
                "p50_ms": figures.p50.json(),
                "p99_ms": figures.p99.json(),
                "gateway_cpu_us": figures.gateway.json(),
                "agencies_cpu_us": figures.agencies.json(),
                "client_cpu_us": figures.client.json(),
            })
        });
        let ratios = self.ratios();
        let ratios = ratios.iter().map(|(in_flight, ratio)| {
            json!({ "in_flight": in_flight, "unary_over_direct": ratio.json() })
        });
        json!({
            "machine": self.machine,
            "setting": self.setting,
            "cells": cells.collect::<Vec<_>>(),
            "ratios": ratios.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n", self.machine, self.setting)?;
        writeln!(f, "                                                        CPU µs a profile")?;
        writeln!(
            f,
            "row     in flight  profiles/s (least–most)  p50 ms  p99 ms  gateway  agencies  client"
        )?;
        for (cell, figures) in &self.cells {
            let (least, most) = figures.rate.range();
            writeln!(
                f,
                "{:<8}{:>9}{:>12.0} {:<12}{:>8.2}{:>8.2}{:>9.0}{:>10.0}{:>8.0}",
                cell.row,
                cell.in_flight,
                figures.rate.median(),
                format!("({least:.0}–{most:.0})"),
                figures.p50.median(),
                figures.p99.median(),
                figures.gateway.median(),
                figures.agencies.median(),
                figures.client.median(),
            )?;
        }
        writeln!(f)?;
        for (in_flight, ratio) in self.ratios() {
            let (least, most) = ratio.range();
            let median = ratio.median();
            writeln!(
                f,
                "unary over direct at {in_flight} in flight: {median:.2} ({least:.2}–{most:.2})"
            )?;
        }
        Ok(())
    }
}

/// The machine in a line.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    format!(
        "{}, {cores} cores, Linux {}, load {} at the start",
        model.map_or("unknown processor", |(_, name)| name),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or_default(),
    )
}
