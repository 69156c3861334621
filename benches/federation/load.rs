//! A closed loop: so many requests in flight, each followed by the next, for
//! random people.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;
use tributary::clock;

use crate::city::{City, Person};
use crate::cpu;
use crate::row::{Answer, Row};

/// One answer in so many is held against the databases.
const SAMPLED: usize = 500;
/// And no more of one run's.
const SAMPLE: usize = 64;

/// What one measurement gave.
pub struct Run {
    /// Profiles answered.
    pub profiles: usize,
    pub took: Duration,
    /// Microseconds, ascending.
    pub latencies: Vec<u32>,
    /// CPU time of the gateway, of the asked agencies together, and of us.
    pub gateway: Duration,
    pub agencies: Duration,
    pub client: Duration,
    pub sample: Vec<(Person, Answer)>,
}

impl Run {
    /// Profiles a second.
    pub fn rate(&self) -> f64 {
        self.profiles as f64 / self.took.as_secs_f64()
    }

    /// A latency in milliseconds; `part` is 0.5 for the median.
    pub fn latency(&self, part: f64) -> f64 {
        let at = (self.latencies.len() as f64 * part) as usize;
        let at = at.min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(f64::NAN, |micros| f64::from(*micros) / 1e3)
    }

    /// CPU microseconds for each profile.
    pub fn each(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.profiles as f64
    }
}

/// CPU time of everyone who takes part, so far.
struct Clocks {
    gateway: Duration,
    agencies: Duration,
    client: Duration,
}

impl Clocks {
    fn read(city: &City) -> anyhow::Result<Self> {
        let agencies = city.agencies.iter().map(|agency| cpu::of(agency.pid));
        Ok(Self {
            gateway: cpu::of(city.federation.gateway.pid)?,
            agencies: agencies.sum::<anyhow::Result<_>>()?,
            client: cpu::of(std::process::id())?,
        })
    }
}

/// Loads a row.
pub async fn run(
    city: &Arc<City>,
    row: &Arc<Row>,
    in_flight: usize,
    length: Duration,
) -> anyhow::Result<Run> {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let before = Clocks::read(city)?;
    let began = clock::now();
    let until = began + length;
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let random = Random(SEED.fetch_add(1, Ordering::Relaxed));
        callers.spawn(call(city.clone(), row.clone(), random, until));
    }
    let mut latencies = Vec::new();
    let mut sample = Vec::new();
    while let Some(caller) = callers.join_next().await {
        let (micros, answers) = caller??;
        latencies.extend(micros);
        sample.extend(answers);
    }
    let took = clock::now() - began;
    let after = Clocks::read(city)?;
    latencies.sort_unstable();
    sample.truncate(SAMPLE);
    Ok(Run {
        profiles: latencies.len(),
        took,
        latencies,
        gateway: after.gateway.saturating_sub(before.gateway),
        agencies: after.agencies.saturating_sub(before.agencies),
        client: after.client.saturating_sub(before.client),
        sample,
    })
}

type Called = (Vec<u32>, Vec<(Person, Answer)>);

async fn call(
    city: Arc<City>,
    row: Arc<Row>,
    mut random: Random,
    until: Instant,
) -> anyhow::Result<Called> {
    let (mut latencies, mut sample) = (Vec::new(), Vec::new());
    let mut began = clock::now();
    while began < until {
        let person = city.people.get(random.below(city.people.len())).context("no people")?;
        let answer = row.fetch(&city, person).await?;
        let ended = clock::now();
        latencies.push(u32::try_from((ended - began).as_micros()).unwrap_or(u32::MAX));
        if random.below(SAMPLED) == 0 && sample.len() < SAMPLE {
            sample.push((person.clone(), answer));
        }
        began = ended;
    }
    Ok((latencies, sample))
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) as usize % bound.max(1)
    }
}
