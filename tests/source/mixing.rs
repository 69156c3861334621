//! A proxy before a database that swaps, repeats, cuts, delays and resets answers, by
//! chance and of all connections together.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helper")]

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::wire::{self, Answer, Protocol};

/// Numbers by chance, the same for the same seed.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

/// What can befall an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Another answer of its kind comes, and it comes to somebody else.
    Swapped,
    /// It comes twice.
    Repeated,
    /// One of its rows comes twice.
    RowRepeated,
    /// One of its rows does not come.
    RowCut,
    /// One row comes twice and another not at all.
    RowForRow,
    /// A row of another answer comes in the place of one of its own.
    RowSwapped,
    /// No row comes, and yet it ends well.
    RowsCut,
    /// It breaks off in the middle.
    BrokenOff,
    /// It comes late.
    Delayed,
    /// The connection is reset.
    Reset,
    /// The server says that it ends the session.
    Ended,
    /// It never comes.
    Withheld,
}

const FAULTS: [Fault; 12] = [
    Fault::Swapped,
    Fault::Repeated,
    Fault::RowRepeated,
    Fault::RowCut,
    Fault::RowForRow,
    Fault::RowSwapped,
    Fault::RowsCut,
    Fault::BrokenOff,
    Fault::Delayed,
    Fault::Reset,
    Fault::Ended,
    Fault::Withheld,
];

/// What all connections have in common.
struct Mixer {
    protocol: Protocol,
    /// One answer in so many is tampered with; none as long as it is 0.
    one_in: usize,
    chance: Chance,
    /// Earlier answers, by kind.
    earlier: BTreeMap<u8, VecDeque<Answer>>,
    done: BTreeMap<Fault, u64>,
}

/// What is to be sent, and what then becomes of the connection.
struct Fate {
    bytes: Vec<u8>,
    delay: Duration,
    close: bool,
}

pub struct Mixing {
    address: SocketAddr,
    mixer: Arc<Mutex<Mixer>>,
    running: JoinHandle<()>,
}

impl Mixing {
    /// A proxy before this server, which tampers with one answer in so many.
    pub async fn start(
        protocol: Protocol,
        server: SocketAddr,
        one_in: usize,
        chance: Chance,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (earlier, done) = (BTreeMap::new(), BTreeMap::new());
        let mixer = Mixer { protocol, one_in, chance, earlier, done };
        let mixer = Arc::new(Mutex::new(mixer));
        let shared = Arc::clone(&mixer);
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let mixer = Arc::clone(&shared);
                connections.spawn(async move {
                    // However it ends, both sockets are closed.
                    let _ = relay(protocol, near, server, mixer).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, mixer, running }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often each fault was made.
    pub fn done(&self) -> BTreeMap<Fault, u64> {
        self.mixer.lock().unwrap().done.clone()
    }
}

impl Drop for Mixing {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn relay(
    protocol: Protocol,
    near: TcpStream,
    server: SocketAddr,
    mixer: Arc<Mutex<Mixer>>,
) -> io::Result<()> {
    let far = TcpStream::connect(server).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, mut near_out), (mut far_in, far_out)) = (near.into_split(), far.into_split());
    let (requests, mut answers) = wire::both(protocol);
    let there = requests.pass(near_in, far_out);
    let back = async {
        answers.greet(&mut far_in, &mut near_out).await?;
        loop {
            let answer = answers.next(&mut far_in).await?;
            let fate = mixer.lock().unwrap().fate(answer);
            send(&mut near_out, fate).await?;
        }
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

async fn send<W: AsyncWrite + Unpin>(to: &mut W, fate: Fate) -> io::Result<()> {
    if !fate.delay.is_zero() {
        tokio::time::sleep(fate.delay).await;
    }
    to.write_all(&fate.bytes).await?;
    to.flush().await?;
    if fate.close { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
}

impl Mixer {
    fn fate(&mut self, mut answer: Answer) -> Fate {
        let mut fate = Fate { bytes: Vec::new(), delay: Duration::ZERO, close: false };
        let fault = self.fault(&answer);
        if let Some(fault) = fault {
            *self.done.entry(fault).or_default() += 1;
        }
        let whole = answer.clone();
        let rows = answer.rows.len();
        match fault {
            None => {}
            Some(Fault::Swapped) => answer = self.other(answer.kind).unwrap_or(answer),
            Some(Fault::Repeated) => fate.bytes = answer.bytes(),
            Some(Fault::RowRepeated) => {
                let row = answer.rows[self.chance.below(rows)].clone();
                answer.rows.push(row);
            }
            Some(Fault::RowCut) => {
                answer.rows.remove(self.chance.below(rows));
            }
            Some(Fault::RowForRow) => {
                let gone = self.chance.below(rows);
                answer.rows[gone] = answer.rows[(gone + 1) % rows].clone();
            }
            Some(Fault::RowSwapped) => {
                let other = self.other(answer.kind).unwrap_or_default();
                if let Some(row) = other.rows.get(self.chance.below(other.rows.len())) {
                    answer.rows[self.chance.below(rows)] = row.clone();
                }
            }
            Some(Fault::RowsCut) => answer.rows.clear(),
            Some(Fault::BrokenOff) => {
                fate.bytes = answer.bytes();
                fate.bytes.truncate(self.chance.below(fate.bytes.len()));
                (answer, fate.close) = (Answer::default(), true);
            }
            Some(Fault::Delayed) => {
                fate.delay = Duration::from_millis(1 + self.chance.below(20) as u64);
            }
            Some(Fault::Reset) => (answer, fate.close) = (Answer::default(), true),
            Some(Fault::Ended) => {
                fate.bytes = session_ended(self.protocol);
                (answer, fate.close) = (Answer::default(), true);
            }
            // Longer than whoever waits for it does.
            Some(Fault::Withheld) => {
                fate.delay = Duration::from_secs(600);
            }
        }
        fate.bytes.extend(answer.bytes());
        let earlier = self.earlier.entry(whole.kind).or_default();
        earlier.push_back(whole);
        if earlier.len() > 32 {
            earlier.pop_front();
        }
        fate
    }

    fn fault(&mut self, answer: &Answer) -> Option<Fault> {
        if self.one_in == 0 || self.chance.below(self.one_in) != 0 {
            return None;
        }
        let fault = FAULTS[self.chance.below(FAULTS.len())];
        let fits = match fault {
            Fault::RowRepeated | Fault::RowCut | Fault::RowSwapped | Fault::RowsCut => {
                !answer.rows.is_empty()
            }
            Fault::RowForRow => answer.rows.len() > 1,
            // Each of these costs a statement's whole time.
            Fault::Withheld => self.chance.below(16) == 0,
            _ => true,
        };
        fits.then_some(fault)
    }

    /// An earlier answer of this kind, of whichever connection.
    fn other(&mut self, kind: u8) -> Option<Answer> {
        let earlier = self.earlier.get_mut(&kind)?;
        let at = self.chance.below(earlier.len());
        earlier.remove(at)
    }
}

/// A server's last words: its administrator ended the session.
fn session_ended(protocol: Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Postgres => {
            let fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap();
            [&b"E"[..], &length.to_be_bytes(), fields].concat()
        }
        Protocol::Mysql => {
            let body = [&[0xff][..], &1927_u16.to_le_bytes(), b"#70100Connection was killed"];
            let body = body.concat();
            [&[u8::try_from(body.len()).unwrap(), 0, 0, 1][..], &body].concat()
        }
    }
}
