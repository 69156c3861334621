//! `tributary audit review`: reads a gateway's audit log over the network, as a
//! reviewer. What comes is held against the log's public key.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{find, gone, line, source, subject};
use crate::app::reviewer::{Page, ReviewClient};
use crate::cli::connection::ConnectionArgs;
use crate::cli::output::{say, tell};
use crate::domain::audit::access::AccessReport;
use crate::domain::audit::{Hash, ProofError, VerifyingKey, check_consistency, check_inclusion};

/// Reads a gateway's audit log over the network, as a reviewer.
///
/// Each question is itself recorded in the log. Exit code: 0 done, 1 error or refused,
/// 2 the gateway's proof does not hold.
///
/// Example: tributary audit review list --federation city/federation.json --log-key
/// city/certs/dev/gateway.city.example/audit.vkey
#[derive(Debug, Args)]
pub(super) struct RemoteReviewArgs {
    #[command(subcommand)]
    command: ReviewCommand,
}

#[derive(Debug, Subcommand)]
enum ReviewCommand {
    /// List records, oldest first
    List(ListArgs),
    /// Who asked about the person to whom these tags belong
    Subject(TagsArgs),
    /// Print the newest checkpoint
    Checkpoint(CommonArgs),
    /// Prove that a record is in the log
    Prove(ProveArgs),
    /// Prove that the log continues a checkpoint that you hold
    Consistency(ConsistencyArgs),
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Which reviewer of the federation to be, by the end of its id
    #[arg(long, value_name = "NAME", requires = "federation")]
    reviewer: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// The log's public key, ORIGIN+HASH+BASE64, or a file that holds it
    #[arg(long, value_name = "KEY")]
    log_key: String,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    query: find::QueryArgs,
    /// Most records that are fetched
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    /// Begin with this index
    #[arg(long, default_value_t = 0)]
    from: u64,
}

#[derive(Debug, Args)]
struct TagsArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// A tag of the person; may be repeated
    #[arg(long = "tag", value_name = "TAG", required = true, allow_hyphen_values = true)]
    tags: Vec<String>,
    #[command(flatten)]
    names: subject::NamesArgs,
}

#[derive(Debug, Args)]
struct ProveArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The record's index
    #[arg(long)]
    index: u64,
}

#[derive(Debug, Args)]
struct ConsistencyArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// A signed checkpoint of this log that you hold
    #[arg(long, value_name = "FILE")]
    known: PathBuf,
}

pub(super) fn run(args: RemoteReviewArgs, json: bool) -> anyhow::Result<ExitCode> {
    crate::cli::block_on(async {
        match args.command {
            ReviewCommand::List(args) => list(args, json).await,
            ReviewCommand::Subject(args) => access(args, json).await,
            ReviewCommand::Checkpoint(args) => checkpoint(&args, json).await,
            ReviewCommand::Prove(args) => prove(&args, json).await,
            ReviewCommand::Consistency(args) => consistency(&args, json).await,
        }
    })
}

impl CommonArgs {
    async fn connect(&self) -> anyhow::Result<(ReviewClient, VerifyingKey)> {
        let key = source::key(&self.log_key)?;
        let who = self.reviewer.as_deref();
        let address = self.connection.address(|federation| &federation.reviewers, who)?;
        Ok((ReviewClient::connect(&address, key.origin().as_str()).await?, key))
    }
}

async fn list(args: ListArgs, json: bool) -> anyhow::Result<ExitCode> {
    let query = args.query.query()?;
    let (mut client, key) = args.common.connect().await?;
    let mut left = args.limit;
    let mut next = Some(args.from);
    let mut gone = None;
    while let Some(from) = next
        && left > 0
    {
        let size = u32::try_from(left.min(100))?;
        let Page { lines, next: after, pruned } = client.list(&query, from, size).await?;
        gone = gone::said(&pruned, &key)?.or(gone);
        let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
        for line in &lines {
            line::write(&mut out, line, json, false).context("cannot write the records")?;
        }
        out.flush().context("cannot write the records")?;
        (left, next) = (left.saturating_sub(lines.len()), after);
    }
    if let Some(gone) = gone {
        tell!("tributary: {}", gone.words);
    }
    if let Some(next) = next {
        tell!("tributary: there are more: go on with --from {next}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn access(args: TagsArgs, json: bool) -> anyhow::Result<ExitCode> {
    let tags = find::tags(&args.tags)?;
    let names = args.names.load()?;
    let (mut client, key) = args.common.connect().await?;
    let mut report = AccessReport::default();
    let mut gone = None;
    let mut next = Some(0);
    while let Some(from) = next {
        let page = client.subject_access(&tags, from).await?;
        gone = gone::said(&page.pruned, &key)?.or(gone);
        page.lines.into_iter().for_each(|line| report.take(line));
        // A gateway that leads in circles must not keep us.
        next = page.next.filter(|next| *next > from);
    }
    report.name_items(|number| names.get(&number).cloned());
    subject::print(&report, json, gone.as_slice())?;
    Ok(ExitCode::SUCCESS)
}

async fn checkpoint(args: &CommonArgs, json: bool) -> anyhow::Result<ExitCode> {
    let (mut client, key) = args.connect().await?;
    let note = client.checkpoint().await?;
    match key.verify(&note) {
        Ok(signed) => {
            let checkpoint = signed.checkpoint();
            if json {
                let told = serde_json::json!({
                    "origin": checkpoint.origin.as_str(), "size": checkpoint.size,
                    "root": checkpoint.root.to_string(), "note": signed.as_str(),
                });
                say!("{told:#}")?;
            } else {
                say!("{}", signed.as_str().trim_end_matches('\n'))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => bad(&error),
    }
}

async fn prove(args: &ProveArgs, json: bool) -> anyhow::Result<ExitCode> {
    let (mut client, key) = args.common.connect().await?;
    let proof = client.inclusion(args.index).await?;
    let leaf = hash(&proof.leaf_hash).context("the gateway's leaf hash is none")?;
    let path = proof.path.unwrap_or_default();
    let path = path.hashes.iter().map(|bytes| hash(bytes)).collect::<Option<Vec<Hash>>>();
    let path = path.context("a hash of the gateway's proof is none")?;
    let checked = key.verify(&proof.checkpoint).map_err(ProofError::from).and_then(|signed| {
        check_inclusion(signed.checkpoint(), args.index, leaf, &path).map(|()| signed)
    });
    let size = match checked {
        Ok(signed) => signed.checkpoint().size,
        Err(error) => return bad(&error),
    };
    if json {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        let told = serde_json::json!({
            "index": args.index, "leaf_hash": leaf.to_string(), "path": path,
            "checkpoint": proof.checkpoint,
        });
        say!("{told:#}")?;
    } else {
        say!("entry {} with leaf hash {leaf} is in the log of {size} entries", args.index)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn consistency(args: &ConsistencyArgs, json: bool) -> anyhow::Result<ExitCode> {
    let (mut client, key) = args.common.connect().await?;
    let known = source::checkpoint(&args.known, &key)?;
    let old = known.checkpoint();
    let proof = client.consistency(old.size).await?;
    let hashes = proof.hashes.iter().map(|bytes| hash(bytes)).collect::<Option<Vec<Hash>>>();
    let hashes = hashes.context("a hash of the gateway's proof is none")?;
    let checked = key
        .verify(&proof.checkpoint)
        .map_err(ProofError::from)
        .and_then(|signed| check_consistency(old, signed.checkpoint(), &hashes).map(|()| signed));
    let new = match checked {
        Ok(signed) => signed.checkpoint().size,
        Err(error) => return bad(&error),
    };
    if json {
        say!("{:#}", serde_json::json!({ "old": old.size, "new": new, "good": true }))?;
    } else {
        say!("the log of {new} entries continues the one of {}", old.size)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn hash(bytes: &[u8]) -> Option<Hash> {
    bytes.try_into().ok().map(Hash)
}

fn bad(error: &dyn std::fmt::Display) -> anyhow::Result<ExitCode> {
    say!("{error}")?;
    Ok(ExitCode::from(2))
}
