//! Row 46: a process that has no file descriptors left.

use std::io::BufRead;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tributary::clock;

use crate::answers::AGENCY;
use crate::federation::{Federation, until};
use crate::raw::consumer;
use crate::rude::{rude, rude_connect};

/// Clock ticks of processor time that a process has used (proc(5), `stat`).
fn ticks(process: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn descriptors(process: &Child) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_46_out_of_descriptors_it_rests_and_recovers() {
    const LIMIT: usize = 80;
    let federation = Federation::start();
    let config = federation.copy_of(&federation.entry(AGENCY).config, |_| {});
    let log = config.with_extension("log");
    let mut agency = Command::new("sh")
        .args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" agency --config \"$1\"")])
        .arg(env!("CARGO_BIN_EXE_tributary"))
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(agency.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let agency = Killed(agency);

    // The kernel goes on accepting when the process cannot any more. Silent ones
    // are closed after five seconds, so more come all the time.
    let mut crowd: Vec<TcpStream> = Vec::new();
    let fill = |crowd: &mut Vec<TcpStream>| {
        crowd.extend((0..60).map(|_| TcpStream::connect(address).unwrap()));
    };
    fill(&mut crowd);
    fill(&mut crowd);
    let used = async || descriptors(&agency.0);
    until("the last descriptor", used, |used| *used >= LIMIT - 1).await;
    let failed = async || std::fs::read_to_string(&log).unwrap();
    until("a connection too many", failed, |log| log.contains("accept_failed")).await;
    let (used, began) = (ticks(&agency.0), clock::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    // A tick is a hundredth of a second on every Linux that this runs on.
    let share = (ticks(&agency.0) - used) as f64 / began.elapsed().as_secs_f64();
    assert!(share < 10.0, "{share} % of a processor while it cannot accept");

    crowd.clear();
    // It answers again: a handshake that ends was accepted and answered.
    let config = rude(Some(&consumer(&federation)), &["h2"]);
    let again = async || rude_connect(address, config.clone()).await.map(drop);
    drop(until("a connection again", again, Result::is_ok).await);
}
