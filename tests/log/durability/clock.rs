//! A clock that is wrong at a start or while a gateway runs: the log knows what time it has
//! been, what had expired stays expired, and once the clock is right all is as before.

use std::path::PathBuf;
use std::process::Command;

use time::OffsetDateTime;
use time::macros::datetime;
use tributary::config::agency::AgencyConfig;
use tributary::config::audit::AuditConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::store::audit_log::{AuditLog, Options};

use super::town::Town;
use crate::kit::process::{Process, binary, told};
use crate::kit::waiting::{becomes, until};

/// A life of the log in which the clock showed a later year.
fn later(config: &AuditConfig) {
    let keys = config.keys().unwrap();
    let options = Options { utc: || datetime!(2090-01-01 00:00 UTC), ..Options::default() };
    let log = AuditLog::open_with(&config.folder, &keys.origin, keys.signing, options).unwrap();
    log.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_36_a_clock_that_was_set_back_before_the_start_revives_no_grant() {
    let town = Town::new();
    later(&AgencyConfig::load(&town.agency_config()).unwrap().0.audit);
    let (agency, gateway) = (town.agency().await, town.gateway().await);
    let mut client = town.client(gateway.address).await.unwrap();
    let answer = async || town.ask(&mut client, 0).await;
    let refused = |answer: &String| answer.ends_with("GRANT_EXPIRED");
    until("the agency's refusal", answer, refused).await;
    assert!(gateway.stop().await);

    later(&GatewayConfig::load(&town.gateway_config()).unwrap().audit);
    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    assert_eq!(town.ask(&mut client, 0).await, "GRANT_EXPIRED");
    assert!(gateway.stop().await && agency.stop().await);
}

/// A gateway as a process whose wall clock is set while it runs; its other clocks are the
/// machine's.
struct Shifted<'a> {
    town: &'a Town,
    shift: PathBuf,
    lines: PathBuf,
    preload: String,
}

impl<'a> Shifted<'a> {
    fn new(town: &'a Town) -> Self {
        let mut asks = Command::new("faketime");
        let preload = told(asks.args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]));
        let (shift, lines) = (town.home.join("shift"), town.home.join("gateway.lines"));
        Self { town, shift, lines, preload: preload.trim().to_owned() }
    }

    /// Sets the clock so many seconds beside the right time.
    fn set(&self, seconds: i64) {
        let new = self.shift.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, &self.shift).unwrap();
    }

    fn start(&self, seconds: i64) -> Process {
        self.set(seconds);
        let plain = self.town.command("gateway");
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 2>>\"$LINES_TO\"", "sh"]);
        command.arg(plain.get_program()).args(plain.get_args());
        command.env("LINES_TO", &self.lines).env("LD_PRELOAD", &self.preload);
        command.env("FAKETIME_TIMESTAMP_FILE", &self.shift).env("FAKETIME_CACHE_DURATION", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1");
        Process::listening(&mut command)
    }

    /// Lines with a word, so far.
    fn lines(&self, word: &str) -> usize {
        let lines = std::fs::read_to_string(&self.lines).unwrap();
        lines.lines().filter(|line| line.contains(word)).count()
    }

    async fn says(&self, word: &str, times: usize) {
        becomes(word, times, async || self.lines(word)).await;
    }
}

const JUMPED: &str = "the wall clock differs";
const READY: &str = "ready again";
const AGREES: &str = "the wall clock agrees";
const DECIDED: &str = "the clock was wrong when this process started";
const TWO_HOURS: i64 = 7_200;

/// The times of a log's records, in the order of the log, in microseconds since 1970.
fn times(town: &Town) -> Vec<u64> {
    let key = town.home.join("certs/dev/gateway.city.example/audit.vkey");
    let mut command = binary();
    command.args(["audit", "export", "--key"]).arg(key).arg(town.gateway_log());
    let of = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["time_us"].as_u64().unwrap()
    };
    told(&mut command).lines().map(of).collect()
}

fn micros(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_68_a_clock_two_hours_off_is_named_refused_and_heals_by_itself() {
    let (town, began) = (Town::new(), tributary::clock::utc());
    let agency = town.agency().await;
    let clock = Shifted::new(&town);
    let gateway = clock.start(0);
    let mut client = town.client(gateway.address()).await.unwrap();
    let mut answer = async || town.ask(&mut client, 0).await;
    becomes("an answer", "OK", &mut answer).await;
    assert_eq!(clock.lines(JUMPED), 0);
    for (times, (off, refused)) in
        [(TWO_HOURS, "GRANT_STATUS_STALE"), (-TWO_HOURS, "GRANT_NOT_YET_VALID")].iter().enumerate()
    {
        clock.set(*off);
        becomes("a refusal", *refused, &mut answer).await;
        clock.says(JUMPED, times + 1).await;
        clock.set(0);
        let corrected = tributary::clock::now();
        becomes("an answer", "OK", &mut answer).await;
        println!("{off} s: answered {:?} after the correction", corrected.elapsed());
        clock.says(AGREES, times + 1).await;
        clock.says(READY, times + 1).await;
    }
    gateway.terminate().await;
    // No record is of a time that was not, and none is before the one above it.
    let (times, ended) = (times(&town), tributary::clock::utc());
    assert!(times.is_sorted(), "{times:?}");
    let (from, to) = (micros(began) - 5_000_000, micros(ended) + 5_000_000);
    assert!(times.iter().all(|time| (from..=to).contains(time)), "{from} {times:?} {to}");

    // Ahead from the start: once corrected, fresh status lists show which clock is right.
    let gateway = clock.start(TWO_HOURS);
    let mut client = town.client(gateway.address()).await.unwrap();
    let mut answer = async || town.ask(&mut client, 0).await;
    becomes("a refusal", "GRANT_STATUS_STALE", &mut answer).await;
    clock.set(0);
    becomes("an answer", "OK", &mut answer).await;
    clock.says(DECIDED, 1).await;
    gateway.terminate().await;

    // A log that ends in the future: the start says so.
    later(&GatewayConfig::load(&town.gateway_config()).unwrap().audit);
    let gateway = clock.start(0);
    clock.says("the audit log ends in the future", 1).await;
    let mut client = town.client(gateway.address()).await.unwrap();
    assert_eq!(town.ask(&mut client, 0).await, "GRANT_EXPIRED");
    gateway.terminate().await;
    assert!(agency.stop().await);
}
