//! Small writes, bundled: what is written while other work waits to run goes out
//! with what that work writes.
//!
//! HTTP/2 flushes after nearly every frame, and each flush would be a TLS record,
//! a system call and a wake-up of the peer. Nothing waits for a timer here: what
//! was flushed leaves as soon as the runtime has run whatever was ready to run,
//! at the latest after one round of its queue. It is not for links where a flush
//! must mean that the bytes are with the system.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Buf, BytesMut};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are held back at most: two TLS records.
const MOST: usize = 32 * 1024;

/// A stream whose small writes are bundled.
#[derive(Debug)]
pub(super) struct Bundled<S> {
    inner: S,
    held: BytesMut,
    round: Option<Arc<Round>>,
}

/// The round of the runtime that a flush waits for.
#[derive(Debug, Default)]
struct Round {
    over: AtomicBool,
    connection: AtomicWaker,
}

impl Round {
    /// Begins to wait. The connection is woken when the round is over.
    fn begin(connection: &Waker) -> Arc<Self> {
        let round = Arc::new(Self::default());
        round.connection.register(connection);
        let told = Waker::from(round.clone());
        let yielding = std::pin::pin!(tokio::task::yield_now());
        // Yielding wakes whoever polled it once the round is over, also when
        // nobody polls it again.
        if yielding.poll(&mut Context::from_waker(&told)).is_ready() {
            round.over.store(true, Ordering::Release);
        }
        round
    }

    fn is_over(&self, connection: &Waker) -> bool {
        // In this order: an end between the two is seen or wakes.
        self.connection.register(connection);
        self.over.load(Ordering::Acquire)
    }
}

impl Wake for Round {
    fn wake(self: Arc<Self>) {
        self.over.store(true, Ordering::Release);
        self.connection.wake();
    }
}

impl<S> Bundled<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, held: BytesMut::new(), round: None }
    }

    /// The stream beneath.
    pub(super) const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncWrite + Unpin> Bundled<S> {
    /// Writes what is held to the stream beneath.
    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(context, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Makes room for so many bytes, if they can be held at all.
    fn poll_room(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<io::Result<bool>> {
        if self.held.len() + bytes > MOST {
            ready!(self.poll_release(context))?;
        }
        Poll::Ready(Ok(bytes <= MOST))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bundled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bundled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if ready!(self.poll_room(context, bytes.len()))? {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        if ready!(self.poll_room(context, bytes))? {
            for slice in slices {
                self.held.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(bytes));
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    /// Without this, HTTP/2 frames would be copied together before each write.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            match &self.round {
                None => {
                    self.round = Some(Round::begin(context.waker()));
                    return Poll::Ready(Ok(()));
                }
                Some(round) if !round.is_over(context.waker()) => return Poll::Ready(Ok(())),
                Some(_) => {}
            }
            ready!(self.poll_release(context))?;
        }
        self.round = None;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
