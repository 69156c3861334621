//! HTTPS for what is public and signed by itself: status lists. The server alone
//! shows a certificate, found by host name as on the web; nobody's data travels
//! here, and who asks is not known.
//!
//! [`server`] publishes a few documents, [`client`] fetches them. A connection carries
//! one request after the other, since a handshake costs both ends more than everything
//! else about a list; how many and how long is bounded at both ends.
//!
//! Both stand on hyper's HTTP/1.1 connections and our rustls. `reqwest` was not
//! taken: redirects, proxies, cookies, a connection pool and the system's roots
//! would each have to be turned off, and what is left is this module.

pub mod client;
pub mod server;

pub use client::{AnchorsError, FetchError, FetchLimits, HttpsClient, ServerAnchors};
pub use server::{Document, PublishLimits, ServerPair, ServerPairError, serve};

use http::Uri;
use http::uri::PathAndQuery;
use rustls_pki_types::ServerName;

/// The only application protocol here, as ALPN names it (RFC 7301, section 6).
const HTTP1: &[u8] = b"http/1.1";

/// An address that can be fetched: `https`, a host, perhaps a port, a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsUri {
    host: String,
    port: u16,
    name: ServerName<'static>,
    authority: String,
    path: PathAndQuery,
}

/// Why an address cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{uri}` cannot be fetched ({problem}): use https://host[:port]/path")]
pub struct HttpsUriError {
    uri: String,
    problem: &'static str,
}

impl HttpsUri {
    /// Reads an address. No other scheme than `https`, no user name, no fragment.
    ///
    /// # Errors
    /// [`HttpsUriError`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, HttpsUriError> {
        let refuse = |problem| HttpsUriError { uri: text.escape_default().to_string(), problem };
        if text.contains('#') {
            return Err(refuse("it has a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| refuse("it is no URI"))?;
        if uri.scheme_str() != Some("https") {
            return Err(refuse("its scheme is not https"));
        }
        let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it has a user name"));
        }
        // The library gives no port for one that is out of range.
        let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port = match after_host.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => Some(443),
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(host);
        Ok(Self {
            host: host.to_owned(),
            port: port.ok_or_else(|| refuse("its port is not one"))?,
            name: ServerName::try_from(host.to_owned())
                .map_err(|_| refuse("its host is neither a DNS name nor an IP address"))?,
            authority: authority.as_str().to_owned(),
            path: uri
                .path_and_query()
                .filter(|path| path.as_str().starts_with('/'))
                .cloned()
                .unwrap_or(PathAndQuery::from_static("/")),
        })
    }

    /// The path with the query, if there is one: what a request asks for.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let uri = HttpsUri::parse("https://consent.city.example/status/1?a=b").unwrap();
        assert_eq!((uri.host.as_str(), uri.port), ("consent.city.example", 443));
        assert_eq!(uri.path(), "/status/1?a=b");
        let uri = HttpsUri::parse("https://[::1]:8443").unwrap();
        assert_eq!((uri.host.as_str(), uri.port, uri.path()), ("::1", 8443, "/"));
        assert!(matches!(uri.name, ServerName::IpAddress(_)));
    }

    #[test]
    fn other_addresses_are_refused() {
        for (uri, problem) in [
            ("http://consent.city.example/1", "scheme"),
            ("http://127.0.0.1/1", "scheme"),
            ("file:///etc/passwd", ""),
            ("/status/1", "scheme"),
            ("https://", ""),
            ("https://user@consent.city.example/1", "user name"),
            ("https://consent.city.example/1#part", "fragment"),
            ("https://consent.city.example:0/1", "port"),
            ("https://consent.city.example:99999/1", ""),
            ("https://consent city/1", "no URI"),
            ("https://con%73ent/1", ""),
        ] {
            let refused = HttpsUri::parse(uri).unwrap_err().to_string();
            assert!(refused.contains(problem), "{uri}: {refused}");
        }
    }
}
