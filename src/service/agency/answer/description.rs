//! What an agency states about itself: what it owns and offers, its limits, and what of the
//! protocol it knows. A gateway takes none of it for proven.

use bytes::Bytes;

use crate::config::agency::AgencyLimitsConfig;
use crate::wire::proto::pb;

use super::Agency;

impl Agency {
    /// What it states about itself, to who keeps to these limits.
    pub fn describe(&self, limits: &AgencyLimitsConfig) -> pb::DescribeResponse {
        let rules = self.rules();
        let catalogue = rules.catalogue();
        let owned = catalogue.owned_by(&self.parts.id);
        pb::DescribeResponse {
            agency: self.parts.id.to_string(),
            catalogue_digest: Bytes::copy_from_slice(&catalogue.digest().0),
            owned: owned.to_bytes().into(),
            owned_digests: catalogue.digests_of(&owned).into(),
            items: rules.mapped.items().iter().map(|item| u32::from(item.get())).collect(),
            freshness: prost_types::Duration::try_from(limits.freshness).ok(),
            limits: Some(pb::AgencyLimits {
                max_in_flight: limits.max_in_flight,
                max_request_bytes: crate::wire::MAX_MESSAGE_BYTES.try_into().unwrap_or(u32::MAX),
                max_stream_age: prost_types::Duration::try_from(limits.max_stream_age).ok(),
                statement_limit: self
                    .parts
                    .statement_limit
                    .and_then(|limit| prost_types::Duration::try_from(limit).ok()),
            }),
            features: vec![
                pb::ProtocolFeature::Exchange.into(),
                pb::ProtocolFeature::Witness.into(),
                pb::ProtocolFeature::GrantDigest.into(),
                pb::ProtocolFeature::Liveness.into(),
                pb::ProtocolFeature::ItemDigests.into(),
            ],
            counters_domain: self.parts.counters_domain.clone(),
            log_origin: self.parts.witnesses.origin().to_string(),
            instance: self.instance.clone(),
        }
    }
}
