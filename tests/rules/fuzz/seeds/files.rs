//! Seeds of files: what authorities sign and operators write.

use data_encoding::BASE64;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::super::targets::{NOW, PERSON, issuer, sole_name};
use super::{Seed, certificate, seed};

pub fn all() -> Vec<Seed> {
    let mut seeds = vec![
        seed("name_constraints", "permitted", constrained(0xa0, b"fuzz.example")),
        seed("name_constraints", "excluded", constrained(0xa1, b"other.example")),
        seed("config", "gateway", gateway()),
        seed("config", "agency", agency()),
        seed("catalogue", "work", include_str!("../../../source/catalogue.toml")),
        seed("csv", "job", job()),
    ];
    seeds.extend(pem());
    seeds.extend(revocation());
    let days = [
        ("iso", "YYYY-MM-DD\n2025-01-31T23:30:00+08:00\nEurope/Berlin"),
        ("stated", "D-Mon-YY\n1-Feb-24\nUTC"),
        ("counted", "YYYYMMDD\n20240229\nUTC"),
        ("unix", "unix\n1790000000\nAsia/Shanghai"),
        ("unix-ms", "unix-ms\n-1\nPacific/Apia"),
    ];
    seeds.extend(days.map(|(name, text)| seed("day", name, text)));
    seeds
}

fn pem() -> [Seed; 3] {
    let block = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
    };
    let leaf = block("CERTIFICATE", &certificate());
    let beside = block("EC PARAMETERS", &[6, 3, 0x2b, 0x65, 0x70]);
    [
        seed("pem", "two", format!("\u{feff}# one\r\n  {leaf}{leaf}")),
        seed("pem", "beside", format!("{beside}{leaf}")),
        seed("pem", "list", block("X509 CRL", b"none")),
    ]
}

/// What two lists say: one of nobody, one of somebody else.
fn revocation() -> [Seed; 2] {
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let list = |number: u64, revoked_certs| {
        let params = CertificateRevocationListParams {
            this_update: now - Duration::hours(1),
            next_update: now + Duration::hours(1),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(issuer()).unwrap();
        let (_, parsed) = CertificateRevocationList::from_der(list.der()).unwrap();
        parsed.tbs_cert_list.as_ref().to_vec()
    };
    let other = RevokedCertParams {
        serial_number: SerialNumber::from(8),
        revocation_time: now - Duration::hours(2),
        reason_code: None,
        invalidity_date: None,
    };
    [
        seed("revocation", "nobody", list(1, Vec::new())),
        seed("revocation", "other", list(2, vec![other])),
    ]
}

/// One subtree, and a leaf that it lets through.
fn constrained(which: u8, host: &[u8]) -> Vec<u8> {
    let length = u8::try_from(host.len()).unwrap();
    let whole = [&[0x30, length + 6, which, length + 4, 0x30, length + 2, 0x86, length], host];
    let constraints = whole.concat();
    [&[u8::try_from(constraints.len()).unwrap()], &constraints[..], &sole_name()].concat()
}

/// The city's, without comments and but for the first of what it has several of.
fn gateway() -> String {
    let text = include_str!("../../../../src/app/demo/gateway.toml");
    let mut file: toml::Table = text.parse().unwrap();
    shorten(&mut file);
    toml::to_string(&file).unwrap()
}

fn agency() -> String {
    let text = include_str!("../../../../examples/city/agencies/education.toml");
    let mut file: toml::Table = text.parse().unwrap();
    shorten(&mut file);
    toml::to_string(&file).unwrap()
}

fn shorten(table: &mut toml::Table) {
    for (_, value) in table {
        match value {
            toml::Value::Table(table) => shorten(table),
            toml::Value::Array(entries) if entries.first().is_some_and(toml::Value::is_table) => {
                entries.truncate(1);
                if let Some(toml::Value::Table(table)) = entries.first_mut() {
                    shorten(table);
                }
            }
            _ => {}
        }
    }
}

fn job() -> String {
    let columns = "person_id,updated_on,ended_on,disputed,statement_ref,employed,sector,\
                   started_on,pay_fen,level,share,tenure,defaults";
    let row = "2025-01-31,,false,,true,G,1.9.2024,1234500,2,0.5,12,0";
    format!("{columns}\n{PERSON},{row}\n110101199003070038,{row}\n")
}
