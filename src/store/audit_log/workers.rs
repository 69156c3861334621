//! The two threads beside the writer, of the folder that is written: one derives tiles and
//! checkpoint, one seals. They are ended in this order, for what is published last is sealed
//! too.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::publisher::Publisher;
use super::sealer::Sealer;
use super::shared::Shared;
use super::{AuditError, failed};

/// How long sealing goes on when the log is closed; the rest is done after the next start.
const AT_THE_END: Duration = Duration::from_secs(2);

/// The threads. Dropping them ends them, and waits.
pub(super) struct Workers {
    shared: Arc<Shared>,
    publisher: Option<JoinHandle<Publisher>>,
    sealer: Option<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start(
        shared: &Arc<Shared>,
        mut publisher: Publisher,
        sealer: Sealer,
    ) -> Result<Self, AuditError> {
        let dir = shared.folder().dir;
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let refused = |source| failed("start a thread for", &dir, source);
        let publishing = move || {
            publisher.run();
            publisher
        };
        shared.begin();
        let mut workers = Self { shared: shared.clone(), publisher: None, sealer: None };
        workers.publisher = Some(named("audit-tiles").spawn(publishing).map_err(refused)?);
        let sealing = named("audit-seals").spawn(move || sealer.run());
        workers.sealer = Some(sealing.map_err(refused)?);
        Ok(workers)
    }

    /// Ends them once everything is published, whatever is to be sealed yet, and gives back
    /// what derives tiles; nothing if that has ended before.
    pub(super) fn end_at_once(mut self) -> Option<Publisher> {
        self.stop(Duration::ZERO)
    }

    /// Ends them; what seals has so long.
    fn stop(&mut self, grace: Duration) -> Option<Publisher> {
        self.shared.stop();
        let publisher = self.publisher.take().and_then(|publisher| publisher.join().ok());
        self.shared.end(grace);
        if let Some(sealer) = self.sealer.take() {
            let _ = sealer.join();
        }
        publisher
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop(AT_THE_END);
    }
}
