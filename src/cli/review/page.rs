//! `review page`: one HTML file that holds the whole review. It needs no script, no
//! network and no other file, prints, and is the same bytes for the same input.
//!
//! `maud` escapes every text; what a catalogue or a certificate says is never markup.

mod matrix;
mod picture;
mod seen;
mod style;
mod tables;
mod together;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use maud::{DOCTYPE, Markup, html};
use time::{Date, Time};

use super::compared::{self, Compared, Judgement, summary};
use super::diff::code;
use super::drift;
use super::drift::{Found, HouseLogsArgs};
use crate::app::review;
use crate::app::review::revision::Revision;
use crate::app::review::trust::{Anchor, anchors};
use crate::cli::html::head;
use crate::domain::catalogue::Sensitivity;
use crate::domain::flows::change::Class;
use crate::domain::flows::federation::Federation;
use crate::domain::flows::open::{Flow, flows};
use crate::domain::item::ItemSet;

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review page examples/city -o review.html
  tributary review page examples/city --against main:examples/city -o review.html

The page is one file without scripts. With --against it shows what changed, with
--log whether what happened was declared. Exit codes: 0 written; 1 error.";

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// The federation's folder
    #[arg(default_value = ".")]
    folder: String,
    /// Where to write the page
    #[arg(short, long, value_name = "FILE", default_value = "review.html")]
    output: PathBuf,
    #[command(flatten)]
    pub what: WhatArgs,
}

/// What a page and a pack hold beside the flows.
#[derive(Debug, Args)]
pub(super) struct WhatArgs {
    /// Show what changed since this side: a folder, or a git revision
    #[arg(long, value_name = "SIDE")]
    against: Option<String>,
    /// The federation's folder inside the repository, for a revision without one
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub path: String,
    /// The git repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub repository: PathBuf,
    /// The changes that were accepted
    #[arg(long, value_name = "FILE", default_value = "flows.lock")]
    lock: PathBuf,
    /// The day as of which certificates and acceptances are judged [default: today]
    #[arg(long, value_name = "DAY")]
    as_of: Option<String>,
    #[command(flatten)]
    logs: HouseLogsArgs,
}

/// Everything that a page shows.
pub(super) struct Review {
    pub federation: Federation,
    pub label: String,
    pub flows: Vec<Flow>,
    pub compared: Option<Compared>,
    pub drift: Option<Found>,
    pub anchors: Vec<Anchor>,
    pub as_of: Date,
}

impl Review {
    pub(super) fn read(folder: &str, what: &WhatArgs) -> anyhow::Result<Self> {
        let as_of = match &what.as_of {
            None => crate::clock::utc().date(),
            Some(day) => crate::domain::flows::lock::day(day)
                .with_context(|| format!("`{day}` is no day such as 2026-11-24"))?,
        };
        let here = Revision::open(folder, &what.repository, &what.path)?;
        let federation = review::load(here.folder())?;
        let compared = match &what.against {
            None => None,
            Some(old) => {
                let old = Revision::open(old, &what.repository, &what.path)?;
                let before =
                    review::load(old.folder()).with_context(|| format!("in {}", old.label))?;
                let lock = compared::read_lock(&what.lock)?;
                let after = review::load(here.folder())?;
                let sides = [&old, &here];
                Some(Compared::new([before, after], sides, lock, as_of, &what.repository)?)
            }
        };
        let flows = flows(&federation);
        let drift = drift::find(&what.logs, &flows)?;
        let anchors = anchors(here.folder(), as_of.with_time(Time::MIDNIGHT).assume_utc())?;
        Ok(Self { federation, label: here.label, flows, compared, drift, anchors, as_of })
    }

    pub(super) fn judged(&self) -> Option<Judgement<'_>> {
        self.compared.as_ref().map(|compared| compared.judge(&Class::gated()))
    }
}

pub(super) fn run(args: &PageArgs) -> anyhow::Result<ExitCode> {
    let review = Review::read(&args.folder, &args.what)?;
    super::write(&args.output, render(&review).as_bytes(), super::Reader::Anybody)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a folder, with the gateway's log where one is given: its
/// folder and the file of its key.
pub(super) fn write_for(
    folder: &Path,
    log: Option<(PathBuf, PathBuf)>,
    output: &Path,
) -> anyhow::Result<()> {
    let logs = log.map_or_else(HouseLogsArgs::default, |(log, key)| {
        HouseLogsArgs::gateway(log, key.to_string_lossy().into_owned())
    });
    let what = WhatArgs {
        against: None,
        path: ".".to_owned(),
        repository: ".".into(),
        lock: "flows.lock".into(),
        as_of: None,
        logs,
    };
    let review = Review::read(&folder.to_string_lossy(), &what)?;
    super::write(output, render(&review).as_bytes(), super::Reader::Anybody)
}

/// What the reader needs to know first.
struct Verdict {
    class: &'static str,
    sign: &'static str,
    text: String,
    more: Vec<String>,
}

fn verdict(review: &Review, judged: Option<&Judgement<'_>>) -> Verdict {
    let mut more = Vec::new();
    let mut grave = 0_u8;
    if let Some(judged) = judged {
        let text = summary(judged);
        grave = grave.max(match code(judged) {
            0 => 0,
            2 => 1,
            _ => 2,
        });
        more.push(match judged.is_empty() {
            true => "Nothing changed.".to_owned(),
            false => format!("What changed: {text}."),
        });
        more.extend(review.compared.iter().flat_map(compared::refused));
    }
    match &review.drift {
        None => more.push("No log was given: what happened is not judged here.".to_owned()),
        Some(found) => {
            let drift = &found.drift;
            if !drift.incidents.is_empty() || found.omitted() > 0 {
                grave = 2;
            }
            let (looked, undeclared) = (drift.releases, drift.undeclared);
            let looked = format!("{looked} releases looked at, {undeclared} undeclared");
            more.push(match found.logs.len() {
                // Nothing to hold it against.
                0 | 1 => format!("{looked}. No agency's log was compared with the gateway's."),
                _ => format!("{looked}, {} in one log and not in the other.", found.omitted()),
            });
        }
    }
    let expired = tables::expired(review);
    if expired > 0 {
        grave = grave.max(1);
        more.push(format!("{expired} certificates are expired or end within 30 days."));
    }
    let (class, sign, text) = match grave {
        0 => ("good", "✓", "Nothing here needs a decision"),
        1 => ("note", "▲", "Nothing is forbidden; something is worth reading"),
        _ => ("bad", "✕", "Somebody must decide"),
    };
    Verdict { class, sign, text: text.to_owned(), more }
}

/// The page.
pub(super) fn render(review: &Review) -> String {
    let judged = review.judged();
    let judged = judged.as_ref();
    let flows = judged.map(|judged| judged.flows.as_slice());
    let Verdict { class, sign, text, more } = verdict(review, judged);
    let title = format!("Data flow review of {}", review.label);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&title, style::CSS))
            body {
                a.skip href="#matrix" { "Skip to the matrix" }
                header {
                    p.product { "Tributary · data flow review" }
                    h1 { (review.label) }
                    p.asof { "As of " (review.as_of) }
                }
                main {
                    section.verdict.(class) aria-labelledby="verdict" {
                        p.sign aria-hidden="true" { (sign) }
                        div {
                            h2 #verdict { (text) }
                            @for line in &more { p { (line) } }
                        }
                    }
                    (figures(review))
                    @if let (Some(compared), Some(judged)) = (&review.compared, judged) {
                        (tables::changes(compared, judged))
                    }
                    @if let Some(found) = &review.drift { (tables::drift(review, found)) }
                    (picture::picture(review, flows))
                    (matrix::matrix(review, flows))
                    (tables::rules(review))
                    (tables::trust(review))
                    (seen::reviewers(review))
                    (seen::unseen(review))
                }
                (tables::evidence(review))
            }
        }
    };
    page.into_string()
}

fn figures(review: &Review) -> Markup {
    let federation = &review.federation;
    let open = review.flows.iter().fold(ItemSet::EMPTY, |all, flow| all.or(&flow.items));
    let conditional = review.flows.iter().filter(|f| f.sensitivity == Sensitivity::Conditional);
    let conditional = conditional.fold(ItemSet::EMPTY, |all, flow| all.or(&flow.items));
    let names = federation.gateway.engine.vocabulary();
    let total = federation.catalogue.items().len();
    let of = |part: usize| format!("{part} of {total}");
    let figures = [
        ("agencies", federation.agencies.len().to_string()),
        ("consumers", names.consumers.len().to_string()),
        ("purposes", names.purposes.len().to_string()),
        ("items that can flow", of(open.len())),
        ("with written consent alone", conditional.len().to_string()),
    ];
    html! {
        dl.figures {
            @for (name, figure) in figures { div { dt { (name) } dd { (figure) } } }
        }
    }
}

/// An agency's name for people; its id where its file is not at hand.
fn agency_title<'a>(federation: &'a Federation, id: &'a str) -> &'a str {
    let agency = federation.agencies.iter().find(|agency| agency.id.as_str() == id);
    let own = agency.and_then(|agency| agency.own.as_ref());
    own.map_or(id, |own| own.title.en.as_str())
}
