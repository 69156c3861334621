//! Ways in which one agency stops answering, and what ends each.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::time::sleep;
use tributary::clock;

use crate::child::Server;
use crate::city::{Asked, City};
use crate::front::Front;

/// A way in which it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurt {
    /// SIGSTOP: the kernel goes on to take its packets.
    Stopped,
    /// Its database is locked: no query ends.
    Database,
    /// No packet to or from it arrives.
    Dropped,
    /// TLS and HTTP/2 work; no Hello comes.
    Mute,
    /// Killed with questions under way, and there again after a second.
    Crashed,
    /// It ends every stream after two seconds, in order.
    Drained,
}

/// The table of the filter that drops packets.
const TABLE: &str = "tributary_bench";

/// The agency that it happens to: the last one, behind its front.
pub struct Victim {
    asked: Asked,
    front: Front,
    /// Once it was started anew.
    again: Option<Server>,
}

/// A fault that goes on.
pub enum Going {
    Nothing,
    Stopped,
    Locked(rusqlite::Connection),
    Dropping,
    Mute(Server),
    Crashed,
}

impl Victim {
    pub fn of(town: &City) -> anyhow::Result<Self> {
        let asked = town.agencies.last().context("no agency")?.clone();
        let front = town.front.clone().context("the agency has no front")?;
        Ok(Self { asked, front, again: None })
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        run("kill", &[name, &self.asked.pid.to_string()])
    }
}

impl Hurt {
    pub const ALL: [Self; 6] =
        [Self::Stopped, Self::Database, Self::Dropped, Self::Mute, Self::Crashed, Self::Drained];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped (SIGSTOP)",
            Self::Database => "database locked",
            Self::Dropped => "packets dropped",
            Self::Mute => "no Hello",
            Self::Crashed => "killed with 200 under way, back after 1 s",
            Self::Drained => "drains every stream after 2 s",
        }
    }

    /// Why it cannot be done here.
    pub fn is_impossible(self) -> Option<&'static str> {
        let refuses = || run("nft", &["list", "ruleset"]).is_err();
        (self == Self::Dropped && refuses()).then_some(
            "it needs nftables and the right to use it, in a network namespace of its own: \
             unshare --net sh -c 'ip link set lo up; cargo bench …'",
        )
    }

    pub const fn rates(self, all: &[u32]) -> &[u32] {
        match (self, all) {
            // To have so many under way takes the higher one.
            (Self::Crashed, [_, rest @ ..]) => rest,
            _ => all,
        }
    }

    pub fn stream_age(self) -> Option<&'static str> {
        (self == Self::Drained).then_some("2s")
    }

    /// For how long; `usual` where there is no reason for less.
    pub const fn length(self, usual: Duration) -> Duration {
        match self {
            Self::Crashed => Duration::from_secs(1),
            _ => usual,
        }
    }

    pub async fn begin(self, victim: &mut Victim) -> anyhow::Result<Going> {
        Ok(match self {
            Self::Stopped => {
                victim.signal("-STOP")?;
                Going::Stopped
            }
            Self::Database => {
                let home = victim.asked.config.ancestors().nth(2).context("a folder")?;
                let file = home.join(format!("data/{}.db", victim.asked.id));
                let database = rusqlite::Connection::open(file)?;
                database.busy_timeout(Duration::from_secs(5))?;
                database.execute_batch("begin exclusive")?;
                Going::Locked(database)
            }
            Self::Dropped => {
                let port = victim.front.address.port();
                let rules = format!(
                    "table ip {TABLE} {{ chain out {{ type filter hook output priority 0; \
                     tcp dport {port} drop; tcp sport {port} drop; }}; }};"
                );
                run("nft", &[&rules])?;
                Going::Dropping
            }
            Self::Mute => {
                let config = victim.asked.config.as_os_str();
                let mute = Server::ours("mute-agency", &[config]).await?;
                victim.front.lead_to(mute.address);
                victim.front.cut();
                Going::Mute(mute)
            }
            Self::Crashed => {
                // 500 a second, half of which ask it.
                victim.signal("-STOP")?;
                sleep(Duration::from_millis(800)).await;
                victim.signal("-KILL")?;
                Going::Crashed
            }
            Self::Drained => Going::Nothing,
        })
    }
}

impl Going {
    /// Ends it; gives when it was over.
    pub async fn end(self, victim: &mut Victim) -> anyhow::Result<Instant> {
        match self {
            Self::Nothing => {}
            Self::Stopped => victim.signal("-CONT")?,
            Self::Locked(database) => drop(database),
            Self::Dropping => run("nft", &["delete", "table", "ip", TABLE])?,
            Self::Mute(mute) => {
                victim.front.lead_to(victim.asked.endpoint.parse()?);
                drop(mute);
                victim.front.cut();
            }
            Self::Crashed => {
                let log = victim.asked.config.with_extension("again.log");
                let server = Server::tributary("agency", &victim.asked.config, &log).await?;
                victim.front.lead_to(server.address);
                victim.again = Some(server);
            }
        }
        Ok(clock::now())
    }
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let done =
        Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
