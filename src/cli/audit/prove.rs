//! `audit prove`, `audit check-receipt` and `audit check-proof`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::logs::{self, LogsArgs, Named};
use crate::cli::output::{self, say};
use crate::domain::audit::disclosed;
use crate::domain::audit::{
    Decision, NoteError, ProofError, ReceiptFile, SectionRecord, TlogProof, VerifyingKey, leaf_hash,
};
use crate::files;
use crate::store::proof::{self, ProveError};

#[derive(Debug, Args)]
pub(super) struct ProveEntryArgs {
    #[command(flatten)]
    logs: LogsArgs,
    /// The record's index, of one log; with --receipt, which of its records
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
    /// A log's public key, ORIGIN+HASH+BASE64, or a file that holds it; of several, that of
    /// the receipt's log is taken.
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// A log's folder, or a folder that holds several; may be repeated. Without it the receipt
    /// is checked by itself.
    #[arg(long = "log", value_name = "LOG")]
    logs: Vec<PathBuf>,
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
    let logs = args.logs.open()?;
    let proved = match (&args.receipt, args.index, &args.entry) {
        (None, Some(index), Some(path)) => {
            let entry = files::read(path, files::SMALL)
                .with_context(|| format!("cannot read the entry {}", path.display()))?;
            held(&logs, index, &entry).map(|proof| vec![proof])
        }
        (Some(path), ..) => {
            let receipt = receipt(path)?;
            let Named { folder, key } = log_of(&receipt, logs)?;
            super::gone::say_of(&folder, &key)
                .with_context(|| format!("for {}", path.display()))?;
            proof::check_receipt(&receipt, &key, &folder)
        }
        (None, Some(index), None) => match logs.as_slice() {
            [Named { folder, key }] => proof::prove(folder, key, index).map(|proof| vec![proof]),
            logs => anyhow::bail!(
                "each of {} logs may have an entry {index}: name one, or give the receipt or the \
                 entry",
                logs.len()
            ),
        },
        (None, None, _) => anyhow::bail!("name the record with --index or --receipt"),
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

/// Proves an entry whose bytes are given, in whichever of the logs has it.
fn held(logs: &[Named], index: u64, entry: &[u8]) -> Result<TlogProof, ProveError> {
    let mut said = None;
    for Named { folder, key } in logs {
        match proof::prove_held(folder, key, index, entry.to_vec()) {
            // Another log may have it; that this one has something else says more than that
            // it has nothing.
            Err(error @ ProveError::Contradicted { .. }) => said = Some(error),
            Err(error @ ProveError::NoEntry { .. }) => said = said.or(Some(error)),
            proved => return proved,
        }
    }
    Err(said.unwrap_or(ProveError::Contradicted { index }))
}

/// The log that a receipt is of; a single one is held against it whatever it is.
fn log_of(receipt: &ReceiptFile, mut logs: Vec<Named>) -> anyhow::Result<Named> {
    if logs.len() > 1 {
        logs.retain(|log| log.origin() == receipt.origin);
    }
    let none = || format!("the receipt is of the log `{}`, which is not named", receipt.origin);
    logs.pop().with_context(none)
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
    let receipt = receipt(&args.receipt)?;
    let log = match args.logs.as_slice() {
        [] => None,
        named => Some(log_of(&receipt, Named::all(named, &args.keys)?)?),
    };
    let (checked, key) = match &log {
        Some(Named { folder, key }) => {
            (proof::check_receipt(&receipt, key, folder).map(|_| true), key.clone())
        }
        None => {
            let key = key_of(&receipt, &args.keys)?;
            (proof::check_receipt_alone(&receipt, &key).map(|alone| alone.is_proven), key)
        }
    };
    if checked.is_ok() && !receipt.entries.is_empty() && !json {
        for record in disclosed::records(&receipt, &key)? {
            say!("{}", said(&record))?;
        }
    }
    let good = match (&checked, &log) {
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

/// The key of the log that a receipt is of; a single one is tried whatever it is of.
fn key_of(receipt: &ReceiptFile, texts: &[String]) -> anyhow::Result<VerifyingKey> {
    let mut keys = logs::keys(texts)?;
    if keys.len() > 1 {
        keys.retain(|key| key.origin().as_str() == receipt.origin);
    }
    let none = || format!("no key is given for the log `{}`: add --key", receipt.origin);
    keys.pop().with_context(none)
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
    let key = logs::key(&args.key)?;
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
