//! The frames that a peer sends, counted as they pass: data that are to be read, and
//! frames that bring no work. Nothing is changed or held back here, but for a connection
//! that is to be closed, which is read no further.
//!
//! HTTP/2's own library limits some kinds of floods; here is one measure for all of them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::budget::HeldBytes;
use crate::clock;
use crate::domain::reason::Reason;

/// The client's connection preface, which no frame header precedes.
const PREFACE: usize = 24;
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const PADDED: u8 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Frames without work that may come at once, in those of a second; so many come for each
/// frame with work, and one for each KiB that we send.
const BURST: i64 = 5;
const FOR_WORK: i64 = 4;

/// Data below this are no work.
const WORK: usize = 64;

/// Windows below this are of a peer that takes answers in small pieces.
const WIDE: u32 = 65_535;
const WIDE_STEP: u32 = 1_024;

/// A stream whose incoming frames are counted.
pub(super) struct Counted<S> {
    inner: S,
    held: HeldBytes,
    at: At,
    left: Left,
    /// Why the connection is to be closed; none once it was told.
    broken: Option<oneshot::Sender<Reason>>,
}

/// Where in the frames the last byte was.
struct At {
    /// Bytes of the preface or a payload that are passed over.
    skip: usize,
    header: [u8; HEADER],
    come: usize,
    /// The kind of the payload that is looked at, and as much of it as is needed.
    looked: Looked,
}

enum Looked {
    Nothing,
    /// Padded data: how many bytes have come with it.
    Padding(usize),
    Setting([u8; 6], usize),
    Window([u8; 4], usize),
}

/// How many frames without work may still come.
struct Left {
    a_second: i64,
    frames: i64,
    since: Instant,
    sent: usize,
}

impl Left {
    fn new(a_second: u32) -> Self {
        let a_second = i64::from(a_second);
        Self { a_second, frames: a_second * BURST, since: clock::now(), sent: 0 }
    }

    fn work(&mut self) {
        self.frames = (self.frames + FOR_WORK).min(self.a_second * BURST);
    }

    /// Whether the peer floods. The clock is asked only when nothing is left.
    fn no_work(&mut self) -> bool {
        self.frames -= 1;
        if self.frames >= 0 {
            return false;
        }
        let now = clock::now();
        let millis = i64::try_from((now - self.since).as_millis()).unwrap_or(i64::MAX);
        let sent = i64::try_from(self.sent / 1024).unwrap_or(i64::MAX);
        let more = millis.saturating_mul(self.a_second) / 1000;
        if more + sent == 0 {
            return true;
        }
        (self.since, self.sent) = (now, 0);
        let most = self.a_second * BURST;
        self.frames = self.frames.saturating_add(more).saturating_add(sent).min(most);
        self.frames < 0
    }
}

impl<S> Counted<S> {
    /// Counts on this account, and lets so many frames without work pass in a second. What
    /// it gives is told why the connection is to be closed.
    pub(super) fn new(
        inner: S,
        held: HeldBytes,
        idle_frames: u32,
    ) -> (Self, oneshot::Receiver<Reason>) {
        let (broken, told) = oneshot::channel();
        let at = At { skip: PREFACE, header: [0; HEADER], come: 0, looked: Looked::Nothing };
        let left = Left::new(idle_frames);
        (Self { inner, held, at, left, broken: Some(broken) }, told)
    }

    /// Counts what came. An error is why the connection is to be closed.
    fn count(&mut self, mut bytes: &[u8]) -> Result<(), Reason> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.at.skip > 0 {
                let taken = self.at.skip.min(bytes.len());
                let (payload, rest) = bytes.split_at(taken);
                self.look(payload);
                self.at.skip -= taken;
                bytes = rest;
            } else {
                if let Some(place) = self.at.header.get_mut(self.at.come) {
                    *place = *first;
                }
                self.at.come += 1;
                bytes = rest;
                if self.at.come == HEADER {
                    self.at.come = 0;
                    self.frame()?;
                }
            }
        }
        Ok(())
    }

    /// A frame begins.
    fn frame(&mut self) -> Result<(), Reason> {
        let [a, b, c, kind, flags, ..] = self.at.header;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        self.at.skip = length;
        self.at.looked = match kind {
            DATA if flags & PADDED != 0 && length > 0 => Looked::Padding(length),
            SETTINGS => Looked::Setting([0; 6], 0),
            WINDOW_UPDATE => Looked::Window([0; 4], 0),
            _ => Looked::Nothing,
        };
        match kind {
            DATA if flags & PADDED == 0 && length > 0 => self.held.came(length),
            _ => {}
        }
        if kind == HEADERS || (kind == DATA && length >= WORK) {
            self.left.work();
        } else if self.left.no_work() {
            return Err(Reason::FramesWithoutWork);
        }
        if kind == DATA && self.held.is_overdrawn() {
            return Err(Reason::MemorySpent);
        }
        Ok(())
    }

    /// Looks at a payload, or a part of one.
    fn look(&mut self, payload: &[u8]) {
        if matches!(self.at.looked, Looked::Nothing) {
            return;
        }
        for byte in payload {
            match &mut self.at.looked {
                Looked::Nothing => return,
                Looked::Padding(length) => {
                    let data = length.saturating_sub(usize::from(*byte) + 1);
                    self.held.came(data);
                    self.at.looked = Looked::Nothing;
                }
                Looked::Setting(setting, come) => {
                    if let Some(place) = setting.get_mut(*come) {
                        *place = *byte;
                    }
                    *come = (*come + 1) % 6;
                    let [a, b, value @ ..] = *setting;
                    let named = u16::from_be_bytes([a, b]) == INITIAL_WINDOW_SIZE;
                    if *come == 0 && named && u32::from_be_bytes(value) < WIDE {
                        self.held.set_narrow();
                    }
                }
                Looked::Window(step, come) => {
                    if let Some(place) = step.get_mut(*come) {
                        *place = *byte;
                    }
                    *come += 1;
                    if *come == 4 && u32::from_be_bytes(*step) < WIDE_STEP {
                        self.held.set_narrow();
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.broken.is_none() {
            // Whoever was told closes the connection.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let came = buffer.filled().get(before..).unwrap_or_default();
        if let Err(reason) = self.count(came)
            && let Some(broken) = self.broken.take()
        {
            let _ = broken.send(reason);
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.left.sent = self.left.sent.saturating_add(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, slices))?;
        self.left.sent = self.left.sent.saturating_add(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::budget::Budget;

    const PING: u8 = 6;
    const A_SECOND: u32 = 2_000;

    fn counted() -> Counted<tokio::io::Empty> {
        let budget = Budget::new(64 << 20, 64 << 20);
        let peer = "spiffe://scoring.city.example/consumer/one".parse().unwrap();
        let mut counted =
            Counted::new(tokio::io::empty(), budget.connection(&peer, WIDE), A_SECOND).0;
        counted.count(&[b'P'; PREFACE]).unwrap();
        counted
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn row_61_frames_that_ask_for_nothing_end_their_connection() {
        let idle =
            [frame(PING, &[0; 8]), frame(WINDOW_UPDATE, &[0, 0, 255, 255]), frame(DATA, &[])];
        for idle in idle {
            let mut counted = counted();
            // Some more come while time passes.
            let ended =
                (0..10 * BURST * i64::from(A_SECOND)).find_map(|_| counted.count(&idle).err());
            assert_eq!(ended, Some(Reason::FramesWithoutWork));
        }
    }

    #[test]
    fn row_61_whoever_asks_is_not_ended_however_the_bytes_come() {
        let asks = [
            frame(HEADERS, &[1; 40]),
            frame(DATA, &[1; 100]),
            frame(WINDOW_UPDATE, &[0, 0, 255, 255]),
            frame(PING, &[0; 8]),
            frame(WINDOW_UPDATE, &[0, 0, 255, 255]),
        ]
        .concat();
        for size in [1, 7, 9, 100, asks.len()] {
            let mut counted = counted();
            for _ in 0..20_000 {
                assert!(asks.chunks(size).all(|piece| counted.count(piece).is_ok()));
            }
            assert!(counted.left.frames > 0);
        }
    }
}
