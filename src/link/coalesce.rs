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

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Bundled<S> {
    /// Whoever was told that it is flushed may do nothing but read from then on, so
    /// what is due leaves here too.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.round.is_some()
            && let Poll::Ready(Err(error)) = self.as_mut().poll_flush(context)
        {
            return Poll::Ready(Err(error));
        }
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Takes a few bytes at a time, and counts how often it is asked to.
    #[derive(Debug, Default)]
    struct Sink {
        taken: Vec<u8>,
        writes: usize,
        at_once: usize,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.at_once);
            self.writes += 1;
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn bundled(at_once: usize) -> Bundled<Sink> {
        Bundled::new(Sink { at_once, ..Sink::default() })
    }

    /// As a connection does whose task is woken after a flush.
    async fn flushed(stream: &mut Bundled<Sink>) {
        while !stream.held.is_empty() {
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_flushed_in_one_round_leaves_in_one_write() {
        let mut stream = bundled(usize::MAX);
        for byte in 0..100 {
            stream.write_all(&[byte]).await.unwrap();
            stream.flush().await.unwrap();
        }
        assert_eq!(stream.inner.writes, 0);
        flushed(&mut stream).await;
        assert_eq!(stream.inner.taken, (0..100).collect::<Vec<_>>());
        assert_eq!(stream.inner.writes, 1);
    }

    /// Nobody may have to ask twice: a flush wakes whoever asked.
    #[tokio::test]
    async fn a_flush_wakes_the_connection_when_the_round_is_over() {
        let mut stream = bundled(usize::MAX);
        stream.write_all(b"hello").await.unwrap();
        let mut polls = 0;
        std::future::poll_fn(|context| {
            polls += 1;
            let flushed = Pin::new(&mut stream).poll_flush(context);
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
            if stream.held.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!((polls, stream.inner.taken.as_slice()), (2, b"hello".as_slice()));
    }

    #[tokio::test]
    async fn no_more_is_held_than_the_bound_and_the_order_stays() {
        let mut stream = bundled(1000);
        let mut sent = Vec::new();
        for (round, length) in [1, MOST - 1, 5, MOST, MOST + 1, 3 * MOST, 7].into_iter().enumerate()
        {
            let bytes = vec![u8::try_from(round).unwrap(); length];
            let (one, other) = bytes.split_at(length / 2);
            let mut slices = [IoSlice::new(one), IoSlice::new(other)];
            let mut left = slices.as_mut_slice();
            while !left.is_empty() {
                let written = stream.write_vectored(left).await.unwrap();
                assert!(stream.held.len() <= MOST);
                IoSlice::advance_slices(&mut left, written);
            }
            sent.extend(bytes);
        }
        stream.shutdown().await.unwrap();
        assert!(stream.inner.taken == sent);
    }

    /// As a server does that has sent its settings and waits for the client's.
    #[tokio::test]
    async fn what_was_flushed_leaves_although_nobody_does_more_than_read() {
        let (near, mut far) = duplex(64);
        let mut stream = Bundled::new(near);
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        let reading = tokio::spawn(async move { stream.read(&mut [0; 8]).await });
        let mut received = [0; 5];
        far.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hello");
        drop(far);
        assert_eq!(reading.await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_closed_stream_has_written_everything() {
        let (near, mut far) = duplex(64);
        let mut stream = Bundled::new(near);
        let sent: Vec<u8> = (0..10_000_u32).flat_map(u32::to_be_bytes).collect();
        let writing = async {
            stream.write_all(&sent).await.unwrap();
            stream.shutdown().await.unwrap();
            drop(stream);
        };
        let mut received = Vec::new();
        let reading = async { far.read_to_end(&mut received).await.unwrap() };
        tokio::join!(writing, reading);
        assert!(received == sent);
    }
}
