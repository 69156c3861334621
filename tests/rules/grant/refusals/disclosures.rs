//! Digests and disclosures.

use serde_json::json;
use tributary::domain::grant::{base64, verify};

use super::*;
use crate::grant::support::*;

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
        ("256 digests", DIGESTS, DIGESTS, |a| {
            digests(a, |_| (0..=255).map(|n| base64::encode(&[n; 32]).into()).collect());
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
        ("the gateway's beside its own to an agency", "OK", AGENCY, |a| {
            parts(a, |mut parts| {
                if parts.len() == 2 {
                    parts.insert(1, DISCLOSED.with(|all| all.borrow()[0].clone()));
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
