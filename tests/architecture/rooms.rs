//! The rooms of `service`: who may import whom, by which door, and how long a file is.

use super::syntax::{File, OURS, Source, files, ours};

/// Each room, and the other rooms that it may use. What stands beside the rooms is open
/// to all of them, and uses none.
const ROOMS: [(&str, &[&str]); 4] = [
    ("gateway", &["agencies", "audit"]),
    ("agency", &["audit"]),
    ("agencies", &["audit"]),
    ("audit", &[]),
];

/// So many lines has a file of `service` at most, tests in it included: what is longer is
/// more than one idea.
const MOST_LINES: usize = 350;

fn room_of(module: &[String]) -> Option<&(&'static str, &'static [&'static str])> {
    let [top, room, ..] = module else { return None };
    ROOMS.iter().find(|(name, _)| top == "service" && room == name)
}

/// Imports from one room of another that it may not use.
fn faults(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.top() == Some("service") && file.module.len() > 1) {
        let own = room_of(&file.module);
        for path in file.paths.iter().filter(|path| path[0] == "crate") {
            let Some((other, _)) = room_of(&path[1..]) else { continue };
            let may = own.is_some_and(|(name, uses)| name == other || uses.contains(other));
            if !may {
                faults.push(format!("{}: `{}` is of another room", file.path, path.join("::")));
            }
        }
    }
    faults
}

/// Files of `service` that are too long.
fn too_long(sources: &[Source]) -> Vec<String> {
    let inside = |path: &str| path == "src/service.rs" || path.starts_with("src/service/");
    let lines = sources.iter().filter(|(path, _)| inside(path));
    let lines = lines.map(|(path, text)| (path, text.lines().count()));
    let long = lines.filter(|(_, lines)| *lines > MOST_LINES);
    long.map(|(path, lines)| format!("{path} has {lines} lines, more than {MOST_LINES}")).collect()
}

#[test]
fn no_file_of_service_is_too_long() {
    let sources = ours();
    let some = sources.iter().filter(|(path, _)| path.starts_with("src/service/")).count();
    assert!(some > 40, "only {some} files of `service` were found");
    let faults = too_long(&sources);
    assert!(faults.is_empty(), "split along an idea of its own:\n{}", faults.join("\n"));
}

#[test]
fn a_file_of_service_that_is_too_long() {
    let of = |path: &str, lines: usize| (path.to_owned(), "fn f() {}\n".repeat(lines));
    let found = too_long(&[
        of("src/service/gateway/answer.rs", MOST_LINES),
        of("src/service/gateway/stream.rs", MOST_LINES + 1),
        of("src/service/edge/tests.rs", MOST_LINES + 1),
        of("src/service.rs", MOST_LINES + 1),
        of("src/services/answer.rs", MOST_LINES + 1),
        of("src/store/index.rs", MOST_LINES + 1),
    ]);
    let long = |path| format!("{path} has 351 lines, more than 350");
    let paths = ["src/service/gateway/stream.rs", "src/service/edge/tests.rs", "src/service.rs"];
    assert_eq!(found, paths.map(long));
}

#[test]
fn rooms_keep_apart() {
    let files = &*OURS;
    for (room, _) in ROOMS {
        let door = format!("src/service/{room}.rs");
        assert!(files.iter().any(|file| file.path == door), "there is no {door}");
    }
    let faults = faults(files);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_room_that_uses_one_it_may_not() {
    for (path, text) in [
        ("src/service/gateway/server.rs", "use crate::service::agency::server::link_of;"),
        ("src/service/agency/answer.rs", "use super::super::gateway::fan_out;"),
        ("src/service/agency.rs", "fn f() { crate::service::gateway::answer() }"),
        ("src/service/audit/server.rs", "use crate::service::agencies::pool;"),
        ("src/service/judge.rs", "use super::audit::recorder;"),
    ] {
        assert_eq!(faults(&files(&[(path, text)])).len(), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("src/service/gateway/answer.rs", "use crate::service::{agencies::pool, peer, audit};"),
        ("src/service/agency/answer.rs", "use super::server; use crate::service::judge::Judge;"),
        ("src/app/gateway.rs", "use crate::service::{agency, gateway};"),
        ("src/service.rs", "pub mod agency; pub mod gateway;"),
    ] {
        assert!(faults(&files(&[(path, text)])).is_empty(), "{path}: {text}");
    }
}
