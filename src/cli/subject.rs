//! `tributary subject`: what a person may know about who asked for their data.

mod page;
mod words;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};

use crate::config::catalogue;
use crate::domain::audit::access::AccessReport;
use crate::domain::audit::export::{Line, parse_tag};
use crate::domain::audit::{Record, SubjectTag, VerifyingKey};
use crate::domain::grant::base64;
use crate::files;
use crate::store::verify::{Verdict, verify};
use crate::store::walk::{Step, walk};

const EXAMPLES: &str = "\
Examples:
  tributary subject report --log city/audit/gateway --key gateway.pub \\
      --catalogue city/catalogue --tags my-tags.txt -o report.html

The tags of a person come from the issuer of their grants. The page holds no
value of any item: only who asked for what, when, why, and what was refused.
Exit codes: 0 written; 1 error.";

/// Most bytes of a file of tags.
const MAX_TAGS: u64 = 1 << 20;

/// Reports to data subjects.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a page for one person: who asked about them, and what came of it
    #[command(after_help = EXAMPLES)]
    Report(ReportArgs),
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// A gateway's log; may be repeated, for several gateways or years
    #[arg(long, value_name = "DIR", required = true)]
    log: Vec<PathBuf>,
    /// A log's public key, or a file that holds it; one for each log
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// A file with the person's tags, one a line, as `grant tags` and `grant inspect`
    /// print them, or as 64 hexadecimal digits each
    #[arg(long, value_name = "FILE")]
    tags: PathBuf,
    /// The catalogue, for the names of items
    #[arg(long, value_name = "DIR")]
    catalogue: PathBuf,
    /// Where to write the page
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What cannot be read, or a log that is not sound.
pub fn run(args: SubjectArgs) -> anyhow::Result<ExitCode> {
    let Command::Report(args) = args.command;
    let tags = read_tags(&args)?;
    let keys = args
        .key
        .iter()
        .map(|key| super::audit::source::key(key))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let catalogue = catalogue::load(&args.catalogue)?;
    let mut access = AccessReport::default();
    let mut logs = Vec::with_capacity(args.log.len());
    for folder in &args.log {
        let key = key_of(folder, &keys)?;
        let report = verify(folder, key, None, &mut |_| ())?;
        if report.verdict != Verdict::Sound {
            bail!("the log in {} is not sound: run `tributary audit verify`", folder.display());
        }
        let mut own = AccessReport::default();
        walk(folder, Some(key), &mut |Step { index, record, .. }| {
            if let Some(record @ Record::Section(section)) = record
                && section.subject.is_some_and(|tag| tags.contains(&tag))
            {
                own.take(Line::new("", index, record, false));
            }
        })?;
        access.requests.extend(own.requests);
        logs.push(report);
    }
    access.requests.sort_by(|one, other| one.time.cmp(&other.time));
    let page = page::render(&access, &catalogue, &logs);
    super::review::write(&args.output, page.as_bytes(), super::review::Reader::Owner)?;
    Ok(ExitCode::SUCCESS)
}

/// The key of the log in a folder; of one log and one key, that key.
fn key_of<'a>(folder: &Path, keys: &'a [VerifyingKey]) -> anyhow::Result<&'a VerifyingKey> {
    if let [only] = keys {
        return Ok(only);
    }
    Ok(super::audit::source::key_of(folder, keys)?.0)
}

/// Tags are pseudonyms of a person: they come from a file, since others can read
/// the arguments of a process.
fn read_tags(args: &ReportArgs) -> anyhow::Result<HashSet<SubjectTag>> {
    let shown = args.tags.display();
    let failed = || format!("cannot read the tags in {shown}");
    let text = files::read_text(&args.tags, MAX_TAGS).with_context(failed)?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let tags = lines.map(|(at, line)| {
        let line = line.trim();
        let printed = || base64::decode_exact::<32>(line).map(SubjectTag::new);
        parse_tag(&line.to_ascii_lowercase()).or_else(printed).with_context(|| {
            format!(
                "line {at} of {shown} is no tag of 64 hexadecimal digits, or of 43 characters of \
                 base64url as `grant inspect` prints it"
            )
        })
    });
    let tags: HashSet<SubjectTag> = tags.collect::<anyhow::Result<_>>()?;
    ensure!(!tags.is_empty(), "{shown} holds no tag");
    Ok(tags)
}
