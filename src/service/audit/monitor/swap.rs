//! One stream's part in the swap of checkpoints: the question that is open on it, and what it
//! shows. How the messages travel is the business of
//! [`crate::service::agency::exchange`] and [`crate::service::agencies::stream`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::peer::SpiffeId;
use crate::store::witness::WitnessError;
use crate::wire::proto::pb;

use super::Witnesses;
use super::own::{Claims, show};
use super::peer::{Peer, Standing};
use super::shown::{Seen, judge, size};

/// One stream's part in the swap.
#[derive(Debug)]
pub struct Swap {
    witnesses: Arc<Witnesses>,
    peer: SpiffeId,
    /// The question that is not answered yet.
    asked: Mutex<Option<Seen>>,
    showing: AtomicBool,
}

impl Swap {
    /// The part of a stream with this peer.
    pub fn new(witnesses: &Arc<Witnesses>, peer: &SpiffeId) -> Arc<Self> {
        Arc::new(Self {
            witnesses: witnesses.clone(),
            peer: peer.clone(),
            asked: Mutex::default(),
            showing: AtomicBool::new(false),
        })
    }

    /// How often to ask.
    pub fn every(&self) -> Duration {
        self.witnesses.every
    }

    /// The peer as it is pinned now, if it is.
    fn peer(&self) -> Option<Arc<Peer>> {
        self.witnesses.peer(&self.peer)
    }

    /// The question to put now; none while one is open, or when the peer's logs are not
    /// pinned.
    pub async fn ask(self: Arc<Self>) -> Option<pb::ExchangeAskLog> {
        let peer = self.peer()?;
        if self.with_asked(|asked| asked.is_some()) {
            peer.count_unanswered();
            return None;
        }
        let (held, keys) = (self.witnesses.held.clone(), peer.clone());
        let read = tokio::task::spawn_blocking(move || {
            let seen = keys.keys().map(|key| {
                let held = held.held(key)?;
                Ok((key.origin().clone(), held))
            });
            seen.collect::<Result<Seen, WitnessError>>()
        });
        let seen = match read.await.ok()? {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(peer = %peer.identity(), "what was seen of a peer's log cannot be read: {error}");
                return None;
            }
        };
        let named = seen.iter().map(|(origin, held)| pb::SeenLog {
            origin: origin.to_string(),
            size: size(held.as_ref()),
            checkpoint: held.as_ref().map(|held| held.as_str().to_owned()).unwrap_or_default(),
        });
        let question = pb::ExchangeAskLog { seen: named.collect() };
        self.with_asked(|asked| *asked = Some(seen));
        Some(question)
    }

    /// The answer to a question of the peer's; none while another is being made.
    pub async fn show(
        self: Arc<Self>,
        question: pb::ExchangeAskLog,
    ) -> Option<pb::ExchangeShowLog> {
        if self.showing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let own = self.witnesses.own.load_full();
        let shown = show(&own, Claims::of(question, &own)).await;
        self.showing.store(false, Ordering::Release);
        match shown {
            Ok(shown) => Some(shown),
            Err(error) => {
                tracing::error!("the own audit log cannot be shown to a peer: {error}");
                None
            }
        }
    }

    /// Takes the open question, when its answer has come; `None` if none is open.
    pub fn take_asked(&self) -> Option<Seen> {
        self.with_asked(Option::take)
    }

    /// Judges the answer to a question that was open.
    pub async fn judge(self: Arc<Self>, seen: Seen, shown: pb::ExchangeShowLog) {
        let Some(peer) = self.peer() else { return };
        if !peer.origins().eq(seen.iter().map(|(origin, _)| origin)) {
            // Other logs are pinned since the question; the next one is about them.
            return;
        }
        peer.answered();
        let (held, judged) = (self.witnesses.held.clone(), peer.clone());
        let judging = tokio::task::spawn_blocking(move || judge(&held, &judged, &seen, &shown));
        let standing = match judging.await {
            Ok(Ok(())) => Standing::Sound,
            Ok(Err(fault)) => {
                let standing = fault.standing();
                // Barred first: its evidence may find no room on the disk. What stays as it is
                // was told before.
                if standing.is_none_or(|standing| self.witnesses.set(&peer, standing)) {
                    tracing::error!(reason = standing.and_then(Standing::fault).map(tracing::field::display), peer = %peer.identity(), "{fault}");
                }
                return self.witnesses.keep_evidence(&peer, fault).await;
            }
            Err(_) => return,
        };
        self.witnesses.set(&peer, standing);
    }

    fn with_asked<T>(&self, act: impl FnOnce(&mut Option<Seen>) -> T) -> T {
        act(&mut self.asked.lock())
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // A peer that ends its streams instead of answering is silent too.
        if let Some(peer) = self.peer()
            && self.take_asked().is_some()
        {
            peer.count_unanswered();
        }
    }
}
