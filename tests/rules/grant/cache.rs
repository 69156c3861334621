//! What is remembered and what is not.

use std::sync::Arc;

use tributary::domain::grant::{Context, GrantCache, PresentationDigest, Presented, SignedGrant};
use tributary::domain::now::{Course, Reading};

use super::support::*;

fn named(text: &str) -> Presented<&'static [u8]> {
    Presented::Digest(PresentationDigest::of(text.as_bytes()))
}

fn reason<T>(result: Result<T, tributary::domain::grant::GrantError>) -> &'static str {
    result.map_or_else(|error| error.reason().as_str(), |_| "OK")
}

#[test]
fn a_swapped_disclosure_is_refused_after_the_genuine_one_was_cached() {
    let attempt = Attempt::new();
    let (gateway, agency) = attempt.texts();
    let world = &attempt.world;
    let cache = GrantCache::new(64);
    assert_eq!(reason(cache.verify(agency.as_bytes(), &world.at_agency())), "OK");
    assert_eq!(reason(cache.verify(gateway.as_bytes(), &world.at_gateway())), "OK");
    assert_eq!(cache.len(), 2);

    let parts: Vec<&str> = gateway.split('~').collect();
    let lending = format!("{}~{}~", parts[0], parts[3]);
    assert_eq!(reason(cache.verify(lending.as_bytes(), &world.at_agency())), "GRANT_AGENCY");
    let unsigned = parts[2].replacen('W', "X", 1);
    let swapped = format!("{}~{unsigned}~", parts[0]);
    assert_eq!(reason(cache.verify(swapped.as_bytes(), &world.at_agency())), "GRANT_DISCLOSURE");
    // Cached for one receiver is not accepted by another, nor by its digest.
    assert_eq!(reason(cache.verify(gateway.as_bytes(), &world.at_agency())), "GRANT_AGENCY");
    assert_eq!(reason(cache.verify(named(&gateway), &world.at_agency())), "GRANT_AGENCY");
    assert_eq!(reason(cache.verify(agency.as_bytes(), &world.at_gateway())), "GRANT_DISCLOSURE");
    assert_eq!(reason(cache.verify(named(&agency), &world.at_gateway())), "GRANT_DISCLOSURE");
    // What was refused is not remembered.
    assert_eq!(reason(cache.verify(named(&lending), &world.at_agency())), "GRANT_UNKNOWN");
    assert_eq!(reason(cache.verify(named(&swapped), &world.at_agency())), "GRANT_UNKNOWN");
    assert_eq!(cache.len(), 2);
}

#[test]
fn everything_that_can_change_is_checked_on_a_cached_grant() {
    let attempt = Attempt::new();
    let (text, _) = attempt.texts();
    let mut world = attempt.world;
    let cache = GrantCache::new(64);
    let held = cache.verify(text.as_bytes(), &world.at_gateway()).unwrap();
    let judge = |world: &World| {
        let word = reason(cache.verify(text.as_bytes(), &world.at_gateway()));
        let released = reason(held.still_holds(&world.at_gateway()));
        assert_eq!(released, word, "right before release, of the grant verified at first");
        let named = reason(cache.verify(named(&text), &world.at_gateway()));
        assert_eq!(named, word, "named by its digest");
        word
    };
    assert_eq!(judge(&world), "OK");

    world.consumer = peer(OTHER_CONSUMER);
    assert_eq!(judge(&world), "GRANT_CLIENT");
    world.consumer = peer(CONSUMER);

    world.now = at(NOW + 56);
    assert_eq!(judge(&world), "GRANT_STATUS_STALE");
    world.now = at(NOW + 86_400);
    assert_eq!(judge(&world), "GRANT_EXPIRED");
    world.now = at(NOW - 6);
    assert_eq!(judge(&world), "GRANT_NOT_YET_VALID");
    world.now = at(NOW);

    let pinned = world.pin.clone();
    world.pin.keys.remove(&kid("ed"));
    world.repin();
    assert_eq!(judge(&world), "GRANT_KEY");
    // The same name, another key.
    let other = tributary::issuer::SigningKey::generate(
        tributary::domain::grant::Algorithm::EdDsa,
        kid("ed"),
    );
    world.pin.keys.insert(kid("ed"), other.unwrap().verifying_key().unwrap());
    world.repin();
    assert_eq!(judge(&world), "GRANT_KEY");
    world.pin = pinned;
    world.pin.agencies.remove(&agency("lending"));
    world.repin();
    assert_eq!(judge(&world), "GRANT_ISSUER_SCOPE");
    world.pin.agencies.insert(agency("lending"));
    world.repin();
    assert_eq!(judge(&world), "OK");

    world.purposes = [].into_iter().collect();
    assert_eq!(judge(&world), "GRANT_PURPOSE");
    world.purposes = World::new().purposes;
    world.list(&[0x80; 32], NOW);
    assert_eq!(judge(&world), "GRANT_REVOKED");
}

#[test]
fn row_36_a_clock_set_back_revives_nothing() {
    let mut attempt = Attempt::new();
    attempt.claims["exp"] = (NOW + 1_800).into();
    let (text, _) = attempt.texts();
    let mut world = attempt.world;
    let cache = GrantCache::new(64);
    let course = Course::begin(read(NOW, 0), at(NOW));
    // The wall clock, and how much has elapsed.
    let mut judge = |utc, elapsed, list: Option<i64>| {
        if let Some(issued_at) = list {
            world.list(&[0; 32], issued_at);
        }
        let now = course.now(read(utc, elapsed));
        reason(cache.verify(text.as_bytes(), &Context { now, ..world.at_gateway() }))
    };
    assert_eq!(judge(NOW, 0, None), "OK");
    // The list goes stale and stays so, though the clock says that it is fresh.
    assert_eq!(judge(NOW + 61, 61, None), "GRANT_STATUS_STALE");
    assert_eq!(judge(NOW, 61, None), "GRANT_STATUS_STALE");
    assert_eq!(judge(NOW + 62, 62, Some(NOW + 62)), "OK");
    // Half an hour passes, and somebody sets the clock back.
    assert_eq!(judge(NOW + 63, 1_800, Some(NOW + 1_799)), "GRANT_EXPIRED");
    assert_eq!(judge(NOW + 1_801, 1_801, None), "GRANT_EXPIRED");
}

#[test]
fn row_68_two_hours_ahead_or_behind_refuse_and_a_correction_heals() {
    let mut attempt = Attempt::new();
    attempt.claims["exp"] = (NOW + 3_600).into();
    let (text, _) = attempt.texts();
    let mut world = attempt.world;
    let cache = GrantCache::new(64);
    let course = Course::begin(read(NOW, 0), at(NOW));
    let mut judge = |utc, elapsed, list: Option<i64>| {
        if let Some(issued_at) = list {
            world.list(&[0; 32], issued_at);
        }
        let now = course.now(read(utc, elapsed));
        reason(cache.verify(text.as_bytes(), &Context { now, ..world.at_gateway() }))
    };
    assert_eq!(judge(NOW + 7_200, 1, None), "GRANT_EXPIRED", "two hours ahead");
    assert_eq!(judge(NOW + 2, 2, None), "OK", "and corrected");
    assert_eq!(judge(NOW - 7_200, 3, None), "GRANT_NOT_YET_VALID", "two hours behind");
    assert_eq!(judge(NOW + 4, 4, None), "OK", "and corrected");
    // Three hours of suspension: what expired in them has expired, whatever the clock says.
    let later = 3 * 3_600;
    assert_eq!(judge(NOW + later, later, None), "GRANT_EXPIRED");
    assert_eq!(judge(NOW + 4, later, Some(NOW + later)), "GRANT_EXPIRED");
}

fn read(utc: i64, elapsed: i64) -> Reading {
    Reading { utc: at(utc), elapsed: time::Duration::seconds(elapsed) }
}

#[test]
fn a_digest_names_what_was_shown_whole_and_is_still_remembered() {
    let mut attempt = Attempt::new();
    let (text, _) = attempt.texts();
    let cache = GrantCache::new(32);
    let verify = |text: &str, world: &World, by_digest: bool| match by_digest {
        true => reason(cache.verify(named(text), &world.at_gateway())),
        false => reason(cache.verify(text.as_bytes(), &world.at_gateway())),
    };
    // The digest alone is nothing, however genuine the grant.
    assert_eq!(verify(&text, &attempt.world, true), "GRANT_UNKNOWN");
    assert_eq!(verify(&text, &attempt.world, false), "OK");
    assert_eq!(verify(&text, &attempt.world, true), "OK");
    let by_digest = cache.verify(named(&text), &attempt.world.at_gateway()).unwrap();
    let whole = cache.verify(text.as_bytes(), &attempt.world.at_gateway()).unwrap();
    assert!(Arc::ptr_eq(by_digest.signed(), whole.signed()), "the very same grant");
    // It is over the exact bytes, so that a grant without one disclosure is another.
    let (fewer, _) = text.trim_end_matches('~').rsplit_once('~').unwrap();
    assert_eq!(verify(&format!("{fewer}~"), &attempt.world, true), "GRANT_UNKNOWN");

    // Forgotten once others took its place, and known again once it is shown again.
    for number in 0..300 {
        attempt.claims["jti"] = format!("{number:022}").into();
        attempt.agencies.iter_mut().for_each(|(name, value)| {
            value["subject"] = attempt.world.sealed(name, &format!("{number:022}"));
        });
        let other = attempt.texts().0;
        assert_eq!(verify(&other, &attempt.world, false), "OK");
    }
    assert_eq!(verify(&text, &attempt.world, true), "GRANT_UNKNOWN");
    assert_eq!(verify(&text, &attempt.world, false), "OK");
    assert_eq!(verify(&text, &attempt.world, true), "OK");
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_used() {
    let mut attempt = Attempt::new();
    let cache = GrantCache::new(64);
    let used = attempt.texts().0;
    let check = |text: &str, world: &World| {
        Arc::new(SignedGrant::check(text.as_bytes(), &world.pins).unwrap())
    };
    cache.insert(check(&used, &attempt.world));
    for number in 0..300 {
        attempt.claims["jti"] = format!("{number:022}").into();
        cache.insert(check(&attempt.texts().1, &attempt.world));
        assert!(cache.get(&PresentationDigest::of(used.as_bytes())).is_some());
        assert!(cache.len() <= 64, "{}", cache.len());
    }
}

#[test]
fn a_long_grant_takes_the_places_of_several() {
    let mut attempt = Attempt::new();
    // 40 KiB: three places.
    let items: Vec<String> = (0..500).map(|number| format!("education.{number:048}")).collect();
    attempt.agencies[0].1["items"] = items.into();
    let cache = GrantCache::new(256);
    for number in 0..300 {
        attempt.claims["jti"] = format!("{number:022}").into();
        let text = attempt.texts().0;
        assert!((33_000..49_000).contains(&text.len()), "{}", text.len());
        cache.insert(Arc::new(SignedGrant::check(text.as_bytes(), &attempt.world.pins).unwrap()));
        assert!(cache.len() <= 256 / 3, "{}", cache.len());
    }
    assert!(cache.len() > 32, "{}", cache.len());
}
