//! The federation, side by side: a consumer that asks four agencies itself
//! against the same consumer behind the gateway.
//!
//! Every process is the real binary on loopback, with mutual TLS on every link
//! and SQLite databases behind the agencies. The rows alternate within each
//! round, and medians are compared, since absolute figures move with the machine.

mod city;
mod cpu;
mod direct;
mod load;
mod report;
mod row;
mod truth;
mod unary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use city::City;
use report::{Cell, Report};
use row::Row;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the federation.
#[derive(Debug, Parser)]
struct Args {
    /// Three short rounds instead of five
    #[arg(long)]
    quick: bool,
    /// Seconds of each measurement
    #[arg(long)]
    seconds: Option<f64>,
    /// Rounds
    #[arg(long)]
    rounds: Option<usize>,
    /// Requests in flight, several with commas
    #[arg(long, value_delimiter = ',', default_value = "1,32,128")]
    in_flight: Vec<usize>,
    /// The client's connections to each server that it asks
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Synthetic people in the databases
    #[arg(long, default_value_t = 5000)]
    people: usize,
    /// Only these rows, several with commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&args))
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let seconds = args.seconds.unwrap_or(if args.quick { 1.5 } else { 4.0 });
    let length = Duration::try_from_secs_f64(seconds).context("--seconds")?;
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 5 });

    let city = Arc::new(City::start(args.people).await?);
    let mut rows = vec![
        Arc::new(Row::Direct(direct::Direct::connect(&city, args.connections).await?)),
        Arc::new(Row::Unary(unary::Unary::connect(&city, args.connections).await?)),
    ];
    rows.retain(|row| args.only.is_empty() || args.only.iter().any(|name| name == row.name()));

    let mut report = Report::new(&city, rounds, seconds, args.connections);
    for row in &rows {
        // Connections, statements and caches are warm before anything counts.
        load::run(&city, row, 32, Duration::from_millis(700)).await?;
    }
    for round in 0..rounds {
        for in_flight in &args.in_flight {
            for row in &rows {
                let cell = Cell { row: row.name(), in_flight: *in_flight };
                let run = load::run(&city, row, *in_flight, length).await?;
                truth::check(&city, &run.sample).await?;
                eprintln!("round {} of {rounds}: {cell}: {:.0} profiles/s", round + 1, run.rate());
                report.add(cell, &run);
            }
        }
        rows.reverse();
    }
    print!("{report}");
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}
