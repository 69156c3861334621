//! The gateway's client to one agency: several endpoints, of which the least busy that
//! is up is asked, within the agency's limit, the question's deadline and a budget of
//! attempts.

mod way;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::peer::SpiffeId;
use crate::domain::quality::Window;
use crate::domain::reason::Reason;
use crate::link::connect::Connector;
use crate::service::audit::monitor::{Peer, Standing, Witnesses};
use crate::wire::status::{AgencyNow, AgencyState};

use self::way::Way;
use super::agreement::{Agreement, Known};
use super::budget::Budget;
use super::endpoint::{Endpoint, Refused, State};
use super::gate::Gate;
use super::hearing::Hearing;
use super::keeper::Keeper;
use super::limit::Limit;
use super::outcome::Failure;
use super::replies::Reply;
use super::request::Question;
use super::stream::{Asking, Stream};
use super::ticket::{Account, ToRemember};
use super::usual::Usual;

/// What a client to an agency is made of.
#[derive(Debug)]
pub struct ClientParts {
    /// The agency.
    pub agency: AgencyId,
    /// Its endpoints, and what connects to each.
    pub endpoints: Vec<(String, Connector)>,
    /// The catalogue by which it is asked.
    pub catalogue: Arc<Catalogue>,
    /// Connections kept to each endpoint.
    pub connections: usize,
    /// Questions under way at once, at most.
    pub max_in_flight: usize,
    /// What is known of its log, and our log to show.
    pub witnesses: Arc<Witnesses>,
    /// Shared by the clients to all agencies.
    pub hearing: Arc<Hearing>,
}

/// The gateway's client to one agency.
#[derive(Debug)]
pub struct AgencyClient {
    agreement: Arc<Agreement>,
    keepers: Vec<Arc<Keeper>>,
    account: Arc<Account>,
    budget: Mutex<Budget>,
    changes: watch::Sender<u64>,
    /// Whether it is not to be kept any more.
    left: watch::Sender<bool>,
    /// Who knows of the agency's log, if that is pinned, by its identity.
    witnesses: Arc<Witnesses>,
    identity: Option<SpiffeId>,
}

impl AgencyClient {
    /// Starts keeping connections until `stop` turns true, or it [leaves](Self::leave).
    pub fn start(parts: ClientParts, stop: &watch::Receiver<bool>) -> Arc<Self> {
        let ClientParts { agency, endpoints, catalogue, connections, .. } = parts;
        let (witnesses, hearing) = (parts.witnesses, parts.hearing);
        let identity = endpoints.first().map(|(_, connector)| connector.expected().clone());
        let (changes, left) = (watch::channel(0).0, watch::channel(false).0);
        let agreement = Arc::new(Agreement::new(agency.clone(), catalogue, endpoints.len()));
        let account = Arc::new(Account {
            limit: Mutex::new(Limit::new(parts.max_in_flight)),
            usual: Mutex::new(Usual::default()),
        });
        let keeper = |(place, (address, connector)): (usize, (String, Connector))| {
            let endpoint = Endpoint::new(connections.max(1), clock::now(), seed());
            let gate = Gate::new(agency.clone(), address, endpoint, changes.clone());
            Arc::new(Keeper::new(
                place,
                Arc::new(gate),
                connector,
                agreement.clone(),
                account.clone(),
                witnesses.clone(),
                hearing.clone(),
            ))
        };
        let keepers: Vec<Arc<Keeper>> = endpoints.into_iter().enumerate().map(keeper).collect();
        for keeper in &keepers {
            let (keeper, left, mut stop) = (keeper.clone(), left.subscribe(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = keeper.keep(left) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            });
        }
        Arc::new(Self {
            witnesses,
            identity,
            agreement,
            keepers,
            account,
            budget: Mutex::new(Budget::new(clock::now())),
            changes,
            left,
        })
    }

    /// Lets go of the agency: what is under way ends as it would, and nothing is opened
    /// any more. Requests that are begun now must be put to another.
    pub fn leave(&self) {
        self.left.send_replace(true);
    }

    /// Turns true when it [leaves](Self::leave).
    pub fn left(&self) -> watch::Receiver<bool> {
        self.left.subscribe()
    }

    /// What is known of its log, if that is pinned now.
    fn peer(&self) -> Option<Arc<Peer>> {
        self.witnesses.peer(self.identity.as_ref()?)
    }

    /// The agency.
    pub fn agency(&self) -> &AgencyId {
        self.agreement.agency()
    }

    /// What the agency has said of items.
    pub fn known_items(&self) -> Known {
        self.agreement.known()
    }

    /// Asks by another catalogue from now on.
    pub fn renew(&self, catalogue: &Arc<Catalogue>) {
        self.agreement.renew(catalogue);
    }

    /// Why the agency is not to be asked nor believed: its audit log contradicts
    /// what was seen of it.
    pub fn barred(&self) -> Option<Reason> {
        self.peer().and_then(|peer| peer.barred())
    }

    /// Whether it is asked at any endpoint.
    pub fn is_up(&self) -> bool {
        self.states().any(|state| matches!(state, State::Up { .. }))
    }

    /// Whether it is known to be up or not. While every stream is drained, or the first
    /// is being opened, it is neither.
    fn is_known(&self) -> bool {
        let opening =
            |state: &State| matches!(state, State::Draining | State::Opening { last: None, .. });
        self.is_up() || !self.states().any(|state| opening(&state))
    }

    fn states(&self) -> impl Iterator<Item = State> {
        self.keepers.iter().map(|keeper| keeper.gate().state())
    }

    /// How many questions are under way, and how many may be now.
    pub fn in_flight(&self) -> (usize, usize) {
        let limit = self.account.limit.lock();
        (limit.in_flight(), limit.get())
    }

    /// Where it stands, beside how it did of late.
    pub fn now(&self, windows: [Window; 3]) -> AgencyNow {
        let states: Vec<State> = self.states().collect();
        let up = states.iter().filter(|state| matches!(state, State::Up { .. })).count();
        // Of several endpoints that are not asked, one that takes connections tells more.
        let open = states.iter().find_map(|state| match state {
            State::Open { why, .. } => Some(*why),
            _ => None,
        });
        let last = states.iter().find_map(|state| match state {
            State::Opening { last, .. } => *last,
            _ => None,
        });
        let (state, reason) = match (self.barred(), up, open) {
            (Some(reason), ..) => (AgencyState::Barred, Some(reason)),
            (None, 1.., _) => (AgencyState::Up, None),
            (None, 0, Some(why)) => (AgencyState::CircuitOpen, Some(why)),
            (None, 0, None) => (AgencyState::Down, last),
        };
        let standing = self.peer().map(|peer| peer.standing());
        let audit_log = match standing {
            None => "",
            Some(Standing::Unseen) => "UNSEEN",
            Some(standing) => standing.fault().map_or("SOUND", Reason::as_str),
        };
        let endpoints = (up, states.len());
        let (agency, in_flight) = (self.agency().clone(), self.in_flight());
        let differing = self.agreement.differing_ids();
        AgencyNow { agency, state, reason, in_flight, windows, audit_log, endpoints, differing }
    }

    /// Its endpoints: the address, the state, and the age of the oldest stream.
    pub fn endpoints(
        &self,
        now: Instant,
    ) -> impl Iterator<Item = (String, State, Option<Duration>)> {
        self.keepers.iter().map(move |keeper| {
            let oldest = keeper.streams().iter().map(|stream| stream.lived(now)).max();
            (keeper.gate().address().to_owned(), keeper.gate().state(), oldest)
        })
    }

    /// Is told each time an endpoint's state changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until it is known whether there is a way.
    pub async fn known(&self) {
        let mut changes = self.changes.subscribe();
        while !self.is_known() {
            // The sender is ours.
            let _ = changes.changed().await;
        }
    }

    /// Puts a question. What comes of it goes to `reply`, whatever it is; there is
    /// nothing to cancel where nothing was put.
    ///
    /// # Errors
    /// The reply, unused, while it is not [known](Self::known) whether there is a way:
    /// wait until it is, and ask then.
    pub fn ask(&self, question: &Question, reply: Reply) -> Result<Option<Asking>, Reply> {
        self.budget.lock().asked(clock::now());
        self.put(question, reply)
    }

    /// Puts a question once more after its stream was lost, if the budget allows.
    /// `reply` is called for only then.
    pub fn ask_again(
        &self,
        question: &Question,
        reply: impl FnOnce() -> Reply,
    ) -> Option<Result<Option<Asking>, Reply>> {
        let way = match self.way(question) {
            // Why it was lost is the better answer.
            Err(Refused::No(_)) => return None,
            way => way,
        };
        match (way, self.budget.lock().take(clock::now())) {
            (Ok(way), true) => Some(Ok(Self::put_by(way, question, reply()))),
            (Err(_), true) => Some(Err(reply())),
            (Ok(way), false) => {
                way.ticket.unused();
                None
            }
            (Err(_), false) => None,
        }
    }

    /// Puts a question whole, which named its grant by a digest that the agency does not
    /// know. That is no failure of anybody's, so it takes nothing from the budget.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_whole(&self, question: &Question, reply: Reply) -> Result<Option<Asking>, Reply> {
        question.always_whole();
        self.put(question, reply)
    }

    fn put(&self, question: &Question, reply: Reply) -> Result<Option<Asking>, Reply> {
        match self.way(question) {
            Ok(way) => Ok(Self::put_by(way, question, reply)),
            Err(Refused::Wait) => Err(reply),
            Err(Refused::No(reason)) => {
                reply.fail(Failure::NoWay(reason));
                Ok(None)
            }
        }
    }

    /// Puts a question that was let through to one of an endpoint's streams.
    fn put_by(way: Way<'_>, question: &Question, mut reply: Reply) -> Option<Asking> {
        let Way { keeper, mut ticket } = way;
        let (probe, until) = (ticket.is_probe(), ticket.until());
        let mut streams: Vec<Arc<Stream>> = keeper.streams().to_vec();
        streams.sort_by_key(|stream| stream.in_flight());
        let mut failure = Failure::StreamLost;
        for stream in streams {
            let form = question.put(stream.catalogue(), |digest| {
                stream.shown().is_some_and(|shown| shown.knows(digest))
            });
            let remember = stream.shown().zip(question.digest());
            let remember = remember.map(|(shown, digest)| ToRemember(shown.clone(), digest));
            match stream.ask(form, ticket, remember, reply) {
                Ok(asking) => {
                    if probe {
                        asking.give_up_at(until, Reason::AgencyFailing);
                    }
                    return Some(asking);
                }
                Err(unput) => (failure, ticket, reply) = (unput.failure, unput.ticket, unput.reply),
            }
        }
        ticket.unused();
        reply.fail(failure);
        None
    }
}

/// What spreads an endpoint's waits; where the system has no randomness, not at all.
fn seed() -> u64 {
    let bytes = crate::service::random::sixteen().unwrap_or_default();
    u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default())
}
