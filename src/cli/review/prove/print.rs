//! Runs the proofs and tells what came of them.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::forms;
use super::{Format, NOT_CHECKED, ProveArgs};
use crate::app::review;
use crate::app::review::prove::prove;
use crate::app::review::prove::report::{Counterexample, Proof, ProofFinding, ProofReport, Scope};
use crate::app::review::prove::solver::Program;
use crate::app::review::revision::Revision;
use crate::domain::flows::federation::Federation;

/// Something is disproved.
const DISPROVED: u8 = 3;

/// A side that was read, and what it is called.
struct Read {
    label: String,
    federation: Federation,
}

pub(super) fn run(args: &ProveArgs) -> anyhow::Result<ExitCode> {
    let read = |side: &str| -> anyhow::Result<Read> {
        let revision = Revision::open(side, &args.repository, &args.path)?;
        let label = revision.label.clone();
        let federation = review::load(revision.folder()).with_context(|| format!("in {label}"))?;
        Ok(Read { label, federation })
    };
    let new = read(&args.side)?;
    let old = args.against.as_deref().map(read).transpose()?;
    let program = Program { path: args.solver.clone(), limit: args.timeout };
    let report = prove(&new.federation, old.as_ref().map(|old| &old.federation), &program)?;
    let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
    match args.format {
        Format::Text => text(&report, &new, old.as_ref(), &mut out)?,
        Format::Json => {
            let value = json(&report, &new, old.as_ref(), args);
            serde_json::to_writer_pretty(&mut out, &value)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::from(code(&report)))
}

fn code(report: &ProofReport) -> u8 {
    match (report.disproved(), report.not_checked()) {
        (0, 0) => 0,
        (0, _) => NOT_CHECKED,
        _ => DISPROVED,
    }
}

fn outcome(report: &ProofReport) -> &'static str {
    match code(report) {
        0 => "proven",
        DISPROVED => "disproved",
        _ => "not_checked",
    }
}

fn text(
    report: &ProofReport,
    new: &Read,
    old: Option<&Read>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match &report.solver {
        Ok(version) => writeln!(out, "cvc5 {version}")?,
        Err(fault) => writeln!(out, "NOT CHECKED: {fault}")?,
    }
    writeln!(out, "{}", new.label)?;
    if let Some(old) = old {
        writeln!(out, "against {}", old.label)?;
    }
    let mut house = "";
    for finding in &report.findings {
        if finding.house != house {
            house = &finding.house;
            writeln!(out, "\n{house}")?;
        }
        let verdict = match &finding.verdict {
            Proof::Proven => "PROVEN",
            Proof::Disproved(_) if finding.counts() => "DISPROVED",
            // Told apart: it is no fault of this federation.
            Proof::Disproved(_) => "no",
            Proof::NotChecked(_) => "NOT CHECKED",
        };
        writeln!(out, "  {verdict:<11}  {}, {}", finding.statement.told(), about(finding, new))?;
        match &finding.verdict {
            Proof::Proven => {}
            // Said once, on top.
            Proof::NotChecked(_) if report.solver.is_err() => {}
            Proof::NotChecked(reason) => writeln!(out, "      {reason}")?,
            Proof::Disproved(found) => counterexample(found, out)?,
        }
    }
    for agency in &report.left_out {
        writeln!(out, "\n{agency}: its rules are not at hand; nothing is said about them")?;
    }
    let [proven, disproved, unchecked] =
        [report.proven(), report.disproved(), report.not_checked()];
    writeln!(out, "\n{proven} proven, {disproved} disproved, {unchecked} not checked")?;
    Ok(())
}

fn about(finding: &ProofFinding, new: &Read) -> String {
    match finding.scope {
        Scope::EveryCatalogue => "whatever the catalogue".to_owned(),
        Scope::ThisCatalogue => {
            format!("for the {} items of this catalogue", new.federation.catalogue.items().len())
        }
    }
}

fn counterexample(found: &Counterexample, out: &mut dyn Write) -> anyhow::Result<()> {
    let item = match (&found.item, found.groups.as_slice()) {
        (Some(item), _) => item.clone(),
        (None, []) => "an item in no group".to_owned(),
        (None, groups) => format!("an item in {}", groups.join(", ")),
    };
    let Counterexample { consumer, purpose, basis, agency, .. } = found;
    writeln!(out, "      {consumer}")?;
    writeln!(out, "      reads {item}")?;
    writeln!(out, "      from {agency} for {purpose} on {basis}")?;
    writeln!(out, "      by {}", found.permitted_by.join(", "))?;
    if !found.forbidden_by.is_empty() {
        writeln!(out, "      before: forbidden by {}", found.forbidden_by.join(", "))?;
    }
    Ok(())
}

fn json(report: &ProofReport, new: &Read, old: Option<&Read>, args: &ProveArgs) -> Value {
    let side =
        |read: &Read| json!({ "label": read.label, "digests": forms::digests(&read.federation) });
    let solver = json!({
        "name": "cvc5",
        "version": report.solver.as_ref().ok(),
        "timeout_seconds": args.timeout.as_secs_f64(),
    });
    let findings: Vec<Value> = report.findings.iter().map(finding).collect();
    json!({
        "solver": solver,
        "old": old.map(side),
        "new": side(new),
        "outcome": outcome(report),
        "statements": findings,
        "left_out": report.left_out,
    })
}

fn finding(finding: &ProofFinding) -> Value {
    let (reason, detail, found) = match &finding.verdict {
        Proof::Proven => (None, None, None),
        Proof::NotChecked(why) => (Some(why.as_str()), Some(why.to_string()), None),
        Proof::Disproved(found) => (None, None, Some(found)),
    };
    let found = found.map(|found| {
        json!({
            "consumer": found.consumer,
            "purpose": found.purpose,
            "basis": found.basis,
            "agency": found.agency,
            "item": found.item,
            "groups": found.groups,
            "permitted_by": found.permitted_by,
            "forbidden_before_by": found.forbidden_by,
        })
    });
    json!({
        "house": finding.house,
        "statement": finding.statement.as_str(),
        "scope": finding.scope.as_str(),
        "counts": finding.counts(),
        "verdict": finding.verdict.as_str(),
        "reason": reason,
        "detail": detail,
        "counterexample": found,
    })
}
