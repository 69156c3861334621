//! Which of several revocation lists decides. Test names carry the row of the fault
//! matrix that they prove.

use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope};
use tributary::clock;

use super::authorities::{Authority, Files, List, day, list};

const REVOKED: &str = "CERTIFICATE_REVOKED";

/// Every order of some lists.
fn orders<'a>(lists: &[&'a [u8]]) -> Vec<Vec<&'a [u8]>> {
    let Some((first, rest)) = lists.split_first() else { return vec![Vec::new()] };
    let each = orders(rest).into_iter().flat_map(|rest| {
        (0..=rest.len()).map(move |at| {
            let mut order = rest.clone();
            order.insert(at, first);
            order
        })
    });
    each.collect()
}

#[test]
fn rows_03_65_the_newest_list_decides_in_any_order() {
    let root = Authority::root("Root");
    let mut files = Files::new(&[&root]);
    let (leaf, pardoned) = (root.leaf(|_| {}), root.leaf(|_| {}));
    let oldest = root.list(list(8, 3, &[pardoned.serial]));
    let older = root.list(list(9, 2, &[pardoned.serial]));
    let newest = root.list(list(10, 1, &[leaf.serial]));
    for order in orders(&[&oldest, &older, &newest]) {
        files.lists(&order);
        assert_eq!(files.word(&leaf, &[]), REVOKED);
        assert_eq!(files.word(&pardoned, &[]), "accepted");
    }
}

/// A list that is newer by its number and older by its date, or neither: what either of
/// the two revokes is refused.
#[test]
fn row_03_lists_that_contradict_each_other_both_count() {
    let root = Authority::root("Root");
    let mut files = Files::new(&[&root]);
    let (one, two, third) = (root.leaf(|_| {}), root.leaf(|_| {}), root.leaf(|_| {}));
    let first = root.list(list(7, 1, &[one.serial]));
    for number in [7, 8] {
        let second = root.list(List {
            since: day(-1 - i64::from(number == 8)),
            ..list(number, 0, &[two.serial])
        });
        for order in orders(&[&first, &second]) {
            files.lists(&order);
            let found = [&one, &two, &third].map(|leaf| files.word(leaf, &[]));
            assert_eq!(found, [REVOKED, REVOKED, "accepted"], "number {number}");
        }
    }
}

#[test]
fn row_06_an_old_list_left_in_the_file_closes_nothing() {
    let root = Authority::root("Root");
    let mut files = Files::new(&[&root]);
    let leaf = root.leaf(|_| {});
    let past = root.list(List { until: day(-1), ..list(1, 8, &[]) });
    let current = root.list(list(2, 1, &[]));
    for order in orders(&[&past, &current]) {
        files.lists(&order);
        let until = files.show(&leaf, &[]).unwrap();
        assert!(until > day(9) && until < day(11), "{until}");
        assert_eq!(files.store().alarms(clock::utc()), []);
    }
    // The newest decides also when it is the one that is past its date.
    let hours = |hours| clock::utc() - time::Duration::hours(hours);
    let late = root.list(List { since: hours(2), until: hours(1), ..list(3, 0, &[]) });
    files.lists(&[&current, &late]);
    assert_eq!(files.word(&leaf, &[]), "REVOCATION_LIST_EXPIRED");
    assert_eq!(files.store().alarms(clock::utc()).len(), 1);
}

/// Two keys of one name, each with its list: a certificate is judged by the list of the
/// key that signed it.
#[test]
fn row_03_a_key_that_was_replaced_does_not_confuse() {
    let (old, new) = (Authority::root("Root"), Authority::root("Root"));
    let mut files = Files::new(&[&old, &new]);
    let (of_old, of_new, good) = (old.leaf(|_| {}), new.leaf(|_| {}), new.leaf(|_| {}));
    let of_the_old = old.list(list(90, 1, &[of_old.serial, good.serial]));
    let of_the_new = new.list(list(1, 2, &[of_new.serial]));
    for order in orders(&[&of_the_old, &of_the_new]) {
        files.lists(&order);
        let found = [&of_old, &of_new, &good].map(|leaf| files.word(leaf, &[]));
        assert_eq!(found, [REVOKED, REVOKED, "accepted"]);
    }
    // Also below an authority of which the old certificate is not at hand.
    let root = Authority::root("Top");
    let mut files = Files::new(&[&root]);
    let before = Authority::made("Below", Some(&root), |_| {});
    let now = Authority::made("Below", Some(&root), |_| {});
    let (leaf, good) = (now.leaf(|_| {}), now.leaf(|_| {}));
    let lists = [
        before.list(list(90, 1, &[good.serial])),
        now.list(list(1, 2, &[leaf.serial])),
        root.list(list(1, 2, &[])),
    ];
    for order in orders(&lists.each_ref().map(Vec::as_slice)) {
        files.lists(&order);
        let found = [&leaf, &good].map(|leaf| files.word(leaf, &[&now]));
        assert_eq!(found, [REVOKED, "accepted"]);
    }
    // Of two keys of which only one has a list, the other's certificates are unknown.
    files.lists(&[&lists[0], &lists[2]]);
    assert_eq!(files.word(&good, &[&now]), "REVOCATION_UNKNOWN");
}

#[test]
fn row_06_a_damaged_list_closes_what_it_would_speak_of() {
    let root = Authority::root("Root");
    let mut files = Files::new(&[&root]);
    let leaf = root.leaf(|_| {});
    let older = root.list(list(1, 2, &[]));
    let mut newer = root.list(list(2, 1, &[leaf.serial]));
    *newer.last_mut().unwrap() ^= 1;
    for order in orders(&[&older, &newer]) {
        files.lists(&order);
        assert_eq!(files.word(&leaf, &[]), "REVOCATION_UNUSABLE");
    }
}

#[test]
fn row_03_a_revoked_intermediate() {
    let root = Authority::root("Root");
    let mut files = Files::new(&[&root]);
    let below = Authority::made("Below", Some(&root), |_| {});
    let leaf = below.leaf(|_| {});
    let own = below.list(list(1, 1, &[]));
    let (older, newer) = (root.list(list(1, 2, &[])), root.list(list(2, 1, &[below.serial])));
    for order in orders(&[&own, &older, &newer]) {
        files.lists(&order);
        assert_eq!(files.word(&leaf, &[&below]), REVOKED);
    }
    files.lists(&[&own, &older]);
    assert_eq!(files.word(&leaf, &[&below]), "accepted");
    files.lists(&[&own]);
    assert_eq!(files.word(&leaf, &[&below]), "REVOCATION_UNKNOWN");
}

/// Lists that speak of some certificates only: each scope has its newest.
#[test]
fn row_03_lists_of_several_scopes() {
    let place = |name: &str| CrlDistributionPoint {
        uris: vec![format!("http://lists.lab.example/{name}")],
    };
    let scope = |name: &str, scope| {
        Some(CrlIssuingDistributionPoint { distribution_point: place(name), scope })
    };
    let root = Authority::root("Root");
    let mut files = Files::new(&[&root]);
    let below = Authority::made("Below", Some(&root), |params| {
        params.crl_distribution_points = vec![place("authorities")];
    });
    let leaf = root.leaf(|params| params.crl_distribution_points = vec![place("leaves")]);
    let lower = below.leaf(|_| {});
    let own = below.list(list(1, 1, &[]));
    let leaves = |number, revoked: &[u64]| {
        root.list(List {
            scope: scope("leaves", Some(CrlScope::UserCertsOnly)),
            ..list(number, 1, revoked)
        })
    };
    let authorities = |number, revoked: &[u64]| {
        root.list(List {
            scope: scope("authorities", Some(CrlScope::CaCertsOnly)),
            ..list(number, 1, revoked)
        })
    };
    // A number of one scope says nothing about another.
    for order in orders(&[&leaves(2, &[leaf.serial]), &authorities(30, &[]), &leaves(1, &[]), &own])
    {
        files.lists(&order);
        assert_eq!(files.word(&leaf, &[]), REVOKED);
        assert_eq!(files.word(&lower, &[&below]), "accepted");
    }
    files.lists(&[&leaves(2, &[]), &authorities(1, &[below.serial]), &own]);
    assert_eq!(files.word(&leaf, &[]), "accepted");
    assert_eq!(files.word(&lower, &[&below]), REVOKED);
    // A list of all, older than that of some: both tell about the leaf.
    for order in orders(&[&root.list(list(1, 5, &[leaf.serial])), &leaves(9, &[])]) {
        files.lists(&order);
        assert_eq!(files.word(&leaf, &[]), REVOKED);
    }
    files.lists(&[&authorities(1, &[])]);
    assert_eq!(files.word(&leaf, &[]), "REVOCATION_UNKNOWN");
    files.lists(&[&root.list(List { scope: scope("elsewhere", None), ..list(1, 1, &[]) })]);
    assert_eq!(files.word(&leaf, &[]), "REVOCATION_UNKNOWN");
}
