//! What is known of one peer's log: how it is pinned, what it has shown of itself, and whether that
//! bars the peer. Nothing is asked or judged here.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::config::audit::PinnedLog;
use crate::domain::audit::{Origin, VerifyingKey};
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;

/// Questions that a peer may leave unanswered before that is an alarm.
const PATIENCE: u32 = 3;

/// What a peer's log has shown of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Nothing yet.
    Unseen,
    /// It goes on from what was seen.
    Sound,
    /// It contradicts what was seen: it was rewritten.
    Forked,
    /// It is shorter than what was seen: it was put back to an older copy.
    RolledBack,
    /// The peer shows a log that is not one of its own as pinned here, or does not show that
    /// it goes on from the one from which it must.
    NotPinned,
    /// What the peer shows is not signed with the pinned key, or is no checkpoint.
    NotSigned,
}

impl Standing {
    const ALL: [Self; 6] = [
        Self::Unseen,
        Self::Sound,
        Self::Forked,
        Self::RolledBack,
        Self::NotPinned,
        Self::NotSigned,
    ];

    /// What is wrong.
    pub const fn fault(self) -> Option<Reason> {
        match self {
            Self::Unseen | Self::Sound => None,
            Self::Forked => Some(Reason::LogForked),
            Self::RolledBack => Some(Reason::LogRolledBack),
            Self::NotPinned => Some(Reason::LogNotPinned),
            Self::NotSigned => Some(Reason::LogNotSigned),
        }
    }

    /// Whether signed notes prove it. It stays until somebody has looked into it and
    /// taken the evidence away.
    const fn is_proven(self) -> bool {
        matches!(self, Self::Forked | Self::RolledBack)
    }
}

/// A peer whose logs are pinned.
#[derive(Debug)]
pub struct Peer {
    identity: SpiffeId,
    logs: Vec<PinnedLog>,
    standing: AtomicU8,
    /// Questions in a row that got no answer.
    unanswered: AtomicU32,
    /// Whether a contradiction bars it.
    refuse: bool,
}

impl Peer {
    /// A peer of which this much is known already.
    pub(super) const fn new(
        identity: SpiffeId,
        logs: Vec<PinnedLog>,
        standing: Standing,
        refuse: bool,
    ) -> Self {
        let (standing, unanswered) = (AtomicU8::new(standing as u8), AtomicU32::new(0));
        Self { identity, logs, standing, unanswered, refuse }
    }

    /// Who it is.
    pub(super) const fn identity(&self) -> &SpiffeId {
        &self.identity
    }

    /// What its log has shown of itself.
    pub fn standing(&self) -> Standing {
        let at = usize::from(self.standing.load(Ordering::Acquire));
        Standing::ALL.get(at).copied().unwrap_or(Standing::Unseen)
    }

    /// Its logs.
    pub fn logs(&self) -> &[PinnedLog] {
        &self.logs
    }

    /// One of its logs.
    pub(super) fn log(&self, origin: &Origin) -> Option<&PinnedLog> {
        self.logs.iter().find(|log| log.key.origin() == origin)
    }

    /// The keys of its logs.
    pub(super) fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.logs.iter().map(|log| &log.key)
    }

    /// The origins of its logs.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.keys().map(VerifyingKey::origin)
    }

    /// Why nothing may be disclosed to it or asked of it. What is not proven bars
    /// nobody, since a peer that means ill would rather show nothing.
    pub fn barred(&self) -> Option<Reason> {
        Some(self.standing()).filter(|now| self.refuse && now.is_proven())?.fault()
    }

    /// Takes what its log shows now, and says whether that is new. What is proven stays.
    pub(super) fn set(&self, standing: Standing) -> bool {
        let before = self.standing();
        let new = before != standing && !before.is_proven();
        if new {
            self.standing.store(standing as u8, Ordering::Release);
        }
        new
    }

    /// A question was answered.
    pub(super) fn answered(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// A question was left unanswered.
    pub(super) fn count_unanswered(&self) {
        if self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 == PATIENCE {
            tracing::error!(reason = %Reason::LogUnseen, peer = %self.identity, "the peer does not show its audit log");
        }
    }
}
