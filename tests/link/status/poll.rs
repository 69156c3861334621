//! The poll: what it takes, what it refuses, and what is in force meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tributary::clock;
use tributary::domain::grant::StatusFault;
use tributary::link::https::PublishLimits;
use tributary::service::status_lists::{StatusPlanError, StatusPoll};

use super::support::*;
use crate::kit::waiting::Reserved;

#[tokio::test]
async fn a_list_is_had_at_once_and_a_revocation_follows() {
    let (pki, signer) = (Pki::new(), Signer::new("consent"));
    let site = Site::start(&pki.issued).await;
    let (uri, now) = (site.uri(), clock::utc());
    site.show(signer.list(&uri, &[], now));
    // No request is needed, and the first fetch does not wait for the schedule.
    let mut seldom = plan(&pki.anchors(), &[(&signer, &uri)]);
    seldom.fetch_every = Duration::from_secs(3600);
    let (poll, _, _stop) = start(seldom);
    let mut fresh = poll.freshness();
    fresh.wait_for(|fresh| *fresh).await.unwrap();
    assert!(poll.is_fresh());
    assert_eq!(poll.lists().check(&status(&uri, 7), now), Ok(()));

    let (poll, _, _stop) = start(plan(&pki.anchors(), &[(&signer, &uri)]));
    eventually("the list is taken", || poll.is_fresh()).await;
    site.show(signer.list(&uri, &[7], now));
    eventually("the revocation is seen", || {
        poll.lists().check(&status(&uri, 7), now) == Err(StatusFault::Revoked)
    })
    .await;
    assert_eq!(poll.lists().check(&status(&uri, 8), now), Ok(()));
    assert_eq!(poll.lists().check(&status(&uri, 64), now), Err(StatusFault::Index));
}

#[tokio::test]
async fn what_is_refused_leaves_the_last_good_list_and_one_warning() {
    let (pki, signer) = (Pki::new(), Signer::new("consent"));
    let site = Site::start(&pki.issued).await;
    let (uri, now) = (site.uri(), clock::utc());
    let logs = Logs::capture();
    let (poll, _, _stop) = start(plan(&pki.anchors(), &[(&signer, &uri)]));
    let good = || signer.list(&uri, &[3], now);
    site.show(good());
    eventually("the list is taken", || poll.is_fresh()).await;

    let oversize = vec![b'a'; 2 * 1024 * 1024];
    let other_uri = uri.replace("/1", "/2");
    for (bad, reason) in [
        (Signer::new("consent").list(&uri, &[], now).into_bytes(), "STATUS_LIST_SIGNATURE"),
        (signer.list(&uri, &[], now - Duration::from_secs(9)).into_bytes(), "STATUS_LIST_OLDER"),
        (signer.list(&other_uri, &[], now).into_bytes(), "STATUS_LIST_SUBJECT"),
        (
            signer.list(&uri, &[], now + Duration::from_secs(3600)).into_bytes(),
            "STATUS_LIST_NOT_YET_VALID",
        ),
        (b"<html>".to_vec(), "STATUS_LIST_TOKEN"),
        (oversize, "HTTPS_TOO_LARGE"),
    ] {
        site.show(bad);
        site.fetched_again(5).await;
        assert_eq!(logs.count(&format!("reason={reason}")), 1, "{reason}");
        let lists = poll.lists();
        assert_eq!(lists.get(&uri).unwrap().issued_at().unix_timestamp(), now.unix_timestamp());
        assert_eq!(lists.check(&status(&uri, 3), now), Err(StatusFault::Revoked));
        assert_eq!(lists.check(&status(&uri, 4), now), Ok(()));
        drop(lists);

        let recoveries = logs.count("fetched again");
        site.show(good());
        eventually("the list is taken again", || logs.count("fetched again") > recoveries).await;
    }
}

#[tokio::test]
async fn another_authority_or_name_is_not_believed() {
    let (pki, signer) = (Pki::new(), Signer::new("consent"));
    let stranger = Pki::new();
    let site = Site::start(&pki.issued).await;
    let uri = site.uri();
    site.show(signer.list(&uri, &[], clock::utc()));
    let logs = Logs::capture();
    let (poll, _, _stop) = start(plan(&stranger.anchors(), &[(&signer, &uri)]));
    eventually("the refusal is logged", || logs.count("HTTPS_TLS_FAILED") > 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(logs.count("HTTPS_TLS_FAILED"), 1);
    assert!(poll.lists().get(&uri).is_none() && !poll.is_fresh());
    assert_eq!(
        poll.lists().check(&status(&uri, 1), clock::utc()),
        Err(StatusFault::Absent),
        "a list that was never had means no"
    );

    let site = Site::start(&pki.issue_for(&["elsewhere.example"])).await;
    let uri = site.uri();
    site.show(signer.list(&uri, &[], clock::utc()));
    let (poll, _, _stop) = start(plan(&pki.anchors(), &[(&signer, &uri)]));
    eventually("the refusal is logged", || logs.count("HTTPS_TLS_FAILED") == 2).await;
    assert!(poll.lists().get(&uri).is_none());
}

#[tokio::test]
async fn a_server_that_is_gone_makes_its_list_stale_until_it_is_back() {
    let (pki, signer) = (Pki::new(), Signer::new("consent"));
    let kept = Reserved::new();
    let mut site = Site::start_at(kept.address(), &pki.issued, PublishLimits::default()).await;
    let (uri, now) = (site.uri(), clock::utc());
    site.show(signer.list(&uri, &[], now));
    let logs = Logs::capture();
    let (poll, time, _stop) = start(plan(&pki.anchors(), &[(&signer, &uri)]));
    let mut fresh = poll.freshness();
    fresh.wait_for(|fresh| *fresh).await.unwrap();

    site.stop().await;
    eventually("the failure is logged", || logs.count("HTTPS_UNREACHABLE") > 0).await;
    // Still within its age.
    assert!(poll.is_fresh());
    let wait = |seconds| now + Duration::from_secs(seconds);
    assert_eq!(poll.lists().check(&status(&uri, 1), wait(59)), Ok(()));
    assert_eq!(poll.lists().check(&status(&uri, 1), wait(61)), Err(StatusFault::Stale));
    // A minute passes.
    let later = wait(61);
    time.pass(61);
    assert!(!poll.is_fresh());
    fresh.wait_for(|fresh| !*fresh).await.unwrap();
    assert_eq!(logs.count("HTTPS_UNREACHABLE"), 1);
    assert_eq!(logs.count("STATUS_LIST_STALE"), 1);

    let site = Site::start_at(site.address, &pki.issued, PublishLimits::default()).await;
    site.show(signer.list(&uri, &[2], later));
    fresh.wait_for(|fresh| *fresh).await.unwrap();
    assert_eq!(poll.lists().check(&status(&uri, 1), later), Ok(()));
    assert_eq!(poll.lists().check(&status(&uri, 2), later), Err(StatusFault::Revoked));
    assert_eq!(logs.count("every status list is fresh"), 2);
}

#[tokio::test]
async fn a_server_that_hangs_delays_no_other() {
    let (pki, consent, court) = (Pki::new(), Signer::new("consent"), Signer::new("court"));
    // Connections are made by the system and never accepted.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = format!("https://localhost:{}/status/9", silent.local_addr().unwrap().port());
    let site = Site::start(&pki.issued).await;
    let (uri, now) = (site.uri(), clock::utc());
    site.show(signer_list(&consent, &uri));
    let logs = Logs::capture();
    let mut plan = plan(&pki.anchors(), &[(&consent, &uri), (&court, &hanging)]);
    plan.limits.total = 2 * LONG;
    let (poll, _, stop) = start(plan.clone());
    site.fetched_again(6).await;
    // Six fetches while the one is still under way.
    assert_eq!(logs.count("HTTPS_TIMED_OUT"), 0);
    assert_eq!(poll.lists().check(&status(&uri, 1), now), Ok(()));
    assert!(!poll.is_fresh());
    drop(stop);
    plan.limits.total = Duration::from_millis(300);
    let (_poll, _, _stop) = start(plan);
    eventually("the hanging fetch is given up", || logs.count("HTTPS_TIMED_OUT") > 0).await;
}

fn signer_list(signer: &Signer, uri: &str) -> String {
    signer.list(uri, &[], clock::utc())
}

#[tokio::test]
async fn a_replaced_plan_drops_what_is_no_longer_pinned() {
    let (pki, consent, court) = (Pki::new(), Signer::new("consent"), Signer::new("court"));
    let (first, second) = (Site::start(&pki.issued).await, Site::start(&pki.issued).await);
    let (one, two) = (first.uri(), second.uri());
    first.show(signer_list(&consent, &one));
    second.show(signer_list(&court, &two));
    let (poll, _, _stop) = start(plan(&pki.anchors(), &[(&consent, &one)]));
    eventually("the first list is taken", || poll.is_fresh()).await;

    let mut seldom = plan(&pki.anchors(), &[(&court, &two)]);
    seldom.fetch_every = Duration::from_secs(3600);
    poll.replace(seldom.clone()).unwrap();
    eventually("the second list is taken at once", || poll.is_fresh()).await;
    assert!(poll.lists().get(&one).is_none());

    seldom.anchors.clear();
    let refused = poll.replace(seldom).unwrap_err();
    assert_eq!(refused, StatusPlanError::Anchors(spiffe("court")));
    assert!(poll.is_fresh(), "the old plan stays");
}

#[tokio::test]
async fn fetching_ends_with_the_process() {
    let (pki, signer) = (Pki::new(), Signer::new("consent"));
    let site = Site::start(&pki.issued).await;
    let uri = site.uri();
    site.show(signer_list(&signer, &uri));
    let (poll, _, stop) = start(plan(&pki.anchors(), &[(&signer, &uri)]));
    eventually("the list is taken", || poll.is_fresh()).await;
    stop.send_replace(true);
    let alone = |poll: &Arc<StatusPoll>| Arc::strong_count(poll) == 1;
    eventually("the task is gone", || alone(&poll)).await;
    // One that was under way may still be counted; then there are no more.
    let fetches = || site.fetches.load(std::sync::atomic::Ordering::SeqCst);
    let quiet = async {
        loop {
            let before = fetches();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if fetches() == before {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, quiet).await.expect("it goes on fetching");
}
