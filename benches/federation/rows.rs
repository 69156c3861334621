//! The rows of the benchmark, each with its connections made.

use std::sync::Arc;

use crate::Args;
use crate::city::City;
use crate::direct::{Agencies, Direct};
use crate::peers::Peers;
use crate::row::{Row, Way};
use crate::stream::Streams;
use crate::unary::Unary;

/// Every row that was asked for and can be had.
pub async fn all(city: &City, peers: &Peers, args: &Args) -> anyhow::Result<Vec<Arc<Row>>> {
    let wanted = |name: &str| {
        args.only.is_empty() || args.only.iter().any(|only| only.replace('-', " ") == name)
    };
    let connections = args.connections;
    let real: Vec<u32> = city.agencies.iter().map(|asked| asked.pid).collect();
    let gateway = vec![city.federation.gateway.pid];
    let mut rows = Vec::new();
    let mut add = |name, way, fresh, gateway: &[u32], agencies: &[u32]| {
        let (gateway, agencies) = (gateway.to_vec(), agencies.to_vec());
        let (way, partial) = (Arc::new(way), false);
        rows.push(Arc::new(Row { name, way, fresh, partial, gateway, agencies }));
    };
    let endpoints: Vec<String> = city.agencies.iter().map(|a| a.endpoint.clone()).collect();
    for (name, fresh) in [("direct", false), ("direct fresh", true)] {
        if wanted(name) {
            let direct = Direct::connect(city, &endpoints, Agencies::Checking, connections).await?;
            add(name, Way::Direct(direct), fresh, &[], &real);
        }
    }
    if wanted("bare") {
        let endpoints = peers.endpoints();
        let direct = Direct::connect(city, &endpoints, Agencies::Bare, connections).await?;
        add("bare", Way::Direct(direct), false, &[], &peers.agencies());
    }
    if wanted("naive") {
        let naive = Unary::whole(city, &peers.naive.address.to_string(), connections).await?;
        add("naive", Way::Naive(naive), false, &[peers.naive.pid], &peers.agencies());
    }
    if wanted("relay") {
        let relay = Unary::whole(city, &peers.relay.address.to_string(), connections).await?;
        add("relay", Way::Naive(relay), false, &[peers.relay.pid], &peers.agencies());
    }
    if let (true, Ok(envoy)) = (wanted("envoy"), &peers.envoy) {
        let direct = Direct::through(city, &envoy.address.to_string(), connections).await?;
        add("envoy", Way::Direct(direct), false, &[envoy.pid], &peers.agencies());
    }
    let endpoint = &city.federation.gateway.endpoint;
    for (name, fresh) in [("unary", false), ("unary fresh", true)] {
        if wanted(name) {
            let unary = Unary::connect(city, endpoint, connections).await?;
            add(name, Way::Unary(unary), fresh, &gateway, &real);
        }
    }
    if wanted("stream") {
        let streams = Streams::open(city, endpoint, args.streams, connections).await?;
        add("stream", Way::Streams(streams), false, &gateway, &real);
    }
    Ok(rows)
}
