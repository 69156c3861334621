//! An answer that its caller does not read is let go, so that it takes no memory and
//! no stream for as long as the connection lives.
//!
//! While the peer's window is closed hyper asks an answer's body for nothing, so no
//! body can end itself then; and once the trailers are queued, nobody is left who
//! could. Therefore the task of each stream ends at the time that was stated for its
//! answer, or when nothing of a stream of answers was taken for a while, which resets the
//! stream; and a large answer, or any to a peer that takes little at a time, keeps its
//! trailers back until its message has left.
//!
//! What waits to be taken counts against the peer (see [`super::budget`]). One answer is
//! encoded at once, so that it counts as what it is. What a handler [keeps](UntilSent) for an
//! answer, such as its peer's place, is given back once the answer has left.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::Extensions;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::budget::{Charge, HeldBytes};
use crate::clock;
use crate::domain::reason::Reason;

/// From so many bytes on a message is waited for.
const LARGE: usize = 8 * 1024;

/// So much of a message is handed out at once: what is taken of it is seen.
const PIECE: usize = 16 * 1024;

/// In the time that an answer may wait to be taken, how often it is looked whether it is.
const LOOKS: u32 = 4;

/// How the answer on a task's stream stands.
struct Standing {
    /// How long it may wait to be taken.
    unread: Duration,
    /// When it is let go.
    until: Cell<Option<Instant>>,
    /// Whether an answer has begun.
    answering: Cell<bool>,
    /// How often more of it was asked for, as happens while the peer takes it.
    asked: Cell<u32>,
    /// Whether there was nothing more to take then.
    waits_for_us: Cell<bool>,
}

impl Standing {
    const fn new(unread: Duration) -> Self {
        Self {
            unread,
            until: Cell::new(None),
            answering: Cell::new(false),
            asked: Cell::new(0),
            waits_for_us: Cell::new(false),
        }
    }
}

tokio::task_local! {
    static STANDING: Standing;
}

/// Lets the answer to the request whose task this is go at some time, read or not, and
/// at the latest when it has waited for ten seconds. Without this it is a stream of
/// answers, which goes on for as long as they are taken.
pub fn let_go_at(when: Instant) {
    // On a task that is no stream's there is nothing to let go.
    let _ = STANDING.try_with(|standing| {
        standing.until.set(Some(when.min(clock::now() + standing.unread)));
    });
}

fn until() -> Option<Instant> {
    STANDING.try_with(|standing| standing.until.get()).ok().flatten()
}

/// Runs the streams of a connection, each on a task of its own. An answer may wait for so
/// long to be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams(pub(super) Duration);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(STANDING.scope(Standing::new(self.0), bounded(stream, self.0)));
    }
}

async fn bounded(stream: impl Future<Output = ()>, unread: Duration) {
    let mut stream = pin!(stream);
    let mut end = pin!(None);
    // How often more was asked for at the last look, and looks without a change.
    let (mut last, mut unchanged) = (0, 0);
    poll_fn(move |context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        loop {
            if end.is_none() {
                match until() {
                    Some(when) => end.set(Some(tokio::time::sleep_until(when.into()))),
                    None if is_answering() => end.set(Some(sleep(unread / LOOKS))),
                    None => return Poll::Pending,
                }
            }
            let Some(timer) = end.as_mut().as_pin_mut() else { return Poll::Pending };
            ready!(timer.poll(context));
            if until().is_some() || is_left(&mut last, &mut unchanged) {
                break;
            }
            end.set(None);
        }
        tracing::debug!(reason = %Reason::Unread, "an answer was not read in its time: stream reset");
        Poll::Ready(())
    })
    .await;
}

fn is_answering() -> bool {
    STANDING.try_with(|standing| standing.answering.get()).unwrap_or_default()
}

/// Whether nothing was taken for several looks although something is there.
fn is_left(last: &mut u32, unchanged: &mut u32) -> bool {
    let seen = STANDING.try_with(|standing| (standing.asked.get(), standing.waits_for_us.get()));
    let Ok((asked, waits_for_us)) = seen else { return false };
    *unchanged = if waits_for_us || asked != *last { 0 } else { *unchanged + 1 };
    *last = asked;
    *unchanged >= LOOKS
}

/// An encoded message, with its prefix, that is the same for many: put into an answer's
/// extensions it is sent instead of what the handler returned, and held once for all.
#[derive(Debug, Clone)]
pub struct SharedBytes(pub Bytes);

/// What is kept until the answers that were encoded last have left: put into an answer's
/// extensions. Who leaves answers unread gives nothing back, and so gets nothing more.
#[derive(Debug, Clone, Default)]
pub struct UntilSent(Arc<Mutex<Vec<Box<dyn Any + Send>>>>);

impl UntilSent {
    /// Keeps something for the answer that is about to be encoded.
    pub fn keep(&self, what: impl Any + Send) {
        self.0.lock().push(Box::new(what));
    }

    fn taken(&self) -> Vec<Box<dyn Any + Send>> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// An answer's body: in pieces, each counted until it has left.
#[derive(Debug, Default)]
pub(super) struct Paced<B> {
    inner: B,
    /// What the body gave before it was asked.
    begun: Option<Frame<Bytes>>,
    /// What is left of a message.
    rest: Bytes,
    leaving: Option<Arc<Left>>,
    shared: Option<SharedBytes>,
    kept: Option<UntilSent>,
    memory: Option<(HeldBytes, Charge)>,
}

impl<B> Paced<B> {
    /// An answer of a few headers.
    pub(super) fn small(inner: B) -> Self {
        Self {
            inner,
            begun: None,
            rest: Bytes::new(),
            leaving: None,
            shared: None,
            kept: None,
            memory: None,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Paced<B> {
    /// Begins an answer with these extensions. `charge` is its stream's, and goes with it.
    pub(super) async fn begin(
        inner: B,
        extensions: &Extensions,
        memory: HeldBytes,
        charge: Charge,
    ) -> Result<Self, B::Error> {
        let _ = STANDING.try_with(|standing| standing.answering.set(true));
        let (shared, kept) = (extensions.get().cloned(), extensions.get().cloned());
        let memory = Some((memory, charge));
        let mut paced = Self { memory, shared, kept, ..Self::small(inner) };
        if until().is_some() && !paced.inner.is_end_stream() {
            let first = poll_fn(|context| {
                Poll::Ready(match Pin::new(&mut paced.inner).poll_frame(context) {
                    Poll::Ready(Some(frame)) => Some(frame),
                    _ => None,
                })
            });
            if let Some(frame) = first.await {
                let frame = frame?;
                paced.begun = Some(match frame.into_data() {
                    Ok(data) => Frame::data(paced.counted(data)),
                    Err(other) => other,
                });
            }
        }
        Ok(paced)
    }

    /// The message, counted until the last of it is dropped.
    fn counted(&mut self, bytes: Bytes) -> Bytes {
        if let Some(SharedBytes(shared)) = self.shared.take() {
            return shared;
        }
        let Some((memory, _)) = &self.memory else { return bytes };
        let kept = self.kept.as_ref().map(UntilSent::taken);
        let (charge, left) = ((memory.charge(bytes.len()), kept), None);
        Bytes::from_owner(Leaving { bytes, left, _until: charge })
    }

    /// The next piece of what is left of a message.
    fn piece(&mut self) -> Bytes {
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        if !self.rest.is_empty() {
            return piece;
        }
        let narrow = self.memory.as_ref().is_some_and(|(memory, _)| memory.is_narrow());
        if until().is_none() || !(narrow || piece.len() >= LARGE) {
            return piece;
        }
        let left = Arc::new(Left::default());
        self.leaving = Some(left.clone());
        Bytes::from_owner(Leaving { bytes: piece, left: Some(left), _until: () })
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

/// A piece that tells when it is dropped, as it is once it was written, and what is kept
/// until then.
struct Leaving<C> {
    bytes: Bytes,
    left: Option<Arc<Left>>,
    _until: C,
}

impl<C> AsRef<[u8]> for Leaving<C> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<C> Drop for Leaving<C> {
    fn drop(&mut self) {
        if let Some(left) = &self.left {
            left.yes.store(true, Ordering::Release);
            left.waiting.wake();
        }
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
        let note = |waits_for_us| {
            let _ = STANDING.try_with(|standing| {
                standing.asked.set(standing.asked.get().wrapping_add(1));
                standing.waits_for_us.set(waits_for_us);
            });
        };
        if let Some(left) = &self.leaving {
            ready!(left.poll(context));
            self.leaving = None;
        }
        note(false);
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.piece()))));
        }
        let data = match self.begun.take().map(Frame::into_data) {
            Some(Ok(counted)) => counted,
            Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
            None => {
                let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
                    note(true);
                    return Poll::Pending;
                };
                match frame.map(|frame| frame.map(Frame::into_data)) {
                    Some(Ok(Ok(data))) => self.counted(data),
                    Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            }
        };
        self.rest = data;
        Poll::Ready(Some(Ok(Frame::data(self.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.leaving.is_none()
            && self.begun.is_none()
            && self.rest.is_empty()
            && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
