//! The standard health service, as its protocol has it: a watch of a name that is not
//! known hears SERVICE_UNKNOWN and goes on, and whoever watches hears NOT_SERVING when
//! the process stops, and holds nothing up.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use crate::domain::reason::Reason;
use crate::service::ending::ending;
use crate::service::peer::link_of;
use crate::wire::refusal::Refusal;

/// What is said of each name.
#[derive(Debug, Clone)]
pub struct Health {
    said: Arc<watch::Sender<BTreeMap<String, ServingStatus>>>,
    stop: watch::Receiver<bool>,
}

impl Health {
    /// A process that serves, until `stop` turns true.
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        let whole = BTreeMap::from([(String::new(), ServingStatus::Serving)]);
        Self { said: Arc::new(watch::Sender::new(whole)), stop }
    }

    /// Says something of a name from now on.
    pub fn say(&self, name: &str, status: ServingStatus) {
        self.said.send_if_modified(|said| said.insert(name.to_owned(), status) != Some(status));
    }

    /// Says nothing of a name any more: it is not known then.
    pub fn forget(&self, name: &str) {
        self.said.send_if_modified(|said| said.remove(name).is_some());
    }

    /// Everything that is said now, by name. A process that stops serves nothing.
    pub fn all(&self) -> Vec<(String, ServingStatus)> {
        let stopping = *self.stop.borrow();
        let now = |status| if stopping { ServingStatus::NotServing } else { status };
        self.said.borrow().iter().map(|(name, status)| (name.clone(), now(*status))).collect()
    }

    fn said_of(&self, name: &str) -> Option<ServingStatus> {
        let said = self.said.borrow().get(name).copied();
        let stopping = *self.stop.borrow();
        said.map(|said| if stopping { ServingStatus::NotServing } else { said })
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let said = self.said_of(&request.get_ref().service).ok_or_else(|| {
            Refusal::new(Reason::NoSuchName, "nothing is known of this name").into_status("")
        })?;
        Ok(Response::new(response(said)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let link = link_of(&request).map_err(|refusal| refusal.into_status(""))?;
        let (health, name) = (self.clone(), request.into_inner().service);
        let (told, heard) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut stop = health.stop.clone();
            let mut ended = pin!(ending(&link, &mut stop));
            let mut changes = health.said.subscribe();
            let mut last = None;
            loop {
                changes.mark_unchanged();
                let now = health.said_of(&name).unwrap_or(ServingStatus::ServiceUnknown);
                if last != Some(now) && told.send(Ok(response(now))).await.is_err() {
                    return;
                }
                last = Some(now);
                tokio::select! {
                    () = told.closed() => return,
                    reason = ended.as_mut() => {
                        let Some(reason) = reason else { return };
                        if reason == Reason::Stopping && last != Some(ServingStatus::NotServing) {
                            let _ = told.send(Ok(response(ServingStatus::NotServing))).await;
                        }
                        let refusal = Refusal::new(reason, "the watch ends; begin it on another connection");
                        let _ = told.send(Err(refusal.into_status(""))).await;
                        return;
                    }
                    // Its sender is among what this task holds.
                    _ = changes.changed() => {}
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(heard))))
    }
}
