//! Checks of what an agency says about itself.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Bench, bounded, word};
use crate::app::conformance::{Verdict, ensure, failed, skipped};
use crate::domain::item::{ItemNumber, ItemSet};
use crate::wire::proto::pb;

pub(super) async fn names(bench: &Bench) -> Verdict {
    let mut client = bench.client().await?;
    match bounded(bench, client.describe(pb::DescribeRequest {})).await {
        Ok(described) => {
            let named = described.into_inner().agency;
            let wanted = &bench.plan.agency;
            let named = named.escape_default();
            ensure(
                named.to_string() == wanted.as_str(),
                format!("it names `{named}`, not `{wanted}`"),
            )
        }
        Err(status) => failed(format!("Describe ends with {}", word(&status))),
    }
}

pub(super) async fn digest(bench: &Bench) -> Verdict {
    let same = *bench.described().await?.catalogue_digest == bench.catalogue.digest().0;
    ensure(same, "it answers by another catalogue than the plan's")
}

pub(super) async fn items(bench: &Bench) -> Verdict {
    let offered = &bench.described().await?.items;
    ensure(!offered.is_empty(), "no item is offered")?;
    ensure(offered.is_sorted_by(|one, next| one < next), "the numbers do not rise")?;
    let numbers: Option<ItemSet> = offered.iter().map(|number| ItemNumber::new(*number)).collect();
    let Some(numbers) = numbers else { return failed("a number is beyond the catalogue's") };
    let owned = bench.catalogue.owned_by(&bench.plan.agency);
    ensure(numbers.is_subset(&owned), "an item is offered that the agency does not own")?;
    ensure(bench.items.is_subset(&numbers), "an item of the plan is not offered")
}

pub(super) async fn definitions(bench: &Bench) -> Verdict {
    let described = bench.described().await?;
    if !described.features().any(|is| is == pb::ProtocolFeature::ItemDigests) {
        return skipped("it takes no questions by another catalogue");
    }
    let owned = bench.catalogue.owned_by(&bench.plan.agency);
    let stated = ItemSet::from_bytes(&described.owned);
    ensure(stated == Some(owned), "`owned` is not what the agency owns in the catalogue")?;
    let same = *described.owned_digests == *bench.catalogue.digests_of(&owned);
    ensure(same, "`owned_digests` are not those of the catalogue's definitions")
}

pub(super) async fn limits(bench: &Bench) -> Verdict {
    let Some(limits) = &bench.described().await?.limits else {
        return skipped("no limits are announced");
    };
    ensure(limits.max_in_flight > 0, "`max_in_flight` is 0")?;
    ensure(limits.max_request_bytes >= 64 * 1024, "`max_request_bytes` holds no whole grant")
}

pub(super) async fn freshness(bench: &Bench) -> Verdict {
    match &bench.described().await?.freshness {
        Some(age) => ensure(age.seconds >= 0 && age.nanos >= 0, "it is below zero"),
        None => skipped("it is not announced"),
    }
}

pub(super) async fn features(bench: &Bench) -> Verdict {
    for feature in &bench.described().await?.features {
        let known = pb::ProtocolFeature::try_from(*feature);
        let known = known.is_ok_and(|known| known != pb::ProtocolFeature::Unspecified);
        ensure(known, format!("feature {feature} is not in the protocol"))?;
    }
    Ok(())
}

pub(super) async fn health(bench: &Bench) -> Verdict {
    let mut client = HealthClient::new(bench.channel().await?);
    let service = "tributary.v1.AgencyService".to_owned();
    match bounded(bench, client.check(HealthCheckRequest { service })).await {
        Ok(answer) => ensure(
            answer.into_inner().status() == ServingStatus::Serving,
            "the service is not said to be serving",
        ),
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            skipped("there is no health service")
        }
        Err(status) => failed(format!("it ends with {}", word(&status))),
    }
}
