//! `tributary profile stream`: grants in, profiles out, a line each.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{AsConsumer, PARTIAL, duration, granted_items, table};
use crate::app::profile_stream::{self, Answer, Ask, Pace};
use crate::cli::output::tell;
use crate::clock;
use crate::domain::reason::Reason;
use crate::wire::json;
use crate::wire::profile::{REQUEST_ID_FORM, request_id as parse_request_id};
use crate::wire::proto::pb;

/// Bytes of one line at most: a grant, and the ids of all items.
const MAX_LINE: u64 = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,
    /// Time for each request
    #[arg(long, default_value = "2s", value_parser = duration)]
    deadline: Duration,
    #[command(flatten)]
    as_consumer: AsConsumer,
}

/// A line of the input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    grant: String,
    #[serde(default)]
    items: Vec<String>,
    /// Also by the name that proto3 JSON and our own answers have for it.
    #[serde(default, alias = "requestId")]
    request_id: Option<String>,
}

/// What the reader makes of a line.
enum Input {
    Ask(Ask),
    Bad(u64, String),
}

pub(super) async fn run(args: StreamArgs) -> anyhow::Result<ExitCode> {
    let address = args.as_consumer.address()?;
    let pace = Pace { in_flight: args.in_flight.into(), deadline: args.deadline };
    let (asks, queue) = mpsc::channel(pace.in_flight);
    let bad = Arc::new(AtomicU64::new(0));
    let count = bad.clone();
    // Standard input blocks, so it is read by a thread of its own.
    let prefix = format!("{:012x}", clock::utc().unix_timestamp_nanos() & 0xffff_ffff_ffff);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut line = 0;
        while let Some(read) = next(&mut input, &mut line, &prefix) {
            let gone = match read {
                Input::Ask(ask) => asks.blocking_send(ask).is_err(),
                Input::Bad(line, fault) => {
                    count.fetch_add(1, Ordering::Relaxed);
                    let error = json!({ "reason": Reason::BadLine.as_str(), "message": fault });
                    put(&json!({ "line": line, "error": error })).is_err()
                }
            };
            if gone {
                return;
            }
        }
    });
    let mut tally = Tally::default();
    let mut failed = None;
    let mut give = |answer: Answer| {
        if let Err(error) = tally.answer(&answer).and_then(|line| put(&line)) {
            failed.get_or_insert(error);
        }
    };
    let asked = profile_stream::run(&address, pace, queue, &mut give).await;
    tally.bad(bad.load(Ordering::Relaxed));
    tell!("{}", tally.summary());
    if let Some(error) = failed {
        return Err(error);
    }
    asked.context("the stream was lost before everything was answered")?;
    Ok(tally.exit_code())
}

/// The next line that holds anything.
fn next(input: &mut impl BufRead, line: &mut u64, prefix: &str) -> Option<Input> {
    loop {
        let mut text = Vec::new();
        *line += 1;
        let read = input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut text);
        let fault = match read {
            Ok(0) => return None,
            Ok(_) if text.len() as u64 > MAX_LINE => {
                // What follows is the rest of it, which is read away.
                let mut rest = Vec::new();
                while !text.ends_with(b"\n") {
                    rest.clear();
                    match input.by_ref().take(MAX_LINE).read_until(b'\n', &mut rest) {
                        Ok(0) | Err(_) => break,
                        Ok(_) => std::mem::swap(&mut text, &mut rest),
                    }
                }
                format!("is longer than {MAX_LINE} bytes")
            }
            Ok(_) if text.trim_ascii().is_empty() => continue,
            Ok(_) => match ask(&text, *line, prefix) {
                Ok(ask) => return Some(Input::Ask(ask)),
                Err(error) => format!("{error:#}"),
            },
            Err(error) => format!("cannot be read: {error}"),
        };
        return Some(Input::Bad(*line, fault));
    }
}

/// A line is a JSON object with `grant`, and `items` and `request_id` if wanted,
/// or the grant alone as a JSON string.
fn ask(text: &[u8], line: u64, prefix: &str) -> anyhow::Result<Ask> {
    let read: Line = match serde_json::from_slice(text) {
        Ok(Value::String(grant)) => Line { grant, items: Vec::new(), request_id: None },
        Ok(object) => serde_json::from_value(object)
            .context("is neither a grant nor {\"grant\": …, \"items\": […]}")?,
        // Its text may quote the line.
        Err(error) => anyhow::bail!("is no JSON, at column {}", error.column()),
    };
    let items = if read.items.is_empty() { granted_items(&read.grant)? } else { read.items };
    let request_id = read.request_id.unwrap_or_else(|| format!("{prefix}-{line}"));
    if parse_request_id(&request_id).is_none() {
        anyhow::bail!("request_id: {REQUEST_ID_FORM}");
    }
    Ok(Ask { line, request_id, grant: read.grant, items })
}

/// Prints a line at once: whoever reads it may be waiting.
fn put(line: &Value) -> anyhow::Result<()> {
    let mut out = crate::cli::output::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write the answers")
}

/// What has come of everything so far.
struct Tally {
    began: Instant,
    shown: Instant,
    complete: u64,
    partial: u64,
    refused: BTreeMap<String, u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let now = clock::now();
        Self { began: now, shown: now, complete: 0, partial: 0, refused: BTreeMap::new() }
    }
}

impl Tally {
    fn answer(&mut self, answer: &Answer) -> anyhow::Result<Value> {
        let line = match &answer.outcome {
            Ok(profile) => self.profile(&answer.ask, profile)?,
            Err(failure) => self.failure(&answer.ask, failure),
        };
        if self.shown.elapsed() >= Duration::from_secs(1) && std::io::stderr().is_terminal() {
            self.shown = clock::now();
            tell!("{}", self.summary());
        }
        Ok(line)
    }

    fn profile(&mut self, ask: &Ask, profile: &pb::GetProfileResponse) -> anyhow::Result<Value> {
        if table::is_complete(profile) {
            self.complete += 1;
        } else {
            self.partial += 1;
        }
        let profile = json::to_json("GetProfileResponse", profile)?;
        Ok(json!({ "line": ask.line, "requestId": ask.request_id, "profile": profile }))
    }

    fn failure(&mut self, ask: &Ask, failure: &pb::ProfileFailure) -> Value {
        *self.refused.entry(failure.reason.clone()).or_default() += 1;
        json!({
            "line": ask.line,
            "requestId": ask.request_id,
            "error": {
                "reason": failure.reason,
                "message": failure.message,
                "refusalId": failure.refusal_id,
            },
        })
    }

    fn bad(&mut self, lines: u64) {
        if lines > 0 {
            self.refused.insert(Reason::BadLine.to_string(), lines);
        }
    }

    fn summary(&self) -> String {
        let refused: u64 = self.refused.values().sum();
        let all = self.complete + self.partial + refused;
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let reasons: Vec<String> =
            self.refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        format!(
            "{all} answered in {seconds:.1} s, {:.0}/s: {} complete, {} partial, {refused} without a profile{reasons}",
            all as f64 / seconds,
            self.complete,
            self.partial,
        )
    }

    fn exit_code(&self) -> ExitCode {
        if !self.refused.is_empty() {
            ExitCode::FAILURE
        } else if self.partial > 0 {
            ExitCode::from(PARTIAL)
        } else {
            ExitCode::SUCCESS
        }
    }
}
