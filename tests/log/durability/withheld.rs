//! A grant that is revoked while its record is on the way to a slow disk: nothing is
//! released, and the log says that what it had noted as answered was withheld.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tonic::transport::Channel;
use tributary::config::catalogue;
use tributary::domain::audit::{Decision, Record, SectionRecord};
use tributary::domain::grant::base64;
use tributary::domain::item::ItemSet;
use tributary::domain::peer::Role;
use tributary::domain::section::SectionStatus;
use tributary::store::audit_log::Options;
use tributary::store::disk::Disk;
use tributary::store::walk::walk;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::proto::pb::profile_service_client::ProfileServiceClient;
use tributary::wire::refusal::reason_of;

use super::town::{AGENCY, ITEM, Town};
use crate::kit::waiting::{becomes, until};

/// How long the fault lasts at least.
const SLOW: Duration = Duration::from_secs(2);

/// A disk whose next sync of records takes two seconds, and until it may end.
#[derive(Debug, Default)]
struct SlowDisk {
    armed: AtomicBool,
    syncing: AtomicBool,
    may_end: Mutex<bool>,
    ended: Condvar,
}

impl SlowDisk {
    fn options(self: &Arc<Self>) -> Options {
        Options { disk: self.clone(), ..Options::default() }
    }

    fn let_end(&self) {
        *self.may_end.lock().unwrap() = true;
        self.ended.notify_all();
    }
}

impl Disk for SlowDisk {
    fn sync(&self, file: &File) -> io::Result<()> {
        // Tiles are synced by another thread; it is not meant.
        let writes = std::thread::current().name() == Some("audit-writer");
        if writes && self.armed.swap(false, Ordering::SeqCst) {
            self.syncing.store(true, Ordering::SeqCst);
            std::thread::sleep(SLOW);
            let waiting = self.may_end.lock().unwrap();
            drop(self.ended.wait_while(waiting, |may_end| !*may_end).unwrap());
        }
        file.sync_data()
    }
}

/// The outcome of a question: the answer, or the refusal's reason.
type Outcome<T> = Result<T, String>;

async fn at_gateway(
    channel: Channel,
    grant: String,
    request_id: String,
) -> Outcome<pb::GetProfileResponse> {
    let request = pb::GetProfileRequest {
        request_id,
        items: vec![ITEM.into()],
        grant: Some(pb::GrantPresentation { sd_jwt: grant.into(), ..Default::default() }),
        ..Default::default()
    };
    let answer = ProfileServiceClient::new(channel).get_profile(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| reason_of(&status))
}

/// The agency's own part of a grant: what is signed, and its disclosure.
fn part_of(grant: &str) -> String {
    let (signed, disclosures) = grant.split_once('~').unwrap();
    let is_its = |disclosure: &&str| {
        let text = base64::decode(disclosure).unwrap_or_default();
        serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|parts| parts[1] == AGENCY)
    };
    format!("{signed}~{}~", disclosures.split('~').find(is_its).unwrap())
}

async fn at_agency(
    channel: Channel,
    question: pb::FetchSectionRequest,
) -> Outcome<pb::FetchSectionResponse> {
    let answer = AgencyServiceClient::new(channel).fetch_section(question).await;
    answer.map(tonic::Response::into_inner).map_err(|status| reason_of(&status))
}

/// Asks by `ask` once while the disk is slow, and revokes the grant meanwhile.
async fn revoked_while_syncing<T, F>(
    town: &Town,
    person: usize,
    disk: &SlowDisk,
    ask: impl Fn(String) -> F,
) -> Outcome<T>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
{
    assert!(ask("before".into()).await.is_ok());
    disk.armed.store(true, Ordering::SeqCst);
    let waiting = tokio::spawn(ask("meanwhile".into()));
    becomes("the sync", true, async || disk.syncing.load(Ordering::SeqCst)).await;
    town.revoke(person);
    let mut nth = 0;
    let probe = async || {
        nth += 1;
        // One that comes before the revocation waits for the disk in vain.
        let asked = ask(format!("probe-{nth}"));
        let probed = tokio::time::timeout(Duration::from_millis(300), asked).await;
        probed.map(Result::err)
    };
    let revoked = |probed: &Result<_, _>| *probed == Ok(Some("GRANT_REVOKED".to_owned()));
    let _ = until("the revocation", probe, revoked).await;
    assert!(!waiting.is_finished(), "it was answered before its record was on disk");
    disk.let_end();
    waiting.await.unwrap()
}

/// What a log says of a request, in its order.
fn said(log: &Path, request: &str) -> Vec<Decision> {
    let mut said = Vec::new();
    walk(log, None, &mut |step| {
        if let Some(Record::Section(section)) = step.record {
            let SectionRecord { request: id, decision, .. } = &**section;
            if id.as_str() == request {
                said.push(decision.clone());
            }
        }
    })
    .unwrap();
    said
}

fn is_taken_back(said: &[Decision]) -> bool {
    matches!(
        said,
        [Decision::Section(SectionStatus::Ok), Decision::Withheld(reason)]
            if reason.as_str() == "GRANT_REVOKED"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn row_40_a_grant_revoked_during_the_gateways_slow_sync_releases_nothing() {
    let (town, disk) = (Town::new(), Arc::new(SlowDisk::default()));
    let person = town.people() - 1;
    let agency = town.agency().await;
    let gateway = town.gateway_of(disk.options()).await;
    let (channel, grant) = (town.channel(Role::Gateway, gateway.address).await, town.grant(person));
    let answer = revoked_while_syncing(&town, person, &disk, |request| {
        at_gateway(channel.clone(), grant.clone(), request)
    })
    .await;
    assert_eq!(answer.map(|answer| answer.profile), Err("GRANT_REVOKED".into()));
    assert!(gateway.stop().await && agency.stop().await);
    let (before, meanwhile) =
        (said(&town.gateway_log(), "before"), said(&town.gateway_log(), "meanwhile"));
    assert_eq!(before, [Decision::Section(SectionStatus::Ok)]);
    assert!(is_taken_back(&meanwhile), "{meanwhile:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_40_a_grant_revoked_during_an_agencys_slow_sync_releases_nothing() {
    let (town, disk) = (Town::new(), Arc::new(SlowDisk::default()));
    // Somebody of whom the agency has a record.
    let person = town.people() - 3;
    let agency = town.agency_with(disk.options()).await;
    let catalogue = catalogue::load(&town.home.join("catalogue")).unwrap();
    let items: ItemSet = [catalogue.find(ITEM).unwrap().number].into_iter().collect();
    let question = pb::FetchSectionRequest {
        items: items.to_bytes().into(),
        catalogue_digest: catalogue.digest().0.to_vec().into(),
        consumer: town.asks_as(),
        grant: Some(pb::GrantPresentation {
            sd_jwt: part_of(&town.grant(person)).into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let channel = town.channel(Role::Agency, agency.address).await;
    let answer = revoked_while_syncing(&town, person, &disk, |request| {
        at_agency(
            channel.clone(),
            pb::FetchSectionRequest { request_id: request, ..question.clone() },
        )
    })
    .await;
    assert_eq!(answer.map(|answer| answer.section), Err("GRANT_REVOKED".into()));
    assert!(agency.stop().await);
    let (before, meanwhile) =
        (said(&town.agency_log(), "before"), said(&town.agency_log(), "meanwhile"));
    assert_eq!(before, [Decision::Section(SectionStatus::Ok)]);
    assert!(is_taken_back(&meanwhile), "{meanwhile:?}");
}
