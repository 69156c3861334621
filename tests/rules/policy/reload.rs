//! Rows 41 and 42 of the fault matrix: what is bad or half-written leaves the
//! last good policy in force and raises the alarm; an empty policy denies all.

use std::path::Path;

use tempfile::TempDir;
use tributary::config::policy::{PolicyConfig, PolicyLoadError};
use tributary::config::reload::{LastGood, Reload, Watch};
use tributary::domain::policy::engine::{DEFAULT_CACHE, Engine};
use tributary::domain::purpose::LegalBasis;

use super::support::{BANK, SMALL, decide, numbers};

const VOCABULARY: &str = "purposes = [\"credit_profile\"]\n\
                          consumers = [\"spiffe://bank.city.example/consumer/loan-desk\"]\n";
const LENDING: &str =
    "@id(\"a\") permit (principal, action, resource in Category::\"lending.card\");\n";
const TRAFFIC: &str = "@id(\"b\") permit (principal, action, resource in Domain::\"traffic\");\n";

struct Folder {
    folder: TempDir,
    config: PolicyConfig,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        let config: PolicyConfig =
            toml::from_str("rules = \"policies\"\nvocabulary = \"vocabulary.toml\"").unwrap();
        assert_eq!(config.cached_decisions.get(), DEFAULT_CACHE);
        let config = config.resolved(folder.path());
        let this = Self { folder, config };
        this.write("vocabulary.toml", VOCABULARY);
        this.write("policies/lending.cedar", LENDING);
        this
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn start(&self) -> (LastGood<Engine>, Watch) {
        let watch = self.config.watch();
        (LastGood::new(self.config.load(&SMALL).unwrap()), watch)
    }

    fn poll(&self, good: &LastGood<Engine>, watch: &mut Watch) -> Reload<Engine, PolicyLoadError> {
        watch.reload_if_changed(good, || self.config.load(&SMALL))
    }

    /// Two looks: one that sees the change and one that finds it settled.
    fn settle(
        &self,
        good: &LastGood<Engine>,
        watch: &mut Watch,
    ) -> Reload<Engine, PolicyLoadError> {
        assert!(matches!(self.poll(good, watch), Reload::Settling));
        self.poll(good, watch)
    }
}

fn opened(good: &LastGood<Engine>) -> Vec<u16> {
    let engine = good.current();
    numbers(decide(&engine, BANK, "credit_profile", LegalBasis::Consent, "lending"))
}

#[test]
fn a_changed_policy_comes_into_force() {
    let folder = Folder::new();
    let (good, mut watch) = folder.start();
    assert_eq!(opened(&good), [0, 1]);
    assert!(matches!(folder.poll(&good, &mut watch), Reload::Unchanged));
    folder.write("policies/traffic.cedar", TRAFFIC);
    assert!(matches!(folder.settle(&good, &mut watch), Reload::Loaded(_)));
    assert_eq!(opened(&good), [0, 1, 6]);
    std::fs::remove_file(folder.path().join("policies/lending.cedar")).unwrap();
    assert!(matches!(folder.settle(&good, &mut watch), Reload::Loaded(_)));
    assert_eq!(opened(&good), [6]);
    assert!(!good.is_stale());
}

#[test]
fn row_41_a_bad_policy_leaves_the_last_good_one_in_force_and_raises_the_alarm() {
    let folder = Folder::new();
    let (good, mut watch) = folder.start();
    let digest = good.current().digest();
    let half = &LENDING[..LENDING.len() / 2];
    for bad in [half, "@id(\"a\") permit (principal, action, resource in Domain::\"landing\");"] {
        folder.write("policies/lending.cedar", bad);
        let Reload::KeptLastGood(error) = folder.settle(&good, &mut watch) else {
            panic!("{bad} was loaded");
        };
        assert!(error.to_string().starts_with("lending.cedar:1: "), "{error}");
        assert!(good.is_stale());
        // Looking again is no new failure.
        assert!(matches!(folder.poll(&good, &mut watch), Reload::Unchanged));
        assert_eq!((opened(&good), good.current().digest()), (vec![0, 1], digest));
    }
    folder.write("policies/lending.cedar", TRAFFIC);
    assert!(matches!(folder.settle(&good, &mut watch), Reload::Loaded(_)));
    assert!(!good.is_stale());
    assert_eq!(opened(&good), [6]);
}

#[test]
fn row_41_a_vanished_folder_or_a_bad_vocabulary_changes_nothing() {
    let folder = Folder::new();
    let (good, mut watch) = folder.start();
    folder.write("vocabulary.toml", "purposes = [");
    assert!(matches!(
        folder.settle(&good, &mut watch),
        Reload::KeptLastGood(PolicyLoadError::Vocabulary { .. })
    ));
    folder.write("vocabulary.toml", VOCABULARY);
    assert!(matches!(folder.settle(&good, &mut watch), Reload::Loaded(_)));
    std::fs::remove_dir_all(folder.path().join("policies")).unwrap();
    assert!(matches!(
        folder.settle(&good, &mut watch),
        Reload::KeptLastGood(PolicyLoadError::Read { .. })
    ));
    assert_eq!(opened(&good), [0, 1]);
    assert!(good.is_stale());
}

#[test]
fn row_42_an_empty_folder_denies_all() {
    let folder = Folder::new();
    let (good, mut watch) = folder.start();
    std::fs::remove_file(folder.path().join("policies/lending.cedar")).unwrap();
    assert!(matches!(folder.settle(&good, &mut watch), Reload::Loaded(_)));
    assert_eq!(opened(&good), [0u16; 0]);
}

#[test]
fn a_file_that_is_still_being_written_is_left_alone() {
    let folder = Folder::new();
    let (good, mut watch) = folder.start();
    for length in [10, 20, 30] {
        folder.write("policies/lending.cedar", &TRAFFIC[..length]);
        assert!(matches!(folder.poll(&good, &mut watch), Reload::Settling));
    }
    folder.write("policies/lending.cedar", TRAFFIC);
    assert!(matches!(folder.settle(&good, &mut watch), Reload::Loaded(_)));
    assert_eq!((opened(&good), good.is_stale()), (vec![6], false));
}

#[test]
fn editors_leftovers_and_subfolders_are_no_rules() {
    let folder = Folder::new();
    folder.write("policies/.lending.cedar", TRAFFIC);
    folder.write("policies/lending.cedar~", TRAFFIC);
    folder.write("policies/readme.md", TRAFFIC);
    std::fs::create_dir(folder.path().join("policies/agencies")).unwrap();
    folder.write("policies/agencies/traffic.cedar", TRAFFIC);
    assert_eq!(opened(&folder.start().0), [0, 1]);
}

#[test]
fn the_first_load_must_succeed_and_an_unknown_key_is_an_error() {
    let folder = Folder::new();
    folder.write("policies/lending.cedar", "hello");
    assert!(folder.config.load(&SMALL).is_err());
    assert!(toml::from_str::<PolicyConfig>("rules = \"a\"\nvocabulary = \"b\"\nrule = 1").is_err());
}
