//! An address that leads to an agency, wherever that is just now.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The address. Whoever connects is led to where it leads at that moment; where nobody
/// is, the connection is closed.
#[derive(Debug, Clone)]
pub struct Front {
    pub address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    cut: watch::Sender<()>,
}

impl Front {
    pub async fn to(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let front = Self {
            address: listener.local_addr()?,
            to: Arc::new(Mutex::new(address)),
            cut: watch::channel(()).0,
        };
        let (to, cut) = (front.to.clone(), front.cut.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (to, mut cut) = (*to.lock(), cut.subscribe());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Ok(front)
    }

    pub fn lead_to(&self, address: SocketAddr) {
        *self.to.lock() = address;
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.cut.send_replace(());
    }
}
