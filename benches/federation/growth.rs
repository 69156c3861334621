//! How the cost grows with the work: agencies, items, requests in flight,
//! gateways; and what a fault costs.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Args;
use crate::city::City;
use crate::grants::Asks;
use crate::load::{self, Run, quantile};
use crate::report::{Figure, Report};
use crate::row::{Row, Way};
use crate::stream::Streams;
use crate::targets::BUSY;
use crate::town::{self, Spec};
use crate::unary::{self, Unary};
use crate::{fault, process, truth};

/// Every part, by the name with which it is asked for.
pub const PARTS: [&str; 7] =
    ["agencies", "items", "in-flight", "replicas", "faults", "handshakes", "log"];

const AGENCIES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const ITEMS: [usize; 7] = [5, 20, 60, 120, 240, 360, 493];
const IN_FLIGHT: [usize; 8] = [1, 4, 16, 32, 64, 128, 256, 512];
const REPLICAS: usize = 4;
/// In flight where it is not that which grows.
const STEADY: usize = 32;
const WARM: Duration = Duration::from_millis(500);
/// Few, so that every server remembers the grants of all steps: what grows is to be
/// seen, and not a memory that becomes too small for grants over 64 agencies.
const PEOPLE: usize = 100;
/// For how long everybody may be asked about before anything counts.
const WARM_ALL: Duration = Duration::from_secs(60);
/// Connections to a gateway, each of which takes 256 requests at once.
const CONNECTIONS: usize = 4;

/// One growing quantity, and what was found at each of its values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Curve {
    /// What grows, and over which row.
    pub name: String,
    pub points: Vec<Point>,
}

/// The figures at one value, once for each round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Point {
    pub at: f64,
    /// What the value means, where it is no quantity.
    pub label: String,
    pub rate: Figure,
    /// CPU microseconds a profile.
    pub gateway_cpu: Figure,
    pub agencies_cpu: Figure,
    /// Milliseconds.
    pub p50: Figure,
    pub p99: Figure,
}

impl Point {
    fn add(&mut self, run: &Run) {
        self.rate.0.push(run.rate());
        self.gateway_cpu.0.push(run.each(run.gateway));
        self.agencies_cpu.0.push(run.each(run.agencies));
        self.p50.0.push(quantile(&run.latency, 0.5));
        self.p99.0.push(quantile(&run.latency, 0.99));
    }
}

/// One value at which it is measured.
struct Step {
    at: f64,
    label: String,
    city: Arc<City>,
    row: Arc<Row>,
    in_flight: usize,
}

/// How long and how often each step is measured.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub rounds: usize,
    pub length: Duration,
}

impl Pace {
    pub fn of(args: &Args) -> anyhow::Result<Self> {
        let seconds = args.seconds.unwrap_or(if args.quick { 1.0 } else { 2.0 });
        Ok(Self { rounds: args.rounds, length: Duration::try_from_secs_f64(seconds)? })
    }
}

/// Measures one part, by its name.
pub async fn run(part: &str, pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    match part {
        "agencies" => agencies(pace, report).await,
        "items" => items(pace, report).await,
        "in-flight" => in_flight(pace, report).await,
        "replicas" => replicas(pace, report).await,
        "faults" => faults(pace, report).await,
        "handshakes" => handshakes(pace, report).await,
        "log" => log(pace, report).await,
        other => anyhow::bail!("`{other}` is no part; there are {}", PARTS.join(", ")),
    }
}

/// Every step in each round, forwards and backwards in turn.
async fn measure(name: &str, pace: Pace, steps: &[Step]) -> anyhow::Result<Curve> {
    let mut points: Vec<Point> = steps
        .iter()
        .map(|step| Point { at: step.at, label: step.label.clone(), ..Point::default() })
        .collect();
    for step in steps {
        warm(step).await?;
    }
    for round in 0..pace.rounds {
        let mut order: Vec<(&Step, &mut Point)> = steps.iter().zip(&mut points).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (step, point) in order {
            let run = once(step, pace.length).await?;
            eprintln!("{name}: {} {}: {:.0}/s", step.at, step.label, run.rate());
            point.add(&run);
        }
    }
    Ok(Curve { name: name.to_owned(), points })
}

/// Asks about everybody once, and then for a while: grants are known to all, and
/// connections and statements are warm.
async fn warm(step: &Step) -> anyhow::Result<()> {
    let asks = Arc::new(Asks::once(step.city.people.to_vec()));
    load::closed(&step.city, &step.row, &asks, step.in_flight, WARM_ALL).await?;
    once(step, WARM).await.map(drop)
}

async fn once(step: &Step, length: Duration) -> anyhow::Result<Run> {
    let asks = Arc::new(Asks::Again(step.city.people.clone()));
    let run = load::closed(&step.city, &step.row, &asks, step.in_flight, length).await?;
    if !step.row.partial {
        truth::check(&step.city, &run.sample).await?;
    }
    Ok(run)
}

/// Through the first so many gateways. A gateway closes a connection over which
/// nothing is asked, so whoever makes this asks at once, and steps share it.
async fn unary(city: &City, gateways: usize) -> anyhow::Result<Row> {
    let gateways: Vec<_> = city.gateways.iter().take(gateways).collect();
    let endpoints = gateways.iter().map(|gateway| gateway.endpoint.as_str());
    let unary = Unary::balanced(city, endpoints, CONNECTIONS).await?;
    Ok(row("unary", Way::Unary(unary), gateways.iter().map(|gateway| gateway.pid)))
}

async fn stream(city: &City) -> anyhow::Result<Row> {
    let endpoint = &city.federation.gateway.endpoint;
    let streams = Streams::open(city, endpoint, CONNECTIONS, 1).await?;
    Ok(row("stream", Way::Streams(streams), [city.federation.gateway.pid]))
}

/// A row of which the agencies are not known yet.
fn row(name: &'static str, way: Way, gateways: impl IntoIterator<Item = u32>) -> Row {
    let gateway = gateways.into_iter().collect();
    Row { name, way: Arc::new(way), fresh: false, partial: false, gateway, agencies: Vec::new() }
}

/// The agencies of a step are those of its city.
fn step(at: usize, city: &Arc<City>, row: Row, in_flight: usize) -> Step {
    let agencies = city.agencies.iter().map(|asked| asked.pid).collect();
    let row = Arc::new(Row { agencies, ..row });
    Step { at: at as f64, label: String::new(), city: city.clone(), row, in_flight }
}

/// A step for each city, in each of which fewer are asked for less.
fn narrowed(
    cities: impl IntoIterator<Item = anyhow::Result<(usize, City)>>,
    row: Row,
) -> anyhow::Result<Vec<Step>> {
    let step = |city: anyhow::Result<(usize, City)>| {
        city.map(|(count, city)| step(count, &Arc::new(city), row.clone(), STEADY))
    };
    cities.into_iter().map(step).collect()
}

fn spec(agencies: usize, items: usize) -> Spec {
    Spec {
        agencies,
        items,
        gateways: 1,
        people: PEOPLE,
        logs: None,
        front: false,
        stream_age: None,
    }
}

/// Five items of each of more and more agencies.
async fn agencies(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let most = AGENCIES.into_iter().max().unwrap_or(1);
    let town = town::start(&spec(most, 5 * most)).await?;
    let cities = AGENCIES.map(|count| town.narrowed(count, 5 * count).map(|city| (count, city)));
    let steps = narrowed(cities, unary(&town, 1).await?)?;
    report.add_curve(measure("agencies", pace, &steps).await?);
    Ok(())
}

/// More and more items of eight agencies, and the memory that they take.
async fn items(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let most = ITEMS.into_iter().max().unwrap_or(1);
    let town = town::start(&spec(8, most)).await?;
    let cities = ITEMS.map(|count| town.narrowed(count.min(8), count).map(|city| (count, city)));
    let steps = narrowed(cities, unary(&town, 1).await?)?;
    report.add_curve(measure("items", pace, &steps).await?);
    let city = Arc::new(town.narrowed(8, most)?);
    let ways = [unary(&city, 1).await?, stream(&city).await?];
    for way in ways {
        once(&step(512, &city, way, 512), pace.length).await?;
    }
    let pid = city.federation.gateway.pid;
    report.set_single("memory_512_in_flight_493_items", process::peak_memory(pid)?);
    Ok(())
}

async fn in_flight(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let city = Arc::new(town::start(&spec(4, 20)).await?);
    for (name, way) in [("unary", unary(&city, 1).await?), ("streaming", stream(&city).await?)] {
        let steps = IN_FLIGHT.map(|count| step(count, &city, way.clone(), count));
        report.add_curve(measure(&format!("in flight, {name}"), pace, &steps).await?);
    }
    Ok(())
}

/// One to four gateways behind a client that takes them in turn.
async fn replicas(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let city = Arc::new(town::start(&Spec { gateways: REPLICAS, ..spec(4, 20) }).await?);
    let mut steps = Vec::new();
    for count in 1..=REPLICAS {
        steps.push(step(count, &city, unary(&city, count).await?, BUSY));
    }
    report.add_curve(measure("gateways", pace, &steps).await?);
    Ok(())
}

/// The last of four agencies is slow, hangs, or is gone; the others' items come.
async fn faults(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let city = Arc::new(town::start(&spec(4, 20)).await?);
    let pid = city.agencies.last().map_or(0, |asked| asked.pid);
    let mut curve = Curve { name: "one agency at fault".into(), points: Vec::new() };
    for (at, (label, fault)) in fault::ALL.into_iter().enumerate() {
        let fault = fault.on(pid)?;
        let row = Row { partial: true, ..unary(&city, 1).await? };
        let mut step = step(at, &city, row, STEADY);
        label.clone_into(&mut step.label);
        curve.points.extend(measure(&curve.name, pace, &[step]).await?.points);
        fault.ended()?;
    }
    report.add_curve(curve);
    Ok(())
}

/// Consumers that connect, shake hands and go, while others ask.
async fn handshakes(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let city = Arc::new(town::start(&spec(4, 20)).await?);
    let mut curve = Curve { name: "handshakes at once".into(), points: Vec::new() };
    for count in [0, 4, 16] {
        let mut storm = JoinSet::new();
        for _ in 0..count {
            let city = city.clone();
            storm.spawn(async move {
                let endpoint = &city.federation.gateway.endpoint;
                loop {
                    if unary::client(&city, endpoint).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
        let step = step(count, &city, unary(&city, 1).await?, STEADY);
        curve.points.extend(measure(&curve.name, pace, &[step]).await?.points);
        storm.shutdown().await;
    }
    report.add_curve(curve);
    Ok(())
}

/// Every log on the disk, and every log in memory, where nobody waits for a disk.
/// There is no switch that turns the log off, so this is the part of it that is
/// waiting.
async fn log(pace: Pace, report: &mut Report) -> anyhow::Result<()> {
    let memory = std::path::Path::new("/dev/shm");
    if !memory.is_dir() {
        report.notes.push("the log in memory was left out: there is no /dev/shm".into());
        return Ok(());
    }
    let logs = tempfile::Builder::new().prefix("tributary-bench-").tempdir_in(memory)?;
    let disk = Arc::new(town::start(&spec(4, 20)).await?);
    let logs = Some(logs.path().to_owned());
    let memory = Arc::new(town::start(&Spec { logs, ..spec(4, 20) }).await?);
    let mut steps = Vec::new();
    for (at, (city, label)) in [(&disk, "on the disk"), (&memory, "in memory")].iter().enumerate() {
        let mut step = step(at, city, unary(city, 1).await?, BUSY);
        (*label).clone_into(&mut step.label);
        steps.push(step);
    }
    report.add_curve(measure("log", pace, &steps).await?);
    Ok(())
}
