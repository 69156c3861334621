//! `tributary profile`: asks a gateway as a consumer.

mod receipt;
mod stream;
pub(super) mod table;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use self::table::Legend;
use super::connection::{ConnectionArgs, read_federation};
use crate::app::client::{Address, GatewayClient};
use crate::cli::output;
use crate::domain::grant::{Contents, MAX_BYTES, Presentation};
use crate::domain::trace::TraceContext;
use crate::files;
use crate::wire::json;
use crate::wire::proto::pb;

/// Exit code of a profile with a missing section.
const PARTIAL: u8 = 3;

/// Asks a gateway as a consumer.
#[derive(Debug, Args)]
pub(super) struct ProfileArgs {
    #[command(subcommand)]
    command: ProfileCommand,
}

#[derive(Debug, Subcommand)]
enum ProfileCommand {
    /// Fetch one person's profile
    ///
    /// Exit code: 0 every agency answered, 3 some did not, 1 error.
    Get(GetArgs),
    /// Fetch many profiles over one stream
    ///
    /// Reads lines of JSON from standard input, each a grant as a string or
    /// {"grant": …, "items": […], "request_id": …}; without items, all that the
    /// grant names. Writes a line for each as its answer comes, in any order:
    /// {"line", "requestId", "profile"} or {"line", "requestId", "error"}. Where
    /// the stream is lost it goes on over another. A summary goes to standard
    /// error.
    ///
    /// Exit code: 0 every profile is complete, 3 some agency did not answer, 1
    /// some request has no profile.
    Stream(stream::StreamArgs),
}

#[derive(Debug, Args)]
struct GetArgs {
    /// The grant's file; `-` reads it from standard input
    #[arg(long, value_name = "FILE", required_unless_present = "subject")]
    grant: Option<PathBuf>,
    /// In a demo: the synthetic person whose grant to take from --federation
    #[arg(long, value_name = "NUMBER", requires = "federation", conflicts_with = "grant")]
    subject: Option<String>,
    /// Items, separated by commas; without them and --bundle, all that the grant
    /// names
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    items: Vec<String>,
    /// A named set of items, beside those of --items
    #[arg(long, value_name = "NAME")]
    bundle: Option<String>,
    /// Print the answer as proto3 JSON
    #[arg(long)]
    json: bool,
    /// Write the receipt, with its proof, to this file: `tributary audit
    /// check-receipt` and `audit prove` read it
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The public key of the gateway's log, or a file that holds it: with it the receipt
    /// is held against the answer, and one that is not of this disclosure is an error
    #[arg(long, value_name = "KEY")]
    log_key: Option<String>,
    /// How long to wait
    #[arg(long, default_value = "2s", value_parser = duration)]
    deadline: Duration,
    /// The trace that the request belongs to, as W3C Trace Context writes it: the log
    /// lines about it at gateway and agencies have its id
    #[arg(long, value_name = "TRACE", value_parser = traceparent)]
    traceparent: Option<TraceContext>,
    #[command(flatten)]
    as_consumer: AsConsumer,
}

/// Where the gateway is, and as which consumer to ask it.
#[derive(Debug, Args)]
struct AsConsumer {
    /// Which consumer of the federation to be, by the end of its id
    #[arg(long, value_name = "NAME", requires = "federation")]
    consumer: Option<String>,
    /// The private key that proves requests, JWK with mode 0600: the one that the issuer
    /// wrote into the grant. With --federation, the consumer's own
    #[arg(long, value_name = "FILE")]
    proof_key: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl AsConsumer {
    fn address(&self) -> anyhow::Result<Address> {
        let wanted = self.consumer.as_deref();
        let mut address = self.connection.address(|federation| &federation.consumers, wanted)?;
        if let Some(key) = &self.proof_key {
            address.proof_key = Some(key.clone());
        }
        Ok(address)
    }
}

/// A time that is not nothing, such as `2s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if parsed.is_zero() { Err("must be longer than nothing".into()) } else { Ok(parsed) }
}

fn traceparent(text: &str) -> Result<TraceContext, String> {
    let wrong = || {
        "must be a traceparent, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
            .to_owned()
    };
    TraceContext::parse(text).ok_or_else(wrong)
}

pub(super) fn run(args: ProfileArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ProfileCommand::Get(args) => super::block_on(get(args)),
        ProfileCommand::Stream(args) => super::block_on(stream::run(args)),
    }
}

async fn get(args: GetArgs) -> anyhow::Result<ExitCode> {
    let grant = args.grant()?;
    let client = GatewayClient::connect(&args.as_consumer.address()?).await?;
    let mut client = client.traced(args.traceparent);
    let mut items = args.items.clone();
    if let Some(bundle) = &args.bundle {
        let more = client.bundle(bundle).await?;
        items.extend(more.into_iter().filter(|item| !args.items.contains(item)));
    }
    if items.is_empty() {
        items = granted_items(&grant)?;
    }
    let key = args.log_key.as_deref().map(super::audit::source::key).transpose()?;
    let asked = crate::clock::utc();
    let response = match args.receipt.is_some() || key.is_some() {
        true => client.proved_profile(&grant, items, args.deadline).await?,
        false => client.profile(&grant, items, args.deadline).await?,
    };
    if let Some(path) = &args.receipt {
        receipt::write(path, &response)?;
    }
    if let Some(key) = &key {
        receipt::check(&response, &grant, asked, key)?;
    }
    let text = if args.json {
        serde_json::to_string_pretty(&json::to_json("GetProfileResponse", &response)?)?
    } else {
        table::render(&response, &Legend::new(client.items().await?))
    };
    output::print(&text)?;
    Ok(exit_code(&response))
}

fn exit_code(response: &pb::GetProfileResponse) -> ExitCode {
    if table::is_complete(response) { ExitCode::SUCCESS } else { ExitCode::from(PARTIAL) }
}

/// Every item that a grant names, each once.
fn granted_items(grant: &str) -> anyhow::Result<Vec<String>> {
    let presentation = Presentation::parse(grant.as_bytes()).context("this is no grant")?;
    let contents = Contents::read(&presentation).context("the grant cannot be read")?;
    let items = contents.agencies().flat_map(|agency| agency.items.iter().map(ToString::to_string));
    Ok(items.collect::<BTreeSet<_>>().into_iter().collect())
}

impl GetArgs {
    fn grant(&self) -> anyhow::Result<String> {
        let file = match (&self.grant, &self.subject, &self.as_consumer.connection.federation) {
            (Some(file), _, _) => file.clone(),
            (None, Some(subject), Some(federation)) => {
                let grants = read_federation(federation)?.grants;
                let found = grants.into_iter().find(|grant| grant.subject == *subject);
                found.context("the federation has no grant for this subject")?.file
            }
            _ => bail!("--grant is missing"),
        };
        let mut text = String::new();
        let most = u64::try_from(MAX_BYTES)?.saturating_add(2);
        if file.as_os_str() == "-" {
            std::io::stdin().lock().take(most).read_to_string(&mut text)?;
        } else {
            text = files::read_text(&file, files::SMALL)
                .with_context(|| format!("cannot read {}", file.display()))?;
        }
        Ok(text.trim_end().to_owned())
    }
}
