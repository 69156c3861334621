//! An answer that its caller does not read is let go, so that it takes no memory and
//! no stream for as long as the connection lives.
//!
//! While the peer's window is closed hyper asks an answer's body for nothing, so no
//! body can end itself then; and once the trailers are queued, nobody is left who
//! could. Therefore the task of each stream ends at the time that was stated for its
//! answer, which resets the stream, and a large answer keeps its trailers back until
//! its message has left. A small one does not: it would be one more turn for each
//! call, to save less than the stream itself takes.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;

use crate::domain::reason::Reason;

/// From so many bytes on a message is waited for.
const LARGE: usize = 8 * 1024;

tokio::task_local! {
    /// When the answer on this task's stream is let go.
    static UNTIL: Cell<Option<Instant>>;
}

/// Lets the answer to the request whose task this is go at some time, read or not.
/// Without this it has the time of its connection, as a stream of answers must.
pub fn let_go_at(when: Instant) {
    // On a task that is no stream's there is nothing to let go.
    let _ = UNTIL.try_with(|until| until.set(Some(when)));
}

fn until() -> Option<Instant> {
    UNTIL.try_with(Cell::get).ok().flatten()
}

/// Runs the streams of a connection, each on a task of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(UNTIL.scope(Cell::new(None), bounded(stream)));
    }
}

async fn bounded(stream: impl Future<Output = ()>) {
    let mut stream = pin!(stream);
    let mut end = pin!(None);
    poll_fn(move |context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if end.is_none()
            && let Some(when) = until()
        {
            end.set(Some(tokio::time::sleep_until(when.into())));
        }
        let Some(end) = end.as_mut().as_pin_mut() else { return Poll::Pending };
        ready!(end.poll(context));
        tracing::debug!(reason = %Reason::Unread, "an answer was not read in its time: stream reset");
        Poll::Ready(())
    })
    .await;
}

/// An answer's body that goes on once a large piece has left, where a time was
/// stated for it.
#[derive(Debug, Default)]
pub(super) struct Paced<B> {
    inner: B,
    leaving: Option<Arc<Left>>,
}

impl<B> Paced<B> {
    pub(super) const fn new(inner: B) -> Self {
        Self { inner, leaving: None }
    }
}

/// Whether a piece has left, and who waits for it.
#[derive(Debug, Default)]
struct Left {
    yes: AtomicBool,
    waiting: AtomicWaker,
}

impl Left {
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        // In this order: what leaves between the two is seen or wakes.
        self.waiting.register(context.waker());
        if self.yes.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A piece that tells when it is dropped, as it is once it was written.
struct Leaving {
    bytes: Bytes,
    left: Arc<Left>,
}

impl AsRef<[u8]> for Leaving {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.left.yes.store(true, Ordering::Release);
        self.left.waiting.wake();
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(left) = &self.leaving {
            ready!(left.poll(context));
            self.leaving = None;
        }
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(other) => return Poll::Ready(Some(Ok(other))),
        };
        if bytes.len() < LARGE || until().is_none() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let left = Arc::new(Left::default());
        self.leaving = Some(left.clone());
        let bytes = Bytes::from_owner(Leaving { bytes, left });
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.leaving.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
