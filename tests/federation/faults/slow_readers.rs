//! Row 47: a thousand callers that ask and do not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use prost::Message;
use tokio::io::AsyncWriteExt;

use super::answers::ITEMS;
use super::raw;
use crate::kit::federation::{DEADLINE, Federation};
use crate::kit::frames::{
    self, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, WINDOW_UPDATE, frame, headers, window,
};
use crate::kit::process::Process;
use crate::kit::rude::{rude, rude_connect};
use crate::kit::waiting::within;

/// Identities, each with so many connections: a consumer may have 32.
const IDENTITIES: usize = 40;
const EACH: usize = 25;

/// What gets in of them at least: the last eighth of all places is for domains that have
/// few.
const LEAST_IN: usize = 850;

/// As the matrix says.
const MOST_KIB: u64 = 256 * 1024;

/// A whole call.
fn call(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let open = frame(HEADERS, END_HEADERS, stream, &headers(path, &[]));
    [open, frame(DATA, END_STREAM, stream, &raw::frame(0, message))].concat()
}

/// What each of them says: it takes so many bytes of an answer unasked, wants the
/// whole catalogue and a profile, and leaves a third request unfinished.
fn asks(takes: u32, profile: &[u8]) -> Vec<u8> {
    const PROFILE: &str = "/tributary.v1.ProfileService/GetProfile";
    let mut bytes = [PREFACE, &window(takes)].concat();
    bytes.extend(call(1, "/tributary.v1.CatalogueService/ListItems", &[]));
    bytes.extend(call(3, PROFILE, profile));
    bytes.extend(frame(HEADERS, END_HEADERS, 5, &headers(PROFILE, &[])));
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn row_47_a_thousand_slow_readers_take_little_memory() {
    let federation = Federation::start();
    let config = federation.copy_of(&federation.described.gateway.config, |document| {
        // Nothing is over before it is measured.
        document["limits"]["max_deadline"] = toml_edit::value("1h");
    });
    let gateway = Process::with_descriptors(4_096, "gateway", &config);
    let honest = federation.consumer(gateway.address()).await;
    federation.informed(&honest, &ITEMS).await;
    let before = gateway.peak();

    let profile = federation.request("", 0, &ITEMS).encode_to_vec();
    let configs = raw::consumers(&federation, "slow", IDENTITIES)
        .into_iter()
        .map(|pair| rude(Some(&pair), &["h2"]));
    let connections = configs.flat_map(|config| std::iter::repeat_n(config, EACH)).enumerate();
    let ends = Arc::new(AtomicUsize::new(0));
    let address = gateway.address();
    let readers = stream::iter(connections)
        .map(|(nth, config)| {
            // Every other one takes a byte at a time.
            let takes = u32::try_from(nth % 2).unwrap();
            let asks = asks(takes, &profile);
            let ends = ends.clone();
            let asking = async move {
                let stream = rude_connect(address, config).await?;
                let (mut read, mut write) = tokio::io::split(stream);
                write.write_all(&asks).await?;
                write.flush().await?;
                // Both answers have begun, or are refused: until then the handshake may
                // be under way, and of those only so many may be.
                for _ in 0..2 {
                    while frames::next(&mut read).await?.0 != HEADERS {}
                }
                tokio::spawn(async move {
                    while frames::next(&mut read).await.is_ok() {}
                    ends.fetch_add(1, Ordering::Relaxed);
                });
                std::io::Result::Ok((takes, write))
            };
            // Two trust domains get no more than their places.
            async { asking.await.ok() }
        })
        .buffer_unordered(16)
        .filter_map(std::future::ready)
        .collect::<Vec<_>>();
    let mut readers = within(readers).await;
    assert!(readers.len() >= LEAST_IN, "{} of 1,000 got in", readers.len());
    for _ in 0..3 {
        for (takes, write) in &mut readers {
            if *takes > 0 {
                let more = frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
                write.write_all(&more).await.unwrap();
                write.flush().await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    federation.ask(&honest, "", 0, &ITEMS, DEADLINE).await.unwrap();
    assert_eq!(ends.load(Ordering::Relaxed), 0, "connections were closed");
    let peak = gateway.peak();
    assert!(peak <= MOST_KIB, "{peak} KiB at most, and {before} KiB before the slow readers");
}
