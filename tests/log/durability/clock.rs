//! A clock that was set back before a start: the log knows what time it has been, and what
//! had expired by then stays expired.

use time::macros::datetime;
use tributary::config::agency::AgencyConfig;
use tributary::config::audit::AuditConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::store::audit_log::{AuditLog, Options};

use super::town::Town;
use crate::kit::waiting::until;

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
