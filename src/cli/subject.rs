//! `tributary subject`: what a person may know about who asked for their data.

mod page;
mod words;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};

use crate::config::catalogue;
use crate::domain::audit::access::subject_access;
use crate::domain::audit::export::parse_tag;
use crate::domain::audit::{Record, SubjectTag, VerifyingKey};
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
    /// The gateway's log
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    /// The log's public key, or a file that holds it
    #[arg(long, value_name = "KEY")]
    key: String,
    /// A file with the person's tags, one a line (64 hexadecimal digits each)
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
    let key = match args.key.contains('+') {
        true => args.key.clone(),
        false => files::read_text(Path::new(&args.key), files::SMALL)
            .with_context(|| format!("cannot read the key's file {}", args.key))?,
    };
    let key: VerifyingKey = key.parse()?;
    let catalogue = catalogue::load(&args.catalogue)?;
    let report = verify(&args.log, &key, None, &mut |_| ())?;
    if report.verdict != Verdict::Sound {
        bail!("the log in {} is not sound: run `tributary audit verify`", args.log.display());
    }
    let mut records: Vec<(u64, Record)> = Vec::new();
    walk(&args.log, Some(&key), &mut |Step { index, record, .. }| {
        if let Some(record @ Record::Section(section)) = record
            && section.subject.is_some_and(|tag| tags.contains(&tag))
        {
            records.push((index, record.clone()));
        }
    })?;
    let access = subject_access(&tags, records.iter().map(|(index, record)| (*index, record)));
    let page = page::render(&access, &catalogue, &report);
    super::review::write(&args.output, page.as_bytes(), super::review::Reader::Owner)?;
    Ok(ExitCode::SUCCESS)
}

/// Tags are pseudonyms of a person: they come from a file, since others can read
/// the arguments of a process.
fn read_tags(args: &ReportArgs) -> anyhow::Result<HashSet<SubjectTag>> {
    let shown = args.tags.display();
    let failed = || format!("cannot read the tags in {shown}");
    let text = files::read_text(&args.tags, MAX_TAGS).with_context(failed)?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let tags = lines.map(|(at, line)| {
        parse_tag(&line.trim().to_ascii_lowercase())
            .with_context(|| format!("line {at} of {shown} is no tag of 64 hexadecimal digits"))
    });
    let tags: HashSet<SubjectTag> = tags.collect::<anyhow::Result<_>>()?;
    ensure!(!tags.is_empty(), "{shown} holds no tag");
    Ok(tags)
}
