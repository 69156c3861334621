//! A reviewers' question takes its place until its work is over.

use super::*;
use crate::domain::audit::{Origin, SigningKey};
use crate::store::audit_log::AuditLog;

#[tokio::test]
async fn a_question_that_timed_out_keeps_its_place_until_its_proof_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let origin: Origin = "gateway.city.example/2026".parse().unwrap();
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let log = AuditLog::open(folder.path(), &origin, key).unwrap();
    let recorder = Arc::new(Recorder::new(log, None));
    let review = Arc::new(Review::new(ReviewPolicy::default(), 10, recorder));

    let room = Arc::clone(&review.room).try_acquire_owned().unwrap();
    let asked = Asked { review: Arc::clone(&review), room: Arc::new(room) };
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (open, gate) = std::sync::mpsc::sync_channel::<()>(1);
    let work = move |_, _| {
        let _ = begun.send(());
        let _ = gate.recv();
        Ok(())
    };
    let asking = tokio::spawn(async move { asked.prove(work).await });
    begins.await.unwrap();
    // Its time is over, and nobody awaits it any more.
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    assert_eq!(review.room.available_permits(), MAX_IN_FLIGHT - 1);
    open.send(()).unwrap();
    // Waits for the place, or for ever.
    let all = u32::try_from(MAX_IN_FLIGHT).unwrap();
    drop(review.room.acquire_many(all).await.unwrap());
}
