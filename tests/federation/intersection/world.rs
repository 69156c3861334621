//! A gateway and three agencies by chance: their policies, and what the agencies
//! offer. Real processes' parts in this process, each agency behind a recorder.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::wire::proto::pb;

use super::grants::{AGENCIES, CLIENTS};
use super::policies::{self, Rule, Situation};
use super::tap::{Tap, greet};
use crate::kit::federation::{Federation, Served, link};

/// 512 bits by chance, of which a quarter, a half or three quarters are set.
pub fn any_set() -> impl Strategy<Value = ItemSet> {
    (any::<[u64; 8]>(), any::<[u64; 8]>(), 0..3_u8).prop_map(|(a, b, dense)| {
        let bit = |words: &[u64; 8], at: u32| words[at as usize / 64] >> (at % 64) & 1 == 1;
        let numbers = (1..512_u32).filter(|at| match dense {
            0 => bit(&a, *at) && bit(&b, *at),
            1 => bit(&a, *at),
            _ => bit(&a, *at) || bit(&b, *at),
        });
        numbers.map(|number| ItemNumber::new(number).unwrap()).collect()
    })
}

/// What is by chance.
#[derive(Debug, Clone)]
pub struct Plan {
    pub gateway: Vec<Rule>,
    pub agencies: [Vec<Rule>; 3],
    /// Items that each agency leaves out of its mapping.
    pub withheld: [ItemSet; 3],
}

impl Plan {
    /// Everything open and everything offered.
    pub fn open() -> Self {
        let all = || vec![Rule::EVERYTHING];
        Self { gateway: all(), agencies: [all(), all(), all()], withheld: [ItemSet::EMPTY; 3] }
    }

    pub fn any(items: usize) -> impl Strategy<Value = Self> {
        let rules = || policies::any_rules(items);
        let withheld = || (any_set(), any_set()).prop_map(|(a, b)| a.and(&b));
        (rules(), [rules(), rules(), rules()], [withheld(), withheld(), withheld()])
            .prop_map(|(gateway, agencies, withheld)| Self { gateway, agencies, withheld })
    }
}

/// It runs.
pub struct World {
    pub taps: Vec<Tap>,
    /// What each agency offers.
    pub offered: [ItemSet; 3],
    consumers: Vec<Channel>,
    plan: Plan,
    _served: Vec<Served>,
}

impl World {
    pub async fn start(federation: &Federation, plan: Plan) -> Self {
        let mut served = Vec::new();
        let mut taps = Vec::new();
        let mut offered = [ItemSet::EMPTY; 3];
        for (at, id) in AGENCIES.into_iter().enumerate() {
            let rules = written(federation, &plan.agencies[at]);
            let agency = federation
                .agency(id, |document| {
                    document["policy"]["rules"] = toml_edit::value(rules);
                    offered[at] = withhold(federation, document, &plan.withheld[at]);
                })
                .await;
            taps.push(Tap::before(federation, id, agency.address).await);
            served.push(agency);
        }
        let elsewhere: Vec<_> =
            AGENCIES.into_iter().zip(&taps).map(|(id, tap)| (id, tap.address)).collect();
        let rules = written(federation, &plan.gateway);
        let gateway = federation
            .gateway_with(&elsewhere, |document| {
                document["policy"]["rules"] = toml_edit::value(rules);
                // Policies are evaluated while requests come, on a busy machine.
                document["limits"]["max_deadline"] = toml_edit::value("60s");
            })
            .await;
        let mut consumers = Vec::new();
        for id in CLIENTS {
            let own = federation.described.consumers.iter().find(|known| known.id == id).unwrap();
            let channel =
                federation.connect(gateway.address, &own.certificate, &own.key).await.unwrap();
            greet(&channel).await;
            consumers.push(channel);
        }
        for id in AGENCIES {
            link(&consumers[0], id, ServingStatus::Serving).await;
        }
        served.push(gateway);
        Self { taps, offered, consumers, plan, _served: served }
    }

    pub fn consumer(&self, at: usize) -> &Channel {
        &self.consumers[at]
    }

    /// What the gateway's policy opens.
    pub fn gateway_opens(&self, federation: &Federation, now: Situation) -> ItemSet {
        policies::opens(&federation.catalogue, &self.plan.gateway, now)
    }

    /// What the agency's policy opens.
    pub fn agency_opens(&self, federation: &Federation, now: Situation) -> ItemSet {
        policies::opens(&federation.catalogue, &self.plan.agencies[now.agency], now)
    }
}

/// Writes rules into a file of their own; gives its path.
fn written(federation: &Federation, rules: &[Rule]) -> String {
    let text = policies::text(&federation.catalogue, rules);
    let folder = federation.home.join("policies");
    let nth = std::fs::read_dir(&folder).unwrap().count();
    let file = folder.join(format!("by-chance-{nth}.cedar"));
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Takes items out of a mapping; gives those that are left.
fn withhold(
    federation: &Federation,
    document: &mut toml_edit::DocumentMut,
    withheld: &ItemSet,
) -> ItemSet {
    let mut left = ItemSet::EMPTY;
    let queries = document["query"].as_array_of_tables_mut().unwrap();
    for query in queries.iter_mut() {
        let items = query["items"].as_table_like_mut().unwrap();
        let known: BTreeMap<String, ItemNumber> = items
            .iter()
            .map(|(id, _)| (id.to_owned(), federation.catalogue.find(id).unwrap().number))
            .collect();
        for (id, number) in known {
            if withheld.contains(number) {
                items.remove(&id);
            } else {
                left.insert(number);
            }
        }
    }
    queries.retain(|query| !query["items"].as_table_like().unwrap().is_empty());
    left
}

/// The items of a profile that came with a value.
pub fn held(answer: &pb::GetProfileResponse) -> ItemSet {
    let items = answer.profile.iter().flat_map(|profile| &profile.items);
    // Where another source of the same item gave no answer, what came stands beside
    // the gap.
    let gaps = answer.profile.iter().flat_map(|profile| &profile.gaps);
    let beside = gaps.filter(|gap| !gap.alternatives.is_empty()).map(|gap| gap.number);
    let numbers = items.map(|item| item.number).chain(beside);
    numbers.map(|number| ItemNumber::new(number).unwrap()).collect()
}
