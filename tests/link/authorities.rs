//! Authorities in memory, above and below one another, with whatever their certificates
//! and lists may hold: what the development authorities never make.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams,
    CrlIssuingDistributionPoint, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};
use tributary::clock;
use tributary::config::link::TrustConfig;
use tributary::domain::peer::Role;
use tributary::link::trust::{TrustError, TrustStore, Usage};

use crate::kit::pki::domain;

/// The trust domain of every chain here, and the identity of its leaves.
pub const DOMAIN: &str = "own.lab.example";
const ID: &str = "spiffe://own.lab.example/consumer/app";

/// So many days from now.
pub fn day(days: i64) -> OffsetDateTime {
    clock::utc() + Duration::days(days)
}

/// A certificate, and who can issue below it.
pub struct Authority {
    pub der: CertificateDer<'static>,
    pub serial: u64,
    pub issuer: Issuer<'static, KeyPair>,
}

/// The serial numbers of certificates, so that each has its own.
fn next_serial() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (day(-30), day(365));
    params.serial_number = Some(SerialNumber::from(serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

impl Authority {
    /// A root of its own.
    pub fn root(name: &str) -> Self {
        Self::made(name, None, |_| {})
    }

    /// An authority below another, or a root, with a certificate as `change` wants it. It
    /// states no purposes unless it is told to.
    pub fn made(
        name: &str,
        above: Option<&Self>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let serial = next_serial();
        let mut params = params(name, serial);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let made = match above {
            Some(above) => params.signed_by(&key, &above.issuer),
            None => params.self_signed(&key),
        };
        let der = made.unwrap().der().clone();
        Self { der, serial, issuer: Issuer::new(params, key) }
    }

    /// A leaf with both purposes, changed.
    pub fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let serial = next_serial();
        let mut params = params("leaf", serial);
        params.subject_alt_names = vec![SanType::URI(ID.try_into().unwrap())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Leaf { der: params.signed_by(&key, &self.issuer).unwrap().der().clone(), serial }
    }

    /// A list of this authority's.
    pub fn list(&self, list: List) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: day(-1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: list.since,
            next_update: list.until,
            crl_number: SerialNumber::from(list.number),
            issuing_distribution_point: list.scope,
            revoked_certs: list.revoked.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

/// A leaf's certificate.
pub struct Leaf {
    pub der: CertificateDer<'static>,
    pub serial: u64,
}

/// What a list holds.
pub struct List {
    pub revoked: Vec<u64>,
    pub number: u64,
    pub since: OffsetDateTime,
    pub until: OffsetDateTime,
    pub scope: Option<CrlIssuingDistributionPoint>,
}

/// A list that is in force, of a number and of so many days ago.
pub fn list(number: u64, days_ago: i64, revoked: &[u64]) -> List {
    let revoked = revoked.to_vec();
    List { revoked, number, since: day(-days_ago), until: day(10), scope: None }
}

/// Name constraints that hold for URIs (RFC 5280, section 4.2.1.10): permitted hosts, and
/// excluded ones.
pub fn uri_constraints(permitted: &[&str], excluded: &[&str]) -> CustomExtension {
    let wrap =
        |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let subtrees = |tag: u8, hosts: &[&str]| match hosts {
        [] => Vec::new(),
        hosts => {
            let each = hosts.iter().flat_map(|host| wrap(0x30, &wrap(0x86, host.as_bytes())));
            wrap(tag, &each.collect::<Vec<u8>>())
        }
    };
    let content = [subtrees(0xa0, permitted), subtrees(0xa1, excluded)].concat();
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], wrap(0x30, &content));
    extension.set_criticality(true);
    extension
}

/// Text in PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The files of one trust domain.
pub struct Files {
    folder: tempfile::TempDir,
    pub config: TrustConfig,
}

impl Files {
    pub fn new(anchors: &[&Authority]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("anchors.pem");
        let text: String = anchors.iter().map(|anchor| pem("CERTIFICATE", &anchor.der)).collect();
        std::fs::write(&file, text).unwrap();
        let config = TrustConfig {
            domain: domain(DOMAIN),
            roles: vec![Role::Consumer],
            anchors: file,
            crl: None,
        };
        Self { folder, config }
    }

    /// Writes the lists, in this order.
    pub fn lists(&mut self, lists: &[&[u8]]) {
        let text: String = lists.iter().map(|list| pem("X509 CRL", list)).collect();
        self.config.crl = Some(self.write("lists.pem", text.as_bytes()));
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    pub fn store(&self) -> TrustStore {
        TrustStore::load(std::slice::from_ref(&self.config)).unwrap()
    }

    /// Shows a consumer's chain, the leaf first.
    pub fn show(&self, leaf: &Leaf, via: &[&Authority]) -> Result<OffsetDateTime, TrustError> {
        let above = via.iter().map(|authority| authority.der.clone());
        let chain: Vec<_> = std::iter::once(leaf.der.clone()).chain(above).collect();
        let shown = self.store().verify(&chain, Usage::Client, clock::utc());
        shown.map(|verified| verified.until)
    }

    /// The word for why a chain is refused, or `accepted`.
    pub fn word(&self, leaf: &Leaf, via: &[&Authority]) -> String {
        self.show(leaf, via).map_or_else(|why| why.reason().to_string(), |_| "accepted".to_owned())
    }
}
