//! What is counted of a log while it is written: how long things take, how much waits.
//! Kept by atomics, and named by whoever tells it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds in seconds: from a disk that is memory to one that is broken.
const BOUNDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];

/// A log's figures since it was opened.
#[derive(Debug)]
pub struct Figures {
    /// How long requests waited for their records to be on disk.
    pub appends: Histogram,
    /// How long the disk took for a sync.
    pub syncs: Histogram,
    waiting: AtomicUsize,
    written: AtomicU64,
    damaged: AtomicUsize,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            appends: Histogram::new(BOUNDS),
            syncs: Histogram::new(BOUNDS),
            waiting: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            damaged: AtomicUsize::new(0),
        }
    }
}

impl Figures {
    /// Requests that wait for the writer.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Bytes that were appended.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// How many places were damaged when the log was last looked through.
    pub fn damaged(&self) -> usize {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn set_damaged(&self, places: usize) {
        self.damaged.store(places, Ordering::Relaxed);
    }

    /// One begins to wait: before it can be taken.
    pub(super) fn enter(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// One was taken, or found no room.
    pub(super) fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
