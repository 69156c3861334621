//! The floors: imports go only downward, and the lowest floor is pure.

use std::collections::BTreeSet;

use super::syntax::{File, OURS, files};

/// Every top-level module with its floor.
pub(super) const FLOORS: &[(&str, u8)] = &[
    ("domain", 0),
    ("wire", 1),
    ("config", 1),
    ("clock", 1),
    ("dial", 1),
    ("files", 1),
    ("outgoing", 1),
    ("link", 2),
    ("store", 2),
    ("source", 2),
    ("telemetry", 2),
    ("issuer", 2),
    ("service", 3),
    ("app", 4),
    ("cli", 4),
    ("main", 4),
];

/// The floor on which no module imports another.
const APART: u8 = 2;

/// What `domain` must not touch: crates, and modules of the standard library.
const IMPURE: &[&[&str]] = &[
    &["tokio"],
    &["tonic"],
    &["hyper"],
    &["sqlx"],
    &["rusqlite"],
    &["socket2"],
    &["tracing"],
    &["rand"],
    &["getrandom"],
    &["aws_lc_rs", "rand"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "SystemTime"],
];

/// Types of which one asks the time, and how.
const CLOCKS: &[&str] = &["Instant", "SystemTime", "OffsetDateTime", "UtcDateTime"];
const ASKING: &[&str] = &["now", "now_utc", "now_local"];

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// Modules without a floor, imports that go upward, and imports sideways on the
/// floor where modules stand apart.
fn floor_faults(files: &[File]) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for file in files {
        let Some(top) = file.top() else { continue };
        let Some(floor) = floor_of(top) else {
            faults.insert(format!("{}: module `{top}` has no floor", file.path));
            continue;
        };
        for (other, path) in file.imports().filter(|(other, _)| *other != top) {
            match floor_of(other) {
                None => {
                    faults.insert(format!("{}: `{path}` is on no floor", file.path));
                }
                Some(above) if above > floor => {
                    faults.insert(format!(
                        "{}: floor {floor} imports `{path}` of floor {above}",
                        file.path
                    ));
                }
                Some(APART) if floor == APART => {
                    faults.insert(format!(
                        "{}: `{path}` is sideways: modules of floor {APART} stand apart",
                        file.path
                    ));
                }
                Some(_) => {}
            }
        }
    }
    faults.into_iter().collect()
}

/// What `domain` uses although it is pure.
fn impurities(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.top() == Some("domain")) {
        for prefix in IMPURE.iter().filter(|prefix| file.uses(prefix)) {
            faults.push(format!("{}: domain uses `{}`", file.path, prefix.join("::")));
        }
        let asks = |pair: &[String]| {
            CLOCKS.contains(&pair[0].as_str()) && ASKING.contains(&pair[1].as_str())
        };
        for path in file.paths.iter().filter(|path| path.windows(2).any(asks)) {
            faults.push(format!("{}: domain asks `{}`", file.path, path.join("::")));
        }
    }
    faults
}

#[test]
fn imports_go_only_downward() {
    let faults = floor_faults(&OURS);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_domain_is_pure() {
    let faults = impurities(&OURS);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn faults(path: &str, text: &str) -> Vec<String> {
    floor_faults(&files(&[(path, text)]))
}

#[test]
fn an_upward_import_however_it_is_written() {
    for text in [
        "use crate::wire::value;",
        "use crate::{domain::item, wire::value};",
        "use super::super::wire;",
        "use crate::wire as w;",
        "use crate::wire::*;",
        "pub use crate::wire::value::encode;",
        "fn f() { crate::wire::value::encode() }",
        "fn f() -> Vec<crate::wire::Thing> { Vec::new() }",
        "fn f() { let _ = crate::wire::Thing { a: 1 }; }",
        "fn f() { println!(\"{}\", crate::wire::MAX) }",
        "macro_rules! m { () => { use $crate::{domain::item, wire::value}; } }",
        "mod inner { use super::super::super::wire; }",
        "impl crate::wire::Trait for X {}",
        "pub(crate) mod inner { fn f() { if true { crate::wire::go() } } }",
    ] {
        let found = faults("src/domain/value.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains("of floor 1"), "{found:?}");
    }
}

#[test]
fn what_is_allowed_passes() {
    for (path, text) in [
        ("src/wire/value.rs", "use crate::domain::value; use super::proto; use crate::clock;"),
        ("src/domain/value.rs", "use super::item::ItemSet; use std::fmt; use wire::external;"),
        ("src/main.rs", "use tributary::cli; fn main() { tributary::app::run() }"),
        ("src/lib.rs", "pub mod domain; pub mod cli;"),
        ("src/domain/value.rs", "//! See [`crate::wire`].\n/// [`crate::wire`]\nfn f() {}"),
        ("src/domain/value.rs", "#[cfg(test)] mod tests { use crate::wire::value; }"),
        ("src/domain/value.rs", "#[cfg(test)] fn f() { crate::wire::go() }"),
        ("src/domain/value.rs", "const TEXT: &str = \"crate::wire::go\";"),
    ] {
        assert_eq!(faults(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_file_of_tests_is_left_out_and_no_other_file() {
    let test = ("src/domain/value/tests.rs", "use crate::wire::value;");
    let with = |door| floor_faults(&files(&[("src/domain/value.rs", door), test]));
    assert!(with("#[cfg(test)] mod tests;").is_empty());
    assert_eq!(with("mod tests;").len(), 1);
    assert_eq!(with("#[cfg(not(test))] mod tests;").len(), 1);
}

#[test]
fn a_sideways_import_on_the_floor_that_stands_apart() {
    let found = faults("src/link/tls.rs", "use crate::source::csv;");
    assert!(found.len() == 1 && found[0].contains("sideways"), "{found:?}");
    assert!(faults("src/link/tls.rs", "use super::peer; use crate::link::x;").is_empty());
    assert!(faults("src/service/edge.rs", "use crate::link; use super::judge;").is_empty());
}

#[test]
fn a_module_without_a_floor() {
    assert_eq!(faults("src/helpers.rs", "").len(), 1);
    assert_eq!(faults("src/helpers/misc.rs", "").len(), 1);
    assert_eq!(faults("src/main.rs", "use tributary::helpers;").len(), 1);
    let found = faults("src/service/edge.rs", "use crate::Shortcut;");
    assert!(found.len() == 1 && found[0].contains("on no floor"), "{found:?}");
}

#[test]
fn an_impure_domain() {
    for text in [
        "use tokio::sync::mpsc;",
        "use std::{collections::HashMap, fs};",
        "fn f() { std::net::TcpStream::connect(a); }",
        "use std::time::{Duration, SystemTime};",
        "use std::time::Instant; fn f() { Instant::now(); }",
        "fn f() { time::OffsetDateTime::now_utc(); }",
        "fn f() { let x = rand::random(); }",
        "use aws_lc_rs::rand::SystemRandom;",
        "fn f(status: tonic::Status) {}",
        "fn f() { assert!(Instant::now() > t); }",
    ] {
        let found = impurities(&files(&[("src/domain/policy.rs", text)]));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(impurities(&files(&[("src/service/edge.rs", text)])).is_empty());
    }
    let pure = "use std::time::{Duration, Instant}; use aws_lc_rs::digest; fn f(now: Instant) {}";
    assert!(impurities(&files(&[("src/domain/policy.rs", pure)])).is_empty());
}
