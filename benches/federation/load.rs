//! Load on a row. Closed: so many requests in flight, each followed by the next.
//! Open: so many a second at fixed times, whatever becomes of them, so that a slow
//! answer does not keep the next question from being asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tributary::clock;
use tributary::domain::subject::Subject;

use crate::city::City;
use crate::grants::{Asks, Random};
use crate::process;
use crate::row::{Answer, Row};

/// One answer in so many is held against the databases.
const SAMPLED: usize = 500;
/// And no more of one run's.
const SAMPLE: usize = 64;
/// Requests at once of an open loop at most: more means that the rate is not held.
const OPEN_AT_ONCE: usize = 2048;

/// What one measurement gave.
pub struct Run {
    /// Profiles answered.
    pub profiles: usize,
    /// Requests of an open loop that had no answer.
    pub failed: usize,
    pub took: Duration,
    /// From asking, or from when it should have been asked, to the decoded answer.
    pub latency: Histogram<u64>,
    /// Of that, what is not waiting for the slowest agency; empty for direct rows.
    pub added: Histogram<u64>,
    /// CPU time of the gateway, of the asked agencies together, and of us.
    pub gateway: Duration,
    pub agencies: Duration,
    pub client: Duration,
    pub sample: Vec<(Subject, Answer)>,
}

impl Run {
    /// Profiles a second.
    pub fn rate(&self) -> f64 {
        self.profiles as f64 / self.took.as_secs_f64()
    }

    /// CPU microseconds for each profile.
    pub fn each(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.profiles as f64
    }
}

/// A latency in milliseconds; `part` is 0.5 for the median.
pub fn quantile(histogram: &Histogram<u64>, part: f64) -> f64 {
    match histogram.is_empty() {
        true => f64::NAN,
        false => histogram.value_at_quantile(part) as f64 / 1e6,
    }
}

/// Nanoseconds up to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits"));
    histogram.auto(true);
    histogram
}

/// What some of the calls gave.
struct Part {
    latency: Histogram<u64>,
    added: Histogram<u64>,
    sample: Vec<(Subject, Answer)>,
}

impl Part {
    fn new() -> Self {
        Self { latency: histogram(), added: histogram(), sample: Vec::new() }
    }

    fn record(&mut self, call: Call) -> anyhow::Result<()> {
        self.latency.record(nanoseconds(call.took))?;
        if let Some(waited) = call.waited {
            self.added.record(nanoseconds(call.took.saturating_sub(waited)))?;
        }
        if self.sample.len() < SAMPLE {
            self.sample.extend(call.sample);
        }
        Ok(())
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latency.add(other.latency)?;
        self.added.add(other.added)?;
        self.sample.extend(other.sample);
        Ok(())
    }
}

/// What one call gave.
struct Call {
    took: Duration,
    waited: Option<Duration>,
    sample: Option<(Subject, Answer)>,
}

/// Asks about the next person; the time counts from `began`. None when nobody is
/// left.
async fn call(
    city: &City,
    row: &Row,
    asks: &Asks,
    random: &mut Random,
    began: Instant,
) -> anyhow::Result<Option<Call>> {
    let Some(person) = asks.next(random) else { return Ok(None) };
    let fetched = row.fetch(city, person).await?;
    let took = clock::now().saturating_duration_since(began);
    let sampled = random.below(SAMPLED) == 0;
    let sample = sampled.then(|| (person.subject.clone(), fetched.answer));
    Ok(Some(Call { took, waited: fetched.waited, sample }))
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// CPU time of everyone who takes part, so far.
struct Clocks {
    at: Instant,
    gateway: Duration,
    agencies: Duration,
    client: Duration,
}

impl Clocks {
    fn read(row: &Row) -> anyhow::Result<Self> {
        Ok(Self {
            at: clock::now(),
            gateway: process::cpu_of_all(&row.gateway)?,
            agencies: process::cpu_of_all(&row.agencies)?,
            client: process::cpu(std::process::id())?,
        })
    }

    fn since(self, before: &Self, part: Part, failed: usize) -> anyhow::Result<Run> {
        ensure!(!part.latency.is_empty(), "nothing was answered");
        let mut sample = part.sample;
        sample.truncate(SAMPLE);
        Ok(Run {
            profiles: part.latency.len().try_into()?,
            failed,
            took: self.at - before.at,
            latency: part.latency,
            added: part.added,
            gateway: self.gateway.saturating_sub(before.gateway),
            agencies: self.agencies.saturating_sub(before.agencies),
            client: self.client.saturating_sub(before.client),
            sample,
        })
    }
}

fn random() -> Random {
    static SEED: AtomicU64 = AtomicU64::new(1);
    Random(SEED.fetch_add(1, Ordering::Relaxed))
}

/// So many in flight, for so long, or until nobody is left to ask about.
pub async fn closed(
    city: &Arc<City>,
    row: &Arc<Row>,
    asks: &Arc<Asks>,
    in_flight: usize,
    length: Duration,
) -> anyhow::Result<Run> {
    let before = Clocks::read(row)?;
    let until = before.at + length;
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (city, row, asks) = (city.clone(), row.clone(), asks.clone());
        callers.spawn(async move {
            let (mut part, mut random) = (Part::new(), random());
            let mut began = clock::now();
            while began < until {
                match call(&city, &row, &asks, &mut random, began).await {
                    Ok(Some(call)) => part.record(call)?,
                    Ok(None) => break,
                    // With an agency at fault, a call may end at its deadline.
                    Err(_) if row.partial => {}
                    Err(error) => return Err(error),
                }
                began = clock::now();
            }
            anyhow::Ok(part)
        });
    }
    let mut whole = Part::new();
    while let Some(part) = callers.join_next().await {
        whole.add(part??)?;
    }
    Clocks::read(row)?.since(&before, whole, 0)
}

/// So many a second, for so long. A thread of its own sleeps until each moment:
/// the runtime's own timer counts in milliseconds. What the sleep is late is in
/// the latency, as everything is.
pub async fn open(
    city: &Arc<City>,
    row: &Arc<Row>,
    asks: &Arc<Asks>,
    rate: f64,
    length: Duration,
) -> anyhow::Result<Run> {
    let before = Clocks::read(row)?;
    let (begun, start) = (before.at, Duration::try_from_secs_f64(1.0 / rate).context("a rate")?);
    let (moments, mut due) = mpsc::channel(OPEN_AT_ONCE);
    let pacing = std::thread::spawn(move || {
        let (mut moment, until) = (begun, begun + length);
        while moment < until {
            std::thread::sleep(moment.saturating_duration_since(clock::now()));
            if moments.blocking_send(moment).is_err() {
                return;
            }
            moment += start;
        }
    });
    let mut calls: JoinSet<anyhow::Result<Option<Call>>> = JoinSet::new();
    let (mut whole, mut failed) = (Part::new(), 0);
    loop {
        let done = tokio::select! {
            moment = due.recv() => {
                let Some(moment) = moment else { break };
                if calls.len() == OPEN_AT_ONCE {
                    failed += 1;
                    continue;
                }
                let (city, row, asks) = (city.clone(), row.clone(), asks.clone());
                calls.spawn(async move {
                    call(&city, &row, &asks, &mut random(), moment).await
                });
                continue;
            }
            Some(done) = calls.join_next() => done?,
        };
        settle(done, &mut whole, &mut failed)?;
    }
    while let Some(done) = calls.join_next().await {
        settle(done?, &mut whole, &mut failed)?;
    }
    pacing.join().map_err(|_| anyhow!("the pacing thread panicked"))?;
    Clocks::read(row)?.since(&before, whole, failed)
}

/// A request of an open loop may fail: then the rate is not held, which is found.
fn settle(
    done: anyhow::Result<Option<Call>>,
    whole: &mut Part,
    failed: &mut usize,
) -> anyhow::Result<()> {
    match done {
        Ok(Some(call)) => whole.record(call),
        Ok(None) => Ok(()),
        Err(_) => {
            *failed += 1;
            Ok(())
        }
    }
}
