//! Standard output and standard error of every command. A reader that has seen enough
//! is no error; a full disk is one.
//!
//! What is to be told whole goes through [`print()`], and the command's exit code stands
//! whoever has read it. What is long is written to [`stdout`], whose error ends the
//! command: [`super::main`] keeps quiet about a reader that left.

use std::io::{self, ErrorKind, StdoutLock, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

static LEFT: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard output.
macro_rules! say {
    ($($what:tt)*) => { $crate::cli::output::print(&format!($($what)*)) };
}

/// Writes a line to standard error; that nobody can read it is no error.
macro_rules! tell {
    ($($what:tt)*) => { $crate::telemetry::tell(&format!($($what)*)) };
}

pub(in crate::cli) use {say, tell};

/// Standard output, locked.
#[derive(Debug)]
pub(super) struct Stdout(StdoutLock<'static>);

/// Locks standard output.
pub(super) fn stdout() -> Stdout {
    Stdout(io::stdout().lock())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        note(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        note(self.0.flush())
    }
}

fn note<T>(done: io::Result<T>) -> io::Result<T> {
    if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        LEFT.store(true, Ordering::Relaxed);
    }
    done
}

/// Whether the reader of standard output has left.
pub(super) fn reader_left() -> bool {
    LEFT.load(Ordering::Relaxed)
}

/// Prints a text and the end of its line; a reader that has left does not mind.
///
/// # Errors
/// It cannot be written, as on a full disk.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if !reader_left() => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}
