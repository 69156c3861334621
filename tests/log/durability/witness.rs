//! Each side finds that the other's log was forked, put back to an older copy, or
//! exchanged for another; says so; and does as it was told to.

use std::path::Path;

use tributary::config::agency::AgencyConfig;
use tributary::config::audit::AuditConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::audit::{
    ReasonWord, Record, RefusalsRecord, SigningKey, Successor, Timestamp, VerifyingKey,
};
use tributary::domain::peer::Role;
use tributary::store::audit_log::{AuditLog, Options};
use tributary::store::witness::{Contradiction, Witness};

use super::town::{AGENCY, Here, Town};
use crate::kit::files::copy;
use crate::kit::waiting::{becomes, until};

const OWN: &str = "log/gateway.city.example/2026";
const ITS: &str = "log/employment.city.example/2026";

/// How much of a log one side has seen.
fn seen(town: &Town, side: &str, key: &VerifyingKey) -> u64 {
    let witness = Witness::open(&town.home.join(format!("audit/{side}.peers"))).unwrap();
    witness.held(key).unwrap().map_or(0, |held| held.checkpoint().size)
}

fn contradiction(town: &Town, side: &str, key: &VerifyingKey) -> Option<Contradiction> {
    Witness::open(&town.home.join(format!("audit/{side}.peers"))).unwrap().contradicted(key)
}

/// Starts both, asks until both have seen the other's log at least so large.
async fn run_until_seen(town: &Town, least: u64) -> (Here, Here) {
    let (agency, gateway) = town.both().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let both = async || {
        assert_eq!(town.ask(&mut client, 0).await, "OK");
        let of_agency = seen(town, "gateway", &town.key("employment"));
        (of_agency, seen(town, AGENCY, &town.key("gateway")))
    };
    let enough = |seen: &(u64, u64)| seen.0 >= least && seen.1 >= least;
    until("what each has seen of the other", both, enough).await;
    (agency, gateway)
}

async fn stop(agency: Here, gateway: Here) {
    assert!(gateway.stop().await && agency.stop().await);
}

/// Runs until each has seen more of the other than a copy of the gateway's log, or the
/// agency's, holds; stops that party and puts the copy in the place of its log. Gives the
/// other, which goes on.
async fn roll_back(town: &Town, whose: Role) -> Here {
    let log = match whose {
        Role::Gateway => town.gateway_log(),
        _ => town.agency_log(),
    };
    let (agency, gateway) = run_until_seen(town, 10).await;
    stop(agency, gateway).await;
    let old = town.home.join("old");
    keep(&log, &old).await;
    let (agency, gateway) = run_until_seen(town, size(&old) + 20).await;
    let (gone, other) = match whose {
        Role::Gateway => (gateway, agency),
        _ => (agency, gateway),
    };
    assert!(gone.stop().await);
    put_back(&old, &log).await;
    other
}

/// Writes so many entries more, as the owner of a log could who has its key.
async fn append(config: &AuditConfig, entries: u64) {
    let keys = config.keys().unwrap();
    let log = AuditLog::open(&config.folder, &keys.origin, keys.signing).unwrap();
    for count in 0..entries {
        let refusals = RefusalsRecord {
            time: Timestamp(count),
            since: Timestamp(count),
            peer: "spiffe://scoring.city.example/consumer/forged".parse().unwrap(),
            reason: ReasonWord::new("FORGED").unwrap(),
            count: 1,
        };
        log.append(vec![Record::Refusals(refusals)]).await.unwrap();
    }
    tokio::task::spawn_blocking(move || log.close().unwrap()).await.unwrap();
}

/// How many entries a log that nobody writes has: the second line of its checkpoint.
fn size(log: &Path) -> u64 {
    let checkpoint = std::fs::read_to_string(log.join("checkpoint")).unwrap();
    checkpoint.lines().nth(1).unwrap().parse().unwrap()
}

/// Waits until a log is closed, which may be a little after its process was told to stop.
async fn closed(log: &Path) {
    let lock = std::fs::File::open(log.join("lock")).unwrap();
    becomes("the log's end", true, async || lock.try_lock().is_ok()).await;
}

/// Copies a log, once it is closed: what is copied while it is written is none.
async fn keep(log: &Path, copied: &Path) {
    closed(log).await;
    copy(log, copied);
}

/// Puts a copy in the place of a log, once that is closed.
async fn put_back(from: &Path, to: &Path) {
    closed(to).await;
    std::fs::remove_dir_all(to).unwrap();
    copy(from, to);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_keep_the_highest_checkpoint_of_the_other() {
    let town = Town::new();
    let (agency, gateway) = run_until_seen(&town, 30).await;
    let its = async || town.health(Role::Gateway, gateway.address, ITS).await;
    becomes("a sound log of the agency's", "SERVING", its).await;
    let own = async || town.health(Role::Agency, agency.address, OWN).await;
    becomes("a sound log of the gateway's", "SERVING", own).await;
    // Nobody has shown this one.
    let other = "log/traffic.city.example/2026";
    assert_eq!(town.health(Role::Gateway, gateway.address, other).await, "UNKNOWN");
    stop(agency, gateway).await;
    // After a restart they go on from there.
    let before = seen(&town, AGENCY, &town.key("gateway"));
    let (agency, gateway) = run_until_seen(&town, before + 20).await;
    stop(agency, gateway).await;
    for (side, key) in [("gateway", "employment"), (AGENCY, "gateway")] {
        assert_eq!(contradiction(&town, side, &town.key(key)), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_put_back_to_an_older_log_is_found_and_refused_by_the_agency() {
    let town = Town::new();
    let agency = roll_back(&town, Role::Gateway).await;

    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let asked = async || town.ask(&mut client, 1).await;
    becomes("the agency's refusal", "DENIED LOG_ROLLED_BACK", asked).await;
    // It was shown its own signature under more than it has.
    let ready = async || town.health(Role::Gateway, gateway.address, "").await;
    becomes("a gateway that is not ready", "NOT_SERVING", ready).await;
    let own = async || town.health(Role::Agency, agency.address, OWN).await;
    becomes("the alarm", "NOT_SERVING", own).await;
    let key = town.key("gateway");
    assert_eq!(contradiction(&town, AGENCY, &key), Some(Contradiction::Rollback));
    stop(agency, gateway).await;

    // A restart of the agency forgets nothing, even of a gateway that keeps silent.
    let agency = town.agency().await;
    let own = async || town.health(Role::Agency, agency.address, OWN).await;
    becomes("the alarm", "NOT_SERVING", own).await;
    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let asked = async || {
        let answer = town.ask(&mut client, 2).await;
        assert_ne!(answer, "OK");
        answer
    };
    becomes("the agency's refusal", "DENIED LOG_ROLLED_BACK", asked).await;
    stop(agency, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_whose_evidence_cannot_be_kept_bars_all_the_same() {
    let town = Town::new();
    let agency = roll_back(&town, Role::Gateway).await;

    // In the place of each file that is about to be written stands a folder.
    let peers = town.home.join(format!("audit/{AGENCY}.peers"));
    for held in std::fs::read_dir(&peers).unwrap() {
        std::fs::create_dir(held.unwrap().path().with_extension("tmp")).unwrap();
    }
    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let asked = async || town.ask(&mut client, 1).await;
    becomes("the agency's refusal", "DENIED LOG_ROLLED_BACK", asked).await;
    assert_eq!(contradiction(&town, AGENCY, &town.key("gateway")), None);
    stop(agency, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_log_was_rewritten_is_found_though_it_is_longer() {
    let town = Town::new();
    let (agency, gateway) = run_until_seen(&town, 10).await;
    assert!(gateway.stop().await);
    let old = town.home.join("old");
    keep(&town.gateway_log(), &old).await;
    let beyond = size(&old) + 20;
    let gateway = town.gateway_of(Options::default()).await;
    let mut client = town.client(gateway.address).await.unwrap();
    let more = async || {
        assert_eq!(town.ask(&mut client, 0).await, "OK");
        seen(&town, AGENCY, &town.key("gateway"))
    };
    until("more records", more, |seen| *seen >= beyond).await;
    assert!(gateway.stop().await);
    let longer = size(&town.gateway_log()) - size(&old) + 20;
    put_back(&old, &town.gateway_log()).await;
    append(&GatewayConfig::load(&town.gateway_config()).unwrap().audit, longer).await;

    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let asked = async || town.ask(&mut client, 1).await;
    becomes("the agency's refusal", "DENIED LOG_FORKED", asked).await;
    let key = town.key("gateway");
    assert_eq!(contradiction(&town, AGENCY, &key), Some(Contradiction::Fork));
    stop(agency, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_put_back_to_an_older_log_is_not_asked_any_more() {
    let town = Town::new();
    let gateway = roll_back(&town, Role::Agency).await;

    let agency = town.agency().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let asked = async || town.ask(&mut client, 1).await;
    becomes("the gateway's refusal", "UNAVAILABLE LOG_ROLLED_BACK", asked).await;
    let its = async || town.health(Role::Gateway, gateway.address, ITS).await;
    becomes("the alarm", "NOT_SERVING", its).await;
    stop(agency, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_raise_the_alarm_alone_the_gateway_goes_on_asking() {
    let town = Town::new();
    town.edit(&town.gateway_config(), |gateway| {
        gateway["audit"]["on_contradiction"] = toml_edit::value("alarm");
    });
    let gateway = roll_back(&town, Role::Agency).await;
    let agency = town.agency().await;
    let its = async || town.health(Role::Gateway, gateway.address, ITS).await;
    becomes("the alarm", "NOT_SERVING", its).await;
    let mut client = town.client(gateway.address).await.unwrap();
    becomes("an answer all the same", "OK", async || town.ask(&mut client, 1).await).await;
    assert_eq!(its().await, "NOT_SERVING");
    stop(agency, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_than_the_pinned_one_is_named_until_the_pinned_one_is_back() {
    let town = Town::new();
    let (agency, gateway) = run_until_seen(&town, 10).await;
    assert!(agency.stop().await);
    // The log of another agency, with its key: sound by itself.
    let config = town.agency_config();
    let own = std::fs::read_to_string(&config).unwrap();
    town.edit(&config, |agency| {
        let audit = &mut agency["audit"];
        audit["folder"] = toml_edit::value("../audit/swapped");
        audit["origin"] = toml_edit::value("traffic.city.example/2026");
        audit["key"] = toml_edit::value("../certs/dev/traffic.city.example/audit.seed");
    });
    let agency = town.agency().await;
    let mut client = town.client(gateway.address).await.unwrap();
    let standing = async || town.health(Role::Gateway, gateway.address, ITS).await;
    becomes("the alarm", "NOT_SERVING", standing).await;
    // Nothing is proven, so it is asked all the same.
    becomes("an answer", "OK", async || town.ask(&mut client, 1).await).await;
    assert!(agency.stop().await);
    std::fs::write(&config, own).unwrap();
    let agency = town.agency().await;
    becomes("the end of the alarm", "SERVING", standing).await;
    stop(agency, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_note_is_taken_while_the_gateway_runs() {
    const NEXT: &str = "log/employment.city.example/2027";
    let town = Town::new();
    let (agency, gateway) = run_until_seen(&town, 5).await;
    let standing = async |log: &str| town.health(Role::Gateway, gateway.address, log).await;
    becomes("a sound log", "SERVING", async || standing(ITS).await).await;
    assert_eq!(standing(NEXT).await, "NotFound");

    let own = AgencyConfig::load(&town.agency_config()).unwrap().0.audit.keys().unwrap();
    let next = SigningKey::from_seed(&[27; 32]).unwrap();
    let next = next.verifying_key(&"employment.city.example/2027".parse().unwrap()).unwrap();
    let forger = SigningKey::from_seed(&[66; 32]).unwrap();
    let note = |key: &SigningKey| Successor::sign(key, &own.origin, &next).unwrap();
    let file = town.home.join("next.note");
    std::fs::write(&file, note(&forger)).unwrap();
    // One that its log did not sign changes nothing: what is pinned stays.
    town.edit(&town.gateway_config(), |gateway| {
        let peers = gateway["audit"]["peer"].as_array_of_tables_mut().unwrap();
        let its = |peer: &&mut toml_edit::Table| peer.to_string().contains("employment");
        let peer = peers.iter_mut().find(its).unwrap();
        peer["logs"].as_array_mut().unwrap().push(file.to_str().unwrap());
    });
    let checked = GatewayConfig::judge(&town.gateway_config()).unwrap();
    let (config, mut faults) = (checked.0.unwrap(), checked.1);
    config.audit.peers(&mut faults);
    let told = faults.refuse().to_string();
    assert!(
        told.contains("next.note` pins no audit log: the successor note is not signed"),
        "{told}"
    );
    assert_eq!(standing(ITS).await, "SERVING");
    assert_eq!(standing(NEXT).await, "NotFound");

    // And the one that it did sign counts as soon as it is there.
    std::fs::write(&file, note(&own.signing)).unwrap();
    becomes("the next log as pinned", "SERVING", async || standing(NEXT).await).await;
    assert_eq!(standing(ITS).await, "SERVING");
    stop(agency, gateway).await;
}
