//! Memory of a gateway and of an agency, and an honest client's latency, while others take
//! what they can: one identity on 32 connections, and 60 identities of one trust domain.
//!
//! Rounds with and without them alternate, and ratios are of the two halves of one round.
//! What they do stands in `crowd`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::sleep;
use tributary::clock;
use tributary::domain::peer::{SpiffeId, TrustDomain};
use tributary::wire::proto::pb;

use crate::Args;
use crate::city::City;
use crate::crowd::Plan;
use crate::process;
use crate::report::{Figure, Report};
use crate::unary;

/// The part's name.
pub const PART: &str = "siege";

const DEADLINE: Duration = Duration::from_secs(2);
/// Between two calls of the honest client.
const PAUSE: Duration = Duration::from_millis(5);
/// Of memory: 32 MiB a peer, and half as much again for what an allocator keeps; 256 MiB in
/// all with it.
const PEER_MIB: f64 = 48.0;
const ALL_MIB: f64 = 256.0;
const RATIO: f64 = 1.5;

/// One kind of siege: so many identities, with so many connections each.
struct Crowd {
    name: &'static str,
    identities: usize,
    connections: usize,
    most_mib: f64,
}

const CROWDS: [Crowd; 2] = [
    Crowd { name: "one identity", identities: 1, connections: 32, most_mib: PEER_MIB },
    Crowd { name: "60 identities", identities: 60, connections: 4, most_mib: ALL_MIB },
];

/// Who is attacked.
struct Target {
    name: &'static str,
    pid: u32,
    endpoint: String,
    identity: SpiffeId,
    is_gateway: bool,
    /// Whose certificates the attackers have.
    crowd: TrustDomain,
}

pub async fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let length = Duration::try_from_secs_f64(args.seconds.unwrap_or(6.0))?;
    for crowd in &CROWDS {
        for gateway in [true, false] {
            let city = Arc::new(City::start(args.people.min(500)).await?);
            let target = Target::of(&city, gateway)?;
            let (mut calm, mut during, mut theirs) = <(Figure, Figure, Figure)>::default();
            let mut failed = 0;
            // What is warm is not what the siege takes.
            honest(&city, length).await?;
            let idle = process::memory(target.pid)?;
            for _ in 0..args.rounds {
                calm.0.push(honest(&city, length).await?.0);
                let attackers = target.plan(&city, crowd).start(city.home.path()).await?;
                sleep(Duration::from_secs(1)).await;
                let (began, used) = (clock::now(), process::cpu(attackers.pid)?);
                let (p99, lost) = honest(&city, length).await?;
                let used = process::cpu(attackers.pid)? - used;
                theirs.0.push(used.as_secs_f64() / began.elapsed().as_secs_f64());
                drop(attackers);
                during.0.push(p99);
                failed += lost;
                // Their connections are closed, and what they left is let go.
                sleep(Duration::from_secs(2)).await;
            }
            let grown = process::peak_memory(target.pid)? - idle;
            let ratio = during.with(&calm, |during, calm| during / calm);
            let met = |met| if met { "met" } else { "NOT met" };
            let note = format!(
                "{PART}: {} on {} connections each at the {}: memory +{grown:.0} MiB over \
                 {idle:.0} (at most {:.0}: {}); an honest client's p99 {:.2} ms, \
                 without them {:.2} ms, ratio of a round {:.2} ({:.2}–{:.2}; at most {RATIO}: {}), \
                 {failed} calls failed; the attackers had {:.2} cores",
                crowd.name,
                crowd.connections,
                target.name,
                crowd.most_mib,
                met(grown <= crowd.most_mib),
                during.median(),
                calm.median(),
                ratio.median(),
                ratio.range().0,
                ratio.range().1,
                met(ratio.median() <= RATIO),
                theirs.median(),
            );
            eprintln!("{note}");
            report.notes.push(note);
        }
    }
    Ok(())
}

/// Calls one after the other for so long: p99 of those that were answered in milliseconds,
/// and how many were not.
async fn honest(city: &City, length: Duration) -> anyhow::Result<(f64, usize)> {
    let mut client = unary::client(city, &city.federation.gateway.endpoint).await?;
    let (until, mut times, mut failed) = (clock::now() + length, Vec::new(), 0);
    for person in city.people.iter().cycle() {
        let began = clock::now();
        if began >= until {
            break;
        }
        match client.profile(&person.grant, city.items.clone(), DEADLINE).await {
            Ok(answer) if answer.sections.iter().all(is_answered) => {
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            _ => failed += 1,
        }
        sleep(PAUSE).await;
    }
    ensure!(!times.is_empty(), "nothing was answered");
    times.sort_by(f64::total_cmp);
    let at = (times.len() * 99 / 100).min(times.len() - 1);
    Ok((times.get(at).copied().unwrap_or(f64::NAN), failed))
}

fn is_answered(section: &pb::SectionReport) -> bool {
    matches!(section.status(), pb::SectionStatus::Ok | pb::SectionStatus::NoRecord)
}

impl Target {
    fn of(city: &City, gateway: bool) -> anyhow::Result<Self> {
        let federation = &city.federation;
        if gateway {
            let consumer = federation.consumers.get(1).context("no second consumer")?;
            return Ok(Self {
                name: "gateway",
                pid: federation.gateway.pid,
                endpoint: federation.gateway.endpoint.clone(),
                identity: federation.gateway.id.parse()?,
                is_gateway: true,
                crowd: consumer.id.parse::<SpiffeId>()?.trust_domain().clone(),
            });
        }
        let agency = city.agencies.last().context("no agency")?;
        Ok(Self {
            name: "agency",
            pid: agency.pid,
            endpoint: agency.endpoint.clone(),
            identity: agency.identity.clone(),
            is_gateway: false,
            crowd: federation.gateway.id.parse::<SpiffeId>()?.trust_domain().clone(),
        })
    }

    /// A crowd that attacks it.
    fn plan(&self, city: &City, crowd: &Crowd) -> Plan {
        Plan {
            gateway: city.federation.gateway.config.clone(),
            endpoint: self.endpoint.clone(),
            identity: self.identity.clone(),
            domain: self.crowd.clone(),
            is_gateway: self.is_gateway,
            identities: crowd.identities,
            connections: crowd.connections,
        }
    }
}
