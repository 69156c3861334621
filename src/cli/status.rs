//! `tributary status`: how a gateway and its agencies do, as a table.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};

use super::connection::ConnectionArgs;
use super::output;
use super::profile::duration;
use crate::app::client::GatewayClient;
use crate::clock;
use crate::domain::span::in_days;
use crate::wire::json;
use crate::wire::proto::pb;

/// Exit code when the gateway is not ready or an agency is not up.
const NOT_WELL: u8 = 3;

/// Shows how a gateway and its agencies do.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print proto3 JSON
    #[arg(long)]
    json: bool,
    /// Ask again and again, this far apart, until it is interrupted
    #[arg(long, value_name = "EVERY", num_args = 0..=1, default_missing_value = "2s", value_parser = duration)]
    watch: Option<Duration>,
    /// Which consumer of the federation to be, by the end of its id
    #[arg(long, value_name = "NAME", requires = "federation")]
    consumer: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    super::block_on(show(args))
}

async fn show(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let wanted = args.consumer.as_deref();
    let address = args.connection.address(|federation| &federation.consumers, wanted)?;
    loop {
        // Each time anew, so that a gateway that was started again is found.
        let mut client = GatewayClient::connect(&address).await?;
        let status = client.status().await?;
        let text = match args.json {
            true => format!("{:#}\n", json::to_json("GetStatusResponse", &status)?),
            false => table(&status),
        };
        let mut out = output::stdout();
        if args.watch.is_some() && !args.json {
            // Clears the terminal (ECMA-48).
            write!(out, "\x1b[2J\x1b[H")?;
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        let Some(every) = args.watch else { return Ok(code(&status)) };
        tokio::time::sleep(every).await;
    }
}

fn code(status: &pb::GetStatusResponse) -> ExitCode {
    let up = |agency: &pb::AgencyStatus| agency.state() == pb::AgencyState::Up;
    let well = status.not_ready.is_empty() && status.agencies.iter().all(up);
    if well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) }
}

/// The status as people read it.
fn table(status: &pb::GetStatusResponse) -> String {
    let uptime = time_of(status.uptime.as_ref()).map(|time| Duration::from_secs(time.as_secs()));
    let ready = match status.not_ready.is_empty() {
        true => "ready".to_owned(),
        false => format!("NOT READY: {}", status.not_ready.join(", ")),
    };
    let mut told = format!(
        "gateway {} {ready}, up {}, {} entries in the audit log\ncatalogue {}, policy {}\n\n",
        status.version,
        uptime.map(in_days).unwrap_or_default(),
        status.audit_log_entries,
        short(&status.catalogue_digest),
        short(&status.policy_digest),
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["agency", "state", "under way", "5 min", "hour", "day", "audit log"]);
    for agency in &status.agencies {
        let state = agency.state().as_str_name().trim_start_matches("AGENCY_STATE_");
        let state = match (&*agency.reason, agency.endpoints) {
            ("", 0 | 1) => state.to_owned(),
            ("", endpoints) => format!("{state} ({} of {endpoints})", agency.endpoints_up),
            (reason, _) => format!("{state} {reason}"),
        };
        let mut row =
            vec![agency.agency.clone(), state, format!("{}/{}", agency.in_flight, agency.limit)];
        row.extend(agency.windows.iter().map(window));
        row.push(agency.audit_log.clone());
        table.add_row(row);
    }
    told.push_str(&table.to_string());
    told.push_str("\n\n");
    for agency in &status.agencies {
        if let [first, more @ ..] = &*agency.differing_items {
            let more = match more.len() {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let agency = &agency.agency;
            told.push_str(&format!(
                "the catalogue of {agency} defines {first}{more} otherwise than the gateway's, or \
                 lacks it\n"
            ));
        }
    }
    let now = clock::utc().unix_timestamp();
    for expiry in status.expiries.iter().take(5) {
        let left = expiry.until.map_or(0, |until| until.seconds) - now;
        let whose = match &*expiry.trust_domain {
            "" => "the gateway's own".to_owned(),
            domain => format!("of {domain}"),
        };
        let time = match left.unsigned_abs() {
            seconds @ 172_800.. => format!("{} days", seconds / 86_400),
            seconds => format!("{} hours", seconds / 3600),
        };
        let runs = if left < 0 { format!("ran out {time} ago") } else { format!("{time} left") };
        told.push_str(&format!("{} {whose}: {runs}\n", expiry.what));
    }
    told
}

/// Such as `99.9 % of 1200, 8/12/31 ms`.
fn window(window: &pb::AgencyWindow) -> String {
    if window.questions == 0 {
        return "-".to_owned();
    }
    let share = window.answered as f64 / window.questions as f64 * 100.0;
    // Nothing less than all is shown as all.
    let share = if window.answered == window.questions { share } else { share.min(99.9) };
    let millis = |time: Option<&prost_types::Duration>| match time_of(time) {
        Some(time) => format!("{:.0}", (time.as_secs_f64() * 1000.0).ceil()),
        None => "?".to_owned(),
    };
    let times = [&window.p50, &window.p95, &window.p99].map(|time| millis(time.as_ref()));
    format!("{share:.1} % of {}, {} ms", window.questions, times.join("/"))
}

fn time_of(time: Option<&prost_types::Duration>) -> Option<Duration> {
    Duration::try_from(*time?).ok()
}

fn short(digest: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest.get(..6).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_how_each_did() {
        let time =
            |millis: i32| Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 });
        let windows = vec![
            pb::AgencyWindow {
                questions: 10_000,
                answered: 9_999,
                p50: time(8),
                p95: time(12),
                p99: time(31),
                ..Default::default()
            },
            pb::AgencyWindow::default(),
        ];
        let agency = pb::AgencyStatus {
            agency: "lending".to_owned(),
            state: pb::AgencyState::CircuitOpen.into(),
            reason: "AGENCY_FAILING".to_owned(),
            windows,
            ..Default::default()
        };
        let status = pb::GetStatusResponse { agencies: vec![agency], ..Default::default() };
        let told = table(&status);
        assert!(told.contains("CIRCUIT_OPEN AGENCY_FAILING"), "{told}");
        assert!(told.contains("99.9 % of 10000, 8/12/31 ms"), "{told}");
    }
}
