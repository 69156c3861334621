//! `audit prove`, `audit check-receipt` and `audit check-proof`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::{LogArgs, source};
use crate::cli::output::{self, say};
use crate::domain::audit::disclosed;
use crate::domain::audit::{
    Decision, NoteError, ProofError, ReceiptFile, SectionRecord, TlogProof, leaf_hash,
};
use crate::files;
use crate::store::proof::{self, ProveError};

#[derive(Debug, Args)]
pub(super) struct ProveEntryArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The record's index; with --receipt, which of its records
    #[arg(long, required_unless_present = "receipt")]
    index: Option<u64>,
    /// A receipt (JSON) of the records, as `tributary profile get --receipt` writes
    /// it; it is held against the log on the way
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The bytes of the record at --index, in a file, where the log has pruned it
    #[arg(long, value_name = "FILE", requires = "index", conflicts_with = "receipt")]
    entry: Option<PathBuf>,
    /// Where to write the proof: a file, or a folder for INDEX.tlog-proof of each
    /// record; standard output if left out
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckReceiptArgs {
    /// The receipt (JSON).
    receipt: PathBuf,
    /// The log's public key, ORIGIN+HASH+BASE64, or a file that holds it.
    #[arg(long)]
    key: String,
    /// The log's folder; without it the receipt is checked by itself.
    #[arg(long)]
    log: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckProofArgs {
    /// The proof.
    proof: PathBuf,
    /// The log's public key, ORIGIN+HASH+BASE64, or a file that holds it.
    #[arg(long)]
    key: String,
}

pub(super) fn prove(args: &ProveEntryArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    let log = &args.log.log;
    if let (Some(path), None) = (&args.receipt, &args.entry) {
        super::gone::say_of(log, &key).with_context(|| format!("for {}", path.display()))?;
    }
    let proved = match (&args.receipt, args.index) {
        (None, Some(index)) if args.entry.is_some() => {
            let path = args.entry.as_deref().unwrap_or(Path::new(""));
            let entry = files::read(path, files::SMALL)
                .with_context(|| format!("cannot read the entry {}", path.display()))?;
            proof::prove_held(log, &key, index, entry).map(|proof| vec![proof])
        }
        (Some(path), _) => proof::check_receipt(&receipt(path)?, &key, log),
        (None, Some(index)) => proof::prove(log, &key, index).map(|proof| vec![proof]),
        (None, None) => anyhow::bail!("name the record with --index or --receipt"),
    };
    let mut proofs = match proved {
        Ok(proofs) => proofs,
        Err(error) => return answer(json, "", Some((&error, is_contradiction(&error)))),
    };
    if let Some(index) = args.index {
        proofs.retain(|proof| proof.index == index);
        anyhow::ensure!(!proofs.is_empty(), "the receipt has no record with index {index}");
    }
    let text = |proof: &TlogProof| if json { proof_json(proof) } else { proof.to_text() };
    match &args.out {
        Some(folder) if folder.is_dir() => {
            for proof in &proofs {
                write(&folder.join(format!("{}.tlog-proof", proof.index)), &text(proof))?;
            }
        }
        Some(path) => match proofs.as_slice() {
            [proof] => write(path, &text(proof))?,
            proofs => anyhow::bail!(
                "the receipt has {} records: name one with --index, or a folder with --out",
                proofs.len()
            ),
        },
        None => {
            let all = proofs.iter().map(text).collect::<Vec<_>>().join("\n");
            output::print(all.trim_end_matches('\n'))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn proof_json(proof: &TlogProof) -> String {
    let path: Vec<String> = proof.path.iter().map(ToString::to_string).collect();
    let value = serde_json::json!({
        "index": proof.index,
        "leaf_hash": leaf_hash(&proof.entry).to_string(),
        "path": path,
        "checkpoint": proof.checkpoint,
    });
    format!("{value:#}\n")
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write the proof {}", path.display()))
}

pub(super) fn check_receipt(args: &CheckReceiptArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.key)?;
    let receipt = receipt(&args.receipt)?;
    let checked = match &args.log {
        Some(log) => proof::check_receipt(&receipt, &key, log).map(|_| true),
        None => proof::check_receipt_alone(&receipt, &key).map(|alone| alone.is_proven),
    };
    if checked.is_ok() && !receipt.entries.is_empty() && !json {
        for record in disclosed::records(&receipt, &key)? {
            say!("{}", said(&record))?;
        }
    }
    let good = match (&checked, &args.log) {
        (Ok(_), Some(_)) => "every record of the receipt is in the log",
        (Ok(true), None) => "the receipt is signed, and proves its records under its checkpoint",
        (Ok(false), None) => {
            "the receipt is signed; whether its records are in the log needs --log"
        }
        (Err(_), _) => "",
    };
    answer(
        json,
        good,
        checked
            .as_ref()
            .err()
            .map(|error| (error as &dyn std::fmt::Display, is_contradiction(error))),
    )
}

/// What a proved record says.
fn said(record: &SectionRecord) -> String {
    let SectionRecord { time, request, consumer, grant, agency, items, decision, .. } = record;
    let decision = match decision {
        Decision::Section(status) => status.as_str().to_owned(),
        Decision::Refused(reason) => format!("REFUSED {reason}"),
        Decision::Withheld(reason) => format!("WITHHELD {reason}"),
    };
    let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
    let agency = agency.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    let grant = grant.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    format!(
        "{time} request {request} of {consumer} under grant {grant}: agency {agency} {decision}, items {}",
        items.join(" ")
    )
}

pub(super) fn check_proof(args: &CheckProofArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.key)?;
    let text = read(&args.proof)?;
    let checked = TlogProof::parse(&text).and_then(|proof| proof.verify(&key));
    let is_bad =
        !matches!(checked, Err(ProofError::Form(_) | ProofError::Note(NoteError::Form(_))));
    let error = checked.as_ref().err().map(|error| (error as &dyn std::fmt::Display, is_bad));
    answer(json, "the record is in the log", error)
}

fn answer(
    json: bool,
    good: &str,
    error: Option<(&dyn std::fmt::Display, bool)>,
) -> anyhow::Result<ExitCode> {
    let (text, code) = match error {
        None => (good.to_owned(), 0),
        Some((error, true)) => (error.to_string(), 2),
        Some((error, false)) => anyhow::bail!("{error}"),
    };
    if json {
        say!("{}", serde_json::json!({ "good": code == 0, "finding": text }))?;
    } else {
        say!("{text}")?;
    }
    Ok(ExitCode::from(code))
}

const fn is_contradiction(error: &ProveError) -> bool {
    matches!(
        error,
        ProveError::Contradicted { .. }
            | ProveError::Tiles
            | ProveError::Receipt(_)
            | ProveError::Note(NoteError::Signature(_))
    )
}

fn receipt(path: &Path) -> anyhow::Result<ReceiptFile> {
    serde_json::from_str(&read(path)?)
        .with_context(|| format!("{} is not a receipt", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    files::read_text(path, files::MEDIUM).with_context(|| format!("cannot read {}", path.display()))
}
