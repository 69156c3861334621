//! Rows 37, 38 and 40 at a whole gateway: its disk fails, is full, or is slow.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tonic::Code;
use tributary::app::client::{ClientError, GatewayClient};
use tributary::domain::audit::Record;
use tributary::store::audit_log::Options;
use tributary::store::disk::Disk;
use tributary::store::walk::walk;

use super::town::{DEADLINE, ITEM, Town, section};
use crate::kit::waiting::{becomes, until, within};

#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    None,
    SyncFails,
    /// Until there is another trouble.
    SyncHangs,
    Full,
    ReadOnly,
}

/// A disk that misbehaves on demand.
#[derive(Debug)]
pub struct BadDisk {
    trouble: Mutex<Trouble>,
    syncs: AtomicU64,
}

impl BadDisk {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { trouble: Mutex::new(Trouble::None), syncs: AtomicU64::new(0) })
    }

    pub fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap()
    }

    pub fn options(self: &Arc<Self>) -> Options {
        Options { disk: self.clone(), ..Options::default() }
    }
}

impl Disk for BadDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        match self.trouble() {
            Trouble::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            _ => File::options().append(true).create_new(true).open(path),
        }
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        match self.trouble() {
            Trouble::Full => Err(io::ErrorKind::StorageFull.into()),
            Trouble::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            _ => io::Write::write_all(file, bytes),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // The publisher's thread has its own, now and then.
        if std::thread::current().name() == Some("audit-writer") {
            self.syncs.fetch_add(1, Ordering::SeqCst);
        }
        match self.trouble() {
            Trouble::SyncFails => return Err(io::Error::other("the disk does not answer")),
            Trouble::SyncHangs => {
                while matches!(self.trouble(), Trouble::SyncHangs) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            _ => {}
        }
        file.sync_data()
    }
}

/// An answer's section, or the refusal's code and reason.
pub async fn ask(town: &Town, client: &mut GatewayClient) -> (Code, String) {
    match client.profile(&town.grant(0), vec![ITEM.into()], DEADLINE).await {
        Ok(answer) => (Code::Ok, section(&answer)),
        Err(ClientError::Refused { reason, status }) => (status.code(), reason),
        Err(error) => panic!("{error}"),
    }
}

pub fn down() -> (Code, String) {
    (Code::Unavailable, "AUDIT_DOWN".to_owned())
}

/// How many questions the agency has recorded.
fn asked(town: &Town) -> usize {
    let mut count = 0;
    walk(&town.agency_log(), None, &mut |step| {
        count += usize::from(matches!(step.record, Some(Record::Section(_))));
    })
    .unwrap();
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn row_37_after_a_failed_sync_the_gateway_discloses_nothing_more_and_stops() {
    let (town, disk) = (Town::new(), BadDisk::new());
    let agency = town.agency().await;
    let gateway = town.gateway_of(disk.options()).await;
    let mut client = town.client(gateway.address).await.unwrap();
    disk.set(Trouble::SyncFails);
    assert_eq!(ask(&town, &mut client).await, down());
    let syncs = disk.syncs.load(Ordering::SeqCst);
    // The disk is well again, as far as it says; nothing is tried on it.
    disk.set(Trouble::None);
    becomes("the end of the gateway", true, async || gateway.has_ended()).await;
    assert!(!gateway.stop().await, "it ended as if nothing had happened");
    assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs);
    assert!(agency.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_while_the_disk_is_full_no_agency_is_asked() {
    let (town, disk) = (Town::new(), BadDisk::new());
    let agency = town.agency().await;
    let gateway = town.gateway_of(disk.options()).await;
    let mut client = town.client(gateway.address).await.unwrap();
    disk.set(Trouble::Full);
    // The one that finds it out.
    assert_eq!(ask(&town, &mut client).await, down());
    let before = asked(&town);
    for _ in 0..20 {
        assert_eq!(ask(&town, &mut client).await, down());
    }
    assert_eq!(asked(&town), before, "an agency was asked");
    disk.set(Trouble::None);
    let again = async || ask(&town, &mut client).await;
    becomes("room", (Code::Ok, "OK".to_owned()), again).await;
    assert!(gateway.stop().await && agency.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_on_a_disk_that_became_read_only_the_gateway_stops() {
    let (town, disk) = (Town::new(), BadDisk::new());
    let agency = town.agency().await;
    let gateway = town.gateway_of(disk.options()).await;
    let mut client = town.client(gateway.address).await.unwrap();
    disk.set(Trouble::ReadOnly);
    assert_eq!(ask(&town, &mut client).await, down());
    becomes("the end of the gateway", true, async || gateway.has_ended()).await;
    assert!(!gateway.stop().await);
    assert!(agency.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_40_while_a_sync_takes_long_what_finds_no_place_is_refused_at_once() {
    const QUEUE: usize = 4;
    let (town, disk) = (Town::new(), BadDisk::new());
    let agency = town.agency().await;
    let gateway = town.gateway_of(Options { queue: Some(QUEUE), ..disk.options() }).await;
    let mut client = town.client(gateway.address).await.unwrap();
    let syncs = disk.syncs.load(Ordering::SeqCst);
    disk.set(Trouble::SyncHangs);
    let asking = || {
        let (mut client, town) = (client.clone(), &town);
        async move { ask(town, &mut client).await }
    };
    let mut asked = FuturesUnordered::from_iter([asking()]);
    let under_way = async || disk.syncs.load(Ordering::SeqCst);
    tokio::select! {
        answer = asked.next() => panic!("without a sync: {answer:?}"),
        _ = until("the sync", under_way, |now| *now > syncs) => {}
    }
    asked.extend((0..40).map(|_| asking()));
    let refusal = (Code::ResourceExhausted, "OVERLOADED".to_owned());
    // Nothing else can be answered before the sync ends.
    while asked.len() > 1 + QUEUE {
        assert_eq!(within(asked.next()).await.as_ref(), Some(&refusal));
    }
    disk.set(Trouble::None);
    let mut answered = 0;
    while let Some(answer) = within(asked.next()).await {
        assert!(answer == refusal || answer == (Code::Ok, "OK".into()), "{answer:?}");
        answered += usize::from(answer != refusal);
    }
    // The log's own record of refusals may have taken one place.
    assert!(answered >= QUEUE, "only {answered} were answered");
    assert_eq!(ask(&town, &mut client).await, (Code::Ok, "OK".into()));
    assert!(gateway.stop().await && agency.stop().await);
}
