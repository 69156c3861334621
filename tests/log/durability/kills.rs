//! Row 34: a gateway, and an agency, killed at random and at named points, under
//! load: every reply that a client got has its record, and no index has two.
//!
//! `TRIBUTARY_TEST_KILLS` sets how often; 200 unless set.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tributary::app::client::ClientError;

use super::acknowledged::Acknowledged;
use super::points::{self, POINTS};
use super::town::{AGENCY, DEADLINE, ITEM, Town};
use crate::kit::process::Process;
use crate::kit::waiting::{PATIENCE, becomes};

/// How many requests are under way at once.
const WRITERS: usize = 4;

fn kills() -> u64 {
    std::env::var("TRIBUTARY_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

/// The same pseudo-random numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// How the next life ends.
struct End {
    point: Option<&'static str>,
    at: u64,
    /// After the first reply, by somebody else's hand.
    after: Duration,
}

impl End {
    fn roll(number: u64, dice: &mut Dice) -> Self {
        let names = POINTS.len() as u64;
        // Every other one at a point, each point in turn.
        let point = (number % 2 == 1).then(|| POINTS[(number / 2 % names) as usize]);
        Self { point, at: dice.roll(8), after: Duration::from_micros(dice.roll(40_000)) }
    }

    fn start(&self, town: &Town, role: &str) -> Process {
        if self.at == 0 {
            // A life that ends while it starts, and reads what the one before left.
            let mut short = town.command(role).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(10 * self.after);
            short.kill().unwrap();
            short.wait().unwrap();
        }
        Process::listening(&mut match self.point {
            Some(point) => points::command(town, role, point, self.at),
            None => town.command(role),
        })
    }

    /// Waits for the end, or brings it about; `first` is told of the first reply.
    async fn come(self, mut role: Process, first: &Notify) {
        match self.point {
            None => {
                let _ = tokio::time::timeout(PATIENCE, first.notified()).await;
                tokio::time::sleep(self.after).await;
                drop(role);
            }
            Some(point) => {
                let end = tributary::clock::now() + PATIENCE;
                while role.ended().is_none() {
                    assert!(tributary::clock::now() < end, "never came to: {point}");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }
}

/// Asks until the gateway is gone.
async fn load(
    town: &Arc<Town>,
    gateway: std::net::SocketAddr,
    heard: &Arc<Mutex<Acknowledged>>,
    first: &Arc<Notify>,
) {
    let Ok(client) = town.client(gateway).await else { return };
    let writers = (0..WRITERS).map(|writer| {
        let (town, mut client) = (town.clone(), client.clone());
        let (heard, first) = (heard.clone(), first.clone());
        tokio::spawn(async move {
            let (grant, key) = (town.grant(writer % town.people()), town.key("gateway"));
            loop {
                match client.profile(&grant, vec![ITEM.into()], DEADLINE).await {
                    Ok(answer) => {
                        heard.lock().await.take(&answer, &key);
                        first.notify_one();
                    }
                    // Until it has the status list.
                    Err(ClientError::Refused { reason, .. }) if reason == "GRANT_STATUS_STALE" => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(_) => return,
                }
            }
        })
    });
    futures_util::future::join_all(writers).await.into_iter().for_each(Result::unwrap);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_34_a_gateway_killed_at_random_and_at_named_points_promised_nothing_that_is_gone() {
    let town = Arc::new(Town::new());
    let agency = town.agency().await;
    let heard = Arc::new(Mutex::new(Acknowledged::default()));
    let mut dice = Dice(34);
    for number in 0..kills() {
        let end = End::roll(number, &mut dice);
        let gateway = end.start(&town, "gateway");
        let (address, first) = (gateway.address(), Arc::new(Notify::new()));
        tokio::join!(end.come(gateway, &first), load(&town, address, &heard, &first));
        // Reading all of the log each time would take longer than the kills.
        if number % 20 == 19 {
            heard.lock().await.check(&town.gateway_log(), &town.key("gateway"));
        }
    }
    // It opens once more, and ends in order.
    let gateway = town.gateway().await;
    assert!(gateway.stop().await);
    let heard = heard.lock().await;
    heard.check(&town.gateway_log(), &town.key("gateway"));
    assert!(agency.stop().await);
    heard.check_agency(&town.agency_log(), &town.key("employment"));
    println!("{} kills of the gateway, {} receipts", kills(), heard.len());
    assert!(heard.len() as u64 > kills(), "hardly anything was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_34_an_agency_killed_at_random_and_at_named_points_released_nothing_unrecorded() {
    let town = Arc::new(Town::new());
    let (settling, gateway) = town.both().await;
    assert!(settling.stop().await);
    let heard = Arc::new(Mutex::new(Acknowledged::default()));
    let (grant, key) = (town.grant(0), town.key("gateway"));
    let mut dice = Dice(43);
    for number in 0..kills() {
        let end = End::roll(number, &mut dice);
        let agency = end.start(&town, "agency");
        // Many kills take longer than a connection lives, and a start longer than it may
        // be silent.
        let client = town.client(gateway.address).await.unwrap();
        let first = Arc::new(Notify::new());
        let before = heard.lock().await.released.len();
        let over = std::sync::atomic::AtomicBool::new(false);
        let asking = async {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                let asked = (0..WRITERS).map(|_| {
                    let mut client = client.clone();
                    let grant = &grant;
                    async move { client.profile(grant, vec![ITEM.into()], DEADLINE).await.unwrap() }
                });
                for answer in futures_util::future::join_all(asked).await {
                    heard.lock().await.take(&answer, &key);
                }
                if heard.lock().await.released.len() > before {
                    first.notify_one();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let ending = async {
            end.come(agency, &first).await;
            over.store(true, std::sync::atomic::Ordering::SeqCst);
        };
        tokio::join!(asking, ending);
        if number % 20 == 19 {
            let heard = heard.lock().await;
            heard.check_agency(&town.agency_log(), &town.key("employment"));
        }
    }
    let agency = town.agency().await;
    let mut client = town.client(gateway.address).await.unwrap();
    becomes("an answer at the end", "OK", async || town.ask(&mut client, 1).await).await;
    assert!(gateway.stop().await && agency.stop().await);
    let heard = heard.lock().await;
    heard.check(&town.gateway_log(), &key);
    heard.check_agency(&town.agency_log(), &town.key("employment"));
    println!("{} kills of {AGENCY}, {} releases", kills(), heard.released.len());
    assert!(heard.released.len() as u64 > kills() / 2, "hardly anything was released");
}
