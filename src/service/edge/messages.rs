//! A request's messages as they come in: each is framed rightly ([`super::framing`]), whole
//! and in its time, and a call that takes one message gets one.
//!
//! What stands before a bad message is passed on first, so that it is answered. What is
//! in a message is decoded elsewhere.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;
use crate::domain::reason::Reason;
use crate::link::budget::HeldBytes;
use crate::link::validity::Link;
use crate::wire::refusal::Refusal;

use super::framing::Framing;

type BoxError = Box<dyn Error + Send + Sync>;

/// So many bytes are progress.
const PROGRESS: usize = 4 * 1024;

/// How long a message that was begun may stand still, where no connection says otherwise.
const WITHOUT_LINK: Duration = Duration::from_secs(10);

/// A message that was begun: when it last made progress, and how far it was then.
#[derive(Debug)]
struct Watch {
    timer: Pin<Box<Sleep>>,
    since: Instant,
    came: usize,
    still: Duration,
}

impl Watch {
    fn begin(came: usize, still: Duration) -> Self {
        let since = Instant::from_std(clock::now());
        Self { timer: Box::pin(sleep_until(since + still)), since, came, still }
    }

    /// So many bytes have come by now.
    fn came(&mut self, came: usize) {
        if came.wrapping_sub(self.came) >= PROGRESS {
            (self.came, self.since) = (came, Instant::from_std(clock::now()));
        }
    }

    /// Whether it stands still for too long. The timer is set anew only when it is over.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(context).is_ready() {
            let end = self.since + self.still;
            if end <= Instant::from_std(clock::now()) {
                return true;
            }
            self.timer.as_mut().reset(end);
        }
        false
    }
}

/// A request's body, held to gRPC's form.
pub struct Messages<B: Body<Data = Bytes> + Unpin> {
    inner: B,
    /// Whether the call takes one message.
    one: bool,
    framing: Framing,
    /// Bytes of messages that have come.
    came: usize,
    watch: Option<Watch>,
    /// How long a message that was begun may stand still.
    still: Duration,
    refused: Option<Refusal>,
    over: bool,
    /// Where no more is read once this is over.
    closing: Option<BoxFuture<'static, ()>>,
    memory: Option<HeldBytes>,
    /// Bytes that whoever reads this has of it, as far as it is known.
    given: usize,
}

impl<B: Body<Data = Bytes> + Unpin> Messages<B> {
    pub(super) fn new(
        inner: B,
        one: bool,
        closing: Option<BoxFuture<'static, ()>>,
        link: Option<&Link>,
    ) -> Self {
        let memory = link.map(|link| link.memory().clone());
        let still = link.map_or(WITHOUT_LINK, Link::standstill);
        if let Some(memory) = &memory {
            memory.begin();
        }
        Self {
            memory,
            given: 0,
            inner,
            one,
            framing: Framing::default(),
            came: 0,
            watch: None,
            still,
            refused: None,
            over: false,
            closing,
        }
    }

    fn refuse<T>(&mut self, refusal: Refusal) -> Poll<Option<Result<T, BoxError>>> {
        self.over = true;
        Poll::Ready(Some(Err(refusal.into_status("").into())))
    }

    /// So many of the bytes that were given are still held.
    fn keep(&mut self, bytes: usize) {
        if let Some(memory) = &self.memory
            && self.given > bytes
        {
            memory.sub(self.given - bytes);
            self.given = bytes;
        }
    }

    /// Whether the message that was begun stands still for too long.
    fn stands_still(&mut self, context: &mut Context<'_>) -> bool {
        if self.framing.come == 0 {
            self.watch = None;
            return false;
        }
        let (came, still) = (self.came, self.still);
        self.watch.get_or_insert_with(|| Watch::begin(came, still)).is_over(context)
    }
}

/// What came and was not read is let go by whoever holds it, and no longer counted.
impl<B: Body<Data = Bytes> + Unpin> Drop for Messages<B> {
    fn drop(&mut self) {
        self.keep(0);
        let Some(memory) = self.memory.take() else { return };
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut self.inner).poll_frame(&mut context)
        {
            if let Some(data) = frame.data_ref() {
                memory.read(data.len());
                memory.sub(data.len());
            }
        }
        memory.end();
    }
}

impl<B> Body for Messages<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        // Whoever asks for more has used up what is whole.
        let begun = self.framing.come;
        self.keep(begun);
        if let Some(refusal) = self.refused.take() {
            return self.refuse(refusal);
        }
        if let Some(closing) = &mut self.closing
            && closing.as_mut().poll(context).is_ready()
        {
            self.over = true;
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) else {
            if self.stands_still(context) {
                let message = "a message was begun and did not go on";
                return self.refuse(Refusal::new(Reason::MessageStalled, message));
            }
            return Poll::Pending;
        };
        let Some(frame) = frame else {
            return match self.framing.ended(self.one) {
                Some(refusal) => self.refuse(refusal),
                None => Poll::Ready(None),
            };
        };
        let mut data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(other)) => return Poll::Ready(Some(Ok(other))),
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
        };
        self.came = self.came.wrapping_add(data.len());
        let (one, messages) = (self.one, self.framing.messages);
        let read = self.framing.read(&data, one);
        let came = self.came;
        if self.framing.messages != messages {
            // Another message has its own time.
            self.watch = None;
        } else if let Some(watch) = &mut self.watch {
            watch.came(came);
        }
        self.given += data.len();
        let spent = self.memory.as_ref().is_some_and(|memory| {
            memory.read(data.len());
            self.framing.come > 0 && memory.is_spent()
        });
        if spent {
            // What is not whole yet is let go, and its stream with it.
            let message = "you make this process hold as much as one peer may";
            return self.refuse(Refusal::new(Reason::MemorySpent, message));
        }
        if let Err((good, refusal)) = read {
            if good == 0 {
                return self.refuse(refusal);
            }
            data.truncate(good);
            self.refused = Some(refusal);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        // The end is judged too, so it is always asked for.
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn row_60_a_message_makes_progress_by_bytes_and_not_by_frames() {
        let mut watch = Watch::begin(100, WITHOUT_LINK);
        let begun = watch.since;
        tokio::time::sleep(Duration::from_millis(1)).await;
        for came in 100..100 + PROGRESS {
            watch.came(came);
        }
        assert_eq!(watch.since, begun, "a drop at a time is a standstill");
        watch.came(100 + PROGRESS);
        assert!(watch.since > begun && watch.came == 100 + PROGRESS);
    }
}
