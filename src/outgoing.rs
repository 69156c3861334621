//! The HTTP client of a service that is asked: our own choice of authorities, no proxy out
//! of the environment, no redirects, and `http` to this machine alone. What is asked is its
//! user's business.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::clock;
use crate::config::{pem, private_file};
use crate::dial;
use crate::files;

/// How long it may take until a connection stands.
pub const CONNECT: Duration = Duration::from_secs(5);

/// Whom we believe, and as whom we show ourselves.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The authority that signed the service's certificate.
    pub ca: Option<&'a PathBuf>,
    /// Our certificate.
    pub certificate: Option<&'a PathBuf>,
    /// Its key.
    pub key: Option<&'a PathBuf>,
}

/// Makes a client, and reads the address.
///
/// # Errors
/// What is wrong, without the address.
pub fn client(
    agent: &'static str,
    url: &str,
    trust: Trust<'_>,
    pool: usize,
    folder: &Path,
) -> Result<(reqwest::Client, reqwest::Url), String> {
    let base = reqwest::Url::parse(url)
        .map_err(|_| "the address cannot be read: write `https://host:port`".to_owned())?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err(
            "the address holds an account: use `token_file`, `headers` or a certificate".to_owned()
        );
    }
    if base.fragment().is_some() {
        return Err("the address has a `#`: remove what begins there".to_owned());
    }
    let near = match base.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    };
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .dns_resolver(Arc::new(Staggered { port: base.port_or_known_default().unwrap_or(443) }))
        .pool_max_idle_per_host(pool)
        .user_agent(agent);
    let builder = match base.scheme() {
        "https" => builder.https_only(true).tls_backend_preconfigured(tls(trust, folder)?),
        "http" if near => {
            if trust.ca.is_some() || trust.certificate.is_some() || trust.key.is_some() {
                return Err("`ca`, `certificate` and `key` are for `https`".to_owned());
            }
            builder.tls_backend_preconfigured(configuration(RootCertStore::empty(), None)?)
        }
        "http" => return Err("`http` is for this machine alone: use `https`".to_owned()),
        _ => return Err("write `https://host:port`".to_owned()),
    };
    let client = builder.build().map_err(|_| "the client cannot be made".to_owned())?;
    Ok((client, base))
}

/// The addresses of a service's name, the one that answers first in front: the library
/// tries one after another and would wait seconds for a silent one.
struct Staggered {
    port: u16,
}

impl Resolve for Staggered {
    fn resolve(&self, name: Name) -> Resolving {
        let port = self.port;
        Box::pin(async move {
            let looking = dial::answering((name.as_str(), port));
            let addresses = tokio::time::timeout(CONNECT, looking).await??;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn tls(trust: Trust<'_>, folder: &Path) -> Result<rustls::ClientConfig, String> {
    let Some(ca) = trust.ca else {
        return Err("state `ca`, the file of the authority that signed the service's \
                    certificate: no other is believed"
            .to_owned());
    };
    let mut roots = RootCertStore::empty();
    // The library takes an authority for ever.
    for certificate in authorities(&folder.join(ca))?.into_iter().filter(is_valid_now) {
        roots.add(certificate).map_err(|_| format!("`{}` is no authority", ca.display()))?;
    }
    if roots.is_empty() {
        return Err(format!(
            "no authority in `{}` is valid today: install its new certificate",
            ca.display()
        ));
    }
    let identity = match (trust.certificate, trust.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some((chain(&folder.join(certificate))?, private_key(&folder.join(key))?))
        }
        _ => return Err("`certificate` and `key` belong together: state both or none".to_owned()),
    };
    configuration(roots, identity)
}

fn configuration(
    roots: RootCertStore,
    identity: Option<Identity>,
) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS cannot be set up".to_owned())?
        .with_root_certificates(roots);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("`certificate` and `key` do not fit: {error}")),
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = files::read(path, files::LARGE).map_err(|error| fault(path, error))?;
    pem::authorities(&bytes).map_err(|error| fault(path, error))
}

fn is_valid_now(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let validity = parsed.validity();
    let valid = validity.not_before.to_datetime()..=validity.not_after.to_datetime();
    valid.contains(&clock::utc())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = files::read(path, files::LARGE).map_err(|error| fault(path, error))?;
    pem::chain(&bytes).map_err(|error| fault(path, error))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = private_file::read(path, files::MEDIUM).map_err(|error| fault(path, error))?;
    pem::private_key(&bytes).map_err(|error| fault(path, error))
}

fn fault(path: &Path, why: impl std::fmt::Display) -> String {
    format!("`{}`: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use time::Duration as Days;

    use super::*;

    #[test]
    fn an_authority_out_of_its_time_vouches_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let write = |times: &[(i64, i64)]| {
            let one = |(from, until): &(i64, i64)| {
                let mut params = CertificateParams::default();
                params.not_before = clock::utc() + Days::days(*from);
                params.not_after = clock::utc() + Days::days(*until);
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
            };
            let text: String = times.iter().map(one).collect();
            std::fs::write(folder.path().join("ca.pem"), text).unwrap();
            let ca = PathBuf::from("ca.pem");
            tls(Trust { ca: Some(&ca), certificate: None, key: None }, folder.path()).map(drop)
        };
        write(&[(-9, 9), (-9, -1)]).unwrap();
        let told = write(&[(1, 9), (-9, -1)]).unwrap_err();
        assert!(told.contains("no authority in `ca.pem` is valid today"), "{told}");
    }
}
