//! Natural batching against one query a request, in one run, through the source
//! that an agency uses; and what counting a use costs.
//!
//! ```console
//! $ scripts/test-postgres cargo bench --bench batching
//! ```
//!
//! On PostgreSQL, when there is one, and on SQLite. In "one a request" the same
//! source, mapping and pool are bounded to one person a statement. "Plain pool"
//! is the driver's own pool with one prepared statement a request and no mapping
//! at all, at its best size: what a program without batching could reach. The
//! ways alternate within each round, and medians are compared, since absolute
//! figures move with the machine.

mod asked;
mod load;
mod plain;
#[path = "../federation/process.rs"]
#[allow(dead_code, reason = "this benchmark pins nothing and asks for no memory")]
mod process;
mod town;
mod uses;

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use load::{Run, Work};
use town::Town;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// People in one statement when batching is off, and as an agency's default is.
const ONE: usize = 1;
const MANY: usize = 256;

/// Sizes of the plain pool that are tried.
const POOLS: [u32; 3] = [4, 8, 16];

/// Measures natural batching.
#[derive(Debug, Parser)]
struct Args {
    /// Three short rounds instead of five
    #[arg(long)]
    quick: bool,
    /// Requests in flight
    #[arg(long, default_value_t = 128)]
    in_flight: usize,
    /// Seconds of each measurement
    #[arg(long)]
    seconds: Option<f64>,
    /// Rounds
    #[arg(long)]
    rounds: Option<usize>,
    /// Only this part: postgres, sqlite or counters
    #[arg(long)]
    only: Option<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let part = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    println!("{} requests in flight, medians (least–most)\n", args.in_flight);
    if part("postgres") {
        match std::env::var("TRIBUTARY_TEST_POSTGRES") {
            Ok(server) => postgres(args, &server).await?,
            Err(_) => println!("PostgreSQL: skipped; run by scripts/test-postgres\n"),
        }
    }
    if part("sqlite") {
        let town = Town::sqlite()?;
        let mut ways = vec![
            Way::new("batched", asked::Asked::over(&town, MANY)?),
            Way::new("one a request", asked::Asked::over(&town, ONE)?),
        ];
        measure(args, "SQLite", &mut ways).await?;
    }
    if part("counters") {
        let folder = tempfile::tempdir()?;
        let mut ways = vec![Way::new(
            "a use counted",
            uses::Uses::open(folder.path(), "sqlite:counters.db").await?,
        )];
        measure(args, "counters on SQLite", &mut ways).await?;
        if let Ok(server) = std::env::var("TRIBUTARY_TEST_POSTGRES") {
            let uses = uses::Uses::open(folder.path(), &server).await?;
            let mut ways = vec![Way::new("a use counted", uses)];
            measure(args, "counters on PostgreSQL", &mut ways).await?;
        }
    }
    Ok(())
}

async fn postgres(args: &Args, server: &str) -> anyhow::Result<()> {
    let town = Town::postgres(server).await?;
    let mut ways = vec![
        Way::new("batched", asked::Asked::over(&town, MANY)?),
        Way::new("one a request", asked::Asked::over(&town, ONE)?),
    ];
    for size in POOLS {
        ways.push(Way::new(&format!("plain pool of {size}"), plain::Plain::pool(server, size)?));
    }
    measure(args, "PostgreSQL", &mut ways).await
}

/// One way of doing the work, and what it came to, once for each round.
struct Way {
    name: String,
    work: Work,
    runs: Vec<Run>,
}

impl Way {
    fn new(name: &str, work: Work) -> Self {
        Self { name: name.to_owned(), work, runs: Vec::new() }
    }
}

async fn measure(args: &Args, title: &str, ways: &mut [Way]) -> anyhow::Result<()> {
    let seconds = args.seconds.unwrap_or(if args.quick { 0.7 } else { 2.0 });
    let length = Duration::try_from_secs_f64(seconds).context("--seconds")?;
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 5 });
    for way in ways.iter() {
        // Connections, statements and caches are warm before anything counts.
        load::run(&way.work, args.in_flight, length.min(Duration::from_millis(700))).await?;
    }
    for _ in 0..rounds {
        for way in ways.iter_mut() {
            way.runs.push(load::run(&way.work, args.in_flight, length).await?);
        }
        ways.reverse();
    }
    println!("{title}, {rounds} rounds of {seconds} s");
    ways.sort_by_key(|way| way.name != "batched");
    for way in ways.iter() {
        let rate = Figure::of(way.runs.iter().map(Run::rate));
        let cpu = Figure::of(way.runs.iter().map(Run::cpu_each));
        let people = Figure::of(way.runs.iter().map(Run::people_each));
        println!(
            "  {:<16} {rate} requests/s, {cpu} µs of our CPU each, {people} a statement",
            way.name
        );
    }
    if let Some((batched, others)) = ways.split_first() {
        for other in others {
            // The two of one round had the same machine.
            let both = batched.runs.iter().zip(&other.runs);
            let ratio = Figure::of(both.map(|(batched, other)| batched.rate() / other.rate()));
            println!("  {} over {}: {ratio} times", batched.name, other.name);
        }
    }
    println!();
    Ok(())
}

/// One figure over all rounds.
struct Figure {
    least: f64,
    median: f64,
    most: f64,
}

impl Figure {
    fn of(rounds: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = rounds.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let (median, last) = (at(sorted.len() / 2), sorted.len().saturating_sub(1));
        Self { least: at(0), median, most: at(last) }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = if self.median < 100.0 { 1 } else { 0 };
        let Self { least, median, most } = self;
        write!(f, "{median:.places$} ({least:.places$}–{most:.places$})")
    }
}
