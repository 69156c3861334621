//! `[source.grpc]`: a program of any language on this machine that serves
//! `SourceService`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::zone::Zone;

/// `[source.grpc]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcEntry {
    /// Where it listens: `unix:PATH`, or a loopback address and port.
    pub endpoint: Spanned<String>,
    /// The zone in which its moments become days.
    pub zone: Option<Zone>,
    /// Calls under way at most.
    #[serde(default = "super::default_pool")]
    pub pool: usize,
    /// The longest that one call may take.
    #[serde(default = "super::default_statement_timeout", with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// People in one call at most.
    #[serde(default = "super::default_max_batch")]
    pub max_batch: usize,
}

/// Where a `SourceService` listens, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalEndpoint {
    /// A Unix socket.
    Socket(PathBuf),
    /// A port of a loopback address.
    Loopback(SocketAddr),
}

/// Why an endpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither a socket nor an address.
    #[error(
        "`{0}` is neither `unix:` and a path nor a loopback address and port: \
         write `unix:run/source.sock` or `127.0.0.1:7500`"
    )]
    Form(String),
    /// Another machine could listen there.
    #[error(
        "`{0}` is not a loopback address: rows travel without TLS, so the service must run \
         on this machine; write `127.0.0.1`, `[::1]` or a Unix socket"
    )]
    Remote(String),
}

impl LocalEndpoint {
    /// Reads an endpoint as written; a relative path starts at `folder`.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn parse(written: &str, folder: &Path) -> Result<Self, EndpointError> {
        let form = || EndpointError::Form(written.escape_default().to_string());
        if let Some(path) = written.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('\0') {
                return Err(form());
            }
            return Ok(Self::Socket(folder.join(path)));
        }
        let address = written.strip_prefix("http://").unwrap_or(written);
        let address: SocketAddr = address.parse().map_err(|_| form())?;
        match address.ip().is_loopback() {
            true => Ok(Self::Loopback(address)),
            false => Err(EndpointError::Remote(written.escape_default().to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_stands_on_this_machine() {
        let parse = |text| LocalEndpoint::parse(text, Path::new("/etc/tributary"));
        let socket = |path: &str| Ok(LocalEndpoint::Socket(path.into()));
        assert_eq!(parse("unix:run/x.sock"), socket("/etc/tributary/run/x.sock"));
        assert_eq!(parse("unix:///run/x.sock"), socket("/run/x.sock"));
        for good in ["127.0.0.1:7500", "http://127.0.0.9:7500", "[::1]:7500"] {
            assert!(matches!(parse(good), Ok(LocalEndpoint::Loopback(_))), "{good}");
        }
        for remote in ["0.0.0.0:7500", "192.0.2.1:7500", "[::]:7500", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(parse(remote), Err(EndpointError::Remote(remote.into())), "{remote}");
        }
        for bad in ["", "unix:", "unix:a\0b", "localhost:7500", "127.0.0.1", "https://127.0.0.1:1"]
        {
            assert!(matches!(parse(bad), Err(EndpointError::Form(_))), "{bad}");
        }
    }
}
