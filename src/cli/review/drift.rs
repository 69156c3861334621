//! `review drift`: whether what verified logs say happened was declared.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::forms;
use crate::app::review;
use crate::cli::audit::comparing::reconciled;
use crate::cli::audit::source::Source;
use crate::cli::logs::{self, Known, Named};
use crate::cli::output::tell;
use crate::domain::audit::VerifyingKey;
use crate::domain::audit::reconcile::{Bounds, Compared, Comparison, Reconciled};
use crate::domain::flows::drift::{Drift, Incident, LogReading};
use crate::domain::flows::federation::Federation;
use crate::domain::flows::open::{Flow, flows};
use crate::domain::flows::places::GATEWAY;
use crate::files;
use crate::store::enforced;
use crate::store::proof::prove;
use crate::store::verify::{Report, Telling, Verdict, read};
use crate::store::walk::WalkedEntry;

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review drift city --log city/audit/gateway --key gateway.pub
  tributary review drift city --log city/audit/gateway --key gateway.pub \\
      --agency-log city/audit/lending --key lending.pub --json

A log is verified first, and refused if it is not whole. Each release is held
against the policy that its record names, kept beside the log when it came into
force. Exit codes: 0 everything was declared; 1 error; 2 nothing undeclared, but
some declared flow was never used or came late; 3 an undeclared release, or one
that two logs do not have alike.";

/// Clocks of two houses may differ by this much.
const CLOCKS: Duration = Duration::from_secs(5);

/// Logs of a federation.
#[derive(Debug, Default, Args)]
pub(super) struct HouseLogsArgs {
    /// A gateway's log, or a folder that holds several; may be repeated, for several
    /// gateways or years
    #[arg(long, value_name = "DIR", requires = "key")]
    log: Vec<PathBuf>,
    /// An agency's log, or a folder that holds several, of which those of the gateways
    /// are left aside; may be repeated
    #[arg(long, value_name = "DIR", requires = "log")]
    agency_log: Vec<PathBuf>,
    /// A log's public key, or a file that holds it; one for each log
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// A signed checkpoint of a log from outside, such as a witness's; one for each log
    #[arg(long, value_name = "FILE", requires = "log")]
    known: Vec<PathBuf>,
}

impl HouseLogsArgs {
    /// The gateway's log alone.
    pub(super) fn gateway(log: PathBuf, key: String) -> Self {
        Self { log: vec![log], agency_log: Vec::new(), key: vec![key], known: Vec::new() }
    }
}

#[derive(Debug, Args)]
pub(super) struct DriftArgs {
    /// The federation's folder, for what is declared now
    #[arg(default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    logs: HouseLogsArgs,
    /// Print JSON, with a proof for each incident
    #[arg(long)]
    json: bool,
}

/// One log, verified and read.
pub(super) struct Verified {
    pub folder: PathBuf,
    pub house: String,
    pub key: VerifyingKey,
    pub report: Report,
    pub checkpoint: String,
    /// How many policies were kept beside it, and what was left aside.
    policies: usize,
    notes: Vec<String>,
}

/// What the logs come to.
pub(super) struct Found {
    pub logs: Vec<Verified>,
    pub drift: Drift,
    /// Nothing where there are no agencies' logs.
    pub reconciled: Option<Reconciled>,
    /// Agencies of the federation whose log was not given.
    pub missing: Vec<String>,
}

impl Found {
    /// What two logs do not have alike, unexplained; the first of them.
    pub(super) fn unreconciled(&self) -> impl Iterator<Item = &Compared> {
        let all = self.reconciled.iter().flat_map(|done| &done.findings);
        all.filter(|finding| finding.class.is_contradiction())
    }

    pub(super) fn omitted(&self) -> u64 {
        self.reconciled.as_ref().map_or(0, Reconciled::contradictions)
    }

    /// What was found and is told by its number alone.
    pub(super) fn unlisted(&self) -> Vec<String> {
        let listed = self.drift.incidents.len() as u64;
        let more = self.drift.undeclared.saturating_sub(listed);
        let undeclared = (more > 0).then(|| format!("UNDECLARED {more} more"));
        let unreconciled = Comparison::ALL.into_iter().filter(|class| class.is_contradiction());
        let unreconciled = unreconciled.filter_map(|class| {
            let more = self.reconciled.as_ref()?.unnamed(class);
            (more > 0).then(|| format!("UNRECONCILED {} {more} more", class.as_str()))
        });
        undeclared.into_iter().chain(unreconciled).collect()
    }

    /// What was looked at and what not, in a sentence.
    pub(super) fn coverage(&self) -> String {
        let logs: Vec<&str> = self.logs.iter().map(|log| log.house.as_str()).collect();
        match self.missing.as_slice() {
            [] => format!("Logs read: {}.", logs.join(", ")),
            missing => format!("Logs read: {}; not read: {}.", logs.join(", "), missing.join(", ")),
        }
    }

    /// The proof that an incident's record is in its log.
    pub(super) fn proof(&self, incident: &Incident) -> Result<String, String> {
        let log = self.logs.iter().find(|log| log.house == incident.house);
        let log = log.ok_or_else(|| "its log is not at hand".to_owned())?;
        prove(&log.folder, &log.key, incident.index)
            .map(|proof| proof.to_text())
            .map_err(|error| error.to_string())
    }
}

/// Verifies and reads the logs and compares; `None` where no log was given.
pub(super) fn find(args: &HouseLogsArgs, declared: &[Flow]) -> anyhow::Result<Option<Found>> {
    if args.log.is_empty() {
        return Ok(None);
    }
    let (keys, known) = (logs::keys(&args.key)?, Known::read(&args.known)?);
    let gateways = Source::all(&args.log, &keys, &BTreeSet::new())?;
    let agencies = Source::all(&args.agency_log, &keys, &Source::places(&gateways))?;
    let named = || gateways.iter().chain(&agencies).filter_map(Source::folder);
    let is_only = named().count() == 1;
    if !is_only {
        known.are_of(named())?;
    }
    let mut reader = Reader { known, is_only, drift: Drift::default(), logs: Vec::new() };
    for (sources, house) in [(&gateways, Some(GATEWAY)), (&agencies, None)] {
        for source in sources {
            let log = source.folder().context("an export proves nothing: name a log's folder")?;
            reader.open(log, house)?;
        }
    }
    let Reader { mut drift, logs, .. } = reader;
    drift.hold_against(declared);
    let bounds = Bounds::new(CLOCKS);
    let reconciled = (!agencies.is_empty()).then(|| reconciled(&gateways, &agencies, &bounds));
    let reconciled = reconciled.transpose()?;
    let mut missing: Vec<String> = declared
        .iter()
        .map(|flow| flow.agency.to_string())
        .filter(|agency| !logs.iter().any(|log| log.house == *agency))
        .collect();
    missing.sort();
    missing.dedup();
    Ok(Some(Found { logs, drift, reconciled, missing }))
}

/// Reads logs, one after the other; of each only what was found is kept.
struct Reader {
    known: Known,
    is_only: bool,
    drift: Drift,
    logs: Vec<Verified>,
}

impl Reader {
    fn open(&mut self, log: &Named, house: Option<&str>) -> anyhow::Result<()> {
        let Named { folder, key } = log;
        let (shown, origin) = (folder.display(), log.origin());
        let note = files::read_text(&folder.join("checkpoint"), files::SMALL)
            .with_context(|| format!("{shown} has no checkpoint: is it a log's folder?"))?;
        let known = match self.is_only {
            true => self.known.only(key)?,
            false => self.known.of(key)?,
        };
        let enforced = enforced::read(folder)
            .with_context(|| format!("cannot read the policies that were kept in {shown}"))?;
        let mut reading = LogReading::new(house, &enforced.enforced);
        let report = read(folder, key, known.as_ref(), &mut |told| match told {
            Telling::Anew => reading = LogReading::new(house, &enforced.enforced),
            Telling::Entry(WalkedEntry { index, record, .. }) => {
                if let Some(record) = record {
                    reading.take(index, record);
                }
            }
        })?;
        if report.verdict != Verdict::Sound {
            let first = report.faults.first().map(ToString::to_string).unwrap_or_default();
            bail!("the log in {shown} is not sound, so it says nothing about drift: {first}");
        }
        if let Some(pruned) = &report.pruned {
            tell!("tributary: {shown}: {}", pruned.words);
        }
        let (drift, house) = reading.end();
        // A second log of a house is told from the first by its origin.
        let house = house.unwrap_or_else(|| origin.to_owned());
        let house = match self.logs.iter().any(|log| log.house == house) {
            true => format!("{house} ({origin})"),
            false => house,
        };
        self.drift.absorb(drift, &house);
        let (folder, key) = (folder.clone(), key.clone());
        let (policies, notes) = (enforced.enforced.policies.len(), enforced.notes);
        self.logs.push(Verified { folder, house, key, report, checkpoint: note, policies, notes });
        Ok(())
    }
}

pub(super) fn run(args: &DriftArgs) -> anyhow::Result<ExitCode> {
    let federation = review::load(&args.folder)?;
    let declared = flows(&federation);
    let found = find(&args.logs, &declared)?
        .context("name the gateway's log with --log and its key with --key")?;
    ensure!(!found.logs.is_empty(), "no log was read");
    let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report(&federation, &found))?;
        writeln!(out)?;
    } else {
        text(&federation, &found, &mut out)?;
    }
    out.flush()?;
    let unexplained = [Comparison::Late, Comparison::CrashWindow];
    let late = found
        .reconciled
        .as_ref()
        .is_some_and(|done| unexplained.iter().any(|class| done.count(*class) > 0));
    Ok(ExitCode::from(if found.drift.undeclared > 0 || found.omitted() > 0 {
        3
    } else if late || !found.drift.dormant.is_empty() {
        2
    } else {
        0
    }))
}

/// The comparison as JSON.
pub(super) fn report(federation: &Federation, found: &Found) -> Value {
    let catalogues = [&*federation.catalogue, &*federation.catalogue];
    let drift = &found.drift;
    let incidents: Vec<Value> = drift
        .incidents
        .iter()
        .map(|incident| {
            let proof = found.proof(incident);
            json!({
                "log": incident.house,
                "index": incident.index,
                "time": incident.time.to_string(),
                "request": incident.request,
                "agency": incident.agency.as_str(),
                "consumer": incident.consumer.as_str(),
                "purpose": incident.purpose,
                "basis": incident.basis,
                "items": forms::ids(catalogues, &incident.items),
                "why": incident.why,
                "proof": proof.as_ref().ok(),
                "no_proof": proof.as_ref().err(),
            })
        })
        .collect();
    let dormant: Vec<Value> = drift
        .dormant
        .iter()
        .map(|((agency, consumer, purpose), items)| {
            json!({
                "agency": agency.as_str(), "consumer": consumer.as_str(), "purpose": purpose,
                "items": forms::ids(catalogues, items),
            })
        })
        .collect();
    let logs: Vec<Value> = found
        .logs
        .iter()
        .map(|log| {
            json!({
                "house": log.house, "report": log.report, "checkpoint": log.checkpoint,
                "kept_policies": log.policies, "notes": log.notes,
            })
        })
        .collect();
    json!({
        "federation": forms::digests(federation),
        "window": drift.window.map(|(from, to)| [from.to_string(), to.to_string()]),
        "releases": drift.releases,
        "policy_kept": drift.covered,
        "logs": logs,
        "logs_missing": found.missing,
        "undeclared": incidents,
        "unreconciled": found.unreconciled().collect::<Vec<_>>(),
        "counts": { "undeclared": drift.undeclared, "unreconciled": found.omitted() },
        "dormant": dormant,
    })
}

fn text(federation: &Federation, found: &Found, out: &mut dyn Write) -> anyhow::Result<()> {
    let drift = &found.drift;
    let catalogues = [&*federation.catalogue, &*federation.catalogue];
    match drift.window {
        Some((from, to)) => writeln!(out, "window      {from} to {to}")?,
        None => writeln!(out, "window      nothing was released")?,
    }
    for log in &found.logs {
        writeln!(
            out,
            "checkpoint  {}: {} entries, root {}",
            log.report.origin, log.report.published, log.report.root
        )?;
        for note in &log.notes {
            writeln!(out, "note        {note}")?;
        }
    }
    writeln!(
        out,
        "coverage    {} of {} releases by a policy that was kept. {}\n",
        drift.covered,
        drift.releases,
        found.coverage()
    )?;
    for incident in &drift.incidents {
        let purpose = incident.purpose.as_deref().unwrap_or("nothing stated");
        writeln!(
            out,
            "UNDECLARED {} {} → {} for {purpose}: {}\n    {}\n    record {} of the log of {}, \
             request {}; `--json` has its proof",
            incident.time,
            incident.agency,
            incident.consumer,
            forms::ids(catalogues, &incident.items).join(", "),
            incident.why,
            incident.index,
            incident.house,
            incident.request
        )?;
    }
    for finding in found.unreconciled() {
        writeln!(
            out,
            "UNRECONCILED {} request {} agency {}{}",
            finding.class.as_str(),
            finding.request,
            finding.agency,
            finding.words()
        )?;
    }
    for more in found.unlisted() {
        writeln!(out, "{more}")?;
    }
    let mut by: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for ((_, consumer, purpose), items) in &drift.dormant {
        *by.entry((consumer.as_str(), purpose)).or_default() += items.len();
    }
    for ((consumer, purpose), items) in by {
        writeln!(out, "DORMANT {consumer} for {purpose}: {items} declared and not released")?;
    }
    writeln!(out, "\n{} undeclared, {} unreconciled", drift.undeclared, found.omitted())?;
    Ok(())
}
