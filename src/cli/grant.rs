//! `tributary grant`: make keys, issue, look at and revoke grants, and serve the
//! status list.
//!
//! The reference issuer at a terminal. `serve` publishes the list over HTTPS;
//! `revoke --list` writes it to a file that any other web server can hand out.

mod inspect;
mod keygen;
mod serve;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use time::OffsetDateTime;

use crate::domain::grant::base64;
use crate::domain::sensitive::Sensitive;
use crate::issuer::{IssuerSettings, RequestFile, write_private};

/// Issue, inspect and revoke grants.
#[derive(Debug, Args)]
pub struct GrantArgs {
    #[command(subcommand)]
    command: GrantCommand,
}

#[derive(Debug, Subcommand)]
enum GrantCommand {
    /// Make a key: NAME.jwk (private, mode 0600) and NAME.pub.jwk
    Keygen(KeygenArgs),
    /// Issue a grant for one person; the citizen-card number is read from standard input
    Issue(IssueArgs),
    /// Show what a grant says: who, for whom, why, until when, which agencies
    Inspect(InspectArgs),
    /// Revoke grants; a running `grant serve` notices by itself
    Revoke(RevokeArgs),
    /// List a person's grants and the tags by which a gateway's audit log knows them,
    /// for `audit subject`; the citizen-card number is read from standard input
    Tags(TagsArgs),
    /// Serve the status list over HTTPS until SIGINT or SIGTERM
    Serve(serve::ServeArgs),
}

/// What a key is for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyKind {
    /// Ed25519: signs grants, status lists or a consumer's proofs
    Ed25519,
    /// P-256 (ES256): the same, where Ed25519 cannot be had
    P256,
    /// X25519: an agency's key, to which subjects are sealed
    Sealing,
    /// The issuer's secret for tags of persons (no public half)
    Person,
}

#[derive(Debug, Args)]
struct KeygenArgs {
    /// What the key is for
    #[arg(long, value_enum)]
    kind: KeyKind,
    /// The key's name (`kid`), such as 2026-1
    #[arg(long)]
    kid: String,
    /// Where to write it, without an ending; existing files are kept
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// The issuer's settings
    #[arg(long, value_name = "FILE", default_value = "issuer.toml")]
    settings: PathBuf,
    /// What is granted
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Where to write the grant, with mode 0600; standard output if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// The grant's file
    grant: PathBuf,
    /// The issuer's public key, to check the signature with
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// The issuer's settings
    #[arg(long, value_name = "FILE", default_value = "issuer.toml")]
    settings: PathBuf,
    /// Numbers (`jti`) of grants to revoke; none just signs the list anew
    // Numbers of other issuers, and of earlier versions, may begin with a hyphen.
    #[arg(value_name = "JTI", allow_hyphen_values = true)]
    grants: Vec<String>,
    /// Revoke every grant of one person; the number is read from standard input
    #[arg(long, conflicts_with = "grants")]
    person: bool,
    /// Where to write the signed status list, for another web server than
    /// `grant serve`
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct TagsArgs {
    /// The issuer's settings
    #[arg(long, value_name = "FILE", default_value = "issuer.toml")]
    settings: PathBuf,
}

/// Runs the command of this process.
pub(super) fn main(args: GrantArgs) -> anyhow::Result<ExitCode> {
    // It reads standard input on another thread, so no lock is held here.
    if let GrantCommand::Serve(args) = args.command {
        return serve::run(args);
    }
    let (mut input, mut output) = (std::io::stdin().lock(), crate::cli::output::stdout());
    run(args, &mut input, &mut output, crate::clock::utc())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the command.
///
/// # Errors
/// What went wrong, for a person at a terminal.
pub fn run(
    args: GrantArgs,
    input: &mut dyn Read,
    out: &mut dyn Write,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    match args.command {
        GrantCommand::Keygen(args) => keygen::run(&args, out),
        GrantCommand::Issue(args) => issue(&args, input, out, now),
        GrantCommand::Inspect(args) => inspect::run(&args, out, now),
        GrantCommand::Revoke(args) => revoke(&args, input, out, now),
        GrantCommand::Tags(args) => tags(&args, input, out),
        GrantCommand::Serve(args) => serve::run(args).map(drop),
    }
}

fn issue(
    args: &IssueArgs,
    input: &mut dyn Read,
    out: &mut dyn Write,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    let settings = IssuerSettings::read(&args.settings)?;
    let issuer = settings.issuer()?;
    let person = person(input)?;
    settings.check_subject(&person)?;
    let request = RequestFile::read(&args.request)?.for_subject(person, now)?;
    let issued = issuer.issue(&request, now)?;
    match &args.out {
        Some(path) => {
            write_private(path, issued.presentation.as_bytes())?;
            writeln!(out, "issued {}", issued.jti)?;
        }
        None => writeln!(out, "{}", issued.presentation)?,
    }
    Ok(())
}

fn revoke(
    args: &RevokeArgs,
    input: &mut dyn Read,
    out: &mut dyn Write,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    if args.grants.is_empty() && !args.person && args.list.is_none() {
        bail!("nothing to do: name grants, or use --person or --list");
    }
    let settings = IssuerSettings::read(&args.settings)?;
    let records = settings.records()?;
    if args.person {
        let revoked = records.revoke_person(&person(input)?)?;
        writeln!(out, "revoked {} grants", revoked.len())?;
    }
    for jti in &args.grants {
        let fresh = records.revoke(jti)?;
        writeln!(out, "{jti}: {}", if fresh { "revoked" } else { "was revoked already" })?;
    }
    let Some(path) = &args.list else {
        return Ok(());
    };
    let list = records.signed_list(&settings.status_key()?, now)?;
    // In one step, since a server may be handing the file out.
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => std::path::Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write in `{}`", folder.display()))?;
    file.write_all(list.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    writeln!(out, "status list written to {}", path.display())?;
    Ok(())
}

/// Each grant of a person, and by which tag the gateway's audit log knows its use.
fn tags(args: &TagsArgs, input: &mut dyn Read, out: &mut dyn Write) -> anyhow::Result<()> {
    let settings = IssuerSettings::read(&args.settings)?;
    let (issuer, person) = (settings.issuer()?, person(input)?);
    for jti in settings.records()?.grants_of(&person)? {
        writeln!(out, "{jti} {}", base64::encode(issuer.tag(&person, &jti).expose()))?;
    }
    Ok(())
}

/// Reads a citizen-card number: never from an argument, which others can see.
fn person(input: &mut dyn Read) -> anyhow::Result<Sensitive<String>> {
    let mut text = String::new();
    input
        .take(256)
        .read_to_string(&mut text)
        .context("cannot read the citizen-card number from standard input")?;
    let number = text.trim();
    if number.is_empty() {
        bail!("give the citizen-card number on standard input");
    }
    Ok(Sensitive::new(number.to_owned()))
}
