//! Figures, not judgements: run it by name in a release build.
//!
//! `cargo test --release --test log -- --ignored --nocapture measure`

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary::clock::now;
use tributary::store::audit_log::{AuditLog, Options};
use tributary::store::proof::prove;
use tributary::store::verify::{Verdict, verify};

use super::support::{files, open, record, verifying_key};

fn sync_cost(dir: &Path) -> Duration {
    let mut file = File::create(dir.join("sync")).unwrap();
    let mut times: Vec<Duration> = (0..400)
        .map(|_| {
            file.write_all(&[7; 16 * 1024]).unwrap();
            let begun = now();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[200]
}

fn bytes(dir: &Path) -> u64 {
    files(dir).iter().map(|path| path.metadata().unwrap().len()).sum()
}

/// Each of the writers appends again once it has its receipt.
async fn closed_loop(log: &Arc<AuditLog>, writers: u64, each: u64) {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..each {
                    log.append(vec![record(writer * each + number)]).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// So many requests a second, whether or not the ones before are answered.
async fn open_loop(log: &Arc<AuditLog>, rate: u64, seconds: u64) -> Vec<Duration> {
    let begun = now();
    let mut tasks = Vec::new();
    for number in 0..rate * seconds {
        let due = begun + Duration::from_nanos(number * 1_000_000_000 / rate);
        if due > now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            let begun: Instant = now();
            log.append(vec![record(number)]).await.unwrap();
            begun.elapsed()
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await.unwrap());
    }
    times.sort();
    times
}

#[test]
#[ignore = "measures and judges nothing"]
fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let cost = || println!("fdatasync of 16 KiB, p50: {:?}", sync_cost(dir.path()));
    cost();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let path = dir.path().join("log");
    let log = Arc::new(open(&path, Options::default()).unwrap());
    for (writers, each) in [(1, 2_000), (64, 5_000), (1024, 400)] {
        let begun = now();
        runtime.block_on(closed_loop(&log, writers, each));
        let rate = (writers * each) as f64 / begun.elapsed().as_secs_f64();
        println!("{writers} writers: {rate:.0} appends/s");
    }
    let seldom = Options { publish_every: Duration::from_secs(60), ..Options::default() };
    let without = Arc::new(open(&dir.path().join("without"), seldom).unwrap());
    // In turns, since the machine's load changes.
    for _ in 0..3 {
        for (name, log) in [("with tiles", &log), ("without tiles", &without)] {
            let times = runtime.block_on(open_loop(log, 5_000, 4));
            let at = |share: f64| times[(times.len() as f64 * share) as usize];
            let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
            println!("at 5,000/s {name}: p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}");
        }
    }
    drop(without);
    cost();
    drop(runtime);
    Arc::into_inner(log).unwrap().close().unwrap();

    let key = verifying_key();
    let begun = now();
    let report = verify(&path, &key, None, &mut |_| {}).unwrap();
    let took = begun.elapsed();
    assert_eq!(report.verdict, Verdict::Sound);
    println!(
        "verify: {} entries in {took:?}, {:.0} entries/s",
        report.entries,
        report.entries as f64 / took.as_secs_f64()
    );
    let per = |part: &str| bytes(&path.join(part)) as f64 / report.entries as f64;
    println!(
        "bytes an entry: {:.1} bundles, {:.1} with hash tiles, {:.1} left in segments",
        per("tile/entries"),
        per("tile"),
        per("wal")
    );
    let begun = now();
    for number in 0..500 {
        prove(&path, &key, number * 997 % report.entries).unwrap();
    }
    println!("prove: {:?} each", begun.elapsed() / 500);
    let begun = now();
    let log = open(&path, Options::default()).unwrap();
    println!("open: {:?}", begun.elapsed());
    drop(log);
}
