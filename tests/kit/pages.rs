//! The pages of `[telemetry]`, as anybody reads them.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use toml_edit::DocumentMut;

use super::waiting::{Reserved, within};

/// A port for the pages, which a configuration names.
pub struct Pages(Reserved);

impl Pages {
    pub fn new() -> Self {
        Self(Reserved::new())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Has them served there.
    pub fn configure(&self, document: &mut DocumentMut) {
        document["telemetry"]["listen"] = toml_edit::value(self.address().to_string());
    }

    /// A page's status and text; nothing while nobody serves.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        within(get(self.address(), path)).await
    }

    /// Whether the process says that it would answer, and why not.
    pub async fn ready(&self) -> Option<(u16, String)> {
        self.get("/readyz").await
    }

    pub async fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics").await.unwrap();
        assert_eq!(status, 200, "{text}");
        text
    }
}

/// A page at any address.
pub async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let asked = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.ok()?;
    let mut told = String::new();
    stream.read_to_string(&mut told).await.ok()?;
    let (head, body) = told.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
