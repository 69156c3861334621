//! `tributary agency new`: makes a new agency's folder.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::app::agency_new::{self, NewAgency};
use crate::cli::output::say;
use crate::clock;
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::KeyId;
use crate::domain::peer::TrustDomain;

/// Makes a folder with all that a new agency needs but its records: keys, its file, a policy
/// that opens nothing, and in `hand-over` the files that the gateway's and the issuer's
/// operators put into place. Whom it believes is copied from the file of another agency of
/// the federation. The certificate is of an authority of its own, for development:
/// production has one of its own.
///
/// Example: tributary agency new --id parks --domain parks.city.example
///            --endpoint parks.example:7101 --like city/agencies/lending.toml --dir parks
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct NewArgs {
    /// Its name in the catalogue
    #[arg(long)]
    id: String,
    /// Its own trust domain, such as parks.city.example
    #[arg(long)]
    domain: TrustDomain,
    /// HOST:PORT at which the gateway reaches it
    #[arg(long, value_name = "ADDRESS")]
    endpoint: String,
    /// Where it listens; without it every address of the machine, at the endpoint's port
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The file of another agency of the federation, and what that names
    #[arg(long, value_name = "FILE")]
    like: PathBuf,
    /// The folder to make, which must not be there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The name of its sealing key, such as 2026-1; without it this year's first
    #[arg(long)]
    kid: Option<String>,
    /// Days until the certificate expires
    #[arg(long, default_value_t = 30)]
    days: i64,
}

pub(super) fn run(args: NewArgs) -> anyhow::Result<ExitCode> {
    let now = clock::utc();
    let id = AgencyId::try_from(args.id).map_err(|error| anyhow::anyhow!("--id: {error}"))?;
    let port = args.endpoint.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let Some(Ok(port)) = port.map(|(_, port)| port.parse::<u16>()) else {
        bail!("--endpoint: `{}` is no HOST:PORT", args.endpoint.escape_default());
    };
    let kid = args.kid.unwrap_or_else(|| format!("{}-1", now.year()));
    let wanted = NewAgency {
        id,
        domain: args.domain,
        endpoint: args.endpoint,
        listen: args.listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], port))),
        like: args.like,
        folder: args.dir,
        kid: KeyId::try_from(kid).map_err(anyhow::Error::msg).context("--kid")?,
        days: args.days,
    };
    agency_new::make(&wanted, now)?;
    let (folder, id) = (wanted.folder.display(), &wanted.id);
    say!(
        "made {folder}. Next:\n\
         1. read {folder}/{id}.toml: whom it names, this house believes from now on\n\
         2. tributary agency init --from … --id {id} --catalogue {folder}/catalogue: append its \
         [source.…] and [[query]] to {folder}/{id}.toml\n\
         3. write rules into {folder}/policy/rules.cedar; they open nothing yet\n\
         4. tributary agency check --whole -c {folder}/{id}.toml\n\
         5. hand over {folder}/hand-over/gateway and {folder}/hand-over/issuer, out of band\n\
         6. tributary agency -c {folder}/{id}.toml"
    )?;
    Ok(ExitCode::SUCCESS)
}
