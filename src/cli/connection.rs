//! Where the gateway is, and as whom to ask it: the options that every client
//! command shares.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::app::client::Address;
use crate::app::demo::{ConsumerEntry, Federation};
use crate::domain::peer::SpiffeId;
use crate::files;

#[derive(Debug, Args)]
pub(super) struct ConnectionArgs {
    /// The federation.json of a running demo, instead of the five options below
    #[arg(long, value_name = "FILE")]
    pub(super) federation: Option<PathBuf>,
    /// The gateway's host and port
    #[arg(
        long,
        visible_alias = "endpoint",
        value_name = "HOST:PORT",
        required_unless_present = "federation"
    )]
    gateway: Option<String>,
    /// The identity that the gateway must show
    #[arg(long, value_name = "SPIFFE-ID", required_unless_present = "federation")]
    gateway_id: Option<SpiffeId>,
    /// Own certificate, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "federation")]
    certificate: Option<PathBuf>,
    /// Own private key, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "federation")]
    key: Option<PathBuf>,
    /// The trust anchor of the gateway's domain, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "federation")]
    trust_bundle: Option<PathBuf>,
}

impl ConnectionArgs {
    /// The address; `who` chooses the identities of a federation's file that fit, and
    /// `wanted` one of them, by the end of its id.
    pub(super) fn address(
        &self,
        who: fn(&Federation) -> &[ConsumerEntry],
        wanted: Option<&str>,
    ) -> anyhow::Result<Address> {
        let federation = self.federation.as_deref().map(read_federation).transpose()?;
        let consumer = federation.as_ref().map(|f| pick(who(f), wanted)).transpose()?;
        let given = |option: &Option<PathBuf>, name: &str, known: Option<PathBuf>| {
            option.clone().or(known).with_context(|| format!("--{name} is missing"))
        };
        let known = federation.as_ref();
        let gateway_id = match (&self.gateway_id, known) {
            (Some(id), _) => id.clone(),
            (None, Some(known)) => known.gateway.id.parse()?,
            (None, None) => bail!("--gateway-id is missing"),
        };
        let endpoint = self.gateway.clone().or_else(|| known.map(|f| f.gateway.endpoint.clone()));
        Ok(Address {
            endpoint: endpoint.context("--gateway is missing")?,
            gateway: gateway_id,
            proof_key: consumer.as_ref().and_then(|consumer| consumer.proof_key.clone()),
            certificate: given(
                &self.certificate,
                "certificate",
                consumer.as_ref().map(|c| c.certificate.clone()),
            )?,
            key: given(&self.key, "key", consumer.as_ref().map(|c| c.key.clone()))?,
            trust_bundle: given(
                &self.trust_bundle,
                "trust-bundle",
                known.map(|f| f.trust_bundle.clone()),
            )?,
        })
    }
}

fn pick(known: &[ConsumerEntry], wanted: Option<&str>) -> anyhow::Result<ConsumerEntry> {
    let wanted = wanted.unwrap_or_default();
    let found = known.iter().find(|identity| identity.id.ends_with(wanted));
    found.cloned().with_context(|| {
        let known: Vec<&str> = known.iter().map(|identity| identity.id.as_str()).collect();
        format!("no identity's id ends in `{wanted}`; there are {}", known.join(", "))
    })
}

/// Reads the `federation.json` of a demo.
pub(super) fn read_federation(path: &Path) -> anyhow::Result<Federation> {
    let text = files::read_text(path, files::LARGE)
        .with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no federation.json", path.display()))
}
