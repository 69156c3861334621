//! A request's messages as they come in: each is framed rightly, whole, in its time and
//! no longer than one may be, and a call that takes one message gets one.
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
use crate::link::budget::Held;
use crate::link::validity::Link;
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::refusal::Refusal;

type BoxError = Box<dyn Error + Send + Sync>;

/// So many bytes are progress.
const PROGRESS: usize = 4 * 1024;

/// How long a message that was begun may stand still, where no connection says otherwise.
const WITHOUT_LINK: Duration = Duration::from_secs(10);

/// A compression flag and a length.
const PREFIX: usize = 5;

/// Where in a message the last byte was.
#[derive(Debug, Default)]
struct Place {
    prefix: [u8; PREFIX],
    /// Bytes of the message that have come, its prefix included; 0 between messages.
    come: usize,
    /// Bytes that it has, its prefix included, once that is known.
    length: usize,
    messages: usize,
}

impl Place {
    /// Reads on over these bytes. `Err` has how many of them are good, and what is wrong
    /// after them.
    fn read(&mut self, bytes: &[u8], one: bool) -> Result<(), (usize, Refusal)> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let good = bytes.len() - rest.len();
            if self.come == 0 && one && self.messages > 0 {
                return Err((good, wrong("the call takes one message, and more came")));
            }
            let taken;
            if self.come < PREFIX {
                if let Some(place) = self.prefix.get_mut(self.come) {
                    *place = *first;
                }
                taken = 1;
                self.come += taken;
                if self.come == PREFIX {
                    // The part of the prefix in these bytes is not passed on either.
                    let good = (good + 1).saturating_sub(PREFIX);
                    self.length = self.judged().map_err(|refusal| (good, refusal))? + PREFIX;
                }
            } else {
                taken = rest.len().min(self.length - self.come);
                self.come += taken;
            }
            if self.come >= PREFIX && self.come == self.length {
                (self.come, self.length) = (0, 0);
                self.messages += 1;
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// The length that the prefix states.
    fn judged(&self) -> Result<usize, Refusal> {
        let [flag, length @ ..] = self.prefix;
        match flag {
            0 => {}
            1 => {
                let message = "a message is said to be compressed; send it uncompressed";
                return Err(Refusal::new(Reason::Unsupported, message));
            }
            _ => return Err(wrong("a message begins with another byte than 0 or 1")),
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE_BYTES {
            let message = format!("a message has {length} bytes, more than {MAX_MESSAGE_BYTES}");
            return Err(Refusal::new(Reason::MessageTooLarge, message));
        }
        Ok(length)
    }

    /// What is wrong when nothing more comes.
    fn ended(&self, one: bool) -> Option<Refusal> {
        if self.come > 0 {
            return Some(wrong("the call ended in the middle of a message"));
        }
        (one && self.messages == 0).then(|| wrong("the call has no message"))
    }
}

fn wrong(message: &str) -> Refusal {
    Refusal::new(Reason::CallForm, message)
}

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
    place: Place,
    /// Bytes of messages that have come.
    came: usize,
    watch: Option<Watch>,
    /// How long a message that was begun may stand still.
    still: Duration,
    refused: Option<Refusal>,
    over: bool,
    /// Where no more is read once this is over.
    closing: Option<BoxFuture<'static, ()>>,
    memory: Option<Held>,
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
            place: Place::default(),
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
        if self.place.come == 0 {
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
        let begun = self.place.come;
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
            return match self.place.ended(self.one) {
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
        let (one, messages) = (self.one, self.place.messages);
        let read = self.place.read(&data, one);
        let came = self.came;
        if self.place.messages != messages {
            // Another message has its own time.
            self.watch = None;
        } else if let Some(watch) = &mut self.watch {
            watch.came(came);
        }
        self.given += data.len();
        let spent = self.memory.as_ref().is_some_and(|memory| {
            memory.read(data.len());
            self.place.come > 0 && memory.is_spent()
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

    fn framed(flag: u8, length: u32, content: &[u8]) -> Vec<u8> {
        [&[flag][..], &length.to_be_bytes(), content].concat()
    }

    /// Reads bytes in pieces of a size; how many are good, and why the rest is not.
    fn read(bytes: &[u8], size: usize, one: bool) -> (usize, Option<Reason>) {
        let mut place = Place::default();
        for (number, piece) in bytes.chunks(size).enumerate() {
            if let Err((good, refusal)) = place.read(piece, one) {
                return (number * size + good, Some(refusal.reason));
            }
        }
        (bytes.len(), place.ended(one).map(|refusal| refusal.reason))
    }

    #[test]
    fn row_76_what_stands_before_a_bad_message_is_good_in_pieces_of_any_size() {
        let good = [framed(0, 3, b"one"), framed(0, 0, b""), framed(0, 3, b"two")].concat();
        let cases = [
            (Vec::new(), None),
            (framed(1, 1, b"x"), Some(Reason::Unsupported)),
            (framed(2, 1, b"x"), Some(Reason::CallForm)),
            (framed(0, u32::MAX, b"xx"), Some(Reason::MessageTooLarge)),
            (framed(0, 256 * 1024 + 1, b""), Some(Reason::MessageTooLarge)),
        ];
        for (bad, reason) in cases {
            let all = [good.clone(), bad.clone()].concat();
            for size in 1..=all.len() {
                let (until, found) = read(&all, size, false);
                assert_eq!(found, reason);
                // What of a bad prefix came in an earlier piece was passed on already.
                assert!(until >= good.len() && until < good.len() + PREFIX, "{size}: {until}");
            }
            assert_eq!(read(&all, all.len(), false).0, good.len());
        }
        assert_eq!(read(&good[..good.len() - 1], 4, false).1, Some(Reason::CallForm));
    }

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

    #[test]
    fn a_call_that_takes_one_message_gets_one() {
        let one = framed(0, 3, b"one");
        assert_eq!(read(&one, 2, true), (one.len(), None));
        assert_eq!(
            read(&[one.clone(), one.clone()].concat(), 99, true),
            (8, Some(Reason::CallForm))
        );
        assert_eq!(read(&[], 1, true).1, Some(Reason::CallForm));
        assert_eq!(read(&[], 1, false).1, None);
    }
}
