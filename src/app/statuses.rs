//! From the `[grants]` section to status lists that are kept up to date.

use std::collections::BTreeMap;

use super::StartError;
use crate::config::grants::Grants;
use crate::domain::peer::SpiffeId;
use crate::link::https::ServerAnchors;
use crate::service::status_lists::{StatusPlan, fetch_limits};

/// Reads the anchors, for gateway and agency alike.
///
/// # Errors
/// [`StartError::Anchors`].
pub fn plan(grants: &Grants) -> Result<StatusPlan, StartError> {
    let anchors = grants
        .status_anchors
        .iter()
        .map(|(issuer, file)| Ok((issuer.clone(), ServerAnchors::load(file)?)))
        .collect::<Result<_, StartError>>()?;
    Ok(plan_with(grants, anchors))
}

/// The same, with anchors that were read.
pub(super) fn plan_with(grants: &Grants, anchors: BTreeMap<SpiffeId, ServerAnchors>) -> StatusPlan {
    StatusPlan {
        pins: grants.pins.clone(),
        anchors,
        max_age: grants.max_age,
        fetch_every: grants.fetch_every,
        limits: fetch_limits(),
    }
}
