//! A server's answers as they go over the wire: just enough of the protocols of
//! PostgreSQL and MySQL to tell where an answer begins, where its rows are, and where it
//! ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helper")]

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
    Postgres,
    /// <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>
    Mysql,
}

pub type Message = Vec<u8>;

/// All that a server says to one request.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Answers of one kind can stand for each other.
    pub kind: u8,
    pub head: Vec<Message>,
    pub rows: Vec<Message>,
    pub tail: Vec<Message>,
}

impl Answer {
    pub fn bytes(&self) -> Vec<u8> {
        self.head.iter().chain(&self.rows).chain(&self.tail).flatten().copied().collect()
    }
}

/// What one side asked, as far as it says how the other's answer is to be read.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Prepare,
    Run,
}

const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const QUERY: u8 = 0x03;
const DEPRECATE_EOF: u32 = 1 << 24;
const MORE_RESULTS: u8 = 8;

/// Passes a client's requests on, and notes those of MySQL, whose answers cannot be read
/// without.
pub struct Requests {
    protocol: Protocol,
    asked: mpsc::Sender<Asked>,
    first: Option<mpsc::Sender<u32>>,
}

/// Reads a server's answers.
pub struct Answers {
    protocol: Protocol,
    asked: mpsc::Receiver<Asked>,
    capabilities: mpsc::Receiver<u32>,
    ends_are_marked: bool,
}

/// The two ends of one connection.
pub fn both(protocol: Protocol) -> (Requests, Answers) {
    let (asked, was_asked) = mpsc::channel(64);
    let (first, capabilities) = mpsc::channel(1);
    let requests = Requests { protocol, asked, first: Some(first) };
    (requests, Answers { protocol, asked: was_asked, capabilities, ends_are_marked: true })
}

impl Requests {
    pub async fn pass<R, W>(mut self, mut from: R, mut to: W) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.protocol == Protocol::Postgres {
            return tokio::io::copy(&mut from, &mut to).await.map(drop);
        }
        loop {
            let packet = mysql_packet(&mut from).await?;
            let body = &packet[4..];
            if let Some(first) = self.first.take() {
                let capabilities = u32::from_le_bytes(body[..4].try_into().unwrap());
                first.send(capabilities).await.map_err(io::Error::other)?;
            } else if packet[3] == 0 {
                let asked = match body.first() {
                    Some(&PREPARE) => Some(Asked::Prepare),
                    Some(&(EXECUTE | QUERY)) => Some(Asked::Run),
                    _ => None,
                };
                if let Some(asked) = asked {
                    self.asked.send(asked).await.map_err(io::Error::other)?;
                }
            }
            to.write_all(&packet).await?;
        }
    }
}

impl Answers {
    /// Passes on what is said until the client was let in.
    pub async fn greet<R, W>(&mut self, from: &mut R, to: &mut W) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        match self.protocol {
            Protocol::Postgres => loop {
                let message = postgres_message(from).await?;
                to.write_all(&message).await?;
                if message[0] == b'Z' {
                    return Ok(());
                }
            },
            Protocol::Mysql => {
                let greeting = mysql_packet(from).await?;
                to.write_all(&greeting).await?;
                let offered = mysql_capabilities(&greeting[4..]);
                let taken = self.capabilities.recv().await.unwrap_or_default();
                self.ends_are_marked = offered & taken & DEPRECATE_EOF == 0;
                loop {
                    let packet = mysql_packet(from).await?;
                    to.write_all(&packet).await?;
                    if packet.get(4) == Some(&0) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next answer, whole.
    pub async fn next<R: AsyncRead + Unpin>(&mut self, from: &mut R) -> io::Result<Answer> {
        match self.protocol {
            Protocol::Postgres => postgres_answer(from).await,
            Protocol::Mysql => match self.asked.recv().await {
                None => Err(io::ErrorKind::UnexpectedEof.into()),
                Some(Asked::Prepare) => self.prepared(from).await,
                Some(Asked::Run) => self.ran(from).await,
            },
        }
    }

    async fn prepared<R: AsyncRead + Unpin>(&self, from: &mut R) -> io::Result<Answer> {
        let first = mysql_packet(from).await?;
        let body = &first[4..];
        let mut answer = Answer { kind: PREPARE, ..Answer::default() };
        let mut described = Vec::new();
        if body[0] == 0 {
            described.extend([7, 5].map(|at| u16::from_le_bytes([body[at], body[at + 1]])));
        }
        answer.head.push(first);
        for count in described {
            self.columns(from, usize::from(count), &mut answer.head).await?;
        }
        Ok(answer)
    }

    async fn columns<R: AsyncRead + Unpin>(
        &self,
        from: &mut R,
        count: usize,
        into: &mut Vec<Message>,
    ) -> io::Result<()> {
        let end = usize::from(self.ends_are_marked && count > 0);
        for _ in 0..count + end {
            into.push(mysql_packet(from).await?);
        }
        Ok(())
    }

    async fn ran<R: AsyncRead + Unpin>(&self, from: &mut R) -> io::Result<Answer> {
        let mut answer = Answer { kind: QUERY, ..Answer::default() };
        loop {
            let first = mysql_packet(from).await?;
            let body = first[4..].to_vec();
            answer.head.push(first);
            match body[0] {
                0xff => return Ok(answer),
                0x00 if body[3] & MORE_RESULTS == 0 => return Ok(answer),
                0x00 => {}
                count => {
                    answer.kind = EXECUTE;
                    self.columns(from, usize::from(count), &mut answer.head).await?;
                    loop {
                        let packet = mysql_packet(from).await?;
                        match packet[4] {
                            0xfe | 0xff => {
                                answer.tail.push(packet);
                                return Ok(answer);
                            }
                            _ => answer.rows.push(packet),
                        }
                    }
                }
            }
        }
    }
}

async fn postgres_message<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Message> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes(message[1..].try_into().unwrap());
    message.resize(length as usize + 1, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

async fn postgres_answer<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Answer> {
    let mut answer = Answer::default();
    loop {
        let message = postgres_message(from).await?;
        let kind = message[0];
        if answer.head.is_empty() {
            answer.kind = kind;
        }
        match kind {
            b'D' => answer.rows.push(message),
            _ if answer.rows.is_empty() => answer.head.push(message),
            _ => answer.tail.push(message),
        }
        if kind == b'Z' {
            return Ok(answer);
        }
    }
}

async fn mysql_packet<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Message> {
    let mut packet = vec![0; 4];
    from.read_exact(&mut packet).await?;
    let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
    packet.resize(length as usize + 4, 0);
    from.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

/// What a server's greeting offers.
fn mysql_capabilities(greeting: &[u8]) -> u32 {
    // Version of the protocol, version of the server, thread, 8 bytes of salt, a zero.
    let version = greeting.iter().skip(1).position(|byte| *byte == 0).unwrap_or_default() + 2;
    let low = version + 4 + 8 + 1;
    let high = low + 2 + 1 + 2;
    u32::from_le_bytes([greeting[low], greeting[low + 1], greeting[high], greeting[high + 1]])
}
