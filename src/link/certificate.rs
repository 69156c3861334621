//! Reads from one certificate what a link needs: its identity and its times.
//!
//! Nothing is verified here; `trust` does that.

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::domain::peer::{PeerError, SpiffeId};

/// Why a certificate names no identity of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not an X.509 certificate.
    #[error("not a readable X.509 certificate ({0}): ask its issuer for a new one")]
    Unreadable(String),
    /// The certificate has no URI subject alternative name, or several.
    #[error(
        "the certificate has {0} URI subject alternative names and must have exactly one, \
         the SPIFFE id: issue it anew"
    )]
    UriNames(usize),
    /// The one URI is not an id of ours.
    #[error(transparent)]
    Id(#[from] PeerError),
    /// The key may sign certificates, which a SPIFFE leaf must not.
    #[error(
        "the certificate may sign certificates or revocation lists, or may not sign at all: \
         issue a leaf certificate with key usage digitalSignature"
    )]
    NotALeaf,
}

/// A certificate's claim: who it is for, and when. Unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The sole URI subject alternative name.
    pub id: SpiffeId,
    /// First moment of validity.
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    pub not_after: OffsetDateTime,
}

impl Claim {
    /// Reads the claim out of an end entity's certificate
    /// (X.509-SVID, sections 2 to 4).
    ///
    /// # Errors
    /// [`CertificateError`] says which rule the certificate breaks.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| CertificateError::Unreadable(error.to_string()))?;
        let names = names.iter().flat_map(|extension| &extension.value.general_names);

        let mut uris = Vec::new();
        for name in names {
            match name {
                GeneralName::URI(uri) => uris.push(*uri),
                GeneralName::Invalid(..) => {
                    return Err(CertificateError::Unreadable(
                        "a subject alternative name is malformed".to_owned(),
                    ));
                }
                _ => {}
            }
        }
        let &[uri] = uris.as_slice() else {
            return Err(CertificateError::UriNames(uris.len()));
        };
        let id = uri.parse()?;

        let usage = certificate
            .key_usage()
            .map_err(|error| CertificateError::Unreadable(error.to_string()))?;
        if usage.is_some_and(|usage| {
            let usage = usage.value;
            !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign()
        }) {
            return Err(CertificateError::NotALeaf);
        }

        let validity = certificate.validity();
        Ok(Self {
            id,
            not_before: validity.not_before.to_datetime(),
            not_after: validity.not_after.to_datetime(),
        })
    }
}

/// Parses one DER certificate, whole: bytes after its end are an error.
pub(super) fn parse<'a>(
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, CertificateError> {
    let (rest, certificate) = X509Certificate::from_der(der)
        .map_err(|error| CertificateError::Unreadable(error.to_string()))?;
    if !rest.is_empty() {
        return Err(CertificateError::Unreadable(format!("{} bytes after its end", rest.len())));
    }
    Ok(certificate)
}
