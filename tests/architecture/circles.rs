//! No file imports another that imports it, over however many files: who reads one has
//! not to read the other first. A parent and its child may name each other.

use std::collections::{BTreeMap, BTreeSet};

use super::syntax::{File, OURS, files};

/// Folders in which files may import each other in a circle, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("domain/grant", "a verified grant and what it was verified from name each other's types"),
    ("app/demo", "the demo's parts are one story: people, consent, processes, their description"),
];

/// The file that a path leads into: the longest module of it that is a file.
fn file_of<'a>(path: &[String], modules: &BTreeSet<&'a [String]>) -> Option<&'a [String]> {
    (1..=path.len()).rev().find_map(|length| modules.get(&path[..length]).copied())
}

/// What each file imports, its parents and children left out.
fn imports(files: &[File]) -> BTreeMap<&[String], BTreeSet<&[String]>> {
    let modules: BTreeSet<&[String]> = files.iter().map(|file| &file.module[..]).collect();
    let mut imports: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for File { module, paths, .. } in files {
        let inward = paths.iter().filter(|path| path[0] == "crate");
        let others = inward.filter_map(|path| file_of(&path[1..], &modules));
        let apart = others.filter(|other| !module.starts_with(other) && !other.starts_with(module));
        imports.insert(module, apart.collect());
    }
    imports
}

/// Every circle: the files that lead to each other, in order of their names.
fn circles(files: &[File]) -> BTreeSet<Vec<String>> {
    let imports = imports(files);
    let reach = |from: &[String]| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            for other in imports.get(file).into_iter().flatten() {
                if seen.insert(*other) {
                    next.push(other);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&[String], _> = imports.keys().map(|file| (*file, reach(file))).collect();
    let circle = |(file, far): (&&[String], &BTreeSet<&[String]>)| {
        let back =
            far.iter().filter(|other| reached.get(*other).is_some_and(|far| far.contains(file)));
        back.map(|other| other.join("/")).collect::<Vec<_>>()
    };
    reached.iter().map(circle).filter(|circle| circle.len() > 1).collect()
}

/// The innermost folder of those that may have circles and that holds all of this one.
fn allowed(circle: &[String]) -> Option<&'static str> {
    let holds = |folder: &str| {
        let inside = |file: &String| file.strip_prefix(folder).is_some_and(|r| r.starts_with('/'));
        circle.iter().all(inside)
    };
    let folders = ALLOWED.iter().map(|(folder, _)| *folder).filter(|folder| holds(folder));
    folders.max_by_key(|folder| folder.len())
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = circles(&OURS);
    let wrong = circles.iter().filter(|circle| allowed(circle).is_none());
    let wrong: Vec<String> = wrong.map(|circle| circle.join(", ")).collect();
    assert!(wrong.is_empty(), "these import each other in a circle:\n{}", wrong.join("\n"));
    for (known, _) in ALLOWED {
        let needed = circles.iter().any(|circle| allowed(circle) == Some(*known));
        assert!(needed, "{known} has no circle any more: take it out of ALLOWED");
    }
}

#[test]
fn a_circle_of_files() {
    let files = files(&[
        ("src/main.rs", "use tributary::app;"),
        ("src/app.rs", "mod stop; use crate::service::edge;"),
        ("src/service.rs", "pub mod edge;"),
        ("src/service/edge.rs", "use super::far::Thing;"),
        ("src/service/far.rs", "use crate::domain; fn f() { crate::app::stop::now() }"),
        ("src/app/stop.rs", "use super::App; use crate::service::{edge::go, near};"),
        ("src/service/near.rs", "use super::far;"),
        ("src/domain.rs", ""),
    ]);
    let found: Vec<String> = circles(&files).into_iter().map(|circle| circle.join(" ")).collect();
    assert_eq!(found, ["app/stop service/edge service/far service/near"]);
}

#[test]
fn a_parent_and_its_child_are_no_circle() {
    let files = files(&[
        ("src/service.rs", "pub mod edge; use edge::Edge;"),
        ("src/service/edge.rs", "use super::Thing; mod deep;"),
        ("src/service/edge/deep.rs", "use crate::service::Thing; use super::Edge;"),
    ]);
    assert!(circles(&files).is_empty());
}
