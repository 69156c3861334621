//! Row 18: an answer that its caller does not read.

use std::collections::BTreeMap;

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::raw;
use crate::kit::federation::{Federation, within};
use crate::kit::frames::{
    self, CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, WINDOW_UPDATE,
    frame, headers, window,
};
use crate::kit::rude::{rude, rude_connect};

const ITEMS: &str = "/tributary.v1.CatalogueService/ListItems";

/// What came on each stream: how often headers, how many bytes, and its reset.
type Seen = BTreeMap<u32, (usize, usize, Option<u32>)>;

fn call(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let open = frame(HEADERS, END_HEADERS, stream, &headers(path, more));
    [open, frame(DATA, END_STREAM, stream, &raw::frame(0, &[]))].concat()
}

/// With no window at all nothing of an answer may go out, with a small one it may
/// begin: it waits in another place.
#[tokio::test(flavor = "multi_thread")]
async fn row_18_an_answer_that_nobody_reads_is_let_go_after_its_deadline() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    for takes in [0, 1_000] {
        let config = rude(Some(&raw::consumer(&federation)), &["h2"]);
        let stream = rude_connect(gateway.address, config).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        let (tell, mut seen) = watch::channel(Seen::new());
        tokio::spawn(async move {
            while let Ok((kind, stream, payload)) = frames::next(&mut read).await {
                tell.send_modify(|seen| {
                    let (headers, bytes, reset) = seen.entry(stream).or_default();
                    match kind {
                        HEADERS => *headers += 1,
                        DATA => *bytes += payload.len(),
                        RST_STREAM => {
                            *reset = Some(u32::from_be_bytes(payload[..4].try_into().unwrap()));
                        }
                        _ => {}
                    }
                });
            }
        });
        let short = [("grpc-timeout", "100m")];
        let asked = [
            PREFACE.to_vec(),
            window(takes),
            call(1, ITEMS, &short),
            // The same in its time, and a stream of answers, which has no such end.
            call(3, ITEMS, &[("grpc-timeout", "1H")]),
            call(5, "/grpc.health.v1.Health/Watch", &short),
        ];
        write.write_all(&asked.concat()).await.unwrap();
        write.flush().await.unwrap();
        let reset = |seen: &Seen| seen.get(&1).is_some_and(|(.., reset)| reset.is_some());
        let then = within(seen.wait_for(reset)).await.unwrap().clone();
        let (answered, bytes) = (1, usize::try_from(takes).unwrap());
        assert_eq!(then[&1], (answered, bytes, Some(CANCEL)), "{then:?}");
        assert_eq!(then[&3], (answered, bytes, None), "{then:?}");
        assert!(then[&5].0 == 1 && then[&5].2.is_none(), "{then:?}");
        // The connection goes on: what is read then comes whole.
        let more = frame(WINDOW_UPDATE, 0, 3, &1_000_000_u32.to_be_bytes());
        let all = frame(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes());
        write.write_all(&[more, all].concat()).await.unwrap();
        write.flush().await.unwrap();
        let whole = |seen: &Seen| seen[&3].0 == 2;
        let then = within(seen.wait_for(whole)).await.unwrap().clone();
        assert!(then[&3].1 > 65_536, "{then:?}");
        assert_eq!(then[&1], (answered, bytes, Some(CANCEL)), "{then:?}");
    }
}
