//! A request that is refused because the audit log's queue is full has no record of its
//! own. It is counted like every other refusal, and the count is not lost either.

use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use tributary::domain::audit::Record;
use tributary::domain::peer::SpiffeId;
use tributary::domain::reason::Reason;
use tributary::service::audit::recorder::Recorder;
use tributary::store::audit_log::Options;
use tributary::store::walk::walk;

use crate::kit::waiting::becomes;

use super::support::{BadDisk, Trouble, open, options, record, verifying_key};

const QUEUE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_queue_refuses_or_abandons_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::new(Trouble::None);
    let log =
        open(dir.path(), Options { queue: Some(QUEUE), disk: disk.clone(), ..options() }).unwrap();
    let recorder = Recorder::new(log, None);
    let peer: SpiffeId = "spiffe://gateway.city.example/gateway/main".parse().unwrap();

    let syncs = disk.syncs.load(Ordering::SeqCst);
    disk.set(Trouble::SyncHangs);
    // The writer takes the first and waits for the disk; then the queue fills, and stays so.
    let mut first = Box::pin(recorder.begin(&peer, Vec::new).record(Ok(vec![record(0)])));
    assert!(first.as_mut().now_or_never().is_none(), "written while the disk hangs");
    let begun = async || disk.syncs.load(Ordering::SeqCst) > syncs;
    becomes("a sync that hangs", true, begun).await;
    let mut waiting = vec![first];
    let refused = loop {
        let number = waiting.len() as u64;
        assert!(number < 10_000, "the queue never fills");
        let mut written =
            Box::pin(recorder.begin(&peer, Vec::new).record(Ok(vec![record(number)])));
        match written.as_mut().now_or_never() {
            None => waiting.push(written),
            Some(Err(refusal)) => break refusal,
            Some(Ok(_)) => panic!("written while the disk hangs"),
        }
    };
    assert_eq!(refused.reason, Reason::Overloaded);
    // Nor is it forgotten that a caller hung up.
    drop(recorder.begin(&peer, || vec![record(1)]));

    disk.set(Trouble::None);
    for written in waiting {
        written.await.unwrap();
    }
    recorder.flush().await;
    drop(recorder);
    let mut counted = Vec::new();
    let walked = walk(dir.path(), Some(&verifying_key()), &mut |step| {
        if let Some(Record::Refusals(refusals)) = step.record {
            assert_eq!(refusals.peer, peer);
            counted.push((refusals.reason.to_string(), refusals.count));
        }
    });
    assert!(walked.unwrap().faults.is_empty());
    counted.sort_unstable();
    assert_eq!(counted, [("ABANDONED".to_owned(), 1), ("OVERLOADED".to_owned(), 1)]);
}
