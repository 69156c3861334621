//! What callers see, second by second, while one of seven agencies stops answering: in
//! each way in which it may, and how soon it is noticed and asked again.
//!
//! Half of the calls ask all seven, half only the other six. Times run from the fault,
//! and those of being asked again from its end. Rows 57 and 58 of the fault matrix.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tributary::clock;
use tributary::wire::proto::pb;

use crate::Args;
use crate::city::City;
use crate::grants::Random;
use crate::hurt::{Hurt, Victim};
use crate::page;
use crate::report::{Figure, Report};
use crate::town::{self, Spec};
use crate::unary;

/// The part's name.
pub const PART: &str = "outage";

const AGENCIES: usize = 7;
const CALLERS: u32 = 8;
/// Calls a second of all callers together.
const RATES: [u32; 2] = [50, 500];
const DEADLINE: Duration = Duration::from_secs(2);
const WARM: Duration = Duration::from_secs(3);
const HEALTHY: Duration = Duration::from_secs(6);
const HURT: Duration = Duration::from_secs(8);
/// By when an agency that does not answer costs nobody anything.
const NOTICED: Duration = Duration::from_millis(2_500);
const AFTER: Duration = Duration::from_secs(6);

/// What one fault did at one rate; each figure has a value for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outage {
    pub fault: String,
    pub rate: u32,
    /// Median of the calls that ask everybody, in milliseconds: before, and once noticed.
    pub healthy: Figure,
    pub noticed: Figure,
    /// Calls answered once noticed, of those answered before, each second.
    pub kept: Figure,
    /// p99 of the calls that do not ask the victim, in milliseconds: before, and from the
    /// fault on.
    pub others_healthy: Figure,
    pub others: Figure,
    /// The same, once the fault has been noticed.
    pub others_noticed: Figure,
    /// Calls that were refused or failed from the fault on: those that ask the victim,
    /// and the others.
    pub failed: Figure,
    pub others_failed: Figure,
    /// Sections of the victim that were lost while it was not asked in vain.
    pub lost: Figure,
    /// Seconds until its health said so, and until it was asked again.
    pub told: Figure,
    pub back: Figure,
    /// What its sections said once noticed.
    pub said: String,
}

/// One call.
struct Call {
    /// When it was due.
    at: Instant,
    took: Duration,
    /// Whether it asked the victim, too.
    whole: bool,
    /// What the victim's section said, or nothing if the call failed.
    said: Option<String>,
}

/// Everybody who asks, as long as it lives.
struct Load {
    calls: Arc<Mutex<Vec<Call>>>,
    health: Arc<Mutex<Vec<(Instant, bool)>>>,
    tasks: JoinSet<anyhow::Result<()>>,
}

pub async fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    for hurt in Hurt::ALL {
        if let Some(why) = hurt.is_impossible() {
            report.notes.push(format!("{} was left out: {why}", hurt.name()));
            continue;
        }
        for rate in hurt.rates(&RATES) {
            let mut outage = Outage::new(hurt, *rate);
            for _ in 0..args.rounds {
                once(hurt, *rate, &mut outage).await?;
            }
            eprintln!("{PART}: {}", page::outage(&outage));
            report.outages.retain(|known| known.fault != outage.fault || known.rate != *rate);
            report.outages.push(outage);
        }
    }
    Ok(())
}

async fn once(hurt: Hurt, rate: u32, outage: &mut Outage) -> anyhow::Result<()> {
    let spec = Spec {
        agencies: AGENCIES,
        items: 5 * AGENCIES,
        gateways: 1,
        people: 100,
        logs: None,
        front: true,
        stream_age: hurt.stream_age(),
    };
    let town = Arc::new(town::start(&spec).await?);
    let others = Arc::new(town.narrowed(AGENCIES - 1, 5 * (AGENCIES - 1))?);
    let mut victim = Victim::of(&town)?;
    let mut load = Load::start(&town, &others, rate).await?;
    sleep(WARM).await;
    let began = clock::now();
    sleep(HEALTHY).await;
    let hurts = hurt.begin(&mut victim).await?;
    let fault = clock::now();
    sleep(hurt.length(HURT)).await;
    let ended = hurts.end(&mut victim).await?;
    sleep(AFTER).await;
    load.stop().await;
    let calls = std::mem::take(&mut *load.calls.lock());
    let health = std::mem::take(&mut *load.health.lock());
    outage.add(&calls, &health, Phases { began, fault, ended })
}

/// When it was well, when hurt, and when well again.
#[derive(Clone, Copy)]
struct Phases {
    began: Instant,
    fault: Instant,
    ended: Instant,
}

impl Load {
    async fn start(town: &Arc<City>, others: &Arc<City>, rate: u32) -> anyhow::Result<Self> {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let health = Arc::<Mutex<Vec<(Instant, bool)>>>::default();
        let mut tasks = JoinSet::new();
        let endpoint = &town.federation.gateway.endpoint;
        for caller in 0..CALLERS {
            let client = unary::client(town, endpoint).await?;
            let (town, others, calls) = (town.clone(), others.clone(), calls.clone());
            tasks.spawn(async move {
                let each = Duration::from_secs(CALLERS.into()) / rate;
                sleep(each * caller / CALLERS).await;
                let mut due = interval(each);
                due.set_missed_tick_behavior(MissedTickBehavior::Burst);
                let mut random = Random(caller.into());
                for turn in 0_u32.. {
                    let at = due.tick().await.into_std();
                    let whole = turn % 2 == 0;
                    let city = if whole { town.clone() } else { others.clone() };
                    let who = random.below(city.people.len());
                    let (mut client, calls) = (client.clone(), calls.clone());
                    tokio::spawn(async move {
                        let Some(person) = city.people.get(who) else { return };
                        let items = city.items.clone();
                        let answer = client.profile(&person.grant, items, DEADLINE).await;
                        let took = clock::now().saturating_duration_since(at);
                        let said = answer.ok().map(|answer| of_victim(&answer));
                        calls.lock().push(Call { at, took, whole, said });
                    });
                }
                Ok(())
            });
        }
        let mut client = unary::client(town, endpoint).await?;
        let victim = town.agencies.last().context("no agency")?.id.clone();
        let told = Arc::clone(&health);
        tasks.spawn(async move {
            let mut look = interval(Duration::from_millis(20));
            loop {
                look.tick().await;
                let serving = client.has_link_to(victim.as_str()).await;
                told.lock().push((clock::now(), serving));
            }
        });
        Ok(Self { calls, health, tasks })
    }

    async fn stop(&mut self) {
        self.tasks.shutdown().await;
        // What is under way ends at its deadline.
        sleep(DEADLINE).await;
    }
}

/// What the victim's section says; it is the last of those that ask it.
fn of_victim(answer: &pb::GetProfileResponse) -> String {
    let Some(section) = answer.sections.get(AGENCIES - 1) else { return String::new() };
    match section.status() {
        pb::SectionStatus::Ok | pb::SectionStatus::NoRecord => "OK".into(),
        status => format!("{} {}", status.as_str_name(), section.reason),
    }
}

impl Outage {
    fn new(hurt: Hurt, rate: u32) -> Self {
        let none = Figure::default;
        Self {
            fault: hurt.name().to_owned(),
            rate,
            healthy: none(),
            noticed: none(),
            kept: none(),
            others_healthy: none(),
            others: none(),
            others_noticed: none(),
            failed: none(),
            others_failed: none(),
            lost: none(),
            told: none(),
            back: none(),
            said: String::new(),
        }
    }

    fn add(
        &mut self,
        calls: &[Call],
        health: &[(Instant, bool)],
        phases: Phases,
    ) -> anyhow::Result<()> {
        let Phases { began, fault, ended } = phases;
        let within = |from: Instant, to: Instant, whole: bool| {
            calls
                .iter()
                .filter(move |call| call.whole == whole && call.at >= from && call.at < to)
                .filter(|call| call.said.is_some())
        };
        let part = |from, to, whole, part| quantile(within(from, to, whole), part);
        let noticed = fault + NOTICED;
        self.healthy.0.push(part(began, fault, true, 0.5));
        self.others_healthy.0.push(part(began, fault, false, 0.99));
        self.others.0.push(part(fault, ended, false, 0.99));
        let failed = |whole| {
            let failed = calls.iter().filter(|call| call.at >= fault && call.said.is_none());
            failed.filter(|call| call.whole == whole).count() as f64
        };
        self.failed.0.push(failed(true));
        self.others_failed.0.push(failed(false));
        let is_lost = |call: &&Call| call.said.as_ref().is_some_and(|said| said != "OK");
        self.lost.0.push(within(fault, ended, true).filter(is_lost).count() as f64);
        if noticed < ended {
            self.noticed.0.push(part(noticed, ended, true, 0.5));
            self.others_noticed.0.push(part(noticed, ended, false, 0.99));
            let rate = |from: Instant, to: Instant| {
                within(from, to, true).count() as f64 / (to - from).as_secs_f64()
            };
            self.kept.0.push(rate(noticed, ended) / rate(began, fault));
            let last = within(noticed, ended, true).next_back();
            self.said = last.and_then(|call| call.said.clone()).unwrap_or_default();
        }
        let told = health.iter().find(|(at, serving)| *at > fault && !serving);
        self.told.0.extend(told.map(|(at, _)| at.duration_since(fault).as_secs_f64()));
        let back = calls.iter().filter(|call| call.whole && call.said.as_deref() == Some("OK"));
        let back = back.map(|call| call.at + call.took).filter(|end| *end > ended).min();
        let back = back.context("the agency was not asked again")?;
        self.back.0.push(back.duration_since(ended).as_secs_f64());
        ensure!(!self.healthy.0.iter().any(|p50| p50.is_nan()), "nothing was answered");
        Ok(())
    }
}

fn quantile<'a>(calls: impl Iterator<Item = &'a Call>, part: f64) -> f64 {
    let mut times: Vec<f64> = calls.map(|call| call.took.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let at = (times.len() as f64 * part) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
