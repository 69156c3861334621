//! The fuzz targets of `fuzz/`, with their seeds and some thousand mutations of
//! each, the same in every run: a target that no longer reads its seeds, or a
//! reader that panics, fails here.
//!
//! The seeds are made anew by
//! `cargo test --test rules -- --ignored seeds_are_written`.

mod mutations;
mod seeds;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};

use mutations::Mutator;

type Target = fn(&[u8]) -> bool;

const TARGETS: [(&str, Target); 25] = [
    ("grant", targets::grant),
    ("grant_json", targets::grant_json),
    ("status_list", targets::status_list),
    ("status_list_claims", targets::status_list_claims),
    ("status_list_zlib", targets::status_list_zlib),
    ("profile_request", targets::profile_request),
    ("request_proof", targets::request_proof),
    ("section", targets::section),
    ("exchange", targets::exchange),
    ("refusal", targets::refusal),
    ("audit_entry", targets::audit_entry),
    ("audit_proof", targets::audit_proof),
    ("successor_note", targets::successor_note),
    ("certificate", targets::certificate),
    ("pem", targets::pem),
    ("revocation", targets::revocation),
    ("name_constraints", targets::name_constraints),
    ("reconcile", targets::reconcile),
    ("receipt", targets::receipt),
    ("edge", targets::edge),
    ("hello", targets::hello),
    ("config", targets::config),
    ("catalogue", targets::catalogue),
    ("day", targets::day),
    ("csv", targets::csv),
];

/// Mutations of each target's seeds, all together.
const MUTATIONS: usize = 1_500;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds_of(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<_> = std::fs::read_dir(folder().join("seeds").join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|file| (file.display().to_string(), std::fs::read(&file).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// A seed is what the reader takes: were it not, mutations of it would all end at
/// the same early check.
#[test]
fn every_seed_is_taken_and_small() {
    for (name, target) in TARGETS {
        let seeds = seeds_of(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        for (file, bytes) in seeds {
            assert!(target(&bytes), "{file} is not taken: write the seeds anew");
            assert!(bytes.len() <= 4096, "{file} is large");
        }
    }
}

#[test]
fn mutations_of_the_seeds_break_no_target() {
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || mutate(name, target));
        }
    });
}

fn mutate(name: &str, target: Target) {
    let seeds: Vec<Vec<u8>> = seeds_of(name).into_iter().map(|(_, bytes)| bytes).collect();
    let mut mutator = Mutator::new(name);
    let mut taken = 0;
    for turn in 0..MUTATIONS {
        let input = mutator.mutate(&seeds[turn % seeds.len()], &seeds);
        match std::panic::catch_unwind(|| target(&input)) {
            Ok(true) => taken += 1,
            Ok(false) => {}
            Err(_) => panic!("{name} breaks on {}", data_encoding::HEXLOWER.encode(&input)),
        }
    }
    println!("{name}: {taken} of {MUTATIONS} mutations were taken");
}

/// The targets here and those that cargo-fuzz builds are the same.
#[test]
fn cargo_fuzz_has_every_target() {
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let built: Vec<&str> = manifest["bin"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| bin["name"].as_str().unwrap())
        .collect();
    let here: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    for name in &built {
        assert!(here.contains(name), "{name} is not run by this test");
        let file = folder().join(format!("fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("tributary_fuzz::{name}(data)")), "{name}");
    }
    assert_eq!(built.len(), here.len());
}

#[test]
#[ignore = "writes fuzz/seeds"]
fn seeds_are_written() {
    for (target, name, bytes) in seeds::all() {
        let folder = folder().join("seeds").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
