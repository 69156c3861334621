//! `tributary audit`: verify, prove, check, search, reconcile and export a log.
//!
//! Reads logs, by itself or through a gateway, and writes none but with `prune`; `keygen`
//! makes the key of a new one, `rotate` makes ready the one that comes after another. Results
//! go to standard output, progress and warnings to standard
//! error.

pub(super) mod comparing;
mod find;
pub(super) mod gone;
mod keygen;
mod line;
mod mirror;
mod place;
mod prove;
mod prune;
mod reconcile;
mod review;
mod rotate;
pub(super) mod source;
mod subject;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Arguments of `tributary audit`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tributary audit verify audit/gateway --key gateway.vkey --known peers.checkpoint
  tributary audit verify audit --key gateway.vkey --key lending.vkey
  tributary audit check-receipt receipt.json --key gateway.vkey --log audit/gateway
  tributary audit search audit/gateway --key gateway.vkey --agency lending
  tributary audit reconcile gateway.jsonl employment.jsonl

Exit codes: 0 sound, found or done; 1 error; 2 tampered, contradicted, or a release was
left out; 3 incomplete.")]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Make the key that signs a log.
    Keygen(keygen::KeygenArgs),
    /// Make ready the log in which another one is to go on.
    Rotate(rotate::RotateArgs),
    /// Recompute everything in logs. Exit code 0 sound, 1 error, 2 tampered, 3 incomplete.
    Verify(verify::VerifyArgs),
    /// Make a self-contained proof (C2SP tlog-proof) that a record is in the log.
    Prove(prove::ProveEntryArgs),
    /// Check a receipt, alone or against its log.
    CheckReceipt(prove::CheckReceiptArgs),
    /// Check a proof file; needs no log.
    CheckProof(prove::CheckProofArgs),
    /// Find records.
    Search(find::SearchArgs),
    /// Who asked about the person to whom these tags belong.
    Subject(subject::SubjectSearchArgs),
    /// Make, update or check the index that searches go by.
    Index(find::MakeIndexArgs),
    /// Copy what is published to a folder or to object storage, from which it can be verified
    /// alone; or fetch such a copy from object storage.
    Mirror(mirror::MirrorArgs),
    /// Show what has been kept long enough, and with --yes take it away.
    Prune(prune::PruneArgs),
    /// Print every record as a line of JSON.
    Export(find::ExportArgs),
    /// Read a gateway's log over the network, as a reviewer.
    Review(review::RemoteReviewArgs),
    /// Hold gateways' logs against agencies' logs.
    Reconcile(reconcile::ReconcileArgs),
}

/// Which log, and the key that signs it.
#[derive(Debug, Args)]
struct LogArgs {
    /// The log's folder; for `verify` and `mirror` also s3://BUCKET/PREFIX.
    log: PathBuf,
    /// The log's public key, ORIGIN+HASH+BASE64, or a file that holds it.
    #[arg(long)]
    key: String,
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever keeps it from an answer; the exit code is then 1. An answer that is bad
/// news comes as an exit code: 2 tampered or contradicted, 3 incomplete.
pub fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let AuditArgs { command, json } = args;
    match command {
        AuditCommand::Keygen(args) => keygen::run(&args, json),
        AuditCommand::Rotate(args) => rotate::run(&args, json),
        AuditCommand::Verify(args) => verify::run(&args, json),
        AuditCommand::Prove(args) => prove::prove(&args, json),
        AuditCommand::CheckReceipt(args) => prove::check_receipt(&args, json),
        AuditCommand::CheckProof(args) => prove::check_proof(&args, json),
        AuditCommand::Search(args) => find::search(&args, json),
        AuditCommand::Subject(args) => subject::run(&args, json),
        AuditCommand::Index(args) => find::make_index(&args, json),
        AuditCommand::Mirror(args) => mirror::run(&args, json),
        AuditCommand::Prune(args) => prune::run(&args, json),
        AuditCommand::Export(args) => find::export(&args),
        AuditCommand::Review(args) => review::run(args, json),
        AuditCommand::Reconcile(args) => reconcile::run(&args, json),
    }
}
