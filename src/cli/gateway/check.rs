//! `tributary gateway check`: prints the verdict of `app::verdict`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::app::verdict::{self, Verdict};
use crate::cli::output;
use crate::domain::finding::Finding;

/// Reads a gateway's configuration and every file that it names: keys and their modes,
/// certificates, anchors, revocation lists, issuers, catalogue, policy, pinned logs. Says
/// everything that is wrong at once, each with file, line, key and what to do. Nothing is
/// opened, bound or written, and no peer is asked; the agencies' names are looked up.
///
/// Exit code: 0 when it would start (warnings may be there), 1 when it would not, 2 for
/// wrong usage.
///
/// Example: tributary gateway check -c gateway.toml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct GatewayCheckArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Look up no names
    #[arg(long)]
    offline: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &GatewayCheckArgs) -> anyhow::Result<ExitCode> {
    let verdict =
        super::super::block_on(async { Ok(verdict::gateway(&args.config, !args.offline).await?) })?;
    let mut out = output::stdout();
    match args.json {
        true => writeln!(out, "{}", as_json(&verdict))?,
        false => print(&verdict, &args.config.display().to_string(), &mut out)?,
    }
    Ok(if verdict.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(verdict: &Verdict, file: &str, out: &mut impl Write) -> std::io::Result<()> {
    write_findings(verdict, out)?;
    for fact in &verdict.facts {
        writeln!(out, "{fact}")?;
    }
    let (errors, warnings) = (verdict.errors.len(), verdict.warnings.len());
    let would = if errors == 0 { "would start" } else { "would not start" };
    writeln!(out, "{file}: {would}; {errors} errors, {warnings} warnings")
}

/// What is wrong, a line each: `FILE:LINE: error: …`.
pub(in crate::cli) fn write_findings(
    verdict: &Verdict,
    out: &mut impl Write,
) -> std::io::Result<()> {
    for (severity, Finding { file, line, message }) in all(verdict) {
        match line {
            0 => writeln!(out, "{file}: {severity}: {message}")?,
            line => writeln!(out, "{file}:{line}: {severity}: {message}")?,
        }
    }
    Ok(())
}

/// What is wrong as JSON objects with severity, file, line and message.
pub(in crate::cli) fn findings_json(verdict: &Verdict) -> Vec<Value> {
    let one = |(severity, found): (&str, &Finding)| {
        json!({
            "severity": severity,
            "file": found.file,
            "line": found.line,
            "message": found.message,
        })
    };
    all(verdict).map(one).collect()
}

fn all(verdict: &Verdict) -> impl Iterator<Item = (&'static str, &Finding)> {
    let errors = verdict.errors.iter().map(|found| ("error", found));
    errors.chain(verdict.warnings.iter().map(|found| ("warning", found)))
}

fn as_json(verdict: &Verdict) -> Value {
    json!({
        "starts": verdict.errors.is_empty(),
        "findings": findings_json(verdict),
        "facts": verdict.facts,
    })
}
