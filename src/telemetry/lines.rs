//! The way of lines to standard error, which never holds up whoever writes one: they
//! wait in a bounded queue for a thread of their own. What finds no room, because nobody
//! reads, is dropped and counted, and the count is logged once there is room again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing_subscriber::fmt::MakeWriter;

use crate::clock;

/// Bytes of the lines that wait at most.
const ROOM: usize = 1024 * 1024;

/// How long a descriptor that takes nothing now, and does not block, is left.
const AGAIN: Duration = Duration::from_millis(20);

/// Lines on their way. Clones share the queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// One line is being written.
    busy: bool,
    dropped: u64,
}

impl Lines {
    /// Starts the thread that writes. It never ends.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(to: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self::default();
        let run = lines.clone();
        std::thread::Builder::new().name("log-lines".to_owned()).spawn(move || run.write(to))?;
        Ok(lines)
    }

    /// Queues a line, or counts it where there is no room.
    pub(super) fn put(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.bytes + line.len() > ROOM {
            queue.dropped += 1;
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.into());
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Returns once everything is written, or after `within`: nobody may be reading.
    pub(super) fn flush(&self, within: Duration) {
        let until = clock::now() + within;
        let mut queue = self.lock();
        while queue.busy || !queue.lines.is_empty() {
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() {
                return;
            }
            self.0.changed.wait_for(&mut queue, left);
        }
    }

    fn write(&self, mut to: impl Write) {
        loop {
            let mut queue = self.lock();
            let line = loop {
                if let Some(line) = queue.lines.pop_front() {
                    break line;
                }
                self.0.changed.wait(&mut queue);
            };
            queue.bytes -= line.len();
            queue.busy = true;
            drop(queue);
            write_whole(&mut to, &line);
            let mut queue = self.lock();
            queue.busy = false;
            // Told with room to spare, so that the count does not fall out again.
            let told = if queue.bytes <= ROOM / 2 { std::mem::take(&mut queue.dropped) } else { 0 };
            drop(queue);
            self.0.changed.notify_all();
            if told > 0 {
                tracing::warn!(
                    lines = told,
                    "log lines were dropped: nobody read standard error fast enough"
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock()
    }
}

/// Writes a line, however long its reader takes. One that nobody will ever read, as
/// when the reader is gone, is left.
fn write_whole(to: &mut impl Write, mut line: &[u8]) {
    while !line.is_empty() {
        match to.write(line) {
            Ok(0) => return,
            Ok(written) => line = line.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Err(_) => return,
        }
    }
}

/// What one event is written to: each write is a whole line.
#[derive(Debug)]
pub(super) struct LineWriter<'a>(&'a Lines);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A reader that takes a line when it is told to.
    struct Slow(Receiver<()>, SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_writes_never_waits_and_what_finds_no_room_is_counted() {
        let (take, taking) = sync_channel(100_000);
        let (taken, read) = sync_channel(100_000);
        let lines = Lines::start(Slow(taking, taken)).unwrap();
        let line = [b'x'; 1024];
        let room = ROOM / line.len();
        for _ in 0..room + 500 {
            lines.put(&line);
        }
        let dropped = lines.lock().dropped;
        // The thread may hold one line that it took out of the queue.
        assert!((499..=500).contains(&dropped), "{dropped}");
        lines.flush(Duration::from_millis(10));
        assert!(read.try_recv().is_err(), "nothing was read yet");

        for _ in 0..room + 2 {
            take.send(()).unwrap();
        }
        lines.flush(Duration::from_secs(60));
        assert_eq!(lines.lock().dropped, 0, "the count was told");
        assert_eq!(read.try_iter().count() as u64, room as u64 + 500 - dropped);
    }

    #[test]
    fn a_line_is_written_whole_to_who_takes_little() {
        struct Little(SyncSender<u8>, bool);
        impl Write for Little {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                let _ = self.0.send(line[0]);
                Ok(1)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (taken, read) = sync_channel(100);
        let lines = Lines::start(Little(taken, false)).unwrap();
        lines.put(b"one\n");
        lines.put(b"two\n");
        lines.flush(Duration::from_secs(60));
        assert_eq!(read.try_iter().collect::<Vec<_>>(), b"one\ntwo\n");
    }
}
