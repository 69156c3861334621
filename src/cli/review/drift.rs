//! `review drift`: whether what verified logs say happened was declared.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::forms;
use crate::app::review;
use crate::cli::audit::gone;
use crate::cli::audit::source::key_of;
use crate::cli::output::tell;
use crate::domain::audit::export::Line;
use crate::domain::audit::reconcile::{Compared, Comparison, reconcile_all};
use crate::domain::audit::{SignedCheckpoint, VerifyingKey};
use crate::domain::flows::drift::{Drift, Incident};
use crate::domain::flows::federation::Federation;
use crate::domain::flows::open::{Flow, flows};
use crate::domain::flows::places::GATEWAY;
use crate::files;
use crate::store::enforced;
use crate::store::proof::prove;
use crate::store::verify::{Report, Verdict, verify};
use crate::store::walk::{Step, walk};

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
pub(super) struct LogsArgs {
    /// A gateway's log; may be repeated, for several gateways or years
    #[arg(long, value_name = "DIR", requires = "key")]
    log: Vec<PathBuf>,
    /// An agency's log; may be repeated
    #[arg(long, value_name = "DIR", requires = "log")]
    agency_log: Vec<PathBuf>,
    /// A log's public key, or a file that holds it; one for each log
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// A signed checkpoint of a gateway's log from outside, such as a witness's; one
    /// for each log
    #[arg(long, value_name = "FILE", requires = "log")]
    known: Vec<PathBuf>,
}

impl LogsArgs {
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
    logs: LogsArgs,
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
    enforced: enforced::Kept,
    /// Its records, where another log is to be held against it.
    lines: Vec<Line>,
}

/// What the logs come to.
pub(super) struct Found {
    pub logs: Vec<Verified>,
    pub drift: Drift,
    pub reconciled: Vec<Compared>,
    /// Agencies of the federation whose log was not given.
    pub missing: Vec<String>,
}

impl Found {
    /// What two logs do not have alike, unexplained.
    pub(super) fn unreconciled(&self) -> impl Iterator<Item = &Compared> {
        self.reconciled.iter().filter(|finding| finding.class.is_contradiction())
    }

    pub(super) fn omitted(&self) -> usize {
        self.unreconciled().count()
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
pub(super) fn find(args: &LogsArgs, declared: &[Flow]) -> anyhow::Result<Option<Found>> {
    if args.log.is_empty() {
        return Ok(None);
    }
    let keys = args.key.iter().map(|key| read_key(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut drift = Drift::default();
    let mut reader = Reader {
        keys: &keys,
        known: &args.known,
        keep: !args.agency_log.is_empty(),
        drift: &mut drift,
        logs: Vec::new(),
    };
    for folder in &args.log {
        reader.open(folder, Some(GATEWAY))?;
    }
    for folder in &args.agency_log {
        reader.open(folder, None)?;
    }
    let mut logs = reader.logs;
    drift.hold_against(declared);
    let mut lines: Vec<Vec<Line>> =
        logs.iter_mut().map(|log| std::mem::take(&mut log.lines)).collect();
    let pruned = logs.iter().filter_map(|log| log.report.pruned.as_ref());
    let until = pruned.map(|pruned| pruned.until_us).max();
    gone::leave_out(&mut lines.iter_mut().collect::<Vec<_>>(), until, CLOCKS);
    let (gateways, agencies) = lines.split_at(args.log.len().min(lines.len()));
    let gateways: Vec<&[Line]> = gateways.iter().map(Vec::as_slice).collect();
    let reconciled = reconcile_all(&gateways, agencies, CLOCKS);
    let mut missing: Vec<String> = declared
        .iter()
        .map(|flow| flow.agency.to_string())
        .filter(|agency| !logs.iter().any(|log| log.house == *agency))
        .collect();
    missing.sort();
    missing.dedup();
    Ok(Some(Found { logs, drift, reconciled, missing }))
}

fn read_key(text: &str) -> anyhow::Result<VerifyingKey> {
    if text.contains('+') {
        return Ok(text.parse()?);
    }
    let file = files::read_text(Path::new(text), files::SMALL)
        .with_context(|| format!("cannot read the key's file {text}"))?;
    file.parse().with_context(|| format!("in the key's file {text}"))
}

/// Reads logs, one after the other; of each only what was found is kept, and its lines
/// where another log is to be held against them.
struct Reader<'a> {
    keys: &'a [VerifyingKey],
    known: &'a [PathBuf],
    keep: bool,
    drift: &'a mut Drift,
    logs: Vec<Verified>,
}

impl Reader<'_> {
    fn open(&mut self, folder: &Path, house: Option<&str>) -> anyhow::Result<()> {
        let shown = folder.display();
        let (key, note) = key_of(folder, self.keys)?;
        let origin = key.origin();
        let known = match house {
            Some(_) => known(self.known, key)?,
            None => None,
        };
        let report = verify(folder, key, known.as_ref(), &mut |_| ())?;
        if report.verdict != Verdict::Sound {
            let first = report.faults.first().map(ToString::to_string).unwrap_or_default();
            bail!("the log in {shown} is not sound, so it says nothing about drift: {first}");
        }
        if let Some(pruned) = &report.pruned {
            tell!("tributary: {shown}: {}", pruned.words);
        }
        let enforced = enforced::read(folder)
            .with_context(|| format!("cannot read the policies that were kept in {shown}"))?;
        let taken = |name: &str| self.logs.iter().any(|log| log.house == name);
        // A second gateway is told from the first by its log.
        let house = match house {
            Some(house) if taken(house) => Some(format!("{house} ({origin})")),
            house => house.map(str::to_owned),
        };
        let before = self.drift.incidents.len();
        let mut reading = self.drift.read(house.as_deref(), &enforced.enforced);
        let mut lines = Vec::new();
        walk(folder, Some(key), &mut |Step { index, record, .. }| {
            let Some(record) = record else { return };
            reading.take(index, record);
            if self.keep {
                lines.push(Line::new(&report.origin, index, record, false));
            }
        })?;
        let house = reading.house().unwrap_or_else(|| origin.to_string());
        let house = match self.logs.iter().any(|log| log.house == house) {
            true => format!("{house} ({origin})"),
            false => house,
        };
        for incident in self.drift.incidents.iter_mut().skip(before) {
            incident.house.clone_from(&house);
        }
        let (folder, key) = (folder.to_owned(), key.clone());
        self.logs.push(Verified { folder, house, key, report, checkpoint: note, enforced, lines });
        Ok(())
    }
}

/// The checkpoint from outside that is of this log, if one is.
fn known(paths: &[PathBuf], key: &VerifyingKey) -> anyhow::Result<Option<SignedCheckpoint>> {
    for path in paths {
        let note = files::read_text(path, files::SMALL)
            .with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
        let other = paths.len() > 1
            && SignedCheckpoint::parse_unverified(&note)?.checkpoint().origin != *key.origin();
        if !other {
            return Ok(Some(key.verify(&note)?));
        }
    }
    Ok(None)
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
    let explained = |finding: &Compared| {
        matches!(
            finding.class,
            Comparison::Matched | Comparison::OtherCatalogue | Comparison::Repeated
        )
    };
    let late = !found.reconciled.iter().all(explained);
    Ok(ExitCode::from(if !found.drift.incidents.is_empty() || found.omitted() > 0 {
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
                "kept_policies": log.enforced.enforced.policies.len(), "notes": log.enforced.notes,
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
        for note in &log.enforced.notes {
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
    let mut by: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for ((_, consumer, purpose), items) in &drift.dormant {
        *by.entry((consumer.as_str(), purpose)).or_default() += items.len();
    }
    for ((consumer, purpose), items) in by {
        writeln!(out, "DORMANT {consumer} for {purpose}: {items} declared and not released")?;
    }
    writeln!(out, "\n{} undeclared, {} unreconciled", drift.incidents.len(), found.omitted())?;
    Ok(())
}
