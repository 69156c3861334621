//! What an authority may be handed to sign, or an operator to install: PEM files,
//! revocation lists, name constraints. Keys and times are fixed, so that an input means the
//! same in every run.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber, SigningKey,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use tributary::config::link::TrustConfig;
use tributary::config::pem;
use tributary::domain::peer::{Role, TrustDomain};
use tributary::link::trust::{TrustStore, Usage};

use super::now;

const DOMAIN: &str = "fuzz.example";
const PEER: &str = "spiffe://fuzz.example/agency/education";
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];

/// A PEM file, of whatever kind.
pub fn pem(data: &[u8]) -> bool {
    let authorities = pem::authorities(data);
    let (chain, lists) = (pem::chain(data), pem::lists(data));
    if let Ok(found) = &authorities {
        assert!(!found.is_empty());
        // What may stand where nothing else may, may stand beside a key as well.
        assert_eq!(chain.as_ref().ok(), Some(found));
        assert!(lists.is_err());
    }
    if pem::plain_authorities(data).is_ok() {
        assert!(authorities.is_ok());
    }
    let (private, public) = (pem::private_key(data), pem::public_key(data));
    authorities.is_ok() || chain.is_ok() || lists.is_ok() || private.is_ok() || public.is_ok()
}

/// A key pair that is the same in every run: Ed25519 in PKCS #8, of one byte repeated.
fn key(byte: u8) -> KeyPair {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([byte; 32]);
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = now() - Duration::days(1);
    params.not_after = now() + Duration::days(1);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(7));
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// An agency's certificate with these alternative names, as they are encoded.
fn leaf(names: &[u8]) -> CertificateParams {
    let mut params = params("leaf");
    let names = CustomExtension::from_oid_content(ALTERNATIVE_NAMES, names.to_vec());
    params.custom_extensions.push(names);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The authority that everything hangs from, and files of its own.
struct Root {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    leaf: CertificateDer<'static>,
    store: TrustStore,
}

static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("tributary-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let anchor = authority("root").self_signed(&key(1)).unwrap();
    std::fs::write(folder.join("ca.pem"), anchor.pem()).unwrap();
    let issuer = Issuer::new(authority("root"), key(1));
    let leaf = leaf(&sole_name()).signed_by(&key(2), &issuer).unwrap().der().clone();
    let store = TrustStore::load(&[trust(&folder, None)]).unwrap();
    Root { folder, issuer, leaf, store }
});

/// Whoever signs the lists.
pub fn issuer() -> &'static Issuer<'static, KeyPair> {
    &ROOT.issuer
}

/// One URI, which is the agency's identity.
pub fn sole_name() -> Vec<u8> {
    let length = u8::try_from(PEER.len()).unwrap();
    [&[0x30, length + 2, 0x86, length], PEER.as_bytes()].concat()
}

fn trust(folder: &Path, crl: Option<PathBuf>) -> TrustConfig {
    let domain: TrustDomain = DOMAIN.parse().unwrap();
    TrustConfig { domain, roles: vec![Role::Agency], anchors: folder.join("ca.pem"), crl }
}

/// One DER value.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let length = length.get(content.len().leading_zeros() as usize / 8 - 4..).unwrap();
    let mut value = match content.len() {
        short if short < 0x80 => vec![tag, u8::try_from(short).unwrap()],
        _ => [&[tag, 0x80 | u8::try_from(length.len()).unwrap()], length].concat(),
    };
    value.extend(content);
    value
}

/// What a revocation list says (`TBSCertList`), signed by the authority, and then the
/// file as it is.
pub fn revocation(data: &[u8]) -> bool {
    const ED25519: [u8; 7] = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
    let signature = ROOT.issuer.key().sign(data).unwrap();
    let list = der(0x30, &[data, &ED25519, &der(3, &[&[0], &signature])]);
    let body = BASE64.encode(&list);
    let signed = format!("-----BEGIN X509 CRL-----\n{body}\n-----END X509 CRL-----\n");
    let taken = installed(signed.as_bytes());
    installed(data);
    taken
}

/// Whether a file of lists is taken, after a look at the leaf with it.
fn installed(file: &[u8]) -> bool {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = ROOT.folder.join(format!("{number}.crl"));
    std::fs::write(&path, file).unwrap();
    let store = TrustStore::load(&[trust(&ROOT.folder, Some(path.clone()))]).unwrap();
    std::fs::remove_file(path).unwrap();
    let usable = store.alarms(OffsetDateTime::UNIX_EPOCH).is_empty();
    let verified = store.verify(std::slice::from_ref(&ROOT.leaf), Usage::Client, now());
    if let Ok(verified) = verified {
        assert!(usable, "somebody is believed by lists that cannot be used");
        assert!(verified.until > now(), "somebody is believed by what is over");
    }
    usable
}

/// An intermediate authority's name constraints, as they are encoded, behind their length,
/// and then the alternative names of the leaf below it.
pub fn name_constraints(data: &[u8]) -> bool {
    let Some((length, rest)) = data.split_first() else { return false };
    let Some((constraints, names)) = rest.split_at_checked(usize::from(*length)) else {
        return false;
    };
    let mut between = authority("between");
    let mut constraints = CustomExtension::from_oid_content(NAME_CONSTRAINTS, constraints.to_vec());
    constraints.set_criticality(true);
    between.custom_extensions.push(constraints);
    let Ok(shown) = between.clone().signed_by(&key(3), &ROOT.issuer) else { return false };
    let between = Issuer::new(between, key(3));
    let Ok(leaf) = leaf(names).signed_by(&key(2), &between) else { return false };
    let chain = [leaf.der().clone(), shown.der().clone()];
    let Ok(verified) = ROOT.store.verify(&chain, Usage::Client, now()) else { return false };
    assert_eq!(verified.peer.spiffe().trust_domain().as_str(), DOMAIN);
    true
}
