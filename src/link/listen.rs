//! The accept loop of every port: one task a connection, never more than so many, a pause
//! when the system refuses to accept, and a stop that comes to an end.
//!
//! Who is at the other end, and what is spoken, is no matter of it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::pause::Pause;
use crate::domain::reason::Reason;

/// Bounds of one port.
pub(super) struct Bounds {
    /// Connections at once; what comes beyond is closed. It may change meanwhile.
    pub(super) most: Arc<AtomicUsize>,
    /// How long a stop waits for what is under way.
    pub(super) drain: Duration,
}

/// Takes connections until `shutdown`, each with its number and with what turns true when it
/// is asked to go; then waits at most [`Bounds::drain`] and closes the rest.
pub(super) async fn each<F>(
    listener: TcpListener,
    bounds: Bounds,
    converse: impl Fn(TcpStream, u64, watch::Receiver<bool>) -> F,
    shutdown: impl Future<Output = ()>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let stop = watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut pause = Pause::default();
    let mut connection = 0_u64;

    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.as_mut() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tokio::select! {
                    () = shutdown.as_mut() => break,
                    () = pause.after(&error) => continue,
                }
            }
        };
        pause = Pause::default();
        connection += 1;
        if tasks.len() >= bounds.most.load(Ordering::Relaxed) {
            tracing::warn!(reason = %Reason::TooManyConnections, connection, "connection refused");
            continue;
        }
        tasks.spawn(converse(stream, connection, stop.subscribe()));
    }

    drop(listener);
    stop.send_replace(true);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.drain, ended).await.is_err() {
        tracing::warn!(
            reason = %Reason::DrainTimeout,
            connections = tasks.len(),
            "connections did not end by themselves: closed hard"
        );
        tasks.shutdown().await;
    }
}
