//! From the `[grants]` section to status lists that are kept up to date.

use std::sync::Arc;

use tokio::sync::watch;

use super::StartError;
use crate::config::grants::Grants;
use crate::domain::grant::HighWater;
use crate::link::https::Anchors;
use crate::service::status_lists::{StatusPlan, StatusPoll, fetch_limits};

/// Reads the anchors and starts to fetch, for gateway and agency alike.
///
/// # Errors
/// [`StartError::Anchors`] and [`StartError::Statuses`].
pub fn start(
    grants: &Grants,
    time: Arc<HighWater>,
    stop: &watch::Receiver<bool>,
) -> Result<Arc<StatusPoll>, StartError> {
    Ok(StatusPoll::start(plan(grants)?, time, stop)?)
}

/// The plan for [`StatusPoll::replace`] after a reload.
///
/// # Errors
/// [`StartError::Anchors`].
pub fn plan(grants: &Grants) -> Result<StatusPlan, StartError> {
    let anchors = grants
        .status_anchors
        .iter()
        .map(|(issuer, file)| Ok((issuer.clone(), Anchors::load(file)?)))
        .collect::<Result<_, StartError>>()?;
    Ok(StatusPlan {
        pins: grants.pins.clone(),
        anchors,
        max_age: grants.max_age,
        fetch_every: grants.fetch_every,
        limits: fetch_limits(),
    })
}
