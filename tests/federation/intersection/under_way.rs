//! Authority that ends while hundreds of questions are under way on one stream:
//! whatever is asked after the first refusal is refused.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::item::ItemSet;

use super::grants::{CLIENTS, Grant};
use super::hostile::{Hostile, revoke};
use crate::kit::federation::{Federation, until, within};
use crate::kit::files::replace;
use crate::kit::forged::part_of;

const AGENCY: &str = "employment";
const UNDER_WAY: usize = 500;
const GRANTS: usize = 8;

/// Keeps 500 questions under way until every grant is refused; gives the reasons.
async fn until_refused(
    federation: &Federation,
    hostile: &Hostile,
    name: &str,
    end: impl AsyncFnOnce(&[String]),
) -> Vec<String> {
    let owned = federation.catalogue.owned_by(&AgencyId::new(AGENCY).unwrap());
    let grants: Vec<String> = (0..GRANTS)
        .map(|person| {
            let mut grant = Grant::of(person, [owned, ItemSet::EMPTY, ItemSet::EMPTY]);
            grant.uses = 1_000_000;
            grant.issue(federation)
        })
        .collect();
    // A few items: this is about when, not about how much.
    let items: ItemSet = owned.iter().take(3).collect();
    let items = Bytes::from(items.to_bytes());
    let refused: Vec<AtomicBool> = grants.iter().map(|_| AtomicBool::new(false)).collect();
    let released = AtomicUsize::new(0);
    let asking = join_all((0..UNDER_WAY).map(async |worker| {
        let at = worker % GRANTS;
        let part = part_of(&grants[at], AGENCY);
        for nth in 0.. {
            let over = refused[at].load(Ordering::SeqCst);
            let id = format!("{name}-{worker}-{nth}");
            let sent = hostile.put(AGENCY, &id, CLIENTS[0], &items, part.clone()).await;
            match sent.answer {
                Ok(_) => {
                    assert!(!over, "{name}: released after it was over");
                    released.fetch_add(1, Ordering::SeqCst);
                }
                Err(reason) => {
                    refused[at].store(true, Ordering::SeqCst);
                    return reason;
                }
            }
        }
        unreachable!("it asks until it is refused")
    }));
    let ending = async {
        let look = async || released.load(Ordering::SeqCst);
        until("many releases", look, |released| *released >= UNDER_WAY / 2).await;
        end(&grants).await;
    };
    let (mut reasons, ()) = within(async { tokio::join!(asking, ending) }).await;
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

#[tokio::test(flavor = "multi_thread")]
async fn row_50_nothing_is_released_on_a_stream_once_authority_has_ended() {
    // Its own: what governs an agency is changed.
    let federation = Federation::fresh();
    let hostile = Hostile::start(&federation, 1).await;

    let owned = federation.catalogue.owned_by(&AgencyId::new(AGENCY).unwrap());
    let open = Grant::of(GRANTS, [owned, ItemSet::EMPTY, ItemSet::EMPTY]).issue(&federation);
    let open = part_of(&open, AGENCY);
    let config = federation.entry(AGENCY).config.clone();
    let on = std::fs::read_to_string(&config).unwrap();
    let off = on.replace("enabled = true", "enabled = false");
    assert_ne!(on, off);
    let reasons =
        until_refused(&federation, &hostile, "switch", async |_| replace(&config, &off)).await;
    assert_eq!(reasons, ["AGENCY_CLOSED"]);
    replace(&config, &on);
    hostile.answers_again(AGENCY, "switched-on", &open).await;

    let policy = federation.home.join("policies/agencies/employment.cedar");
    let wide = std::fs::read_to_string(&policy).unwrap();
    let none = "@id(\"none\")\nforbid (principal, action == Action::\"read\", resource);\n";
    let reasons =
        until_refused(&federation, &hostile, "policy", async |_| replace(&policy, none)).await;
    let narrowed = ["NOTHING_PERMITTED", "POLICY_CHANGED"];
    assert!(reasons.iter().all(|reason| narrowed.contains(&reason.as_str())), "{reasons:?}");
    replace(&policy, &wide);
    hostile.answers_again(AGENCY, "wide-again", &open).await;

    let reasons = until_refused(&federation, &hostile, "revoked", async |grants| {
        for grant in grants {
            revoke(&federation, grant);
        }
    })
    .await;
    assert_eq!(reasons, ["GRANT_REVOKED"]);
}
