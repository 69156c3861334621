//! What a sound grant may still not do: here, now, for this peer.

use serde_json::json;
use tributary::domain::grant::{LegalBasis, StatusLists};

use super::*;
use crate::grant::support::*;

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
        ("each another agency's item", ITEMS, ITEMS, |a| {
            a.agencies[0].1["items"] = json!([own_items("lending")[0]]);
            a.agencies[1].1["items"] = json!([own_items("education")[0]]);
        }),
        ("unknown items", ITEMS, ITEMS, |a| {
            a.agencies[0].1["items"] = json!(["education.unknown.item"]);
            a.agencies[1].1["items"] = json!(["lending.unknown.item"]);
        }),
        ("another agency's item", "OK", ITEMS, |a| {
            a.agencies[0].1["items"] = json!([own_items("lending")[0]]);
        }),
        // The issuer may have another catalogue: what is unknown is merely not granted.
        ("unknown item at another agency", "OK", "OK", |a| {
            a.agencies[1].1["items"] = json!(["lending.unknown.item"]);
        }),
        ("unknown item beside a known one", "OK", "OK", |a| {
            a.agencies[0].1["items"] = json!(["education.unknown.item", own_items("education")[0]]);
        }),
    ]);
}
