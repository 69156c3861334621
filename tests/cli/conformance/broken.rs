//! Level `enforcing` against agencies that are ours but for one way in which they
//! are broken: every check of the kit fails for one of them, and none for the same
//! proxy when it breaks nothing.

use std::sync::atomic::AtomicBool;

use toml_edit::value;
use tributary::app::conformance::plan::Plan;
use tributary::config::agency::AgencyConfig;
use tributary::link::connect::Connector;
use tributary::link::limits::ConnectLimits;

use super::enforcing::{ITEMS, plan, start as demo};
use super::faults::{
    Careless, Closed, Forgetful, Fragile, GoesAway, Greedy, Misdescribed, Nothing, Obliging,
    OpenDoor, OtherEcho, Restless, Stutters,
};
use super::kit::{check_at, checks};
use super::proxy::{Fault, Proxy};
use crate::kit::pki::tls_of;

const AGENCY: &str = "employment";

/// The certificate that an agency shows, what is broken, and the checks about that.
fn broken() -> Vec<(&'static str, Box<dyn Fault>, Vec<u64>)> {
    let refused = (240..=256).chain([258, 259, 260]).chain(270..=273).chain([276]);
    let streams = [283, 284, 285, 287, 288, 289, 290, 293];
    vec![
        ("traffic", Box::new(Nothing), vec![201]),
        (AGENCY, Box::new(OpenDoor), vec![202, 203, 204]),
        (AGENCY, Box::new(Misdescribed), (210..=217).collect()),
        (AGENCY, Box::new(Closed), vec![220, 239]),
        (AGENCY, Box::new(OtherEcho), vec![221, 281]),
        (AGENCY, Box::new(Careless), vec![222, 223, 224]),
        (AGENCY, Box::new(Restless::default()), vec![225]),
        (
            AGENCY,
            Box::new(Obliging::default()),
            [226, 227].into_iter().chain(refused).chain(streams).collect(),
        ),
        (AGENCY, Box::new(Greedy), vec![228]),
        (AGENCY, Box::new(Forgetful::default()), vec![257]),
        (AGENCY, Box::new(goes_away(true)), vec![274]),
        (AGENCY, Box::new(goes_away(false)), vec![275]),
        (AGENCY, Box::new(Stutters), vec![280, 282]),
        (AGENCY, Box::new(Fragile), vec![286, 291, 292]),
    ]
}

fn goes_away(told: bool) -> GoesAway {
    GoesAway { told, gone: AtomicBool::new(false) }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_check_fails_for_an_agency_that_is_broken_in_its_way() {
    let city = demo();
    let written = plan(&city, AGENCY, &ITEMS, |_| {});
    let gateway = Plan::load(&written).unwrap().enforcing().unwrap();
    let start = async |holder: &str, fault| {
        let (config, _) = AgencyConfig::load(city.config_of(holder)).unwrap();
        let limits = ConnectLimits::default();
        let endpoint = &city.entry(AGENCY).endpoint;
        let agency =
            Connector::new(endpoint, gateway.identity.clone(), tls_of(&gateway.link), limits);
        let channel = agency.unwrap().channel().await.unwrap();
        Proxy::start(tls_of(&config.link), channel, fault).await
    };
    let honest = start(AGENCY, Box::new(Nothing)).await;
    let found = tokio::task::block_in_place(|| {
        check_at(&honest.address.to_string(), "enforcing", &written)
    });
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");

    // A revocation that is not noticed need not be waited for as long.
    let written = plan(&city, AGENCY, &ITEMS, |plan| {
        plan["enforcing"]["revoked_within"] = value("1s");
        plan["enforcing"]["deadline"] = value("3s");
    });
    let (mut wrong, mut unseen) = (String::new(), checks("enforcing"));
    for (at, (holder, fault, about)) in broken().into_iter().enumerate() {
        let proxy = start(holder, fault).await;
        let found = tokio::task::block_in_place(|| {
            check_at(&proxy.address.to_string(), "enforcing", &written)
        });
        let failed = found.failed();
        let passed: Vec<_> = about.iter().filter(|number| !failed.contains(number)).collect();
        for number in &passed {
            wrong += &format!("{at}: {number} does not fail: {}\n", found.why(**number));
        }
        unseen.retain(|number| !about.contains(number));
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(unseen, Vec::<u64>::new(), "checks that no broken agency fails");
}
