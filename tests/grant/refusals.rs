//! Everything that must be refused, at the gateway and at the agency, with the
//! word that each answers. A case is one change to a grant that both accept.

use serde_json::{Value, json};
use tributary::domain::grant::{LegalBasis, StatusLists, base64, verify};

use crate::support::*;

type Case = (&'static str, &'static str, &'static str, fn(&mut Attempt));

fn run(cases: &[Case]) {
    assert_eq!(Attempt::new().reasons(), ("OK", "OK"));
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, gateway, agency, change)| {
            let mut attempt = Attempt::new();
            change(&mut attempt);
            let got = attempt.reasons();
            (got != (*gateway, *agency)).then(|| format!("{name}: {got:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn payload(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_payload = Some(Box::new(edit));
}

fn header(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_header = Some(Box::new(edit));
}

fn parts(attempt: &mut Attempt, edit: fn(Vec<String>) -> Vec<String>) {
    attempt.edit_parts = Some(Box::new(edit));
}

fn text(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_text = Some(Box::new(edit));
}

fn disclosure(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_disclosure = Some(Box::new(edit));
}

fn digests(attempt: &mut Attempt, edit: fn(Vec<Value>) -> Vec<Value>) {
    attempt.edit_digests = Some(Box::new(edit));
}

/// Another character at the same place.
fn flip(text: &str, place: usize) -> String {
    let other = if &text[place..=place] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &text[..place], &text[place + 1..])
}

#[test]
fn signatures_keys_and_headers() {
    const SIGNATURE: &str = "GRANT_SIGNATURE";
    const ALGORITHM: &str = "GRANT_ALGORITHM";
    const CLAIMS: &str = "GRANT_CLAIMS";
    const MALFORMED: &str = "GRANT_MALFORMED";
    run(&[
        ("forged", SIGNATURE, SIGNATURE, |a| a.signer = Signer::Stranger),
        ("altered payload", SIGNATURE, SIGNATURE, |a| {
            parts(a, |mut parts| {
                let pieces: Vec<&str> = parts[0].split('.').collect();
                let clear = String::from_utf8(base64::decode(pieces[1]).unwrap()).unwrap();
                let clear = clear.replace("\"count\":3", "\"count\":4");
                let payload = base64::encode(clear.as_bytes());
                parts[0] = format!("{}.{payload}.{}", pieces[0], pieces[2]);
                parts
            });
        }),
        ("altered signature", SIGNATURE, SIGNATURE, |a| {
            parts(a, |mut parts| {
                let place = parts[0].len() - 20;
                parts[0] = flip(&parts[0], place);
                parts
            });
        }),
        ("signature too short", SIGNATURE, SIGNATURE, |a| a.signer = Signer::Bytes(vec![0; 63])),
        ("all-zero signature", SIGNATURE, SIGNATURE, |a| a.signer = Signer::Bytes(vec![0; 64])),
        ("alg none, no signature", MALFORMED, MALFORMED, |a| {
            a.header["alg"] = "none".into();
            a.signer = Signer::Bytes(vec![]);
        }),
        ("alg none", ALGORITHM, ALGORITHM, |a| a.header["alg"] = "none".into()),
        ("HS256 with the public key", ALGORITHM, ALGORITHM, |a| {
            a.header["alg"] = "HS256".into();
            a.signer = Signer::HmacWithPublicKey;
        }),
        ("Ed25519 key called ES256", ALGORITHM, ALGORITHM, |a| {
            a.header["alg"] = "ES256".into();
            a.signer = Signer::P256;
        }),
        ("ES256 key called EdDSA", ALGORITHM, ALGORITHM, |a| a.header["kid"] = "es".into()),
        ("signed by the other pinned key", SIGNATURE, SIGNATURE, |a| a.signer = Signer::P256),
        ("alg in other case", ALGORITHM, ALGORITHM, |a| a.header["alg"] = "eddsa".into()),
        ("unknown kid", "GRANT_KEY", "GRANT_KEY", |a| a.header["kid"] = "ed2".into()),
        ("a status key", "GRANT_KEY", "GRANT_KEY", |a| a.header["kid"] = "status".into()),
        ("no kid", CLAIMS, CLAIMS, |a| drop(a.header.as_object_mut().unwrap().remove("kid"))),
        ("kid with a slash", CLAIMS, CLAIMS, |a| a.header["kid"] = "../ed".into()),
        ("unknown crit", "GRANT_CRITICAL", "GRANT_CRITICAL", |a| {
            a.header["crit"] = json!(["b64"]);
        }),
        ("crit no list", "GRANT_CRITICAL", "GRANT_CRITICAL", |a| a.header["crit"] = "b64".into()),
        ("key in the header", CLAIMS, CLAIMS, |a| a.header["jwk"] = a.claims["cnf"]["jwk"].clone()),
        ("address of a key", CLAIMS, CLAIMS, |a| a.header["jku"] = "https://x.example".into()),
        ("wrong typ", "GRANT_TYPE", "GRANT_TYPE", |a| a.header["typ"] = "dc+sd-jwt".into()),
        ("typ of a status list", "GRANT_TYPE", "GRANT_TYPE", |a| {
            a.header["typ"] = "statuslist+jwt".into();
        }),
        ("no typ", CLAIMS, CLAIMS, |a| drop(a.header.as_object_mut().unwrap().remove("typ"))),
        ("duplicate alg", MALFORMED, MALFORMED, |a| {
            header(a, |text| text.replacen('{', "{\"alg\":\"none\",", 1));
        }),
        ("header no object", CLAIMS, CLAIMS, |a| header(a, |_| "[]".to_owned())),
        ("issuer not pinned", "GRANT_ISSUER", "GRANT_ISSUER", |a| {
            a.claims["iss"] = "spiffe://consent.city.example/issuer/other".into();
        }),
    ]);
}

#[test]
fn the_form_of_the_whole() {
    const MALFORMED: &str = "GRANT_MALFORMED";
    const SIZE: &str = "GRANT_SIZE";
    run(&[
        ("empty", MALFORMED, MALFORMED, |a| text(a, |_| String::new())),
        ("a tilde", MALFORMED, MALFORMED, |a| text(a, |_| "~".to_owned())),
        ("no tilde at the end", MALFORMED, MALFORMED, |a| {
            text(a, |text| text.trim_end_matches('~').to_owned());
        }),
        ("key binding", MALFORMED, MALFORMED, |a| text(a, |text| text + "e30.e30.AAAA")),
        ("trailing garbage", MALFORMED, MALFORMED, |a| text(a, |text| text + "x")),
        ("trailing newline", MALFORMED, MALFORMED, |a| text(a, |text| text + "\n")),
        ("trailing tilde", MALFORMED, MALFORMED, |a| text(a, |text| text + "~")),
        ("leading space", MALFORMED, MALFORMED, |a| text(a, |text| format!(" {text}"))),
        ("empty disclosure", MALFORMED, MALFORMED, |a| {
            text(a, |text| text.replacen('~', "~~", 1));
        }),
        ("a zero byte", MALFORMED, MALFORMED, |a| text(a, |text| text + "\0~")),
        ("two parts", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] = parts[0].rsplit_once('.').unwrap().0.to_owned();
                parts
            });
        }),
        ("four parts", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] += ".AAAA";
                parts
            });
        }),
        ("padded base64", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] += "==";
                parts
            });
        }),
        ("stray bits in the signature", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                // 64 bytes leave four unused bits in the last character.
                let last = parts[0].pop().unwrap();
                let stray = char::from(last as u8 + 1);
                parts[0].push(stray);
                parts
            });
        }),
        ("oversize", SIZE, SIZE, |a| text(a, |text| text + &"A".repeat(16 * 1024) + "~")),
        ("too many disclosures", SIZE, SIZE, |a| text(a, |text| text + &"AAAA~".repeat(40))),
        ("payload not UTF-8", MALFORMED, MALFORMED, |a| {
            parts(a, |mut parts| {
                parts[0] = format!("{}.{}.AAAA", parts[0].split('.').next().unwrap(), "__79");
                parts
            });
        }),
        ("nested deeply", MALFORMED, MALFORMED, |a| {
            a.claims["purpose"] = json!([[[[[[[[1]]]]]]]]);
        }),
        ("nested very deeply", MALFORMED, MALFORMED, |a| {
            payload(a, |_| "[".repeat(4000));
        }),
        ("trailing JSON", MALFORMED, MALFORMED, |a| payload(a, |text| text + "{}")),
        ("duplicate claim", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen('{', "{\"mode\":\"STORE\",", 1));
        }),
        ("duplicate claim by escape", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen('{', "{\"mod\\u0065\":\"VIEW\",", 1));
        }),
        ("duplicate nested claim", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen("\"count\":3", "\"count\":3,\"count\":9", 1));
        }),
        ("fraction", MALFORMED, MALFORMED, |a| {
            payload(a, |text| text.replacen("\"count\":3", "\"count\":3.0", 1));
        }),
        ("crowded object", MALFORMED, MALFORMED, |a| {
            for n in 0..60 {
                a.claims[format!("x{n}")] = n.into();
            }
        }),
    ]);
}

#[test]
fn claims() {
    const CLAIMS: &str = "GRANT_CLAIMS";
    for name in [
        "iss",
        "aud",
        "iat",
        "nbf",
        "exp",
        "jti",
        "client_id",
        "cnf",
        "purpose",
        "legal_basis",
        "mode",
        "data_life",
        "frequency",
        "status",
        "_sd_alg",
    ] {
        let mut attempt = Attempt::new();
        attempt.claims.as_object_mut().unwrap().remove(name);
        assert_eq!(attempt.reasons(), (CLAIMS, CLAIMS), "without {name}");
        let mut attempt = Attempt::new();
        attempt.claims[name] = Value::Null;
        assert_eq!(attempt.reasons(), (CLAIMS, CLAIMS), "{name} null");
    }
    for place in [
        "/cnf",
        "/cnf/jwk",
        "/purpose",
        "/legal_basis",
        "/frequency",
        "/status",
        "/status/status_list",
        "",
    ] {
        let mut attempt = Attempt::new();
        attempt.claims.pointer_mut(place).unwrap()["extra"] = 1.into();
        assert_eq!(attempt.reasons(), (CLAIMS, CLAIMS), "unknown member in {place}");
    }
    run(&[
        ("no _sd", CLAIMS, CLAIMS, |a| a.keep_claims = true),
        ("nested _sd", CLAIMS, CLAIMS, |a| a.claims["purpose"]["_sd"] = json!([])),
        ("other digest algorithm", CLAIMS, CLAIMS, |a| a.claims["_sd_alg"] = "sha-512".into()),
        ("other mode", CLAIMS, CLAIMS, |a| a.claims["mode"] = "STORE".into()),
        ("exp before nbf", CLAIMS, CLAIMS, |a| a.claims["exp"] = NOW.into()),
        ("time as text", CLAIMS, CLAIMS, |a| a.claims["exp"] = "2030-01-01".into()),
        ("time below zero", CLAIMS, CLAIMS, |a| a.claims["nbf"] = (-1).into()),
        ("time beyond all", CLAIMS, CLAIMS, |a| a.claims["exp"] = i64::MAX.into()),
        ("list of audiences", CLAIMS, CLAIMS, |a| a.claims["aud"] = json!([GATEWAY])),
        ("audience no gateway", CLAIMS, CLAIMS, |a| a.claims["aud"] = CONSUMER.into()),
        ("issuer no issuer", CLAIMS, CLAIMS, |a| a.claims["iss"] = GATEWAY.into()),
        ("client no consumer", CLAIMS, CLAIMS, |a| a.claims["client_id"] = GATEWAY.into()),
        ("short jti", CLAIMS, CLAIMS, |a| a.claims["jti"] = "1".into()),
        ("jti with a newline", CLAIMS, CLAIMS, |a| {
            a.claims["jti"] = "AAAAAAAAAAAAAAAAAAAAA\n".into();
        }),
        ("unknown basis", CLAIMS, CLAIMS, |a| a.claims["legal_basis"]["kind"] = "oral".into()),
        ("control characters", CLAIMS, CLAIMS, |a| {
            a.claims["purpose"]["text"] = "a\u{1b}[2J".into()
        }),
        ("long text", CLAIMS, CLAIMS, |a| a.claims["purpose"]["text"] = "a".repeat(513).into()),
        ("purpose with a space", CLAIMS, CLAIMS, |a| a.claims["purpose"]["code"] = "a b".into()),
        ("no use", CLAIMS, CLAIMS, |a| a.claims["frequency"]["count"] = 0.into()),
        ("unknown window", CLAIMS, CLAIMS, |a| a.claims["frequency"]["per"] = "year".into()),
        ("status over http", CLAIMS, CLAIMS, |a| {
            a.claims["status"]["status_list"]["uri"] = "http://consent.city.example/1".into();
        }),
        ("status index below zero", CLAIMS, CLAIMS, |a| {
            a.claims["status"]["status_list"]["idx"] = (-1).into();
        }),
        ("private proof key", CLAIMS, CLAIMS, |a| {
            a.claims["cnf"]["jwk"]["d"] = base64::encode(&[1; 32]).into();
        }),
        ("proof key of another kind", CLAIMS, CLAIMS, |a| {
            a.claims["cnf"]["jwk"]["crv"] = "X25519".into();
        }),
    ]);
}

#[test]
fn digests_and_disclosures() {
    const DIGESTS: &str = "GRANT_DIGESTS";
    const DISCLOSURE: &str = "GRANT_DISCLOSURE";
    const AGENCY: &str = "GRANT_AGENCY";
    run(&[
        ("repeated digest", DIGESTS, DIGESTS, |a| {
            digests(a, |mut all| {
                all[15] = all[1].clone();
                all
            });
        }),
        ("fifteen digests", DIGESTS, DIGESTS, |a| digests(a, |all| all[..15].to_vec())),
        ("eight digests", DIGESTS, DIGESTS, |a| digests(a, |all| all[..8].to_vec())),
        ("128 digests", DIGESTS, DIGESTS, |a| {
            digests(a, |_| (0..128).map(|n| base64::encode(&[n; 32]).into()).collect());
        }),
        ("no digests", DIGESTS, DIGESTS, |a| digests(a, |_| vec![])),
        ("short digest", DIGESTS, DIGESTS, |a| {
            digests(a, |mut all| {
                all[15] = base64::encode(&[1; 31]).into();
                all
            });
        }),
        ("digest with stray bits", DIGESTS, DIGESTS, |a| {
            digests(a, |mut all| {
                all[15] = format!("{}B", "A".repeat(42)).into();
                all
            });
        }),
        ("digest no text", DIGESTS, DIGESTS, |a| {
            digests(a, |mut all| {
                all[15] = 1.into();
                all
            });
        }),
        ("disclosure not signed", DISCLOSURE, DISCLOSURE, |a| {
            digests(a, |mut all| {
                for (at, digest) in all.iter_mut().take(3).enumerate() {
                    *digest = base64::encode(&[at as u8; 32]).into();
                }
                all
            });
        }),
        ("replayed from another grant", DISCLOSURE, DISCLOSURE, |a| {
            parts(a, |mut parts| {
                let other = Attempt::new().texts().1;
                let last = parts.len() - 1;
                parts[last] = other.split('~').nth(1).unwrap().to_owned();
                parts
            });
        }),
        ("altered disclosure", DISCLOSURE, DISCLOSURE, |a| {
            parts(a, |mut parts| {
                let last = parts.len() - 1;
                parts[last] = flip(&parts[last], 40);
                parts
            });
        }),
        ("same disclosure twice", DISCLOSURE, DISCLOSURE, |a| {
            parts(a, |mut parts| {
                parts.push(parts[parts.len() - 1].clone());
                parts
            });
        }),
        ("two for one agency", DISCLOSURE, "OK", |a| {
            let again = a.agencies[0].clone();
            a.agencies.push(again);
        }),
        ("duplicate key", DISCLOSURE, DISCLOSURE, |a| {
            disclosure(a, |text| text.replacen("{\"agency\"", "{\"items\":[],\"agency\"", 1));
        }),
        ("nested _sd", DISCLOSURE, DISCLOSURE, |a| a.agencies[0].1["_sd"] = json!([])),
        ("unknown member", DISCLOSURE, DISCLOSURE, |a| a.agencies[0].1["x"] = 1.into()),
        ("name differs from value", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1["agency"] = "lending".into();
        }),
        ("name of a claim", DISCLOSURE, DISCLOSURE, |a| a.agencies[0].0 = "exp".to_owned()),
        ("array element", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies.truncate(1);
            disclosure(a, |_| json!(["AAAAAAAAAAAAAAAAAAAAAA", "x"]).to_string());
        }),
        ("four elements", DISCLOSURE, DISCLOSURE, |a| {
            disclosure(a, |text| text.trim_end_matches(']').to_owned() + ",1]");
        }),
        ("short salt", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies.truncate(1);
            disclosure(a, |text| {
                text.replacen("AQEBAQEBAQEBAQEBAQEBAQ", "AQEBAQEBAQEBAQEBAQEB", 1)
            });
        }),
        ("no items", DISCLOSURE, DISCLOSURE, |a| a.agencies[0].1["items"] = json!([])),
        ("item twice", DISCLOSURE, DISCLOSURE, |a| {
            let item = a.agencies[0].1["items"][0].clone();
            a.agencies[0].1["items"] = json!([item, item]);
        }),
        ("pattern for an item", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1["items"] = json!(["education.*"]);
        }),
        ("period reversed", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1["range"] = json!({"from": "2026-01-02", "to": "2026-01-01"});
        }),
        ("no such day", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1["range"]["from"] = "2025-02-29".into();
        }),
        ("other suite", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1["subject"]["suite"] = "X25519-HKDF-SHA256-CHACHA20".into();
        }),
        ("subject not padded", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1["subject"]["ct"] = base64::encode(&[0; 34]).into();
        }),
        ("subject in the clear", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1["subject"] = SUBJECT.into();
        }),
        ("no subject", DISCLOSURE, DISCLOSURE, |a| {
            a.agencies[0].1.as_object_mut().unwrap().remove("subject");
        }),
        ("tag of another length", DISCLOSURE, "OK", |a| a.gateway["subject_tag"] = "AAAA".into()),
        ("unknown member for the gateway", DISCLOSURE, "OK", |a| a.gateway["x"] = 1.into()),
        ("no disclosure", DISCLOSURE, AGENCY, |a| parts(a, |parts| parts[..1].to_vec())),
        ("everything to an agency", "OK", AGENCY, |a| {
            parts(a, |mut parts| {
                if parts.len() == 2 {
                    let whole = DISCLOSED.with(|all| all.borrow().clone());
                    parts.splice(1.., whole);
                } else {
                    DISCLOSED.with(|all| *all.borrow_mut() = parts[1..].to_vec());
                }
                parts
            });
        }),
        ("the gateway's to an agency", "OK", AGENCY, |a| {
            parts(a, |mut parts| {
                if parts.len() == 2 {
                    parts[1] = DISCLOSED.with(|all| all.borrow()[0].clone());
                } else {
                    DISCLOSED.with(|all| *all.borrow_mut() = parts[1..].to_vec());
                }
                parts
            });
        }),
        ("another agency's", "OK", AGENCY, |a| {
            parts(a, |mut parts| {
                if parts.len() == 2 {
                    parts[1] = DISCLOSED.with(|all| all.borrow()[2].clone());
                } else {
                    DISCLOSED.with(|all| *all.borrow_mut() = parts[1..].to_vec());
                }
                parts
            });
        }),
        ("without the gateway's own", DISCLOSURE, "OK", |a| {
            parts(a, |mut parts| {
                if parts.len() > 2 {
                    parts.remove(1);
                }
                parts
            });
        }),
        ("the gateway's alone", DISCLOSURE, "OK", |a| {
            parts(a, |mut parts| {
                parts.truncate(2);
                parts
            });
        }),
        ("only one of two agencies", "OK", "OK", |a| {
            parts(a, |mut parts| {
                parts.truncate(3);
                parts
            });
        }),
    ]);
}

thread_local! {
    /// The gateway's disclosures of the case at hand, for the agency's turn.
    static DISCLOSED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(vec![]) };
}

#[test]
fn receivers_times_and_status() {
    const STALE: &str = "GRANT_STATUS_STALE";
    run(&[
        ("expired this second", "GRANT_EXPIRED", "GRANT_EXPIRED", |a| {
            a.claims["iat"] = (NOW - 10).into();
            a.claims["nbf"] = (NOW - 10).into();
            a.claims["exp"] = NOW.into();
        }),
        ("the last second", "OK", "OK", |a| a.claims["exp"] = (NOW + 1).into()),
        ("nbf within the leeway", "OK", "OK", |a| a.claims["nbf"] = (NOW + 5).into()),
        ("nbf beyond it", "GRANT_NOT_YET_VALID", "GRANT_NOT_YET_VALID", |a| {
            a.claims["nbf"] = (NOW + 6).into();
        }),
        ("iat beyond it", "GRANT_NOT_YET_VALID", "GRANT_NOT_YET_VALID", |a| {
            a.claims["iat"] = (NOW + 6).into();
        }),
        ("another gateway's", "GRANT_AUDIENCE", "GRANT_AUDIENCE", |a| {
            a.claims["aud"] = "spiffe://gateway.city.example/gateway/other".into();
        }),
        ("a pinned consumer's, but another", "GRANT_CLIENT", "GRANT_CLIENT", |a| {
            a.claims["client_id"] = OTHER_CONSUMER.into();
        }),
        ("revoked", "GRANT_REVOKED", "GRANT_REVOKED", |a| a.world.list(&[0x80; 32], NOW)),
        ("another one revoked", "OK", "OK", |a| a.world.list(&[0x7f; 32], NOW)),
        ("no list", STALE, STALE, |a| a.world.statuses = StatusLists::default()),
        ("stale list", STALE, STALE, |a| {
            a.world.statuses = StatusLists::default();
            a.world.list(&[0; 32], NOW - 61);
        }),
        ("list at its oldest", "OK", "OK", |a| {
            a.world.statuses = StatusLists::default();
            a.world.list(&[0; 32], NOW - 60);
        }),
        ("index out of range", "GRANT_STATUS_INDEX", "GRANT_STATUS_INDEX", |a| {
            a.claims["status"]["status_list"]["idx"] = 256.into();
        }),
        ("index far out of range", "GRANT_STATUS_INDEX", "GRANT_STATUS_INDEX", |a| {
            a.claims["status"]["status_list"]["idx"] = u32::MAX.into();
        }),
    ]);
}

#[test]
fn pins_ceilings_and_catalogue() {
    const SCOPE: &str = "GRANT_ISSUER_SCOPE";
    const CEILING: &str = "GRANT_CEILING";
    const ITEMS: &str = "GRANT_ITEMS";
    run(&[
        ("statute from a consent service", SCOPE, SCOPE, |a| {
            a.claims["legal_basis"]["kind"] = LegalBasis::Statute.as_str().into();
        }),
        ("purpose beyond the pin", SCOPE, SCOPE, |a| {
            a.claims["purpose"]["code"] = "not_pinned".into();
        }),
        ("consumer beyond the pin", SCOPE, SCOPE, |a| {
            let stranger = "spiffe://scoring.city.example/consumer/stranger";
            a.claims["client_id"] = stranger.into();
            a.world.consumer = peer(stranger);
        }),
        ("status URI beyond the pin", SCOPE, SCOPE, |a| {
            a.claims["status"]["status_list"]["uri"] = "https://consent.city.example/2".into();
        }),
        ("agency beyond the pin", SCOPE, SCOPE, |a| {
            a.world.pin.agencies.remove(&agency("education"));
            a.world.repin();
        }),
        ("another agency beyond the pin", SCOPE, "OK", |a| {
            a.world.pin.agencies.remove(&agency("lending"));
            a.world.repin();
        }),
        ("purpose not in the table", "GRANT_PURPOSE", "GRANT_PURPOSE", |a| {
            a.claims["purpose"]["code"] = "not_in_table".into();
        }),
        ("over the lifetime", CEILING, CEILING, |a| {
            a.claims["exp"] = (NOW + 90 * 86_400 + 1).into();
        }),
        ("over the lifetime by an early iat", CEILING, CEILING, |a| {
            a.claims["iat"] = (NOW - 60 * 86_400).into();
            a.claims["exp"] = (NOW + 31 * 86_400).into();
        }),
        ("over the frequency", CEILING, CEILING, |a| a.claims["frequency"]["count"] = 11.into()),
        ("over the frequency by the hour", CEILING, CEILING, |a| {
            a.claims["frequency"] = json!({"count": 1, "per": "hour"});
        }),
        ("item over the ceiling", CEILING, CEILING, |a| {
            a.agencies[0].1["items"] = json!([own_items("education").pop()]);
        }),
        ("another agency's item over the ceiling", CEILING, "OK", |a| {
            let items = own_items("education");
            a.world.purposes = a
                .world
                .purposes
                .iter()
                .map(|(code, purpose)| {
                    let mut purpose = purpose.clone();
                    purpose.items = item_set(&items);
                    (code.clone(), purpose)
                })
                .collect();
        }),
        ("another agency's item", ITEMS, ITEMS, |a| {
            a.agencies[0].1["items"] = json!([own_items("lending")[0]]);
        }),
        ("unknown item", ITEMS, ITEMS, |a| {
            a.agencies[0].1["items"] = json!(["education.unknown.item"]);
        }),
        ("unknown item at another agency", ITEMS, "OK", |a| {
            a.agencies[1].1["items"] = json!(["lending.unknown.item"]);
        }),
    ]);
}

#[test]
fn an_agency_reads_nothing_that_was_not_disclosed_to_it() {
    let attempt = Attempt::new();
    let (gateway, own) = attempt.texts();
    let world = &attempt.world;
    let undisclosed = agency("lending");
    let at_agency = verify(own.as_bytes(), &world.at_agency()).unwrap();
    assert!(at_agency.items(&undisclosed).is_empty());
    assert!(at_agency.sealed_subject(&undisclosed).is_none());
    let at_gateway = verify(gateway.as_bytes(), &world.at_gateway()).unwrap();
    assert!(!at_gateway.items(&undisclosed).is_empty());
}
