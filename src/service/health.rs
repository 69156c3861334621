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
    said: Arc<watch::Sender<Names>>,
    stop: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Names {
    said: BTreeMap<String, Said>,
    /// How many were ever taken, so that no two have one number.
    taken: u64,
}

#[derive(Debug)]
struct Said {
    status: ServingStatus,
    /// The number of whoever took the name last.
    by: u64,
}

/// A name of which its holder alone says something. It is not known any more when its
/// holder is gone, unless somebody else took it since: he is heard then, and nobody else.
#[derive(Debug)]
pub struct Name {
    health: Health,
    name: String,
    number: u64,
}

impl Name {
    /// Says something of the name from now on.
    pub fn say(&self, status: ServingStatus) {
        self.health.said.send_if_modified(|names| match names.said.get_mut(&self.name) {
            Some(said) if said.by == self.number && said.status != status => {
                said.status = status;
                true
            }
            _ => false,
        });
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // What stops says so of every name, to the end.
        if *self.health.stop.borrow() {
            return;
        }
        self.health.said.send_if_modified(|names| {
            let own = names.said.get(&self.name).is_some_and(|said| said.by == self.number);
            own && names.said.remove(&self.name).is_some()
        });
    }
}

/// Names that come and go together.
#[derive(Debug)]
pub struct Several {
    health: Health,
    held: BTreeMap<String, Name>,
}

impl Several {
    /// Of which nothing is said yet.
    pub const fn of(health: Health) -> Self {
        Self { health, held: BTreeMap::new() }
    }

    /// Says this of these names, and nothing any more of those that it said something of
    /// before.
    pub fn say(&mut self, now: Vec<(String, ServingStatus)>) {
        let mut before = std::mem::take(&mut self.held);
        for (name, status) in now {
            let held = before.remove(&name);
            let held = held.unwrap_or_else(|| self.health.take(name.clone(), status));
            held.say(status);
            self.held.insert(name, held);
        }
    }
}

impl Health {
    /// A process that serves, until `stop` turns true.
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        let whole = Said { status: ServingStatus::Serving, by: 0 };
        let names = Names { said: BTreeMap::from([(String::new(), whole)]), taken: 0 };
        Self { said: Arc::new(watch::Sender::new(names)), stop }
    }

    /// Takes a name, of which this is said until its holder says something else.
    pub fn take(&self, name: String, status: ServingStatus) -> Name {
        let mut number = 0;
        self.said.send_modify(|names| {
            names.taken += 1;
            number = names.taken;
            names.said.insert(name.clone(), Said { status, by: number });
        });
        Name { health: self.clone(), name, number }
    }

    /// Everything that is said now, by name. A process that stops serves nothing.
    pub fn all(&self) -> Vec<(String, ServingStatus)> {
        let stopping = *self.stop.borrow();
        let now = |status| if stopping { ServingStatus::NotServing } else { status };
        let names = self.said.borrow();
        names.said.iter().map(|(name, said)| (name.clone(), now(said.status))).collect()
    }

    fn said_of(&self, name: &str) -> Option<ServingStatus> {
        let said = self.said.borrow().said.get(name).map(|said| said.status);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_names_those_that_are_left_out_are_not_known_any_more() {
        use ServingStatus::{NotServing, Serving};
        let health = Health::new(watch::channel(false).1);
        let mut issuers = Several::of(health.clone());
        let [one, two] = ["issuer/one", "issuer/two"].map(str::to_owned);
        issuers.say(vec![(one.clone(), Serving), (two.clone(), NotServing)]);
        assert_eq!(
            [&one, &two].map(|name| health.said_of(name)),
            [Some(Serving), Some(NotServing)]
        );
        issuers.say(vec![(two.clone(), Serving)]);
        assert_eq!([&one, &two].map(|name| health.said_of(name)), [None, Some(Serving)]);
    }

    #[test]
    fn whoever_says_something_of_a_name_may_end_before_a_process_that_stops() {
        let (stop, stopped) = watch::channel(false);
        let health = Health::new(stopped);
        let name = health.take("agency/lending".to_owned(), ServingStatus::Serving);
        stop.send_replace(true);
        drop(name);
        assert_eq!(health.said_of("agency/lending"), Some(ServingStatus::NotServing));
    }

    #[test]
    fn a_name_is_its_last_takers_and_ends_with_him() {
        use ServingStatus::{NotServing, Serving, Unknown};
        let health = Health::new(watch::channel(false).1);
        let first = health.take("agency/lending".to_owned(), Unknown);
        first.say(Serving);
        assert_eq!(health.said_of("agency/lending"), Some(Serving));

        // It moves: whoever was there before has no say any more, nor does his end matter.
        let second = health.take("agency/lending".to_owned(), Unknown);
        first.say(NotServing);
        assert_eq!(health.said_of("agency/lending"), Some(Unknown));
        second.say(Serving);
        drop(first);
        assert_eq!(health.said_of("agency/lending"), Some(Serving));

        drop(second);
        assert_eq!(health.said_of("agency/lending"), None);
        assert_eq!(health.said_of(""), Some(Serving));
    }
}
