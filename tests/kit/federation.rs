//! A federation in a line or two: a served demo of the real binary, and beside it
//! gateways and agencies in this process, whose configurations a test may change.
//! All people are synthetic.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use toml_edit::DocumentMut;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tributary::app::{StartError, agency, gateway};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::profile_service_client::ProfileServiceClient;
use tributary::wire::refusal::reason_of;

use super::demo::City;
pub use super::waiting::{until, within};

/// The deadline of an ordinary request. The gateway's own cap, a minute unless the
/// test states another, is what ends its waiting; a caller that gives up no sooner
/// sees what it says then, however busy the machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The cap where somebody never answers: as long as a test can wait, and long
/// enough for everybody else on a busy machine.
pub const CUT: &str = "8s";

pub type Profiles = ProfileServiceClient<Channel>;

/// A served demo; dropping it stops every process. Nothing changes its own
/// processes, so that tests can share it.
pub struct Federation {
    city: City,
    copies: AtomicUsize,
}

impl Deref for Federation {
    type Target = City;

    fn deref(&self) -> &City {
        &self.city
    }
}

impl Federation {
    /// The one that other tests use at this time, or a new one.
    pub fn start() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Federation>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.upgrade() {
            return running;
        }
        let fresh = Arc::new(Self::fresh());
        *running = Arc::downgrade(&fresh);
        fresh
    }

    /// One of the test's own, whose processes it may change. Its grants last however
    /// often a test asks.
    pub fn fresh() -> Self {
        let city = City::of(40, &["--grant-uses", "1000000"]);
        Self { city, copies: AtomicUsize::new(0) }
    }

    /// A changed copy of a configuration beside the original, with state of its
    /// own.
    pub fn copy_of(&self, config: &Path, edit: impl FnOnce(&mut DocumentMut)) -> PathBuf {
        let nth = self.copies.fetch_add(1, Ordering::Relaxed);
        let mut document: DocumentMut = std::fs::read_to_string(config).unwrap().parse().unwrap();
        let audit = self.home.join(format!("audit/copy-{nth}"));
        document["listen"] = toml_edit::value("127.0.0.1:0");
        document["audit"]["folder"] = toml_edit::value(audit.to_str().unwrap());
        // A log of its own: two with one name are a fork, and the peers would see it.
        document["audit"]["origin"] = toml_edit::value(format!("copy-{nth}.city.example/2026"));
        document["grants"]["fetch_every"] = toml_edit::value("1s");
        if document.contains_key("counters") {
            let url = format!("sqlite:{}/data/counters-{nth}.db", self.home.display());
            document["counters"]["url"] = toml_edit::value(url);
        }
        edit(&mut document);
        let stem = config.file_stem().unwrap().to_str().unwrap();
        let copy = config.with_file_name(format!("{stem}-{nth}.toml"));
        std::fs::write(&copy, document.to_string()).unwrap();
        copy
    }

    /// A gateway in this process, which finds some agencies elsewhere.
    pub async fn gateway(&self, elsewhere: &[(&str, SocketAddr)]) -> Served {
        self.gateway_with(elsewhere, |_| {}).await
    }

    /// The same, with a cap on the time of every request.
    pub async fn gateway_capped(&self, cap: &str, elsewhere: &[(&str, SocketAddr)]) -> Served {
        let edit = |document: &mut DocumentMut| {
            document["limits"]["max_deadline"] = toml_edit::value(cap);
        };
        self.gateway_with(elsewhere, edit).await
    }

    /// The same, with a changed configuration.
    pub async fn gateway_with(
        &self,
        elsewhere: &[(&str, SocketAddr)],
        edit: impl FnOnce(&mut DocumentMut),
    ) -> Served {
        let config = self.copy_of(&self.described.gateway.config, |document| {
            for (agency, address) in elsewhere {
                let entries = document["agency"].as_array_of_tables_mut().unwrap();
                let entry = entries.iter_mut().find(|e| e["id"].as_str() == Some(agency)).unwrap();
                entry["endpoint"] = toml_edit::value(address.to_string());
            }
            edit(document);
        });
        let run = |ready, stop| async move { gateway::run(&config, ready, stop).await };
        let served = Served::start(run).await;
        let channel = self.consumer(served.address).await;
        // Of an agency that no test replaces.
        self.informed(&channel, &["education.attainment.study_mode"]).await;
        served
    }

    /// Waits until gateway and agencies have the issuer's status list, without
    /// which they refuse every grant.
    pub async fn informed(&self, channel: &Channel, items: &[&str]) {
        let reasons = async || match self.ask(channel, "", 0, items, DEADLINE).await {
            Ok(answer) => answer.sections.into_iter().map(|section| section.reason).collect(),
            Err(status) => vec![reason_of(&status)],
        };
        let fresh = |reasons: &Vec<String>| reasons.iter().all(|one| one != "GRANT_STATUS_STALE");
        until("the issuer's status list", reasons, fresh).await;
    }

    /// An agency in this process, with a changed configuration.
    pub async fn agency(&self, id: &str, edit: impl FnOnce(&mut DocumentMut)) -> Served {
        let config = self.copy_of(&self.entry(id).config, edit);
        Served::start(|ready, stop| async move { agency::run(&config, ready, stop).await }).await
    }

    /// A consumer's channel to a gateway.
    pub async fn consumer(&self, gateway: SocketAddr) -> Channel {
        let consumer = &self.described.consumers[0];
        self.connect(gateway, &consumer.certificate, &consumer.key).await.unwrap()
    }

    /// The one place where a profile's request is made.
    pub fn request(
        &self,
        request_id: &str,
        person: usize,
        items: &[&str],
    ) -> pb::GetProfileRequest {
        let grant = std::fs::read(&self.described.grants[person].file).unwrap();
        pb::GetProfileRequest {
            request_id: request_id.into(),
            items: items.iter().map(ToString::to_string).collect(),
            grant: Some(pb::GrantPresentation { sd_jwt: grant.into(), ..Default::default() }),
            ..Default::default()
        }
    }

    /// Asks for a person's items.
    pub async fn ask(
        &self,
        channel: &Channel,
        request_id: &str,
        person: usize,
        items: &[&str],
        deadline: Duration,
    ) -> Result<pb::GetProfileResponse, Status> {
        let mut request = Request::new(self.request(request_id, person, items));
        request.set_timeout(deadline);
        Profiles::new(channel.clone()).get_profile(request).await.map(tonic::Response::into_inner)
    }
}

/// A gateway or an agency that runs in this process.
pub struct Served {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), StartError>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Served {
    async fn start<F>(
        run: impl FnOnce(Box<dyn FnOnce(SocketAddr) + Send>, watch::Receiver<bool>) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), StartError>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let (listening, listens) = oneshot::channel();
        let ready = Box::new(move |address| listening.send(address).unwrap());
        let task = tokio::spawn(run(ready, stopped));
        match within(listens).await {
            Ok(address) => Self { address, stop, task },
            Err(_) => panic!("did not start: {}", task.await.unwrap().unwrap_err()),
        }
    }

    /// A gateway of this configuration.
    pub async fn gateway(config: &Path) -> Self {
        let config = config.to_owned();
        Self::start(|ready, stop| async move { gateway::run(&config, ready, stop).await }).await
    }

    /// An agency of this configuration.
    pub async fn agency(config: &Path) -> Self {
        let config = config.to_owned();
        Self::start(|ready, stop| async move { agency::run(&config, ready, stop).await }).await
    }

    /// Stops it and waits until its port is free.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        within(&mut self.task).await.unwrap().unwrap();
    }
}

/// Waits until a gateway says that it has (or has not) a link to an agency.
pub async fn link(channel: &Channel, agency: &str, wanted: ServingStatus) {
    let request = HealthCheckRequest { service: format!("agency/{agency}") };
    let mut states = HealthClient::new(channel.clone()).watch(request).await.unwrap().into_inner();
    within(async { while states.message().await.unwrap().unwrap().status() != wanted {} }).await;
}

pub fn section<'a>(answer: &'a pb::GetProfileResponse, agency: &str) -> &'a pb::SectionReport {
    answer.sections.iter().find(|section| section.agency == agency).unwrap()
}

/// A section's status and reason, such as `INVALID WRONG_ECHO`.
pub fn outcome(answer: &pb::GetProfileResponse, agency: &str) -> String {
    let report = section(answer, agency);
    let status = report.status().as_str_name().trim_start_matches("SECTION_STATUS_");
    format!("{status} {}", report.reason).trim_end().to_owned()
}

/// A decimal item's text, where the profile has it.
pub fn decimal(answer: &pb::GetProfileResponse, id: &str) -> Option<String> {
    let items = &answer.profile.as_ref().unwrap().items;
    match items.iter().find(|item| item.id == id)?.value.as_ref()?.kind.as_ref()? {
        pb::value::Kind::Decimal(decimal) => Some(decimal.value.clone()),
        other => panic!("{id} is no decimal but {other:?}"),
    }
}
