//! What a running process does not take: a change of it is told once, with the remedy.
//!
//! [Operations](../../../docs/operations.md) lists the keys; whatever is not here is hot.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use crate::app::standing::{Heard, News};
use crate::app::watching::Rounds;
use crate::config::agency::AgencyConfig;
use crate::config::audit::AuditConfig;
use crate::config::gateway::GatewayConfig;
use crate::domain::reason::Reason;

/// A key, or a section, and what it says, to be compared alone.
type Key = (&'static str, String);

/// What a gateway does not take while it runs.
pub(in crate::app) fn of_gateway(config: &GatewayConfig) -> Vec<Key> {
    let mut keys = of_log(&config.audit);
    keys.push(("listen", config.listen.to_string()));
    keys.push(("telemetry", format!("{:?}", config.telemetry)));
    keys.push(("grants.cache", config.grants.cache.to_string()));
    keys
}

/// What an agency does not take while it runs.
pub(in crate::app) fn of_agency(config: &AgencyConfig) -> Vec<Key> {
    let mut keys = of_log(&config.audit);
    keys.push(("id", config.id.to_string()));
    keys.push(("listen", config.listen.to_string()));
    keys.push(("telemetry", format!("{:?}", config.telemetry)));
    keys.push(("grants.cache", config.grants.cache.to_string()));
    keys.push(("counters", hashed(&config.counters)));
    keys.push(("subject", format!("{:?}", config.subject)));
    keys
}

/// Of what may have a password in it.
fn hashed(section: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    section.hash(&mut hasher);
    hasher.finish().to_string()
}

/// Where the log is: another place is the business of [`super::turn`], with all that belongs
/// to a log.
const PLACE: &str = "audit.folder";
const OF_PLACE: [&str; 5] =
    ["audit.origin", "audit.key", "audit.mirror", "audit.store", "audit.peers_folder"];

fn of_log(audit: &AuditConfig) -> Vec<Key> {
    vec![
        (PLACE, audit.folder.display().to_string()),
        ("audit.origin", audit.origin.clone()),
        ("audit.key", audit.key.display().to_string()),
        ("audit.tag_key", format!("{:?}", audit.tag_key)),
        ("audit.mirror", format!("{:?}", audit.mirror)),
        ("audit.store", format!("{:?}", audit.store)),
        ("audit.peers_folder", format!("{:?}", audit.peers_folder)),
        ("audit.look_every", format!("{:?}", audit.look_every)),
        ("audit.on_contradiction", format!("{:?}", audit.on_contradiction)),
    ]
}

/// Tells of changes that only a restart takes. The process listens at `bound`, whatever port
/// was asked for.
pub(in crate::app) fn tell(mut news: News, bound: SocketAddr, rounds: &Rounds) {
    let first = news.now().fixed.clone();
    let bound = ("listen", bound.to_string());
    let mut told = first.clone();
    rounds.keep_looking(move || {
        let Some(Heard::Changed(now)) = news.take() else { return };
        if now.fixed == told {
            return;
        }
        told.clone_from(&now.fixed);
        match other(&first, &bound, &now.fixed) {
            keys if keys.is_empty() => {
                tracing::info!("every key that takes a restart is as it was at the start again");
            }
            keys => tracing::warn!(
                reason = %Reason::RestartNeeded,
                keys = keys.join(", "),
                "changed keys are not in force, whatever else is: restart the process, or put \
                 them back"
            ),
        }
    });
}

fn other(first: &[Key], bound: &Key, now: &[Key]) -> Vec<&'static str> {
    let changed = first.iter().zip(now).filter(|(was, is)| was != is && *is != bound);
    let mut changed: Vec<&str> = changed.map(|((key, _), _)| *key).collect();
    if changed.contains(&PLACE) {
        changed.retain(|key| *key != PLACE && !OF_PLACE.contains(key));
    }
    changed
}
