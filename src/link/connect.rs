//! Outbound links: one connection to one identity.
//!
//! Each call of [`Connector::channel`] makes a new connection. When it breaks,
//! its channel fails for good: trying again, and how often, is the caller's
//! business.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::coalesce::Bundled;
use super::limits::ConnectLimits;
use super::tls::{HTTP2, LinkTls};
use super::trust::{TrustError, Usage};
use super::validity::Believed;
use crate::dial::dial;
use crate::domain::peer::SpiffeId;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The configured address is none.
    #[error("`{0}` is not an address of the form host:port")]
    Address(String),
    /// Nothing answers there.
    #[error("cannot reach {expected} at {address}: check the address, and that it is running")]
    Unreachable {
        /// Where.
        address: String,
        /// Who should be there.
        expected: SpiffeId,
        /// What the system said.
        source: io::Error,
    },
    /// It took too long.
    #[error("{expected} at {address} did not finish {step} in {limit:?}")]
    TimedOut {
        /// Where.
        address: String,
        /// Who should be there.
        expected: SpiffeId,
        /// What was waited for.
        step: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// Somebody else is there.
    #[error(
        "expected {expected} at {address} but found {found}: check the address and the \
         expected identity; nothing was sent"
    )]
    WrongIdentity {
        /// Where.
        address: String,
        /// Who should be there.
        expected: SpiffeId,
        /// Who is there.
        found: Box<SpiffeId>,
    },
    /// Who is there could not be believed.
    #[error("the certificate at {address} does not prove {expected}; nothing was sent")]
    Untrusted {
        /// Where.
        address: String,
        /// Who should be there.
        expected: SpiffeId,
        /// Why not.
        source: Box<TrustError>,
    },
    /// The peer did not accept us.
    #[error(
        "{expected} at {address} refused our certificate or our request to connect \
         (TLS alert {alert:?}): check that our certificate is valid and that they trust our domain"
    )]
    Refused {
        /// Where.
        address: String,
        /// Who is there.
        expected: SpiffeId,
        /// How the peer put it.
        alert: AlertDescription,
    },
    /// TLS or HTTP/2 could not be agreed on, or the connection broke meanwhile.
    #[error(
        "no link to {expected} at {address}: check that it serves gRPC over TLS 1.3 with HTTP/2"
    )]
    Protocol {
        /// Where.
        address: String,
        /// Who should be there.
        expected: SpiffeId,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Makes connections to one identity at one address.
#[derive(Debug, Clone)]
pub struct Connector {
    address: String,
    expected: SpiffeId,
    server_name: ServerName<'static>,
    endpoint: Endpoint,
    tls: LinkTls,
    limits: ConnectLimits,
}

impl Connector {
    /// `address` is `host:port`, looked up anew for each connection. The host is
    /// sent as the server name but proves nothing: `expected` does.
    ///
    /// # Errors
    /// [`ConnectError::Address`] when `address` has another form.
    pub fn new(
        address: &str,
        expected: SpiffeId,
        tls: LinkTls,
        limits: ConnectLimits,
    ) -> Result<Self, ConnectError> {
        let wrong = || ConnectError::Address(address.escape_default().to_string());
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let server_name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
        // tonic runs no TLS of its own (it is built without); the origin is what
        // stands in `:scheme` and `:authority`.
        let origin = format!("https://{address}").parse().map_err(|_| wrong())?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| wrong())?
            .origin(origin)
            .http2_adaptive_window(false)
            .initial_connection_window_size(limits.connection_window)
            .initial_stream_window_size(limits.stream_window)
            .http2_max_header_list_size(limits.header_list)
            .http2_keep_alive_interval(limits.keepalive)
            .keep_alive_timeout(limits.keepalive_timeout)
            .keep_alive_while_idle(true);
        Ok(Self { address: address.to_owned(), expected, server_name, endpoint, tls, limits })
    }

    /// Whom this connects to.
    pub const fn expected(&self) -> &SpiffeId {
        &self.expected
    }

    /// Makes one connection: TCP, TLS, the identity, and the server's first
    /// HTTP/2 frame, which it sends only after it accepted our certificate.
    ///
    /// # Errors
    /// [`ConnectError`]. No request was sent then.
    pub async fn channel(&self) -> Result<Channel, ConnectError> {
        let changes = self.tls.trust().changes();
        let (config, verifier) =
            self.tls.outbound(&self.expected).map_err(|error| self.protocol(error))?;

        let tcp = self
            .bounded("the TCP connection", self.limits.connect, dial(&self.address))
            .await?
            .map_err(|source| ConnectError::Unreachable {
                address: self.address.clone(),
                expected: self.expected.clone(),
                source,
            })?;

        let handshake = TlsConnector::from(config).connect(self.server_name.clone(), tcp);
        let stream = self
            .bounded("the TLS handshake", self.limits.handshake, handshake)
            .await?
            .map_err(|error| match verifier.finding() {
                Some(Err(finding)) => self.untrusted(finding.clone()),
                _ => self.failed(error),
            })?;
        let session = stream.get_ref().1;
        if session.alpn_protocol() != Some(HTTP2) {
            return Err(self.protocol("the server did not agree to HTTP/2 (ALPN h2)"));
        }
        let chain = session.peer_certificates().map(<[_]>::to_vec);
        let (Some(Ok(verified)), Some(chain)) = (verifier.finding(), chain) else {
            // rustls does not come here without asking the verifier.
            return Err(self.protocol("the server's certificate was not verified"));
        };
        let held =
            Believed::new(self.tls.trust().clone(), changes, chain, Usage::Server, verified.until);

        let (greeting, greeted) = oneshot::channel();
        let mut once = Some(TokioIo::new(LinkIo {
            inner: Bundled::new(stream),
            lost: Some(Box::pin(held.lost())),
            greeting: Some(greeting),
        }));
        let connector = service_fn(move |_| {
            let stream = once.take().ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotConnected,
                    "the link broke; it is not made again on the same channel",
                )
            });
            std::future::ready(stream)
        });
        let channel = self
            .endpoint
            .connect_with_connector(connector)
            .await
            .map_err(|error| self.protocol(error))?;

        let greeted = self.bounded("HTTP/2 settings", self.limits.handshake, greeted).await?;
        match greeted {
            Ok(Ok(())) => Ok(channel),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.protocol("the connection ended before its first frame")),
        }
    }

    async fn bounded<T>(
        &self,
        step: &'static str,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        tokio::time::timeout(limit, work).await.map_err(|_| ConnectError::TimedOut {
            address: self.address.clone(),
            expected: self.expected.clone(),
            step,
            limit,
        })
    }

    fn untrusted(&self, finding: TrustError) -> ConnectError {
        match finding {
            TrustError::WrongIdentity { expected, found } => ConnectError::WrongIdentity {
                address: self.address.clone(),
                expected,
                found: Box::new(found),
            },
            source => ConnectError::Untrusted {
                address: self.address.clone(),
                expected: self.expected.clone(),
                source: Box::new(source),
            },
        }
    }

    fn failed(&self, error: io::Error) -> ConnectError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => ConnectError::Refused {
                address: self.address.clone(),
                expected: self.expected.clone(),
                alert: *alert,
            },
            _ => self.protocol(error),
        }
    }

    fn protocol(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ConnectError {
        ConnectError::Protocol {
            address: self.address.clone(),
            expected: self.expected.clone(),
            source: source.into(),
        }
    }
}

/// The bytes of one link. Reports the first that come, and ends when the peer is
/// no longer believed.
struct LinkIo {
    inner: Bundled<TlsStream<TcpStream>>,
    /// Asked whenever there is nothing to read; none once it has answered.
    lost: Option<Pin<Box<dyn Future<Output = TrustError> + Send>>>,
    greeting: Option<oneshot::Sender<io::Result<()>>>,
}

impl LinkIo {
    fn greet(&mut self, outcome: impl FnOnce() -> io::Result<()>) {
        if let Some(greeting) = self.greeting.take() {
            // Nobody waits any more when the time was up.
            let _ = greeting.send(outcome());
        }
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(lost) = &mut self.lost else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let error = ready!(lost.as_mut().poll(context));
        self.lost = None;
        Poll::Ready(Err(io::Error::other(error)))
    }

    fn refuse_lost(&self) -> io::Result<()> {
        match self.lost {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for LinkIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let came = buffer.filled().len() > before;
                self.greet(|| match came {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                });
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) if self.greeting.is_some() => {
                let kind = error.kind();
                self.greet(|| Err(error));
                Poll::Ready(Err(kind.into()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_lost(context),
        }
    }
}

impl AsyncWrite for LinkIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.refuse_lost()?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.refuse_lost()?;
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    /// Without this, HTTP/2 frames would be copied together before each write.
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refuse_lost()?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
