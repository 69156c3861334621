//! Describes certificates for people.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::public_key::PublicKey;

use super::PkiError;
use crate::config::pem;
use crate::files;
use crate::link::certificate::{self, Claim};

/// What a person wants to know of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The SPIFFE id, or why there is none.
    pub id: Result<String, String>,
    /// The subject's distinguished name.
    pub subject: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// Subject alternative names, each with its kind.
    pub names: Vec<String>,
    /// First moment of validity.
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    pub not_after: OffsetDateTime,
    /// Whether it is valid, and for how long.
    pub state: String,
    /// Algorithm and size of the public key.
    pub key: String,
    /// Purposes (extended key usage).
    pub purposes: Vec<String>,
    /// Whether it may sign certificates.
    pub authority: bool,
    /// SHA-256 of the DER, in colon-separated hexadecimal.
    pub fingerprint: String,
}

/// Describes every certificate of a PEM file, in its order.
///
/// # Errors
/// [`PkiError::NotACertificate`] when there is none, or one is broken.
pub fn describe(file: &Path, now: OffsetDateTime) -> Result<Vec<Description>, PkiError> {
    let text = files::read(file, files::LARGE)
        .map_err(|source| PkiError::File { file: file.to_owned(), source })?;
    let not_one = |problem: String| PkiError::NotACertificate { file: file.to_owned(), problem };
    let mut described = Vec::new();
    for der in pem::chain(&text).map_err(|error| not_one(error.to_string()))? {
        let parsed = certificate::parse(&der).map_err(|error| not_one(error.to_string()))?;
        described.push(describe_one(&der, &parsed, now));
    }
    Ok(described)
}

fn describe_one(
    der: &CertificateDer<'_>,
    certificate: &X509Certificate<'_>,
    now: OffsetDateTime,
) -> Description {
    let validity = certificate.validity();
    let (not_before, not_after) =
        (validity.not_before.to_datetime(), validity.not_after.to_datetime());
    let state = if now < not_before {
        format!("NOT VALID YET: {} days to go", (not_before - now).whole_days())
    } else if now > not_after {
        format!("EXPIRED {} days ago", (now - not_after).whole_days())
    } else {
        format!("{} days left", (not_after - now).whole_days())
    };
    let names = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|names| names.value.general_names.iter().map(name).collect())
        .unwrap_or_default();
    Description {
        id: Claim::read(der).map(|claim| claim.id.to_string()).map_err(|error| error.to_string()),
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
        not_before,
        not_after,
        state,
        key: key(certificate),
        purposes: purposes(certificate),
        authority: certificate.is_ca(),
        fingerprint: fingerprint(der),
    }
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::URI(uri) => format!("URI:{}", uri.escape_default()),
        GeneralName::DNSName(dns) => format!("DNS:{}", dns.escape_default()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|four| IpAddr::from(Ipv4Addr::from(four)));
            let v6 = <[u8; 16]>::try_from(*bytes).map(|all| IpAddr::from(Ipv6Addr::from(all)));
            match v4.or(v6) {
                Ok(ip) => format!("IP:{ip}"),
                Err(_) => "IP:(malformed)".to_owned(),
            }
        }
        GeneralName::RFC822Name(mail) => format!("email:{}", mail.escape_default()),
        GeneralName::DirectoryName(name) => format!("directory:{name}"),
        _ => "other".to_owned(),
    }
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::EC(point)) => format!("ECDSA, {} bits", point.key_size()),
        Ok(PublicKey::RSA(modulus)) => format!("RSA, {} bits", modulus.key_size()),
        _ => format!("algorithm {}", key.algorithm.algorithm),
    }
}

fn purposes(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(usage)) = certificate.extended_key_usage() else {
        return Vec::new();
    };
    let known = [
        (usage.value.client_auth, "clientAuth"),
        (usage.value.server_auth, "serverAuth"),
        (usage.value.any, "any"),
    ];
    let known = known.iter().filter(|(is, _)| *is).map(|(_, name)| (*name).to_owned());
    known.chain(usage.value.other.iter().map(ToString::to_string)).collect()
}

fn fingerprint(der: &CertificateDer<'_>) -> String {
    let digest = digest::digest(&digest::SHA256, der);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.id, self.authority) {
            (Ok(id), _) => writeln!(f, "id           {id}")?,
            (Err(_), true) => writeln!(f, "id           none: an authority's certificate")?,
            (Err(why), false) => writeln!(f, "id           none: {why}")?,
        }
        writeln!(f, "subject      {}", self.subject)?;
        writeln!(f, "issuer       {}", self.issuer)?;
        let list = |items: &[String]| match items {
            [] => "none".to_owned(),
            items => items.join(", "),
        };
        writeln!(f, "names        {}", list(&self.names))?;
        writeln!(f, "valid        {} to {} ({})", self.not_before, self.not_after, self.state)?;
        writeln!(f, "key          {}", self.key)?;
        writeln!(f, "purposes     {}", list(&self.purposes))?;
        writeln!(f, "SHA-256      {}", self.fingerprint)
    }
}
