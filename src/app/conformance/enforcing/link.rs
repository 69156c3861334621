//! Checks of the link: who is there, and who else gets through.

use tonic::transport::Endpoint;

use super::{Bench, bounded};
use crate::app::conformance::{Verdict, failed, skipped};
use crate::clock;
use crate::domain::peer::Role;
use crate::link::connect::Connector;
use crate::link::identity::OwnIdentity;
use crate::link::limits::ConnectLimits;
use crate::link::pki::{Authority, CertificateRequest, Validity};
use crate::link::tls::LinkTls;
use crate::link::trust::{Trust, TrustStore};
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;

pub(super) async fn identity(bench: &Bench) -> Verdict {
    let channel = bench
        .channel
        .get_or_init(async || bench.connector.channel().await.map_err(|error| error.to_string()));
    match channel.await {
        Ok(_) => Ok(()),
        Err(why) => failed(why.clone()),
    }
}

/// Asks over a link with this identity; gives whether anything was answered. A
/// good question, so that nothing but the identity can be at fault.
async fn answered_to(bench: &Bench, tls: LinkTls) -> Verdict<bool> {
    let connector =
        Connector::new(&bench.endpoint, bench.plan.identity.clone(), tls, ConnectLimits::default());
    let Ok(connector) = connector else { return skipped("the endpoint is none") };
    let Ok(channel) = connector.channel().await else { return Ok(false) };
    let mut client = AgencyServiceClient::new(channel);
    let question = bench.question(&bench.grant()?, &bench.items);
    Ok(bounded(bench, client.fetch_section(question)).await.is_ok())
}

pub(super) async fn stranger(bench: &Bench) -> Verdict {
    bench.channel().await?;
    // The gateway's own name, vouched for by an authority that nobody pinned.
    let Ok(folder) = tempfile::tempdir() else { return skipped("there is no temporary folder") };
    let now = clock::utc();
    let domain = bench.gateway.trust_domain();
    let issued = Validity::days(now, 1).and_then(|validity| {
        let authority = Authority::create(folder.path(), domain, now)?;
        authority.issue(&CertificateRequest::local(Role::Gateway, bench.gateway.name(), validity))
    });
    let Ok(issued) = issued else { return skipped("no certificate can be made") };
    let identity = OwnIdentity::load(&issued.certificate, &issued.key, now);
    let (Ok(identity), Ok(trust)) = (identity, TrustStore::load(&bench.plan.link.trust)) else {
        return skipped("no certificate can be made");
    };
    match answered_to(bench, LinkTls::new(identity, Trust::new(trust))).await? {
        true => failed("a certificate of an unknown authority is answered"),
        false => Ok(()),
    }
}

pub(super) async fn other_role(bench: &Bench) -> Verdict {
    bench.channel().await?;
    let Some(pair) = &bench.plan.other_role else {
        return skipped("the plan has no [enforcing.other_role]");
    };
    let identity = OwnIdentity::load(&pair.certificate, &pair.key, clock::utc());
    let (Ok(identity), Ok(trust)) = (identity, TrustStore::load(&bench.plan.link.trust)) else {
        return failed("the certificate of [enforcing.other_role] cannot be used");
    };
    match answered_to(bench, LinkTls::new(identity, Trust::new(trust))).await? {
        true => failed("an identity that is no gateway's is answered"),
        false => Ok(()),
    }
}

pub(super) async fn plain(bench: &Bench) -> Verdict {
    bench.channel().await?;
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{}", bench.endpoint)) else {
        return skipped("the endpoint is none");
    };
    let endpoint = endpoint.connect_timeout(bench.plan.deadline);
    let asking = async {
        let channel = endpoint.connect().await.ok()?;
        AgencyServiceClient::new(channel).describe(pb::DescribeRequest {}).await.ok()
    };
    match tokio::time::timeout(bench.plan.deadline, asking).await {
        Ok(Some(_)) => failed("Describe is answered without TLS"),
        Ok(None) | Err(_) => Ok(()),
    }
}
