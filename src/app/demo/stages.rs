//! What the demo shows: all agencies answer; one is gone and the rest still
//! answer; it is back and so is its section.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::city::DemoError;
use super::consent;
use super::{Audience, Running};
use crate::app::client::{Address, ClientError, GatewayClient};
use crate::clock;
use crate::wire::proto::pb;

/// How long the gateway may take to have a link to every agency.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);

/// How soon a revoked grant must be refused.
const REVOKED_WITHIN: Duration = Duration::from_secs(10);

/// The agency that the demo stops.
const STOPPED: &str = "lending";

/// The name of the stage that shows the whole profile.
pub const FIRST_STAGE: &str = "all agencies";

/// One fetch, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    /// What the stage shows.
    pub name: String,
    /// What became of each section.
    pub sections: Vec<SectionOutcome>,
    /// Items with a value.
    pub item_count: usize,
    /// Items on which agencies differ.
    pub conflict_count: usize,
    /// From the call to the answer, in milliseconds.
    pub elapsed_ms: f64,
    /// The whole answer, for the table.
    #[serde(skip)]
    pub response: pb::GetProfileResponse,
}

/// What came of a grant that was revoked.
#[derive(Debug, Clone, Serialize)]
pub struct Revocation {
    /// The grant's number.
    pub jti: String,
    /// The reason with which the gateway refused it.
    pub reason: String,
    /// From the revocation to the refusal, in milliseconds.
    pub after_ms: f64,
}

/// One section's status.
#[derive(Debug, Clone, Serialize)]
pub struct SectionOutcome {
    /// Whose.
    pub agency: String,
    /// Its status.
    pub status: String,
}

impl Running {
    /// Where and as whom the demo asks.
    pub fn client_address(&self) -> Result<Address, DemoError> {
        let federation = &self.federation;
        let consumer = federation
            .consumers
            .first()
            .ok_or_else(|| DemoError::Inconsistent("the demo has no consumer".into()))?;
        Ok(Address {
            endpoint: federation.gateway.endpoint.clone(),
            gateway: federation
                .gateway
                .id
                .parse()
                .map_err(|error| DemoError::Inconsistent(format!("{error}")))?,
            certificate: consumer.certificate.clone(),
            key: consumer.key.clone(),
            trust_bundle: federation.trust_bundle.clone(),
            proof_key: consumer.proof_key.clone(),
        })
    }

    /// Waits until the gateway has a link to every agency.
    pub(super) async fn wait_until_healthy(&self) -> Result<(), DemoError> {
        let until = clock::now() + HEALTHY_WITHIN;
        let mut client = GatewayClient::connect(&self.client_address()?).await?;
        loop {
            let mut missing = Vec::new();
            for agency in &self.city.agencies {
                if !client.has_link_to(agency).await {
                    missing.push(agency.as_str());
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if clock::now() > until {
                return Err(DemoError::Unhealthy(HEALTHY_WITHIN, missing.join(", ")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs the three stages. `seen` is given each as it is done.
    ///
    /// # Errors
    /// What failed. A missing section is no failure.
    pub async fn stages(
        &mut self,
        bundle: &str,
        audience: &mut dyn Audience,
        mut seen: impl FnMut(&Stage, &mut dyn Audience),
    ) -> Result<Vec<Stage>, DemoError> {
        let mut client = GatewayClient::connect(&self.client_address()?).await?;
        let items = client.bundle(bundle).await?;
        let mut stages = Vec::new();

        audience.say("All seven agencies run. One person's profile, merged from all of them:");
        let stage = self.fetch(&mut client, &items, FIRST_STAGE).await?;
        seen(&stage, audience);
        stages.push(stage);

        audience.say(&format!(
            "The agency `{STOPPED}` is killed. The profile still comes, without its section:"
        ));
        self.processes.kill(STOPPED).await?;
        let stage = self.fetch(&mut client, &items, "one agency stopped").await?;
        seen(&stage, audience);
        stages.push(stage);

        audience.say(&format!(
            "`{STOPPED}` is started again. The gateway finds it by itself, and its section is back:"
        ));
        let config = self.city.agency_config(STOPPED);
        self.processes.start(STOPPED, "agency", &config).await?;
        self.wait_until_healthy().await?;
        let stage = self.fetch(&mut client, &items, "agency restarted").await?;
        seen(&stage, audience);
        stages.push(stage);
        Ok(stages)
    }

    /// The person revokes the grant; the gateway then refuses it.
    ///
    /// # Errors
    /// What failed, or that the grant was still honoured after ten seconds.
    pub async fn revoke(
        &mut self,
        bundle: &str,
        audience: &mut dyn Audience,
    ) -> Result<Revocation, DemoError> {
        audience.say("The person revokes the grant at the consent service:");
        let mut client = GatewayClient::connect(&self.client_address()?).await?;
        let items = client.bundle(bundle).await?;
        let granted = self.grant()?.clone();
        consent::revoke(&self.city, &granted.jti)?;
        let began = clock::now();
        loop {
            let answer = client.profile(&granted.presentation, items.clone(), self.deadline).await;
            let after = clock::now().saturating_duration_since(began);
            match answer {
                Err(ClientError::Refused { reason, .. }) => {
                    let after_ms = (after.as_secs_f64() * 1e3).round();
                    return Ok(Revocation { jti: granted.jti, reason, after_ms });
                }
                Err(error) => return Err(error.into()),
                Ok(_) if after > REVOKED_WITHIN => return Err(DemoError::NotRevoked),
                Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn grant(&self) -> Result<&consent::Granted, DemoError> {
        self.grant.as_ref().ok_or_else(|| DemoError::Inconsistent("no grant was issued".into()))
    }

    pub(super) fn presentation(&self) -> Result<&str, DemoError> {
        Ok(&self.grant()?.presentation)
    }

    async fn fetch(
        &self,
        client: &mut GatewayClient,
        items: &[String],
        name: &str,
    ) -> Result<Stage, DemoError> {
        let began: Instant = clock::now();
        let response =
            client.profile(&self.grant()?.presentation, items.to_vec(), self.deadline).await?;
        let elapsed = clock::now().saturating_duration_since(began);
        let profile = response.profile.as_ref();
        let items = profile.map_or(&[][..], |profile| &profile.items);
        Ok(Stage {
            name: name.to_owned(),
            sections: response.sections.iter().map(outcome).collect(),
            item_count: items.len(),
            conflict_count: items.iter().filter(|item| item.conflict).count(),
            elapsed_ms: (elapsed.as_secs_f64() * 1e6).round() / 1e3,
            response,
        })
    }
}

fn outcome(report: &pb::SectionReport) -> SectionOutcome {
    let status = report.status().as_str_name();
    SectionOutcome {
        agency: report.agency.clone(),
        status: status.strip_prefix("SECTION_STATUS_").unwrap_or(status).to_owned(),
    }
}
