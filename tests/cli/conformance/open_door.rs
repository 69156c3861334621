//! A door through which anybody comes: TLS that asks nobody for a certificate, and
//! on the same port no TLS at all.

use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tributary::link::crypto::provider;
use tributary::link::tls::LinkTls;

use super::proxy::Service;

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

pub async fn serve(
    listener: TcpListener,
    tls: LinkTls,
    service: Service,
    stop: impl Future<Output = ()>,
) {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(tls.identity()) as _);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = stop.as_mut() => return,
            accepted = listener.accept() => accepted.unwrap().0,
        };
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            if first(&stream).await != Some(HANDSHAKE) {
                connection(stream, service).await;
            } else if let Ok(stream) = acceptor.accept(stream).await {
                connection(stream, service).await;
            }
        });
    }
}

async fn first(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    stream.peek(&mut byte).await.ok().filter(|read| *read == 1).map(|_| byte[0])
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Service,
) {
    let service = TowerToHyperService::new(service);
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // A caller that breaks off is what some checks are about.
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}
