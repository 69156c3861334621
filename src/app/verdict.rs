//! `gateway check` and the whole of `agency check`: a role's configuration with all that
//! it names, judged as a start judges it. Nothing is opened, bound or written, and no
//! peer is asked; names are looked up unless that is not wanted.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::reading::{self, Common, WithFaults};
use super::{agency, gateway};
use crate::clock;
use crate::config::faults::Faults;
use crate::config::file::FileError;
use crate::config::gateway::GatewayConfig;
use crate::config::link::LinkConfig;
use crate::domain::finding::Finding;

/// How long the look-up of one name may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// What is to be said of a configuration.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What refuses a start.
    pub errors: Vec<Finding>,
    /// What is allowed and hardly meant, or in the way of somebody else.
    pub warnings: Vec<Finding>,
    /// What would start, a line each. Empty where nothing would.
    pub facts: Vec<String>,
}

/// Judges a gateway's file. `look_up`: also whether the agencies' names have an address.
///
/// # Errors
/// The file cannot be read at all.
pub async fn gateway(path: &Path, look_up: bool) -> Result<Verdict, FileError> {
    let (judged, mut faults) = reading::judge_gateway(path, gateway::changing)?;
    if let Some((config, common)) = &judged {
        closed_domains(common, &config.link, &mut faults);
        if look_up {
            names(config, &mut faults).await;
        }
    }
    Ok(told((judged, faults), |(config, common)| {
        let mut facts = facts(common);
        let count: usize = config.agency.iter().map(|agency| agency.endpoints.len()).sum();
        facts.push(format!("{} agencies at {count} endpoints", config.agency.len()));
        facts.push(format!("{} pinned issuers", config.grants.issuer.len()));
        facts
    }))
}

/// Judges an agency's file; its source is left in peace.
///
/// # Errors
/// The file cannot be read at all.
pub fn agency(path: &Path) -> Result<Verdict, FileError> {
    let (judged, mut faults) = reading::judge_agency(path, agency::changing)?;
    if let Some((config, common, ..)) = &judged {
        closed_domains(common, &config.link, &mut faults);
    }
    Ok(told((judged, faults), |(_, common, ..)| facts(common)))
}

/// What a start of either role would be.
fn facts(common: &Common) -> Vec<String> {
    let (identity, catalogue) = (common.tls.identity(), common.engine.catalogue());
    vec![
        format!("{}, certificate good until {}", identity.id(), identity.not_after()),
        format!("{} items, catalogue {}", catalogue.items().len(), catalogue.digest()),
        format!("audit log {}, {} peers pinned", common.keys.origin, common.logs.len()),
    ]
}

fn told<T>((judged, faults): WithFaults<T>, facts: impl FnOnce(&T) -> Vec<String>) -> Verdict {
    let warnings = faults.doubts().to_vec();
    match faults.finish(judged) {
        Ok(judged) => Verdict { errors: Vec::new(), warnings, facts: facts(&judged) },
        Err(findings) => Verdict { errors: findings.0, warnings, facts: Vec::new() },
    }
}

/// Notes trust domains of which nobody would be believed, since their revocation lists
/// are unusable or outlived. No start is refused for them, but somebody is.
fn closed_domains(common: &Common, link: &LinkConfig, faults: &mut Faults) {
    for (domain, problem) in common.tls.trust().current().alarms(clock::utc()) {
        let at = link.trust.iter().position(|entry| entry.domain == domain).unwrap_or_default();
        let message =
            format!("lets nobody of `{domain}` in: {problem}; install a current revocation list");
        faults.doubt(&format!("link.trust[{at}].crl"), message);
    }
}

/// Agencies whose name has no address now.
async fn names(config: &GatewayConfig, faults: &mut Faults) {
    let all = config.agency.iter().enumerate().flat_map(|(at, entry)| {
        entry
            .endpoints
            .iter()
            .map(move |endpoint| async move { (at, endpoint, found(endpoint).await) })
    });
    for (at, endpoint, found) in futures_util::future::join_all(all).await {
        if let Err(error) = found {
            let message = format!(
                "has `{endpoint}`, which has no address now ({error}): correct the name, or \
                 ask whoever runs it"
            );
            faults.doubt(&format!("agency[{at}].endpoints"), message);
        }
    }
}

async fn found(endpoint: &str) -> io::Result<()> {
    let looked_up = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host(endpoint)).await;
    match looked_up.map_err(|_| io::Error::other("the look-up took too long"))??.next() {
        Some(_) => Ok(()),
        None => Err(io::Error::other("the name is known, without an address")),
    }
}
