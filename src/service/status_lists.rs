//! Fetches the pinned status lists, again and again on a fixed schedule, and
//! holds the newest of each for whoever checks grants.
//!
//! Never because a request came in: the issuer sees the same polls whether or not
//! its grants are used. When a fetch fails, the list that is held stays in force
//! until it is too old; then every grant of its issuer is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval_at};

use crate::clock::{self, Keeper};
use crate::domain::finding::causes;
use crate::domain::grant::status_list::MAX_TOKEN_BYTES;
use crate::domain::grant::{IssuerPins, StatusList, StatusListError, StatusLists};
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::link::https::{
    FetchError, FetchLimits, HttpsClient, HttpsUri, HttpsUriError, ServerAnchors,
};

/// The media type of a status list (Token Status List, section 8).
pub const MEDIA_TYPE: &str = "application/statuslist+jwt";

/// Bounds on one fetch of a list.
pub fn fetch_limits() -> FetchLimits {
    FetchLimits { body: MAX_TOKEN_BYTES, ..FetchLimits::default() }
}

/// What is fetched, and whom it is believed from.
#[derive(Debug, Clone)]
pub struct StatusPlan {
    /// The pinned issuers with the addresses and keys of their lists.
    pub pins: IssuerPins,
    /// For each issuer, who vouches for its HTTPS servers.
    pub anchors: BTreeMap<SpiffeId, ServerAnchors>,
    /// How old a list may be.
    pub max_age: Duration,
    /// How often each list is fetched.
    pub fetch_every: std::time::Duration,
    /// Bounds on one fetch.
    pub limits: FetchLimits,
}

/// Why lists cannot be fetched as planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusPlanError {
    /// A status URI that is no address.
    #[error("a status URI of issuer `{issuer}` is refused")]
    Uri {
        /// The issuer.
        issuer: SpiffeId,
        /// Why.
        source: HttpsUriError,
    },
    /// An issuer without anchors.
    #[error("issuer `{0}` has no `status_anchors`: nobody vouches for its HTTPS servers")]
    Anchors(SpiffeId),
}

/// What is held of an issuer's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListStanding {
    /// The age of the oldest; none where one is missing.
    pub age: Option<Duration>,
    /// Whether none is missing or too old.
    pub fresh: bool,
}

/// A plan whose addresses were read.
#[derive(Debug)]
struct Checked {
    plan: StatusPlan,
    sources: BTreeMap<Box<str>, (HttpsUri, HttpsClient)>,
}

impl Checked {
    fn new(plan: StatusPlan) -> Result<Arc<Self>, StatusPlanError> {
        let mut sources = BTreeMap::new();
        for (text, issuer) in plan.pins.status_uris() {
            let uri = HttpsUri::parse(text)
                .map_err(|source| StatusPlanError::Uri { issuer: issuer.clone(), source })?;
            let anchors = plan.anchors.get(issuer);
            let anchors = anchors.ok_or_else(|| StatusPlanError::Anchors(issuer.clone()))?;
            let client = HttpsClient::new(anchors.clone(), plan.limits.clone());
            sources.insert(text.into(), (uri, client));
        }
        Ok(Arc::new(Self { plan, sources }))
    }
}

/// The newest lists, kept up to date by a task of their own until the process
/// stops.
#[derive(Debug)]
pub struct StatusPoll {
    lists: ArcSwap<StatusLists>,
    plan: watch::Sender<Arc<Checked>>,
    fresh: watch::Sender<bool>,
    time: Arc<Keeper>,
}

impl StatusPoll {
    /// Starts to fetch, at once and then every [`StatusPlan::fetch_every`], until
    /// `stop` turns true. `time` is the one that grants are checked with.
    ///
    /// # Errors
    /// [`StatusPlanError`]; that a list cannot be had is no error, since it may
    /// come later.
    pub fn start(
        plan: StatusPlan,
        time: Arc<Keeper>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Arc<Self>, StatusPlanError> {
        let poll = Arc::new(Self {
            lists: ArcSwap::from_pointee(StatusLists::new(plan.max_age)),
            plan: watch::Sender::new(Checked::new(plan)?),
            fresh: watch::Sender::new(false),
            time,
        });
        tokio::spawn(Arc::clone(&poll).run(stop.clone()));
        Ok(poll)
    }

    /// Goes on with another plan, as after a reload: lists that are still pinned
    /// stay, and all are fetched at once.
    ///
    /// # Errors
    /// [`StatusPlanError`]; the old plan stays.
    pub fn replace(&self, plan: StatusPlan) -> Result<(), StatusPlanError> {
        self.plan.send_replace(Checked::new(plan)?);
        Ok(())
    }

    /// The lists as they stand, for one check. Takes no lock.
    pub fn lists(&self) -> Guard<Arc<StatusLists>> {
        self.lists.load()
    }

    /// Whether every pinned list is held and not too old at this moment.
    pub fn is_fresh(&self) -> bool {
        self.all_fresh(&self.plan.borrow(), self.now())
    }

    /// The same for health: noticed at the next fetch at the latest.
    pub fn freshness(&self) -> watch::Receiver<bool> {
        self.fresh.subscribe()
    }

    /// Each pinned issuer: how old the oldest of its lists is, if all are held, and
    /// whether all are fresh.
    pub fn issuers(&self) -> BTreeMap<SpiffeId, ListStanding> {
        let (now, lists) = (self.now(), self.lists.load());
        let mut issuers: BTreeMap<SpiffeId, ListStanding> = BTreeMap::new();
        for (uri, issuer) in self.plan.borrow().plan.pins.status_uris() {
            let age = lists.get(uri).map(|list| now - list.issued_at());
            let of_list = ListStanding { age, fresh: lists.is_fresh(uri, now) };
            let standing = issuers.entry(issuer.clone()).or_insert(of_list);
            standing.age = standing.age.zip(age).map(|(one, other)| one.max(other));
            standing.fresh &= of_list.fresh;
        }
        issuers
    }

    /// By the later of the clocks: a list gets old by it.
    fn now(&self) -> OffsetDateTime {
        self.time.now().latest
    }

    fn all_fresh(&self, plan: &Checked, now: OffsetDateTime) -> bool {
        let lists = self.lists.load();
        plan.sources.keys().all(|uri| lists.is_fresh(uri, now))
    }

    /// The one task that writes the lists.
    async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changes = self.plan.subscribe();
        let mut states: HashMap<Box<str>, Source> = HashMap::new();
        let mut fetches;
        loop {
            let checked = Arc::clone(&changes.borrow_and_update());
            // What the former plan fetches is not waited for: it was asked of servers that
            // may be believed no more.
            fetches = JoinSet::new();
            self.take_over(&checked, &mut states);
            let every = checked.plan.fetch_every;
            launch(&checked, &mut states, &mut fetches);
            // With whatever else comes again and again, so as to wake an idle process once.
            let first = clock::now() + clock::until_beat(every);
            let mut schedule = interval_at(first.into(), every);
            schedule.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    biased;
                    // The sender being gone means the same.
                    _ = stop.wait_for(|stop| *stop) => return,
                    _ = changes.changed() => break,
                    Some(done) = fetches.join_next(), if !fetches.is_empty() => {
                        if let Ok((uri, outcome)) = done {
                            self.settle(&checked, &mut states, uri, outcome);
                        }
                    }
                    _ = schedule.tick() => launch(&checked, &mut states, &mut fetches),
                }
                self.report(&checked);
            }
        }
    }

    /// Makes a plan the one in force.
    fn take_over(&self, checked: &Checked, states: &mut HashMap<Box<str>, Source>) {
        states.retain(|uri, _| checked.sources.contains_key(uri));
        for state in states.values_mut() {
            (state.fetch, state.taken) = (None, None);
        }
        let mut lists = StatusLists::clone(&self.lists.load());
        lists.retain_pinned(&checked.plan.pins);
        lists.set_max_age(checked.plan.max_age);
        self.lists.store(Arc::new(lists));
        self.report(checked);
    }

    /// Takes the list, or says once why not.
    fn settle(
        &self,
        checked: &Checked,
        states: &mut HashMap<Box<str>, Source>,
        uri: Box<str>,
        outcome: Result<Bytes, FetchError>,
    ) {
        let state = states.entry(uri.clone()).or_default();
        let taken = outcome.map_err(Fault::from).and_then(|token| {
            let pins = &checked.plan.pins;
            // What was verified under this plan is verified; only its times pass.
            match self.lists.load().get(&uri) {
                Some(held) if state.taken.as_ref() == Some(&token) => {
                    held.check_times(self.time.now())?;
                }
                _ => self.accept(&token, &uri, pins)?,
            }
            state.taken = Some(token);
            Ok(())
        });
        let before = std::mem::replace(&mut state.failing, taken.as_ref().err().map(Fault::reason));
        match &taken {
            Ok(()) if before.is_some() => {
                tracing::info!(uri = &*uri, "the status list is fetched again");
            }
            Err(fault) if before != Some(fault.reason()) => tracing::warn!(
                reason = %fault.reason(),
                uri = &*uri,
                error = causes(fault),
                "no new status list: the one that is held stays in force until it is too old"
            ),
            Ok(()) | Err(_) => {}
        }
    }

    fn accept(&self, token: &[u8], uri: &str, pins: &IssuerPins) -> Result<(), StatusListError> {
        let list = StatusList::signed(token, uri, pins)?;
        let mut lists = StatusLists::clone(&self.lists.load());
        // Only a list that was not known before tells what time it is now.
        if lists.get(uri).is_none_or(|held| held.issued_at() < list.issued_at()) {
            // The watch over the clocks may not have looked while they differed.
            if self.time.signed(list.issued_at()) {
                tracing::warn!(
                    list = uri,
                    "the clock was wrong when this process started, and is right now: a fresh \
                     status list agrees with it"
                );
            }
            clock::process().signed(list.issued_at());
        }
        list.check_times(self.time.now())?;
        lists.accept(list)?;
        self.lists.store(Arc::new(lists));
        Ok(())
    }

    /// Tells whoever watches health, when it changed.
    fn report(&self, checked: &Checked) {
        let fresh = self.all_fresh(checked, self.now());
        let changed = self.fresh.send_if_modified(|told| std::mem::replace(told, fresh) != fresh);
        if changed && fresh {
            tracing::info!("every status list is fresh");
        } else if changed {
            tracing::error!(
                reason = %Reason::StatusListStale,
                "a status list is missing or too old: grants of its issuer are refused"
            );
        }
    }
}

/// One list's fetches.
#[derive(Debug, Default)]
struct Source {
    /// Why the latest fetch failed, if it did.
    failing: Option<Reason>,
    /// The token of the list that is held, as it was fetched under this plan.
    taken: Option<Bytes>,
    /// The fetch that was begun last.
    fetch: Option<AbortHandle>,
}

/// Begins a fetch of each list, except where one is still under way: a server
/// that hangs delays no other list.
fn launch(
    checked: &Checked,
    states: &mut HashMap<Box<str>, Source>,
    fetches: &mut JoinSet<(Box<str>, Result<Bytes, FetchError>)>,
) {
    for (text, (uri, client)) in &checked.sources {
        let state = states.entry(text.clone()).or_default();
        if state.fetch.as_ref().is_some_and(|fetch| !fetch.is_finished()) {
            continue;
        }
        let (text, uri, client) = (text.clone(), uri.clone(), client.clone());
        state.fetch = Some(fetches.spawn(async move {
            let outcome = client.get(&uri, MEDIA_TYPE).await;
            (text, outcome)
        }));
    }
}

/// Why there is no new list.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    List(#[from] StatusListError),
}

impl Fault {
    const fn reason(&self) -> Reason {
        match self {
            Self::Fetch(error) => error.reason(),
            Self::List(error) => error.reason(),
        }
    }
}
