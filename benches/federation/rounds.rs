//! The rounds: in each of them every row has its turn in every kind of
//! measurement, forwards and backwards in turn.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tributary::clock;

use crate::Args;
use crate::city::City;
use crate::grants::Asks;
use crate::load::{self, Run};
use crate::report::{Cell, Kind, Report};
use crate::row::Row;
use crate::targets::BUSY;
use crate::{process, truth};

/// Of a row's own rate, at which its latency is measured.
pub const OPEN_LOAD: f64 = 0.7;
/// Grants that are issued for one measurement at most.
const MOST_FRESH: usize = 40_000;
const WARM: Duration = Duration::from_millis(600);
const WARM_FRESH: usize = 300;

/// What is measured, and for how long.
pub struct Rounds {
    count: usize,
    length: Duration,
    kinds: Vec<Kind>,
}

impl Rounds {
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        let seconds = args.seconds.unwrap_or(if args.quick { 1.0 } else { 4.0 });
        let mut in_flight = args.in_flight.clone();
        if in_flight.is_empty() {
            in_flight = if args.quick { vec![1, BUSY] } else { vec![1, 32, BUSY] };
        }
        let wanted = |name: &str| args.kinds.iter().any(|kind| kind == name);
        let mut kinds = Vec::new();
        if wanted("rate") {
            kinds.extend(in_flight.into_iter().map(Kind::Rate));
        }
        if wanted("cpu") {
            kinds.push(Kind::Cpu(BUSY));
        }
        if wanted("open") {
            kinds.extend([Kind::Open, Kind::Shared]);
        }
        ensure!(args.rounds > 0, "--rounds must be 1 at least");
        Ok(Self { count: args.rounds, length: Duration::try_from_secs_f64(seconds)?, kinds })
    }

    pub fn setting(&self, city: &City, args: &Args) -> String {
        format!(
            "{} agencies, {} items, {} people; {} rounds of {:?}; {} connection(s) to each server, \
             {} streams; grants, policy, counters and audit log at both ends",
            city.agencies.len(),
            city.items.len(),
            city.people.len(),
            self.count,
            self.length,
            args.connections,
            args.streams,
        )
    }

    pub async fn run(
        &self,
        city: &Arc<City>,
        rows: &[Arc<Row>],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let gateway = city.federation.gateway.pid;
        for name in ["idle_memory", "peak_memory", "fdatasync"] {
            report.single.remove(name);
        }
        report.add_single("idle_memory", process::peak_memory(gateway)?);
        // Rates seen so far: how many fresh grants a measurement needs, and what
        // load an open loop puts on.
        let mut seen: HashMap<&str, f64> = HashMap::new();
        for row in rows {
            // Connections, statements and caches are warm before anything counts.
            let asks = asks(city, row, WARM_FRESH)?;
            let run = load::closed(city, row, &asks, 32, WARM).await?;
            seen.insert(row.name, run.rate());
        }
        let mut rows = rows.to_vec();
        for round in 0..self.count {
            report.add_single("fdatasync", fdatasync(city)?);
            for kind in &self.kinds {
                for row in rows.iter().filter(|row| belongs(*kind, row)) {
                    let cell = Cell { kind: *kind, row: row.name.to_owned() };
                    let run = self.measure(city, row, *kind, &seen).await?;
                    truth::check(city, &run.sample).await?;
                    if *kind == Kind::Rate(BUSY) && round == 0 {
                        seen.insert(row.name, run.rate());
                    }
                    eprintln!("round {} of {}: {cell}: {:.0}/s", round + 1, self.count, run.rate());
                    report.add(&cell, &run);
                }
            }
            rows.reverse();
        }
        report.add_single("peak_memory", process::peak_memory(gateway)?);
        Ok(())
    }

    async fn measure(
        &self,
        city: &Arc<City>,
        row: &Arc<Row>,
        kind: Kind,
        seen: &HashMap<&str, f64>,
    ) -> anyhow::Result<Run> {
        let rate = |name: &str| seen.get(name).copied();
        let expected = rate(row.name).unwrap_or(1000.0) * self.length.as_secs_f64() * 2.0;
        let asks = asks(city, row, expected as usize + 1000)?;
        match kind {
            Kind::Rate(in_flight) => load::closed(city, row, &asks, in_flight, self.length).await,
            Kind::Cpu(in_flight) => {
                let pinned = Pinned::new(row)?;
                let run = load::closed(city, row, &asks, in_flight, self.length).await;
                pinned.release()?;
                run
            }
            Kind::Open => {
                let own = rate(row.name).context("no rate")?;
                load::open(city, row, &asks, own * OPEN_LOAD, self.length).await
            }
            Kind::Shared => {
                let slower = ["direct", "unary"].into_iter().filter_map(rate);
                let slower = slower.min_by(f64::total_cmp).context("no rate")?;
                load::open(city, row, &asks, slower * OPEN_LOAD, self.length).await
            }
        }
    }
}

/// Whether a row is measured in this way.
fn belongs(kind: Kind, row: &Row) -> bool {
    match kind {
        Kind::Rate(1) => {
            matches!(row.name, "direct" | "bare" | "naive" | "relay" | "unary" | "stream")
        }
        Kind::Rate(_) => true,
        Kind::Cpu(_) => !row.gateway.is_empty(),
        Kind::Open => matches!(row.name, "unary" | "stream"),
        Kind::Shared => matches!(row.name, "direct" | "unary"),
    }
}

fn asks(city: &City, row: &Row, fresh: usize) -> anyhow::Result<Arc<Asks>> {
    Ok(Arc::new(match row.fresh {
        true => {
            let subjects: Vec<_> = city.people.iter().map(|p| p.subject.clone()).collect();
            Asks::once(city.mint.issue(&subjects, fresh.min(MOST_FRESH))?)
        }
        false => Asks::Again(city.people.clone()),
    }))
}

/// A row's gateway on the last core, and everybody else of it on the others.
struct Pinned(Vec<u32>);

impl Pinned {
    fn new(row: &Row) -> anyhow::Result<Self> {
        let last = process::cores().saturating_sub(1);
        let others = format!("0-{}", last.saturating_sub(1));
        let mut everybody = row.agencies.clone();
        everybody.push(std::process::id());
        for pid in &everybody {
            process::pin(*pid, &others)?;
        }
        for pid in &row.gateway {
            process::pin(*pid, &last.to_string())?;
        }
        everybody.extend(&row.gateway);
        Ok(Self(everybody))
    }

    fn release(self) -> anyhow::Result<()> {
        let all = format!("0-{}", process::cores().saturating_sub(1));
        self.0.iter().try_for_each(|pid| process::pin(*pid, &all))
    }
}

/// How long one fdatasync takes where the logs are, in milliseconds.
fn fdatasync(city: &City) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(city.home.path().join("fdatasync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[7; 1024])?;
        let began = clock::now();
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("no time")
}
