//! `tributary subject`: what a person may know about who asked for their data.

mod page;
mod words;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};

use super::logs::Named;
use crate::config::catalogue;
use crate::domain::audit::access::AccessReport;
use crate::domain::audit::export::{Line, parse_tag};
use crate::domain::audit::{Record, SubjectTag};
use crate::domain::grant::base64;
use crate::files;
use crate::store::verify::{Telling, Verdict, read};
use crate::store::walk::WalkedEntry;

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
    /// A gateway's log, or a folder that holds several; may be repeated, for several
    /// gateways or years
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
    let named = Named::all(&args.log, &args.key)?;
    let catalogue = catalogue::load(&args.catalogue)?;
    let (mut lines, mut reports) = (Vec::new(), Vec::with_capacity(named.len()));
    for log in &named {
        let mut own = Vec::new();
        let report = read(&log.folder, &log.key, None, &mut |told| match told {
            Telling::Anew => own.clear(),
            Telling::Entry(WalkedEntry { index, record, .. }) => {
                if let Some(record @ Record::Section(section)) = record
                    && section.subject.is_some_and(|tag| tags.contains(&tag))
                {
                    own.push(Line::new(log.origin(), index, record, false));
                }
            }
        })?;
        if report.verdict != Verdict::Sound {
            bail!("the log in {} is not sound: run `tributary audit verify`", log.folder.display());
        }
        lines.append(&mut own);
        reports.push(report);
    }
    let mut access = AccessReport::of_logs(lines);
    access.requests.sort_by(|one, other| other.time.cmp(&one.time));
    let page = page::render(&access, &catalogue, &reports);
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
