//! A profile as people read it in a terminal.

use std::collections::HashMap;
use std::fmt::Write as _;

use comfy_table::{Cell, ContentArrangement, Table, presets};

use crate::wire::proto::google::r#type::Date;
use crate::wire::proto::pb;
use crate::wire::proto::pb::value::Kind;

/// What the table needs of the catalogue.
#[derive(Debug, Default)]
pub struct Legend {
    items: HashMap<String, pb::CatalogueItem>,
}

impl Legend {
    /// A legend of these items.
    pub fn new(items: Vec<pb::CatalogueItem>) -> Self {
        Self { items: items.into_iter().map(|item| (item.id.clone(), item)).collect() }
    }

    fn title(&self, id: &str) -> String {
        let title = self.items.get(id).and_then(|item| item.title.as_ref());
        title.map_or_else(String::new, |title| title.en.clone())
    }

    fn unit(&self, id: &str) -> &str {
        self.items.get(id).map_or("", |item| item.unit.as_str())
    }

    fn code(&self, id: &str, code: &str) -> String {
        let codes = self.items.get(id).map(|item| item.codes.as_slice()).unwrap_or_default();
        let title =
            codes.iter().find(|entry| entry.code == code).and_then(|entry| entry.title.as_ref());
        title.map_or_else(|| code.to_owned(), |title| format!("{} ({code})", title.en))
    }

    /// A value with its unit.
    pub fn value(&self, id: &str, value: Option<&pb::Value>) -> String {
        let unit = self.unit(id);
        match value.and_then(|value| value.kind.as_ref()) {
            None => "?".into(),
            Some(Kind::Boolean(true)) => "yes".into(),
            Some(Kind::Boolean(false)) => "no".into(),
            Some(Kind::Integer(number)) => with_unit(&number.to_string(), unit),
            Some(Kind::Decimal(number)) => with_unit(&number.value, unit),
            Some(Kind::Money(money)) => {
                let sign = if money.units < 0 || money.nanos < 0 { "-" } else { "" };
                let cents = money.nanos.unsigned_abs() / 10_000_000;
                format!("{sign}{}.{cents:02} {}", money.units.unsigned_abs(), money.currency_code)
            }
            Some(Kind::Date(date)) => iso(date),
            Some(Kind::Code(code)) => self.code(id, code),
            Some(Kind::Months(1)) => "1 month".into(),
            Some(Kind::Months(months)) => format!("{months} months"),
        }
    }
}

fn with_unit(number: &str, unit: &str) -> String {
    match unit {
        "" | "count" => number.to_owned(),
        "percent" => format!("{number} %"),
        unit => format!("{number} {}", unit.replace('_', " ")),
    }
}

fn iso(date: &Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

fn as_of(date: Option<&Date>) -> String {
    date.map_or_else(String::new, iso)
}

/// The whole answer: the items, the gaps, what became of each section.
pub fn render(response: &pb::GetProfileResponse, legend: &Legend) -> String {
    let profile = response.profile.clone().unwrap_or_default();
    let mut text = String::new();
    if !profile.items.is_empty() {
        let _ = writeln!(text, "{}", items(&profile, legend));
    }
    if !profile.gaps.is_empty() {
        let _ = writeln!(text, "\nNo value for:\n{}", gaps(&profile, legend));
    }
    let _ = writeln!(text, "\nSections:\n{}", sections(&response.sections));
    let _ = write!(text, "\n{}", summary(response));
    text
}

/// The sections and the summary alone.
pub fn render_sections(response: &pb::GetProfileResponse) -> String {
    format!("{}\n\n{}", sections(&response.sections), summary(response))
}

/// One line that says how complete the profile is.
pub fn summary(response: &pb::GetProfileResponse) -> String {
    let profile = response.profile.clone().unwrap_or_default();
    let conflicts = profile.items.iter().filter(|item| item.conflict).count();
    let answered = response.sections.iter().filter(|section| is_answered(section)).count();
    let mut line = format!(
        "{} items, {} without a value, {conflicts} in conflict; {answered} of {} agencies answered",
        profile.items.len(),
        profile.gaps.len(),
        response.sections.len(),
    );
    let provisional = profile.items.iter().filter(|item| item.provisional).count();
    if provisional > 0 {
        let _ = write!(line, "; {provisional} provisional");
    }
    if answered < response.sections.len() {
        line.push_str(". A missing source says nothing about the person.");
    }
    line
}

/// Whether every agency that was asked has answered.
pub fn is_complete(response: &pb::GetProfileResponse) -> bool {
    response.sections.iter().all(is_answered)
}

fn is_answered(section: &pb::SectionReport) -> bool {
    matches!(section.status(), pb::SectionStatus::Ok | pb::SectionStatus::NoRecord)
}

fn items(profile: &pb::Profile, legend: &Legend) -> Table {
    let mut table = table(["item", "title", "value", "agency", "as of", "notes"]);
    for item in &profile.items {
        let mut notes = Vec::new();
        if item.conflict {
            notes.push("conflict".to_owned());
        }
        for other in &item.alternatives {
            notes.push(alternative(&item.id, other, legend));
        }
        if item.disputed {
            notes.push("disputed by the person".to_owned());
        }
        if let Some(silent) = unanswered(&item.unanswered) {
            let provisional = if item.provisional { "provisional: " } else { "" };
            notes.push(format!("{provisional}no answer from {silent}"));
        }
        let agency = if item.agency.is_empty() { "sum of several" } else { &item.agency };
        table.add_row([
            item.id.clone(),
            legend.title(&item.id),
            legend.value(&item.id, item.value.as_ref()),
            agency.to_owned(),
            as_of(item.as_of.as_ref()),
            notes.join("; "),
        ]);
    }
    table
}

fn alternative(id: &str, other: &pb::Alternative, legend: &Legend) -> String {
    let value = legend.value(id, other.value.as_ref());
    format!("{} says {value} as of {}", other.agency, as_of(other.as_of.as_ref()))
}

/// Whoever has not answered and why, such as `education (not granted)`.
fn unanswered(owners: &[pb::UnansweredOwner]) -> Option<String> {
    let text = |owner: &pb::UnansweredOwner| {
        let cause = word(owner.cause().as_str_name(), "UNANSWERED_CAUSE_");
        format!("{} ({})", owner.agency, cause.to_lowercase().replace('_', " "))
    };
    let texts: Vec<String> = owners.iter().map(text).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn gaps(profile: &pb::Profile, legend: &Legend) -> Table {
    let mut table = table(["item", "title", "why", "no answer from", "parts known"]);
    for gap in &profile.gaps {
        let parts: Vec<String> =
            gap.alternatives.iter().map(|part| alternative(&gap.id, part, legend)).collect();
        table.add_row([
            gap.id.clone(),
            legend.title(&gap.id),
            word(gap.absence().as_str_name(), "ABSENCE_"),
            unanswered(&gap.unanswered).unwrap_or_default(),
            parts.join("; "),
        ]);
    }
    table
}

fn sections(reports: &[pb::SectionReport]) -> Table {
    let mut table = table(["agency", "status", "reason", "items", "time"]);
    for report in reports {
        #[allow(clippy::cast_precision_loss, reason = "a duration for people to read")]
        let millis = report.elapsed_micros as f64 / 1000.0;
        table.add_row([
            report.agency.clone(),
            word(report.status().as_str_name(), "SECTION_STATUS_"),
            report.reason.clone(),
            format!("{} of {}", report.answered, report.asked),
            format!("{millis:.1} ms"),
        ]);
    }
    table
}

/// An enum's value without the prefix that the proto style asks for.
pub fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.map(Cell::new));
    table
}
