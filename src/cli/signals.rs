//! The orders that a serving process gets from outside: signals, and the end of
//! standard input. A thread of its own takes them, with a runtime of its own, so that no
//! read, write or look-up that hangs elsewhere keeps an order from being obeyed.
//!
//! | order | what follows |
//! | --- | --- |
//! | SIGTERM, SIGINT | the process stops in order; after its time is over it ends all the same |
//! | the same again | it ends at once, exit code 130 |
//! | SIGHUP | every file that is watched is looked at now (`app::watching`); the demo stops |
//! | SIGUSR1, SIGUSR2 | nothing |

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::telemetry;

/// How long the log's last lines may take at an end that does not wait.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Exit codes of an end that was not waited for: after a second signal, and after too
/// long a stop.
const AT_ONCE: i32 = 130;
const TOO_LONG: i32 = 1;

/// How a process is told to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orders {
    /// How long it may take to stop.
    pub(super) within: Duration,
    /// Whether it is to stop when standard input ends.
    pub(super) stdin: bool,
    /// Whether it is to stop at SIGHUP.
    pub(super) hangup_stops: bool,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: [Signal; 2],
}

enum Order {
    Stop,
    Look,
    Nothing,
    Over,
}

impl Orders {
    /// Takes orders from now on. The receiver turns true at the first one to stop.
    ///
    /// # Errors
    /// The system gives no signal handlers or no thread.
    pub(super) fn take(self) -> io::Result<watch::Receiver<bool>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _entered = runtime.enter();
            let of = signal;
            Signals {
                interrupt: of(SignalKind::interrupt())?,
                terminate: of(SignalKind::terminate())?,
                hangup: of(SignalKind::hangup())?,
                user: [of(SignalKind::user_defined1())?, of(SignalKind::user_defined2())?],
            }
        };
        let (stop, stopped) = watch::channel(false);
        let ended = if self.stdin { Some(end_of_stdin()?) } else { None };
        std::thread::Builder::new()
            .name("orders".to_owned())
            .spawn(move || runtime.block_on(self.obey(signals, ended, &stop)))?;
        Ok(stopped)
    }

    async fn obey(
        self,
        mut signals: Signals,
        mut ended: Option<oneshot::Receiver<()>>,
        stop: &watch::Sender<bool>,
    ) {
        let mut until = None;
        loop {
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let closed = async {
                match &mut ended {
                    Some(ended) => drop(ended.await),
                    None => std::future::pending().await,
                }
            };
            let order = tokio::select! {
                () = over => Order::Over,
                () = closed => {
                    ended = None;
                    if until.is_some() { Order::Nothing } else { Order::Stop }
                }
                order = signals.next() => order,
            };
            match (order, until) {
                (Order::Look, _) if !self.hangup_stops => {
                    tracing::info!("SIGHUP: every file that is watched is looked at now");
                }
                (Order::Nothing, _) => {}
                (Order::Stop | Order::Look, None) => {
                    until = Some(tokio::time::Instant::now() + self.within);
                    stop.send_replace(true);
                }
                // Who orders it again does not wait for anybody.
                (Order::Stop | Order::Look, Some(_)) => leave(AT_ONCE),
                (Order::Over, _) => {
                    tracing::error!(
                        "the stop took longer than {:?}: what is left is abandoned",
                        self.within
                    );
                    leave(TOO_LONG);
                }
            }
        }
    }
}

impl Signals {
    async fn next(&mut self) -> Order {
        let Self { interrupt, terminate, hangup, user: [first, second] } = self;
        tokio::select! {
            _ = interrupt.recv() => Order::Stop,
            _ = terminate.recv() => Order::Stop,
            _ = hangup.recv() => Order::Look,
            _ = first.recv() => Order::Nothing,
            _ = second.recv() => Order::Nothing,
        }
    }
}

/// Resolves at the end of standard input. The thread that reads is left behind, for
/// nothing ends a read.
fn end_of_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (tell, ended) = oneshot::channel();
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = tell.send(());
    })?;
    Ok(ended)
}

fn leave(code: i32) -> ! {
    telemetry::flush(LAST_LINES);
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const HANGS: &str = "TRIBUTARY_TEST_HANGS";

    /// The test runs itself as a process that never gets to its end.
    #[test]
    fn row_77_a_stop_that_hangs_is_cut_off() {
        if std::env::var_os(HANGS).is_some() {
            let within = Duration::from_millis(100);
            let _stopped = Orders { within, stdin: false, hangup_stops: false }.take().unwrap();
            let own = std::process::id().to_string();
            assert!(Command::new("kill").args(["-TERM", &own]).status().unwrap().success());
            loop {
                std::thread::park();
            }
        }
        let test = "cli::signals::tests::row_77_a_stop_that_hangs_is_cut_off";
        let ended = Command::new("timeout")
            .args(["-s", "KILL", "60"])
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(HANGS, "1")
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(TOO_LONG), "{ended:?}");
    }
}
