//! A process says that it would answer exactly while it would, over gRPC and over HTTP.

use tributary::domain::peer::Role;

use super::disk::{BadDisk, Trouble, ask, down};
use super::town::{Here, Town};
use crate::kit::pages::Pages;
use crate::kit::waiting::becomes;

/// What is said of a process: `/readyz`'s first reason, and health's word for the empty
/// name and for its service.
type Said = (u16, String, [String; 2]);

async fn said(town: &Town, role: Role, here: &Here, pages: &Pages) -> Said {
    let (status, text) = pages.ready().await.unwrap();
    let reason = text.lines().nth(1).and_then(|line| line.split(": ").nth(1));
    let service = match role {
        Role::Gateway => "tributary.v1.ProfileService",
        _ => "tributary.v1.AgencyService",
    };
    let whole = town.health(role, here.address, "").await;
    let service = town.health(role, here.address, service).await;
    (status, reason.unwrap_or_default().to_owned(), [whole, service])
}

fn ready() -> Said {
    (200, String::new(), ["SERVING".into(), "SERVING".into()])
}

fn not_ready(reason: &str) -> Said {
    (503, reason.into(), ["NOT_SERVING".into(), "NOT_SERVING".into()])
}

#[tokio::test(flavor = "multi_thread")]
async fn row_67_a_full_disk_or_no_policy_takes_the_gateway_out_until_it_is_over() {
    let (town, disk, pages) = (Town::new(), BadDisk::new(), Pages::new());
    town.edit(&town.gateway_config(), |gateway| pages.configure(gateway));
    let agency = town.agency().await;
    let gateway = town.gateway_of(disk.options()).await;
    let now = async || said(&town, Role::Gateway, &gateway, &pages).await;
    becomes("a gateway that is ready", ready(), now).await;

    let mut client = town.client(gateway.address).await.unwrap();
    disk.set(Trouble::Full);
    // The one that finds it out.
    assert_eq!(ask(&town, &mut client).await, down());
    becomes("a full disk", not_ready("AUDIT_DOWN"), now).await;
    // The process is as alive as before.
    assert_eq!(pages.get("/livez").await.unwrap().0, 200);
    disk.set(Trouble::None);
    becomes("room again", ready(), now).await;

    let rules = town.home.join("policies/gateway.cedar");
    let kept = std::fs::read(&rules).unwrap();
    std::fs::write(&rules, "@id(\"nobody\")\nforbid(principal, action, resource);\n").unwrap();
    becomes("no policy", not_ready("NO_POLICY"), now).await;
    let (_, verbose) = pages.get("/readyz?verbose").await.unwrap();
    for line in ["[+] audit-log", "[-] policy: NO_POLICY: ", "SERVING agency/employment"] {
        assert!(verbose.contains(line), "{line}: {verbose}");
    }
    std::fs::write(&rules, kept).unwrap();
    becomes("a policy again", ready(), now).await;
    assert!(gateway.stop().await && agency.stop().await);
    assert_eq!(pages.get("/livez").await, None, "a process that has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_67_an_agency_that_is_switched_off_is_not_ready() {
    let (town, pages) = (Town::new(), Pages::new());
    town.edit(&town.agency_config(), |agency| pages.configure(agency));
    let agency = town.agency().await;
    let now = async || said(&town, Role::Agency, &agency, &pages).await;
    becomes("an agency that is ready", ready(), now).await;
    let enable = |on: bool| {
        town.edit(&town.agency_config(), |agency| agency["enabled"] = toml_edit::value(on));
    };
    enable(false);
    becomes("the switch", not_ready("AGENCY_CLOSED"), now).await;
    enable(true);
    becomes("the switch turned back", ready(), now).await;
    assert!(agency.stop().await);
}
