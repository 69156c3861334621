//! A way to the server that can be cut, frozen and opened again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::waiting::Reserved;

pub struct Proxy {
    server: String,
    kept: Reserved,
    frozen: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    running: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A way to the server at this address.
    pub async fn start(url: &str) -> Self {
        let (server, kept) = (authority(url).to_owned(), Reserved::new());
        let (frozen, accepted) = (Arc::default(), Arc::default());
        let mut proxy = Self { server, kept, frozen, accepted, running: None };
        proxy.resume().await;
        proxy
    }

    /// The same address, but by this way.
    pub fn url(&self, url: &str) -> String {
        url.replace(authority(url), &self.kept.address().to_string())
    }

    pub fn address(&self) -> SocketAddr {
        self.kept.address()
    }

    /// Connections since it was last opened.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// From now on nothing comes through, and nobody is told.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// Cuts every connection and refuses new ones.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    pub async fn resume(&mut self) {
        self.frozen = Arc::default();
        self.accepted = Arc::default();
        let listener = TcpListener::bind(self.kept.address()).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (server, frozen) = (self.server.clone(), self.frozen.clone());
        let accepted = self.accepted.clone();
        self.running = Some(tokio::spawn(async move {
            // Ends with this task.
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(&server).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                connections.spawn(copy(near_in, far_out, frozen.clone()));
                connections.spawn(copy(far_in, near_out, frozen.clone()));
            }
        }));
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, frozen: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

fn authority(url: &str) -> &str {
    let (_, rest) = url.rsplit_once('@').or_else(|| url.split_once("://")).unwrap();
    rest.split('/').next().unwrap()
}
