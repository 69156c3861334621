//! Bad grants, each refused at the gateway and, sent straight to the agency past
//! the gateway, at the agency.

use serde_json::{Value, json};
use tributary::domain::grant::{Algorithm, KeyId, base64};
use tributary::issuer::SigningKey;

use crate::kit::demo::{City, ask};
use crate::kit::forged::{Forgery, name_in, part_of};

pub const AGENCY: &str = "employment";
pub const ITEM: &str = "employment.current.started_on";

/// Name, the gateway's word, the agency's word, what is changed.
type Case = (&'static str, &'static str, &'static str, fn(&mut Forgery));

fn claim(forgery: &mut Forgery, name: &str, value: impl Into<Value>) {
    forgery.claims[name] = value.into();
}

fn strangers_key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa, KeyId::new("2026-1").unwrap()).unwrap()
}

/// Leaves each agency this item alone. Where something is left the rest is merely not
/// granted: the issuer may have another catalogue.
fn foreign(forgery: &mut Forgery, item: fn(&str) -> &str) {
    let agencies: Vec<String> = forgery.disclosures.iter().filter_map(|d| name_in(d)).collect();
    for agency in agencies.iter().filter(|name| !name.starts_with('_')) {
        forgery.redisclose(agency, |parts| parts[2]["items"] = json!([item(agency)]));
    }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("a stranger's key under the issuer's key name", "GRANT_SIGNATURE", "GRANT_SIGNATURE", |f| f.key = strangers_key()),
    ("claims changed after signing", "GRANT_SIGNATURE", "GRANT_SIGNATURE", |f| { f.keep_signature = true; claim(f, "data_life", 99); }),
    ("header changed after signing", "GRANT_KEY", "GRANT_KEY", |f| { f.keep_signature = true; f.header["kid"] = "2026-2".into(); }),
    ("alg none", "GRANT_ALGORITHM", "GRANT_ALGORITHM", |f| f.header["alg"] = "none".into()),
    ("alg HS256: key confusion", "GRANT_ALGORITHM", "GRANT_ALGORITHM", |f| f.header["alg"] = "HS256".into()),
    ("alg ES256 for an Ed25519 key", "GRANT_ALGORITHM", "GRANT_ALGORITHM", |f| f.header["alg"] = "ES256".into()),
    ("unknown key", "GRANT_KEY", "GRANT_KEY", |f| f.header["kid"] = "2025-9".into()),
    ("the key of the status list", "GRANT_KEY", "GRANT_KEY", |f| f.header["kid"] = "status-2026-1".into()),
    ("another type", "GRANT_TYPE", "GRANT_TYPE", |f| f.header["typ"] = "JWT".into()),
    ("a status list as a grant", "GRANT_TYPE", "GRANT_TYPE", |f| f.header["typ"] = "statuslist+jwt".into()),
    ("unknown critical extension", "GRANT_CRITICAL", "GRANT_CRITICAL", |f| f.header["crit"] = json!(["exp2"])),
    ("unknown header member", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| f.header["x5u"] = "https://a.example".into()),
    ("expired", "GRANT_EXPIRED", "GRANT_EXPIRED", |f| { claim(f, "iat", 1_700_000_000); claim(f, "nbf", 1_700_000_000); claim(f, "exp", 1_700_600_000); }),
    ("not yet valid", "GRANT_NOT_YET_VALID", "GRANT_NOT_YET_VALID", |f| { let nbf = f.claims["nbf"].as_i64().unwrap() + 3600; claim(f, "nbf", nbf); }),
    ("issued in the future", "GRANT_NOT_YET_VALID", "GRANT_NOT_YET_VALID", |f| { let iat = f.claims["iat"].as_i64().unwrap() + 3600; claim(f, "iat", iat); claim(f, "nbf", iat); }),
    ("another gateway's audience", "GRANT_AUDIENCE", "GRANT_AUDIENCE", |f| claim(f, "aud", "spiffe://gateway.city.example/gateway/other")),
    ("another consumer", "GRANT_CLIENT", "GRANT_CLIENT", |f| claim(f, "client_id", "spiffe://bank.city.example/consumer/loan-desk")),
    ("a consumer beyond the issuer's pins", "GRANT_CLIENT", "GRANT_CLIENT", |f| claim(f, "client_id", "spiffe://scoring.city.example/consumer/nobody")),
    ("an issuer that is not pinned", "GRANT_ISSUER", "GRANT_ISSUER", |f| claim(f, "iss", "spiffe://consent.city.example/issuer/other")),
    ("a basis beyond the issuer's pins", "GRANT_ISSUER_SCOPE", "GRANT_ISSUER_SCOPE", |f| f.claims["legal_basis"]["kind"] = "statute".into()),
    ("a purpose that nobody lists", "GRANT_ISSUER_SCOPE", "GRANT_ISSUER_SCOPE", |f| f.claims["purpose"]["code"] = "marketing".into()),
    ("a status list that is not pinned", "GRANT_ISSUER_SCOPE", "GRANT_ISSUER_SCOPE", |f| f.claims["status"]["status_list"]["uri"] = "https://localhost:1/status/2".into()),
    ("an index beyond the status list", "GRANT_STATUS_INDEX", "GRANT_STATUS_INDEX", |f| f.claims["status"]["status_list"]["idx"] = 200_000_000.into()),
    ("a life above the ceiling", "GRANT_CEILING", "GRANT_CEILING", |f| { let nbf = f.claims["nbf"].as_i64().unwrap(); claim(f, "exp", nbf + 366 * 86_400); }),
    ("uses above the ceiling", "GRANT_CEILING", "GRANT_CEILING", |f| f.claims["frequency"]["count"] = 1001.into()),
    ("a mode other than VIEW", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| claim(f, "mode", "STORE")),
    ("another digest algorithm", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| claim(f, "_sd_alg", "sha-512")),
    ("an unknown claim", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| claim(f, "admin", true)),
    ("a claim left out", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| { f.claims.as_object_mut().unwrap().remove("frequency"); }),
    ("no confirmation key", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| { f.claims.as_object_mut().unwrap().remove("cnf"); }),
    ("times as text", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| claim(f, "exp", "4000000000")),
    ("a number of uses below zero", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| f.claims["frequency"]["count"] = (-1).into()),
    ("a nested _sd", "GRANT_CLAIMS", "GRANT_CLAIMS", |f| f.claims["purpose"]["_sd"] = json!([])),
    ("a digest twice", "GRANT_DIGESTS", "GRANT_DIGESTS", |f| { let sd = f.claims["_sd"].as_array_mut().unwrap(); sd[1] = sd[0].clone(); }),
    ("no decoys", "GRANT_DIGESTS", "GRANT_DIGESTS", |f| f.claims["_sd"].as_array_mut().unwrap().truncate(8)),
    ("items that no agency owns", "GRANT_ITEMS", "GRANT_ITEMS", |f| foreign(f, |agency| if agency == "lending" { ITEM } else { "lending.card.balance" })),
    ("items that do not exist", "GRANT_ITEMS", "GRANT_ITEMS", |f| foreign(f, |_| "employment.current.shoe_size")),
    ("an agency beyond the issuer's pins", "GRANT_ISSUER_SCOPE", "GRANT_AGENCY", |f| f.redisclose(AGENCY, |d| { d[1] = "tax".into(); d[2]["agency"] = "tax".into(); })),
    ("another agency under this one's name", "GRANT_DISCLOSURE", "GRANT_DISCLOSURE", |f| f.redisclose(AGENCY, |d| d[2]["agency"] = "lending".into())),
    ("a disclosure changed after signing", "GRANT_DISCLOSURE", "GRANT_DISCLOSURE", |f| {
        let at = f.disclosures.iter().position(|d| crate::kit::forged::name_in(d).as_deref() == Some(AGENCY)).unwrap();
        let mut parts: Value = serde_json::from_slice(&base64::decode(&f.disclosures[at]).unwrap()).unwrap();
        parts[2]["items"].as_array_mut().unwrap().push("employment.pay.paid_on_time_months_12m".into());
        f.disclosures[at] = base64::encode(parts.to_string().as_bytes());
    }),
    ("an unknown member in a disclosure", "GRANT_DISCLOSURE", "GRANT_DISCLOSURE", |f| f.redisclose(AGENCY, |d| d[2]["all"] = true.into())),
    ("a subject sealed under an unknown suite", "GRANT_DISCLOSURE", "GRANT_DISCLOSURE", |f| f.redisclose(AGENCY, |d| d[2]["subject"]["suite"] = "rot13".into())),
];

/// Changes to the finished text, which signing again cannot express.
type TextCase = (&'static str, &'static str, &'static str, fn(String) -> String);

#[rustfmt::skip]
const TEXTS: &[TextCase] = &[
    ("no grant at all", "GRANT_MALFORMED", "GRANT_MALFORMED", |_| "x".into()),
    ("no disclosure", "GRANT_DISCLOSURE", "GRANT_AGENCY", |t| format!("{}~", t.split('~').next().unwrap())),
    ("a disclosure twice", "GRANT_DISCLOSURE", "GRANT_DISCLOSURE", |t| { let last = t.trim_end_matches('~').rsplit('~').next().unwrap().to_owned(); format!("{t}{last}~") }),
    ("text after the end", "GRANT_MALFORMED", "GRANT_MALFORMED", |t| format!("{t}trailing")),
    ("binary junk", "GRANT_MALFORMED", "GRANT_MALFORMED", |t| t.replace('~', "\u{0}")),
    ("a signature of another form of base64", "GRANT_MALFORMED", "GRANT_MALFORMED", |t| t.replacen('~', "=~", 1)),
    ("far too large", "GRANT_SIZE", "GRANT_SIZE", |t| format!("{t}{}~", "A".repeat(100_000))),
    ("one byte of the signature flipped", "GRANT_SIGNATURE", "GRANT_SIGNATURE", |t| {
        let at = t.find('~').unwrap() - 10;
        let other = if t.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &t[..at], &t[at + 1..])
    }),
];

/// A bad grant as it goes to the gateway, its part for the agency, and the word
/// of each.
pub struct Forged {
    pub name: &'static str,
    pub gateway: &'static str,
    pub at_agency: &'static str,
    pub text: String,
    pub part: String,
}

/// Every case, made out of a genuine grant.
pub fn all(city: &City, genuine: &str) -> Vec<Forged> {
    let signed = CASES.iter().map(|&(name, gateway, at_agency, change)| {
        let mut forgery = Forgery::of(&city.home, genuine);
        change(&mut forgery);
        let text = forgery.finish();
        let part = part_of(&text, if at_agency == "GRANT_AGENCY" { "tax" } else { AGENCY });
        Forged { name, gateway, at_agency, text, part }
    });
    let texts = TEXTS.iter().map(|&(name, gateway, at_agency, change)| {
        let (text, part) = (change(genuine.to_owned()), change(part_of(genuine, AGENCY)));
        Forged { name, gateway, at_agency, text, part }
    });
    signed.chain(texts).collect()
}

#[tokio::test]
async fn forged_grants_are_refused_at_the_gateway_and_at_the_agency() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let mut agency = city.agency(AGENCY).await;
    let genuine = city.grant(0);

    // The genuine one, signed again, passes at both: the cases change one thing.
    let again = Forgery::of(&city.home, &genuine).finish();
    assert_eq!(city.at_gateway(&mut client, &again, ITEM).await, "OK");
    let question = city.question("genuine", &part_of(&again, AGENCY), &[ITEM]);
    assert_eq!(ask(&mut agency, question).await.0, "OK");

    let forged = all(&city, &genuine);
    assert!(forged.len() >= 40, "{} cases", forged.len());

    let mut wrong = Vec::new();
    for (at, case) in forged.iter().enumerate() {
        let Forged { name, gateway, at_agency, text, part } = case;
        let found = city.at_gateway(&mut client, text, ITEM).await;
        if found != *gateway {
            wrong.push(format!("{name}: the gateway says {found}, not {gateway}"));
        }
        let question = city.question(&format!("forged-{at}"), part, &[ITEM]);
        let (found, section) = ask(&mut agency, question).await;
        if found != *at_agency || section.is_some() {
            wrong.push(format!("{name}: the agency says {found}, not {at_agency}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_only_an_agency_can_find_is_refused_there() {
    let city = City::start(&[]);
    let mut agency = city.agency(AGENCY).await;
    let (genuine, other) = (city.grant(0), city.grant(1));

    // Another agency's part, two parts, and the gateway's own.
    let lending = part_of(&genuine, "lending");
    assert_eq!(ask(&mut agency, city.question("a", &lending, &[ITEM])).await.0, "GRANT_AGENCY");
    assert_eq!(ask(&mut agency, city.question("b", &genuine, &[ITEM])).await.0, "GRANT_AGENCY");
    let gateways = part_of(&genuine, "_gateway");
    assert_eq!(ask(&mut agency, city.question("c", &gateways, &[ITEM])).await.0, "GRANT_AGENCY");

    // A disclosure of another person's grant, also after the genuine one was
    // believed and remembered.
    let own = part_of(&genuine, AGENCY);
    assert_eq!(ask(&mut agency, city.question("d", &own, &[ITEM])).await.0, "OK");
    let swapped = format!(
        "{}~{}~",
        genuine.split('~').next().unwrap(),
        part_of(&other, AGENCY).split('~').nth(1).unwrap()
    );
    let answer = ask(&mut agency, city.question("e", &swapped, &[ITEM])).await.0;
    assert_eq!(answer, "GRANT_DISCLOSURE");

    // A subject that was sealed for another grant does not open.
    let mut resealed = Forgery::of(&city.home, &genuine);
    let stolen = Forgery::of(&city.home, &other);
    let stolen = stolen
        .disclosures
        .iter()
        .find(|d| crate::kit::forged::name_in(d).as_deref() == Some(AGENCY));
    let stolen: Value = serde_json::from_slice(&base64::decode(stolen.unwrap()).unwrap()).unwrap();
    resealed.redisclose(AGENCY, |parts| parts[2]["subject"] = stolen[2]["subject"].clone());
    let resealed = part_of(&resealed.finish(), AGENCY);
    assert_eq!(ask(&mut agency, city.question("f", &resealed, &[ITEM])).await.0, "GRANT_SUBJECT");

    // An item that the grant does not name is not answered, though the agency
    // holds it.
    let unasked = "employment.contract.form";
    let (status, section) = ask(&mut agency, city.question("g", &own, &[ITEM, unasked])).await;
    assert_eq!(status, "OK");
    let envelope = section.unwrap().envelope.unwrap();
    let number = u32::from(city.catalogue.find(unasked).unwrap().number.get());
    assert!(envelope.items.iter().all(|item| item.number != number));
    let gap = envelope.missing.iter().find(|gap| gap.number == number).unwrap();
    assert_eq!(gap.absence().as_str_name(), "ABSENCE_DENIED");

    // Another consumer than the grant's, claimed by the gateway.
    let mut claimed = city.question("h", &own, &[ITEM]);
    claimed.consumer = city.described.consumers[1].id.clone();
    assert_eq!(ask(&mut agency, claimed).await.0, "GRANT_CLIENT");
}

#[tokio::test]
async fn a_retry_is_one_use_and_a_spent_grant_is_refused() {
    let city = City::start(&["--grant-uses", "2"]);
    let mut agency = city.agency(AGENCY).await;
    let own = part_of(&city.grant(0), AGENCY);
    let mut say =
        async |id: &str, items: &[&str]| ask(&mut agency, city.question(id, &own, items)).await.0;
    assert_eq!(say("one", &[ITEM]).await, "OK");
    assert_eq!(say("one", &[ITEM]).await, "OK");
    assert_eq!(say("one", &["employment.current.employed"]).await, "REQUEST_ID_REUSED");
    assert_eq!(say("one", &[ITEM]).await, "OK");
    // Three releases in all.
    assert_eq!(say("one", &[ITEM]).await, "REQUEST_ID_REUSED");
    assert_eq!(say("two", &[ITEM]).await, "OK");
    assert_eq!(say("three", &[ITEM]).await, "FREQUENCY_EXHAUSTED");
}
