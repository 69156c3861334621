//! Which hosts an authority's URI name constraints leave to it (RFC 5280, section
//! 4.2.1.10): with a SPIFFE id, the trust domain.
//!
//! webpki judges the constraints of every other form and refuses each path that has one
//! for URIs, fitting or not. So it is shown the certificate with the kind of those entries
//! replaced by another of the same length, which no certificate of ours bears; signatures
//! are checked over what was really signed, and the constraints here.

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};
use webpki::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree};

use crate::link::{certificate, crypto};

/// The tags of a URI and of an X.400 address among general names. webpki refuses a path
/// with a constraint for the latter if a certificate bears one, and so fails closed.
const URI: u8 = 0x86;
const X400_ADDRESS: u8 = 0xa3;

/// One certificate's constraints for URIs.
#[derive(Debug, Default, Clone)]
pub(super) struct UriConstraints {
    permitted: Vec<String>,
    excluded: Vec<String>,
}

impl UriConstraints {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Result<Self, Error> {
        let all = certificate.name_constraints().map_err(|_| Error::BadDer)?;
        let hosts = |subtrees: Option<&Vec<GeneralSubtree<'_>>>| {
            let hosts = subtrees.into_iter().flatten().filter_map(host);
            hosts.map(str::to_ascii_lowercase).collect()
        };
        Ok(all.map_or_else(Self::default, |all| Self {
            permitted: hosts(all.value.permitted_subtrees.as_ref()),
            excluded: hosts(all.value.excluded_subtrees.as_ref()),
        }))
    }

    /// Holds every URI in a certificate below to the constraints.
    pub(super) fn check(&self, below: &X509Certificate<'_>) -> Result<(), Error> {
        if self.permitted.is_empty() && self.excluded.is_empty() {
            return Ok(());
        }
        let names = below.subject_alternative_name().map_err(|_| Error::BadDer)?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) if self.allow(uri) => {}
                GeneralName::URI(_) => return Err(Error::NameConstraintViolation),
                GeneralName::Invalid(..) => return Err(Error::BadDer),
                _ => {}
            }
        }
        Ok(())
    }

    /// A URI without the name of a host is outside of every constraint.
    fn allow(&self, uri: &str) -> bool {
        let Ok(uri) = uri.parse::<http::Uri>() else { return false };
        let Some(found) = uri.host().map(str::to_ascii_lowercase) else { return false };
        let is_address = found.starts_with('[') || found.parse::<std::net::IpAddr>().is_ok();
        let permitted = |constraint: &String| matches(constraint, &found);
        // What is excluded in words that cannot be understood may be anything.
        let excluded = |constraint: &String| {
            !constraint.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
                || constraint.is_empty()
                || matches(constraint, &found)
        };
        !is_address
            && (self.permitted.is_empty() || self.permitted.iter().any(permitted))
            && !self.excluded.iter().any(excluded)
    }
}

/// `.example` means every host below it, and not itself; `example` that one host.
fn matches(constraint: &str, host: &str) -> bool {
    match constraint.strip_prefix('.') {
        Some(_) => host.len() > constraint.len() && host.ends_with(constraint),
        None => host == constraint,
    }
}

fn host<'a>(subtree: &GeneralSubtree<'a>) -> Option<&'a str> {
    match subtree.base {
        GeneralName::URI(host) => Some(host),
        _ => None,
    }
}

/// A certificate as webpki is shown it.
pub(super) fn shown<'a>(der: &CertificateDer<'a>) -> CertificateDer<'a> {
    let Ok(parsed) = certificate::parse(der) else { return der.clone() };
    let Ok(Some(constraints)) = parsed.name_constraints() else { return der.clone() };
    let both = [&constraints.value.permitted_subtrees, &constraints.value.excluded_subtrees];
    let hosts = both.into_iter().flatten().flatten().filter_map(host);
    let mut bytes = der.to_vec();
    for host in hosts {
        // An entry is its tag, its length in one byte, and the host, which lies within
        // the certificate. One that is written otherwise stays, and is refused.
        let tag = host.as_ptr().addr().checked_sub(der.as_ptr().addr() + 2);
        if let Some(tag) = tag.and_then(|at| bytes.get_mut(at))
            && *tag == URI
            && host.len() < 0x80
        {
            *tag = X400_ADDRESS;
        }
    }
    bytes.into()
}

/// A chain's certificates above the leaf, as webpki is shown them.
pub(super) struct Shown<'a> {
    pub certificates: Vec<CertificateDer<'a>>,
    changed: Changed<'a>,
}

/// Those that are shown otherwise than they are: the signed part as it is shown, and the
/// certificate. The one look-up by that part says both what has to be signed and whose
/// constraints hold, so that no second certificate can stand in for one of the two.
#[derive(Debug)]
struct Changed<'a>(Vec<(Vec<u8>, CertificateDer<'a>)>);

impl<'a> Shown<'a> {
    pub(super) fn of(originals: &[CertificateDer<'a>]) -> Self {
        let certificates: Vec<_> = originals.iter().map(shown).collect();
        let changed = certificates.iter().zip(originals).filter(|(shown, own)| shown != own);
        let changed = changed.filter_map(|(shown, own)| Some((signed_part(shown)?, own.clone())));
        let changed = Changed(changed.collect());
        Self { certificates, changed }
    }

    /// The certificate itself, for one that was shown.
    pub(super) fn original(&self, shown: &CertificateDer<'_>) -> CertificateDer<'static> {
        let part = signed_part(shown);
        let original = part.and_then(|part| Some(self.changed.find(&part)?.clone().into_owned()));
        original.unwrap_or_else(|| shown.clone().into_owned())
    }

    /// Our algorithms, each over what was signed.
    pub(super) fn algorithms(&self) -> Vec<OverOriginals<'_>> {
        let (provider, changed) = (crypto::provider(), &self.changed);
        let all = provider.signature_verification_algorithms.all.iter();
        all.map(|algorithm| OverOriginals { algorithm: *algorithm, changed }).collect()
    }
}

impl<'a> Changed<'a> {
    fn find(&self, shown: &[u8]) -> Option<&CertificateDer<'a>> {
        self.0.iter().find(|(part, _)| part == shown).map(|(_, original)| original)
    }
}

fn signed_part(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    certificate::parse(der).ok().map(|parsed| parsed.tbs_certificate.as_ref().to_vec())
}

/// A signature algorithm that takes a certificate as it was signed for the one that was
/// shown.
#[derive(Debug)]
pub(super) struct OverOriginals<'a> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    changed: &'a Changed<'a>,
}

impl SignatureVerificationAlgorithm for OverOriginals<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        match self.changed.find(message) {
            None => self.algorithm.verify_signature(public_key, message, signature),
            Some(original) => {
                let signed = signed_part(original).ok_or(InvalidSignature)?;
                self.algorithm.verify_signature(public_key, &signed, signature)
            }
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}
