//! A trust domain's revocation lists, and what they say of one verified path.
//!
//! webpki reads them and finds serial numbers in them, but for each certificate it
//! looks at the first list of that issuer's name alone: an older list before the newer
//! one, or a list of the key that the authority had before, would decide. Here every
//! list counts: those that the issuing key signed, and of these the newest of each scope.

use rustls_pki_types::{CertificateRevocationListDer, SubjectPublicKeyInfoDer};
use time::OffsetDateTime;
use webpki::{CertRevocationList, Error, OwnedCertRevocationList, RawPublicKeyEntity};
use x509_parser::asn1_rs::Any;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension, X509Extension};
use x509_parser::num_bigint::BigUint;
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_CRL_DISTRIBUTION_POINTS,
    OID_X509_EXT_ISSUER_DISTRIBUTION_POINT, OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::unix_time;
use crate::link::crypto;

/// What of an authority's certificate matters for the lists that it signs.
#[derive(Debug, Clone)]
pub(super) struct ListSigner {
    key: SubjectPublicKeyInfoDer<'static>,
    key_id: Option<Vec<u8>>,
    signs_lists: bool,
}

impl ListSigner {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let key_id = match find(certificate.extensions(), &OID_X509_EXT_SUBJECT_KEY_IDENTIFIER) {
            Some(ParsedExtension::SubjectKeyIdentifier(id)) => Some(id.0.to_vec()),
            _ => None,
        };
        // An absent key usage limits nothing, and one that cannot be read allows nothing.
        let signs_lists = certificate
            .key_usage()
            .is_ok_and(|usage| usage.is_none_or(|usage| usage.value.crl_sign()));
        Self { key: certificate.public_key().raw.to_vec().into(), key_id, signs_lists }
    }
}

/// One certificate of a path, with who issued it.
pub(super) struct PathStep<'a> {
    pub certificate: &'a webpki::Cert<'a>,
    pub parsed: &'a X509Certificate<'a>,
    pub issuer: &'a ListSigner,
}

/// Which certificates a list speaks of, if not of all (RFC 5280, section 5.2.5).
#[derive(Debug, PartialEq, Eq)]
struct Scope {
    places: Vec<String>,
    leaves_only: bool,
    authorities_only: bool,
}

/// One list.
#[derive(Debug)]
struct List {
    entries: CertRevocationList<'static>,
    message: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    key_id: Option<Vec<u8>>,
    scope: Option<Scope>,
    number: Option<BigUint>,
    this_update: OffsetDateTime,
    next_update: OffsetDateTime,
}

/// Every list of a trust domain.
#[derive(Debug)]
pub(super) struct Lists(Vec<List>);

impl Lists {
    /// Reads lists, or says what is wrong with one of them.
    pub(super) fn read(all: &[CertificateRevocationListDer<'_>]) -> Result<Self, String> {
        all.iter().map(List::read).collect::<Result<_, _>>().map(Self)
    }

    /// What has to be renewed at `now`: a list that is past its date and that no other
    /// replaces.
    pub(super) fn overdue(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.first().map(|(_, by)| by).filter(|by| now >= *by)
    }

    /// The list that is to be renewed first, of those that no other replaces: when it was
    /// made, and by when it is to be renewed.
    pub(super) fn first(&self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let of_one_key = |list: &List, other: &List| {
            other.entries.issuer() == list.entries.issuer() && other.key_id == list.key_id
        };
        let replaced = |list: &List| {
            self.0.iter().any(|other| of_one_key(list, other) && other.replaces(list))
        };
        let current = self.0.iter().filter(|list| !replaced(list));
        current.map(|list| (list.this_update, list.next_update)).min_by_key(|(_, by)| *by)
    }

    /// Refuses a path of which a certificate is revoked, or about which no current list
    /// tells; it goes from the leaf upwards. `known` are the keys that may have signed a
    /// list. Gives when the first of the lists that were asked is to be renewed.
    pub(super) fn check(
        &self,
        path: &[PathStep<'_>],
        known: &[&ListSigner],
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, Error> {
        let mut until: Option<OffsetDateTime> = None;
        for (depth, step) in path.iter().enumerate() {
            let own = self.of(step, known)?;
            let mut told = false;
            let newest = own.iter().filter(|list| !own.iter().any(|other| other.replaces(list)));
            for list in newest.filter(|list| list.covers(step.parsed, depth == 0)) {
                told = true;
                if list.entries.find_serial(step.certificate.serial())?.is_some() {
                    return Err(Error::CertRevoked);
                }
                let renewal = list.next_update;
                if now >= renewal {
                    let (time, next_update) = (unix_time(now), unix_time(renewal));
                    return Err(Error::CrlExpired { time, next_update });
                }
                until = Some(until.map_or(renewal, |until| until.min(renewal)));
            }
            if !told {
                return Err(Error::UnknownRevocationStatus);
            }
        }
        Ok(until)
    }

    /// The lists that were signed with the very key that signed the certificate. One of
    /// the same name that no known key signed is damaged, unless it says itself that it
    /// is of another key: it may be the one that revokes, so nothing is believed then.
    fn of(&self, step: &PathStep<'_>, known: &[&ListSigner]) -> Result<Vec<&List>, Error> {
        let mut own = Vec::new();
        let name = step.certificate.issuer();
        for list in self.0.iter().filter(|list| list.entries.issuer() == name) {
            let ids = (&list.key_id, &step.issuer.key_id);
            if list.is_signed_by(step.issuer) {
                own.push(list);
            } else if !matches!(ids, (Some(signer), Some(issuer)) if signer != issuer)
                && !known.iter().any(|other| list.is_signed_by(other))
            {
                return Err(Error::InvalidCrlSignatureForPublicKey);
            }
        }
        if !own.is_empty() && !step.issuer.signs_lists {
            return Err(Error::IssuerNotCrlSigner);
        }
        Ok(own)
    }
}

impl List {
    fn read(der: &CertificateRevocationListDer<'_>) -> Result<Self, String> {
        // webpki refuses every list that it could not apply: deltas, those of another
        // authority's certificates, unknown critical extensions.
        let entries = OwnedCertRevocationList::from_der(der).map_err(|error| error.to_string())?;
        let (_, parsed) =
            CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
        let message = parsed.tbs_cert_list.as_ref();
        let key_id = match find(parsed.extensions(), &OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER) {
            Some(ParsedExtension::AuthorityKeyIdentifier(id)) => {
                id.key_identifier.as_ref().map(|id| id.0.to_vec())
            }
            _ => None,
        };
        Ok(Self {
            algorithm: signature_algorithm(der, message)
                .ok_or("the algorithm of a revocation list's signature cannot be read")?,
            signature: parsed.signature_value.data.to_vec(),
            message: message.to_vec(),
            key_id,
            scope: Scope::of(&parsed)?,
            number: parsed.crl_number().cloned(),
            this_update: parsed.last_update().to_datetime(),
            next_update: parsed
                .next_update()
                .ok_or("a revocation list does not say when it is to be renewed")?
                .to_datetime(),
            entries: entries.into(),
        })
    }

    /// Whether this list stands in for an `other` of the same key: both date and number
    /// say so. Where they contradict each other neither list replaces the other.
    fn replaces(&self, other: &Self) -> bool {
        let numbers = match (&self.number, &other.number) {
            (Some(ours), Some(theirs)) => ours.cmp(theirs),
            _ => std::cmp::Ordering::Equal,
        };
        let dates = self.this_update.cmp(&other.this_update);
        self.scope == other.scope
            && numbers.is_ge()
            && dates.is_ge()
            && (numbers.is_gt() || dates.is_gt())
    }

    fn is_signed_by(&self, issuer: &ListSigner) -> bool {
        let Ok(key) = RawPublicKeyEntity::try_from(&issuer.key) else { return false };
        let provider = crypto::provider();
        let all = provider.signature_verification_algorithms.all.iter();
        all.filter(|one| *one.signature_alg_id() == *self.algorithm)
            .any(|one| key.verify_signature(*one, &self.message, &self.signature).is_ok())
    }

    /// Whether the list tells about a certificate of its issuer's.
    fn covers(&self, certificate: &X509Certificate<'_>, leaf: bool) -> bool {
        let Some(scope) = &self.scope else { return true };
        if scope.leaves_only && !leaf || scope.authorities_only && leaf {
            return false;
        }
        let extensions = certificate.extensions();
        let Some(points) = find(extensions, &OID_X509_EXT_CRL_DISTRIBUTION_POINTS) else {
            return true;
        };
        let ParsedExtension::CRLDistributionPoints(points) = points else { return false };
        let of_all_reasons =
            points.iter().filter(|point| point.reasons.is_none() && point.crl_issuer.is_none());
        let mut places = of_all_reasons.flat_map(|point| places(point.distribution_point.as_ref()));
        places.any(|place| scope.places.contains(&place))
    }
}

impl Scope {
    fn of(list: &CertificateRevocationList<'_>) -> Result<Option<Self>, String> {
        let Some(found) = find(list.extensions(), &OID_X509_EXT_ISSUER_DISTRIBUTION_POINT) else {
            return Ok(None);
        };
        let ParsedExtension::IssuingDistributionPoint(point) = found else {
            return Err("a revocation list does not say readably what it covers".to_owned());
        };
        Ok(Some(Self {
            places: places(point.distribution_point.as_ref()),
            leaves_only: point.only_contains_user_certs,
            authorities_only: point.only_contains_ca_certs,
        }))
    }
}

fn find<'a, 'b>(
    extensions: &'a [X509Extension<'b>],
    oid: &Oid<'_>,
) -> Option<&'a ParsedExtension<'b>> {
    extensions.iter().find(|one| one.oid == *oid).map(X509Extension::parsed_extension)
}

/// The addresses that a distribution point names.
fn places(name: Option<&DistributionPointName<'_>>) -> Vec<String> {
    let Some(DistributionPointName::FullName(names)) = name else { return Vec::new() };
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}

/// What stands between the list and its signature: the algorithm, as it is encoded.
fn signature_algorithm(der: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let (_, list) = Any::from_der(der).ok()?;
    let (_, algorithm) = Any::from_der(list.data.get(message.len()..)?).ok()?;
    Some(algorithm.data.to_vec())
}
