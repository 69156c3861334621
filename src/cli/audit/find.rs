//! `audit search`, `audit subject` and `audit export`: a scan of the whole log,
//! which recomputes it on the way.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{LogArgs, source};
use crate::domain::audit::Timestamp;
use crate::domain::audit::access::subject_access;
use crate::domain::audit::export::{Line, SectionLine, parse_tag};
use crate::store::walk::{Step, walk};

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Records of this request.
    #[arg(long)]
    request: Option<String>,
    /// Records of this consumer's SPIFFE id.
    #[arg(long)]
    consumer: Option<String>,
    /// Records of this agency.
    #[arg(long)]
    agency: Option<String>,
    /// Records with this subject tag (64 hexadecimal digits).
    #[arg(long)]
    tag: Option<String>,
    /// Records from this time on (RFC 3339).
    #[arg(long)]
    since: Option<String>,
    /// Records before this time (RFC 3339).
    #[arg(long)]
    until: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SubjectArgs {
    #[command(flatten)]
    log: LogArgs,
    /// A tag of the person (64 hexadecimal digits); may be repeated.
    #[arg(long = "tag", required = true)]
    tags: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Export subject tags too: pseudonyms of persons.
    #[arg(long)]
    with_tags: bool,
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let code = source::lines(&args.log.log, &key, args.with_tags, &mut |line| {
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")
    })?;
    out.flush().context("cannot write the records")?;
    Ok(code)
}

pub(super) fn search(args: &SearchArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    let wanted = Wanted {
        args,
        tag: args.tag.as_deref().map(str::to_ascii_lowercase),
        since: args.since.as_deref().map(time).transpose()?,
        until: args.until.as_deref().map(time).transpose()?,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let code = source::lines(&args.log.log, &key, wanted.tag.is_some(), &mut |line| {
        if !wanted.takes(&line) {
            return Ok(());
        }
        if json {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")
        } else {
            writeln!(out, "{}", text(&line))
        }
    })?;
    out.flush().context("cannot write the records")?;
    Ok(code)
}

pub(super) fn subject(args: &SubjectArgs, json: bool) -> anyhow::Result<ExitCode> {
    let key = source::key(&args.log.key)?;
    let tags = args
        .tags
        .iter()
        .map(|tag| parse_tag(&tag.to_ascii_lowercase()).context("a tag has 64 hexadecimal digits"))
        .collect::<anyhow::Result<HashSet<_>>>()?;
    let mut records = Vec::new();
    let walked = walk(&args.log.log, Some(&key), &mut |Step { index, record, .. }| {
        if let Some(record @ crate::domain::audit::Record::Section(section)) = record
            && section.subject.is_some_and(|tag| tags.contains(&tag))
        {
            records.push((index, record.clone()));
        }
    })?;
    let report = subject_access(&tags, records.iter().map(|(index, record)| (*index, record)));
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(source::exit_code(&walked.faults));
    }
    for request in &report.requests {
        let purpose = request.purpose.as_deref().unwrap_or("no purpose stated");
        println!(
            "{} {} asked ({purpose}), request {}",
            request.time, request.consumer, request.request
        );
        for asked in &request.agencies {
            println!("  {}: {} for items {}", asked.agency, asked.decision, numbers(&asked.items));
        }
        for refused in &request.refused {
            let reason = refused.reason.as_deref().unwrap_or_default();
            println!("  refused ({reason}): items {}", numbers(&refused.items));
        }
    }
    Ok(source::exit_code(&walked.faults))
}

struct Wanted<'a> {
    args: &'a SearchArgs,
    tag: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Wanted<'_> {
    fn takes(&self, line: &Line) -> bool {
        if self.since.is_some_and(|since| line.time() < since)
            || self.until.is_some_and(|until| line.time() >= until)
        {
            return false;
        }
        let SearchArgs { request, consumer, agency, .. } = self.args;
        let fits = |wanted: &Option<String>, is: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| is == Some(wanted))
        };
        match line {
            Line::Section(section) => {
                fits(request, Some(&section.request))
                    && fits(consumer, Some(&section.consumer))
                    && fits(agency, section.agency.as_ref())
                    && fits(&self.tag, section.subject_tag.as_ref())
            }
            Line::Refusals { peer, .. } => {
                fits(consumer, Some(peer))
                    && request.is_none()
                    && agency.is_none()
                    && self.tag.is_none()
            }
            Line::Search { reviewer, .. } => {
                fits(consumer, Some(reviewer))
                    && request.is_none()
                    && agency.is_none()
                    && self.tag.is_none()
            }
            Line::Started { .. } | Line::Stopped { .. } => {
                [request, consumer, agency, &self.tag].iter().all(|wanted| wanted.is_none())
            }
        }
    }
}

fn time(text: &str) -> anyhow::Result<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .with_context(|| format!("`{text}` is not a time such as 2026-11-24T08:00:00Z"))?;
    Ok(Timestamp::new(time))
}

fn text(line: &Line) -> String {
    match line {
        Line::Section(section) => section_text(section),
        Line::Refusals { index, time, peer, reason, count, .. } => {
            format!("{index} {time} {peer} refused {count} times: {reason}")
        }
        Line::Search { index, time, reviewer, search, by, hits, .. } => {
            format!(
                "{index} {time} {reviewer} searched ({search}) by {}: {hits} records",
                by.join(", ")
            )
        }
        Line::Started { index, time, clean, .. } => {
            let after = if *clean { "" } else { " after a stop without closing" };
            format!("{index} {time} log opened{after}")
        }
        Line::Stopped { index, time, .. } => format!("{index} {time} log closed"),
    }
}

fn section_text(section: &SectionLine) -> String {
    format!(
        "{} {} {} {} {} {} {} items {}",
        section.index,
        section.time,
        section.request,
        section.consumer,
        section.agency.as_deref().unwrap_or("-"),
        section.decision,
        section.reason.as_deref().unwrap_or("-"),
        numbers(&section.items)
    )
}

fn numbers(items: &[u16]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
