//! What goes wrong with one agency while it is asked.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{anyhow, ensure};

/// Every fault with its name, the healthy state first and the lasting one last.
pub const ALL: [(&str, Fault); 4] = [
    ("none", Fault::None),
    ("slow: stopped four fifths of the time", Fault::Slow),
    ("hanging: stopped", Fault::Hanging),
    ("dead: killed", Fault::Dead),
];

/// A fault.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    None,
    Slow,
    Hanging,
    Dead,
}

/// A fault that goes on.
pub struct Going {
    pid: u32,
    fault: Fault,
    stop: Arc<AtomicBool>,
    slowing: Option<JoinHandle<()>>,
}

impl Fault {
    /// Begins it.
    pub fn on(self, pid: u32) -> anyhow::Result<Going> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut slowing = None;
        match self {
            Self::None => {}
            Self::Hanging => signal("-STOP", pid)?,
            Self::Dead => signal("-KILL", pid)?,
            Self::Slow => {
                let stop = stop.clone();
                slowing = Some(std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        for (name, millis) in [("-STOP", 80), ("-CONT", 20)] {
                            let _ = signal(name, pid);
                            std::thread::sleep(Duration::from_millis(millis));
                        }
                    }
                }));
            }
        }
        Ok(Going { pid, fault: self, stop, slowing })
    }
}

impl Going {
    /// Ends it, where it can be ended.
    pub fn ended(self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(slowing) = self.slowing {
            slowing.join().map_err(|_| anyhow!("the slowing thread panicked"))?;
        }
        match self.fault {
            Fault::Hanging => signal("-CONT", self.pid),
            _ => Ok(()),
        }
    }
}

fn signal(name: &str, pid: u32) -> anyhow::Result<()> {
    let done = Command::new("kill").args([name, &pid.to_string()]).status()?;
    ensure!(done.success(), "kill {name} {pid}: {done}");
    Ok(())
}
