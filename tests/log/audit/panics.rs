//! Row 26: a handler that panics. Its caller gets INTERNAL, and the log a record.

use tonic::Code;
use tributary::domain::audit::Record;
use tributary::domain::peer::SpiffeId;
use tributary::domain::reason::Reason;
use tributary::service::audit::recorder::Recorder;
use tributary::store::walk::walk;
use tributary::wire::refusal::Refusal;

use super::support::{open, options, verifying_key};

#[tokio::test]
async fn row_26_a_panicking_handler_is_answered_internal_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), options()).unwrap();
    let recorder = Recorder::new(log, None);
    let peer: SpiffeId = "spiffe://gateway.city.example/gateway/main".parse().unwrap();
    for nth in 0..3 {
        let work = async {
            tokio::task::yield_now().await;
            if nth >= 0 {
                panic!("a number: 4711");
            }
            Ok(nth)
        };
        let refusal: Refusal = recorder.guarded(&peer, work).await.unwrap_err();
        assert_eq!((refusal.code(), refusal.reason), (Code::Internal, Reason::Panic));
        assert!(!format!("{refusal:?}").contains("4711"), "the panic's text got out");
    }
    // What is answered is no refusal.
    assert_eq!(recorder.guarded(&peer, async { Ok(7) }).await, Ok(7));
    recorder.flush().await;
    drop(recorder);

    let mut counted = Vec::new();
    let walked = walk(dir.path(), Some(&verifying_key()), &mut |step| {
        if let Some(Record::Refusals(refusals)) = step.record {
            counted.push((
                refusals.peer.clone(),
                refusals.reason.as_str().to_owned(),
                refusals.count,
            ));
        }
    });
    assert!(walked.unwrap().faults.is_empty());
    assert_eq!(counted, [(peer, "PANIC".to_owned(), 3)]);
}
