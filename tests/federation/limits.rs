//! Limits that change while the processes run: taken whole or not at all, told in a line, and
//! felt by who asks next. What only a restart takes is told once, and holds up nothing else.

use std::path::Path;

use toml_edit::{DocumentMut, value};
use tributary::wire::proto::pb;

use crate::kit::demo::City;
use crate::kit::pages;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::{becomes, until};

const AGENCY: &str = "lending";
const ITEM: &str = "lending.card.utilisation_ratio";
const TAKEN: &str = "the changed limits are in force";

fn edit(file: &Path, change: impl FnOnce(&mut DocumentMut)) {
    let mut document: DocumentMut = std::fs::read_to_string(file).unwrap().parse().unwrap();
    change(&mut document);
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, document.to_string()).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

/// How many requests may be under way, as the gateway's metrics say.
async fn places(log: &str) -> String {
    let served = log.lines().find(|line| line.contains("metrics are served")).unwrap();
    let address = served.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
    let (_, text) = pages::get(address.parse().unwrap(), "/metrics").await.unwrap();
    let line = text.lines().find(|line| line.starts_with("tributary_requests_limit "));
    let value = line.and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    value.trim_end_matches(".0").to_owned()
}

/// The status of the agency's section, or why the request was refused.
async fn seen(city: &City, grant: &str) -> String {
    let asked = async {
        let mut client = city.try_client("scoring-service").await?;
        client.profile(grant, vec![ITEM.to_owned()], DEADLINE).await
    };
    match asked.await {
        Err(error) => error.to_string(),
        Ok(answer) => {
            let section = answer.sections.iter().find(|section| section.agency == AGENCY).unwrap();
            section.status().as_str_name().trim_start_matches("SECTION_STATUS_").to_owned()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_taken_whole_while_a_gateway_runs_and_a_restart_is_asked_for_once() {
    let city = City::of(10, &["--grant-uses", "1000000"]);
    let (main, grant) = (&city.described.gateway.config, city.grant(0));
    let log = city.log("gateway");
    let limit = async || places(&log).await;
    assert_eq!((limit().await, seen(&city, &grant).await), ("1024".to_owned(), "OK".to_owned()));

    // Taken, and felt.
    edit(main, |document| {
        document["limits"]["max_in_flight"] = value(7);
        document["limits"]["max_in_flight_per_consumer"] = value(7);
        document["limits"]["max_deadline"] = value("1ms");
    });
    becomes("the new number of places", "7", limit).await;
    city.logs("gateway", TAKEN, 1).await;
    until("the end of time", async || seen(&city, &grant).await, |seen| seen != "OK").await;

    // Not at all, for one of them.
    edit(main, |document| {
        document["limits"]["max_in_flight"] = value(8);
        document["limits"]["stream_window"] = value(0);
        document["limits"]["max_deadline"] = value("60s");
    });
    city.logs("gateway", "`limits.stream_window` must be 1 to 4096, not 0", 1).await;
    assert_eq!(limit().await, "7");

    // More than the log's queue has places for.
    edit(main, |document| {
        document["limits"]["max_in_flight"] = value(20_000);
        document["limits"]["stream_window"] = value(128);
    });
    city.logs("gateway", "RESTART_NEEDED", 1).await;
    assert_eq!(limit().await, "7");

    // What a restart takes is told, and the rest is taken.
    let listen = city.described.gateway.endpoint.clone();
    edit(main, |document| {
        document["listen"] = value("127.0.0.1:1");
        document["audit"]["look_every"] = value("20s");
        document["limits"]["max_in_flight"] = value(9);
    });
    becomes("the number of places", "9", limit).await;
    city.logs("gateway", "RESTART_NEEDED", 2).await;
    becomes("time to answer", "OK", async || seen(&city, &grant).await).await;
    edit(main, |document| {
        document["limits"]["max_in_flight"] = value(10);
    });
    becomes("the number of places", "10", limit).await;
    let told = city.log("gateway");
    let keys: Vec<&str> = told.lines().filter(|line| line.contains("RESTART_NEEDED")).collect();
    assert_eq!(keys.len(), 2, "it is told once: {keys:#?}");
    let all = keys[1].contains("listen") && keys[1].contains("audit.look_every");
    assert!(keys[0].contains("limits.max_in_flight") && all, "{keys:#?}");
    edit(main, |document| {
        document["listen"] = value(listen);
        document["audit"].as_table_mut().unwrap().remove("look_every");
    });
    city.logs("gateway", "as it is in force again", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_an_agency_and_where_the_policy_stands_change_while_they_run() {
    let city = City::of(10, &["--grant-uses", "1000000"]);
    let (main, grant) = (&city.described.gateway.config, city.grant(0));

    // One connection of each peer, and no second one.
    edit(main, |document| {
        document["door"]["connections_per_peer"] = value(1);
    });
    city.logs("gateway", "the changed bounds of the door are in force", 1).await;
    let mut first = city.client().await;
    assert!(first.profile(&grant, vec![ITEM.to_owned()], DEADLINE).await.is_ok());
    let refused = seen(&city, &grant).await;
    assert_ne!(refused, "OK");
    city.logs("gateway", "TOO_MANY_CONNECTIONS_OF_PEER", 1).await;
    edit(main, |document| {
        document["door"]["connections_per_peer"] = value(32);
    });
    becomes("room for a second one", "OK", async || seen(&city, &grant).await).await;

    // An agency states its new limits to who asks, and to streams that begin.
    let mut agency = city.agency(AGENCY).await;
    edit(city.config_of(AGENCY), |document| {
        document["limits"]["max_in_flight"] = value(33);
    });
    let mut stated = async || {
        let described = agency.describe(pb::DescribeRequest {}).await.unwrap().into_inner();
        described.limits.unwrap().max_in_flight
    };
    becomes("the agency's new limit", 33, &mut stated).await;
    city.logs(AGENCY, TAKEN, 1).await;

    // The same rules at another place, and then others.
    let rules = std::fs::read_to_string(city.home.join("policies/gateway.cedar")).unwrap();
    let elsewhere = city.home.join("policies/elsewhere.cedar");
    std::fs::write(&elsewhere, rules).unwrap();
    edit(main, |document| {
        document["policy"]["rules"] = value("policies/elsewhere.cedar");
    });
    city.logs("gateway", "the changed policy is in force", 1).await;
    assert_eq!(seen(&city, &grant).await, "OK");
    std::fs::write(&elsewhere, "@id(\"nobody\")\nforbid (principal, action, resource);\n").unwrap();
    city.logs("gateway", "the changed policy is in force", 2).await;
    let refused = seen(&city, &grant).await;
    assert!(refused.contains("NOTHING_PERMITTED"), "{refused}");
}
