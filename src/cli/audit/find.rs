//! `audit search`, `audit index` and `audit export`.
//!
//! A search goes by the index beside the log; an export, and a search with `--scan`,
//! through the whole log, which recomputes it on the way. None of them writes into
//! the log: see docs/adr/0009-searches.md.

use std::collections::HashSet;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{line, source};
use crate::cli::logs::{LogsArgs, Named};
use crate::cli::output::{say, tell};
use crate::domain::audit::export::{Line, parse_tag};
use crate::domain::audit::{Query, Record, RequestId, SubjectTag, Timestamp};
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::base64;
use crate::domain::peer::SpiffeId;
use crate::store::index::{Index, IndexError};
use crate::store::proof::ProveError;
use crate::store::walk::{WalkedEntry, walk};

/// Records that are read at a time.
const PAGE: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    logs: LogsArgs,
    #[command(flatten)]
    query: QueryArgs,
    /// Records with this subject tag; may be repeated
    #[arg(long = "tag", value_name = "TAG", allow_hyphen_values = true)]
    tags: Vec<String>,
    #[command(flatten)]
    index: IndexArgs,
}

/// What a search chooses by.
#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// Records of this request
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    request: Option<String>,
    /// Records of this consumer's SPIFFE id
    #[arg(long, value_name = "SPIFFE-ID")]
    consumer: Option<SpiffeId>,
    /// Records of this agency
    #[arg(long, value_name = "ID")]
    agency: Option<String>,
    /// Records from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Records before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// How a log is searched.
#[derive(Debug, Args)]
pub(super) struct IndexArgs {
    /// The index of the only log; LOG.index beside each log's folder if left out
    #[arg(long, value_name = "FILE", conflicts_with = "scan")]
    index: Option<PathBuf>,
    /// Read and recompute the whole logs instead of using their indexes
    #[arg(long)]
    scan: bool,
}

#[derive(Debug, Args)]
pub(super) struct MakeIndexArgs {
    #[command(flatten)]
    logs: LogsArgs,
    /// The index of the only log; LOG.index beside each log's folder if left out
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Make it anew
    #[arg(long)]
    rebuild: bool,
    /// Hold every row against the log, and make it anew if one differs
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    logs: LogsArgs,
    /// Export subject tags too: pseudonyms of persons
    #[arg(long)]
    with_tags: bool,
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
    let (mut progress, mut codes) = (source::Progress::new(), Vec::new());
    for log in args.logs.open()? {
        codes.push(source::lines(&log, args.with_tags, &mut progress, &mut |line| {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")
        })?);
    }
    out.flush().context("cannot write the records")?;
    Ok(ExitCode::from(source::worst(codes)))
}

pub(super) fn search(args: &SearchArgs, json: bool) -> anyhow::Result<ExitCode> {
    let mut query = args.query.query()?;
    query.tags = tags(&args.tags)?;
    let with_tags = !query.tags.is_empty();
    let logs = args.logs.open()?;
    let of_log = logs.len() > 1;
    let mut out = std::io::BufWriter::new(crate::cli::output::stdout());
    let code = each(&logs, &args.index, &query, &mut |log, index, record| {
        line::write(&mut out, &Line::new(log.origin(), index, record, with_tags), json, of_log)
    })?;
    out.flush().context("cannot write the records")?;
    Ok(ExitCode::from(code))
}

/// Takes a record that was found: its log, its index, and what it says.
type OnRecord<'a> = &'a mut dyn FnMut(&Named, u64, &Record) -> std::io::Result<()>;

/// Hands over every record that answers a query, log after log: by the index, or by a scan
/// where that was asked for or there is no index to be had. The exit code tells whether
/// what was read of the logs was whole.
pub(super) fn each(
    logs: &[Named],
    how: &IndexArgs,
    query: &Query,
    on_record: OnRecord<'_>,
) -> anyhow::Result<u8> {
    is_of_one(how.index.as_ref(), logs)?;
    let mut codes = Vec::new();
    for log in logs {
        let mut once = Once::default();
        let mut on_record = |index: u64, record: &Record| match once.is_first(index) {
            true => on_record(log, index, record),
            false => Ok(()),
        };
        codes.push(of_log(log, how, query, &mut on_record)?);
    }
    Ok(source::worst(codes))
}

/// Which records of a log were handed over: where its index turns out to be damaged half
/// way, the search begins anew.
#[derive(Default)]
struct Once(Vec<u64>);

impl Once {
    fn is_first(&mut self, index: u64) -> bool {
        // Nearly always it is the highest so far.
        match self.0.binary_search(&index) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, index);
                true
            }
        }
    }
}

fn of_log(
    log: &Named,
    how: &IndexArgs,
    query: &Query,
    on_record: &mut dyn FnMut(u64, &Record) -> std::io::Result<()>,
) -> anyhow::Result<u8> {
    super::gone::say_of(&log.folder, &log.key)?;
    if !how.scan {
        let file = how.index.clone().unwrap_or_else(|| Index::beside(&log.folder));
        match by_index(log, file, query, on_record) {
            Ok(written) => {
                written.context("cannot write the records")?;
                return Ok(0);
            }
            // Another key, or no log: a scan would say no other.
            Err(error) if matches!(lookup(&error), Some(ProveError::Note(_))) => {}
            Err(error) => tell!("tributary: the log is read instead of its index: {error:#}"),
        }
    }
    let mut progress = source::Progress::new();
    let mut written = Ok(());
    let walked =
        walk(&log.folder, Some(&log.key), &mut |WalkedEntry { index, record, .. }| {
            progress.tell(index + 1);
            if let Some(record) = record
                && written.is_ok()
                && query.takes(record)
            {
                written = on_record(index, record);
            }
        })?;
    progress.end();
    written.context("cannot write the records")?;
    Ok(source::exit_code(&walked.faults))
}

fn lookup(error: &anyhow::Error) -> Option<&ProveError> {
    match error.downcast_ref::<IndexError>() {
        Some(IndexError::Log(error)) => Some(error),
        _ => None,
    }
}

/// The result within is that of writing the records.
fn by_index(
    log: &Named,
    file: PathBuf,
    query: &Query,
    on_record: &mut dyn FnMut(u64, &Record) -> std::io::Result<()>,
) -> anyhow::Result<std::io::Result<()>> {
    let mut index = Index::open(&log.folder, &log.key, &file)?;
    let mut progress = source::Progress::new();
    if let Some(why) = index.rebuilt() {
        tell!("tributary: the index is made anew: {why}");
    }
    index.update(&mut |entries| told(&mut progress, entries))?;
    progress.end();
    let mut next = Some(0);
    let mut again = true;
    while let Some(from) = next {
        match index.search(query, from, PAGE) {
            Ok(found) => {
                for hit in &found.hits {
                    if let Err(error) = on_record(hit.index, &hit.record) {
                        return Ok(Err(error));
                    }
                }
                next = found.next;
            }
            Err(error @ IndexError::Differs(_)) if again => {
                tell!("tributary: the index is made anew: {error}");
                again = false;
                index.rebuild(error.to_string())?;
                index.update(&mut |entries| told(&mut progress, entries))?;
                next = Some(0);
            }
            Err(error) => return Err(error.into()),
        }
    }
    progress.end();
    Ok(Ok(()))
}

pub(super) fn make_index(args: &MakeIndexArgs, json: bool) -> anyhow::Result<ExitCode> {
    let logs = args.logs.open()?;
    is_of_one(args.index.as_ref(), &logs)?;
    logs.iter().try_for_each(|log| make_index_of(log, args, json))?;
    Ok(ExitCode::SUCCESS)
}

fn make_index_of(log: &Named, args: &MakeIndexArgs, json: bool) -> anyhow::Result<()> {
    let file = args.index.clone().unwrap_or_else(|| Index::beside(&log.folder));
    let mut index = Index::open(&log.folder, &log.key, &file)?;
    let mut progress = source::Progress::new();
    if args.rebuild {
        index.rebuild("asked for".into())?;
    }
    index.update(&mut |entries| told(&mut progress, entries))?;
    if args.check
        && let Err(error) = index.compare(&mut |entries| told(&mut progress, entries))
    {
        let IndexError::Differs(_) = &error else { return Err(error.into()) };
        index.rebuild(error.to_string())?;
        index.update(&mut |entries| told(&mut progress, entries))?;
    }
    progress.end();
    let (entries, rebuilt) = (index.reach(), index.rebuilt());
    if json {
        let told = serde_json::json!({
            "file": file, "entries": entries, "rebuilt": rebuilt, "compared": args.check,
        });
        say!("{told}")?;
    } else {
        let why = rebuilt.map(|why| format!("; made anew: {why}")).unwrap_or_default();
        say!("{} reaches over {entries} entries{why}", file.display())?;
    }
    Ok(())
}

/// An index is of one log.
fn is_of_one(index: Option<&PathBuf>, logs: &[Named]) -> anyhow::Result<()> {
    ensure!(
        index.is_none() || logs.len() == 1,
        "--index names the index of one log: of several logs each has its own beside it"
    );
    Ok(())
}

/// Tells how far it is, and goes on: only a signal stops a command.
fn told(progress: &mut source::Progress, entries: u64) -> ControlFlow<()> {
    progress.tell(entries);
    ControlFlow::Continue(())
}

impl QueryArgs {
    /// The query, without tags.
    pub(super) fn query(&self) -> anyhow::Result<Query> {
        let agency = |id: &String| {
            AgencyId::new(id).with_context(|| format!("`{}` is no agency's id", id.escape_debug()))
        };
        Ok(Query {
            request: self.request.as_deref().map(RequestId::new).transpose()?,
            consumer: self.consumer.clone(),
            agency: self.agency.as_ref().map(agency).transpose()?,
            tags: HashSet::new(),
            since: self.since.as_deref().map(time).transpose()?,
            until: self.until.as_deref().map(time).transpose()?,
        })
    }
}

/// Tags, as exports write them (hexadecimal digits) or as the issuer and
/// `grant inspect` do (base64url).
pub(super) fn tags(texts: &[String]) -> anyhow::Result<HashSet<SubjectTag>> {
    let tag = |text: &String| {
        let issuers = || base64::decode_exact::<32>(text).map(SubjectTag::new);
        parse_tag(&text.to_ascii_lowercase())
            .or_else(issuers)
            .context("a tag has 64 hexadecimal digits, or 43 characters of base64url")
    };
    texts.iter().map(tag).collect()
}

fn time(text: &str) -> anyhow::Result<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .with_context(|| format!("`{text}` is not a time such as 2026-11-24T08:00:00Z"))?;
    Ok(Timestamp::new(time))
}
