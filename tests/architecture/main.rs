//! The floors: imports go only downward, and what is said once about the sources
//! stays true.
//!
//! It reads every `src/**/*.rs` as a syntax tree and collects the paths that
//! lead into this crate, in `use`, in expressions and types, and as far as one
//! can see inside macros. Items under `#[cfg(test)]` are left out. It does not
//! resolve names: a glob import of a whole module counts as that module.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fault_matrix;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

mod reasons;

/// Every top-level module with its floor.
const FLOORS: &[(&str, u8)] = &[
    ("domain", 0),
    ("wire", 1),
    ("config", 1),
    ("clock", 1),
    ("link", 2),
    ("store", 2),
    ("source", 2),
    ("telemetry", 2),
    ("issuer", 2),
    ("service", 3),
    ("review", 3),
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

/// The constructor of the proof that a peer is who it is.
const PROOF: &str = "from_verified_certificate";

/// A source file: its path from the package's root, and its text.
type Source = (String, String);

/// What one file says about the rest of the crate.
struct File {
    path: String,
    /// The module that the file is, such as `["domain", "value"]`.
    module: Vec<String>,
    /// Every path outside tests, as written but with `crate`, `self` and `super`
    /// resolved: those into this crate start with `crate`.
    paths: Vec<Vec<String>>,
    /// The types that struct expressions outside tests build.
    built: Vec<String>,
    /// Modules of which the file says `#[cfg(test)] mod name;`.
    test_modules: Vec<Vec<String>>,
}

impl File {
    fn parse((path, text): &Source) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let module = module_of(path);
        let mut walk = Walk {
            here: module.clone(),
            children: children_of(&syntax.items),
            paths: Vec::new(),
            built: Vec::new(),
            test_modules: Vec::new(),
        };
        walk.visit_file(&syntax);
        let Walk { paths, built, test_modules, .. } = walk;
        Self { path: path.clone(), module, paths, built, test_modules }
    }

    /// The top-level module that the file belongs to; nothing for `lib.rs`, which
    /// only names the modules.
    fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// The top-level modules that the file names, each with a path that does.
    fn imports(&self) -> impl Iterator<Item = (&str, String)> {
        let inward = self.paths.iter().filter(|path| path[0] == "crate" && path.len() > 1);
        inward.map(|path| (path[1].as_str(), path.join("::")))
    }

    fn uses(&self, prefix: &[&str]) -> bool {
        self.paths
            .iter()
            .any(|path| path.len() >= prefix.len() && path.iter().zip(prefix).all(|(a, b)| a == b))
    }
}

fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    match inner {
        "lib" => Vec::new(),
        inner => inner.split('/').map(str::to_owned).collect(),
    }
}

fn children_of(items: &[syn::Item]) -> BTreeSet<String> {
    let modules = items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    });
    modules.collect()
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            list.tokens.to_string().trim() == "test"
        }
        meta => meta.path().is_ident("test"),
    })
}

struct Walk {
    /// The module that is being walked, inline ones included.
    here: Vec<String>,
    /// The modules that it declares.
    children: BTreeSet<String>,
    paths: Vec<Vec<String>>,
    built: Vec<String>,
    test_modules: Vec<Vec<String>>,
}

impl Walk {
    /// Takes a path in as it is written in the module that is being walked.
    fn take(&mut self, segments: &[String]) {
        let mut rest = segments;
        let mut base = self.here.clone();
        let mut inward = true;
        match rest.first().map(String::as_str) {
            None => return,
            // The binary is its own crate and calls the library by name.
            Some("tributary") if base.first().is_some_and(|top| top == "main") => {
                base.clear();
                rest = &rest[1..];
            }
            Some("crate") => {
                base.clear();
                rest = &rest[1..];
            }
            Some("self") => rest = &rest[1..],
            Some("super") => {
                while rest.first().is_some_and(|first| first == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            Some(first) if self.children.contains(first) => {}
            Some(_) => inward = false,
        }
        let mut path = Vec::new();
        if inward {
            path.push("crate".to_owned());
            path.extend(base);
        }
        path.extend(rest.iter().cloned());
        self.paths.push(path);
    }

    fn take_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| {
            let mut path = before.to_vec();
            if ident != "self" || before.is_empty() {
                path.push(ident.to_string());
            }
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.take_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.take(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.take(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.take(before),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.take_use(tree, before);
                }
            }
        }
    }

    /// Paths inside a macro, which are tokens and no syntax yet. `before` is what
    /// stands in front of a group such as `crate::{..}`.
    fn take_tokens(&mut self, tokens: TokenStream, before: &[String]) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon =
            |at: usize| matches!(trees.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            at += 1;
            match tree {
                TokenTree::Group(group) => self.take_tokens(group.stream(), &[]),
                TokenTree::Ident(ident) => {
                    let mut path = before.to_vec();
                    path.push(ident.to_string());
                    let mut ended_in_group = false;
                    while is_colon(at) && is_colon(at + 1) && !ended_in_group {
                        match trees.get(at + 2) {
                            Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                            Some(TokenTree::Group(group)) => {
                                self.take_tokens(group.stream(), &path);
                                ended_in_group = true;
                            }
                            _ => break,
                        }
                        at += 3;
                    }
                    if !ended_in_group {
                        self.take(&path);
                    }
                }
                _ => {}
            }
        }
    }
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(attributes_of(item)) {
            visit::visit_item(self, item);
        } else if let syn::Item::Mod(module) = item {
            let mut path = self.here.clone();
            path.push(module.ident.to_string());
            self.test_modules.push(path);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test_only(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let Some((_, items)) = &module.content else {
            return;
        };
        let outer = std::mem::replace(&mut self.children, children_of(items));
        self.here.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.here.pop();
        self.children = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.take(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.take_tokens(call.tokens.clone(), &[]);
        visit::visit_macro(self, call);
    }

    fn visit_expr_struct(&mut self, built: &'ast syn::ExprStruct) {
        self.built.extend(built.path.segments.last().map(|last| last.ident.to_string()));
        visit::visit_expr_struct(self, built);
    }
}

/// Every file that is part of the program, tests left out.
fn parse(sources: &[Source]) -> Vec<File> {
    let mut files: Vec<File> = sources.iter().map(File::parse).collect();
    let tests: Vec<Vec<String>> =
        files.iter().flat_map(|file| file.test_modules.iter().cloned()).collect();
    files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
    files
}

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

/// A cycle between top-level modules, the first module again at its end.
fn cycle(files: &[File]) -> Option<Vec<String>> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        let Some(top) = file.top() else { continue };
        let others = file.imports().map(|(other, _)| other).filter(|other| *other != top);
        edges.entry(top).or_default().extend(others);
    }
    // Whatever imports only what is already gone goes too; a cycle is what stays.
    while let Some(leaf) = edges
        .iter()
        .find(|(_, others)| !others.iter().any(|other| edges.contains_key(other)))
        .map(|(module, _)| *module)
    {
        edges.remove(leaf);
    }
    let mut way = vec![*edges.keys().next()?];
    loop {
        let others = &edges[way.last().copied()?];
        let next = *others.iter().find(|other| edges.contains_key(*other))?;
        if let Some(start) = way.iter().position(|module| *module == next) {
            way.push(next);
            return Some(way[start..].iter().map(|module| (*module).to_owned()).collect());
        }
        way.push(next);
    }
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

/// Files outside `link` that make the proof of a peer's identity.
fn proof_makers(files: &[File]) -> Vec<&str> {
    let makes = |file: &&File| {
        file.top() != Some("link") && file.paths.iter().flatten().any(|name| name == PROOF)
    };
    files.iter().filter(makes).map(|file| file.path.as_str()).collect()
}

/// Files that build a message.
fn builders<'a>(files: &'a [File], message: &str) -> Vec<&'a str> {
    let builds = |file: &&File| {
        let by_default = |path: &Vec<String>| matches!(path.as_slice(), [.., name, call] if name == message && call == "default");
        file.built.iter().any(|built| built == message) || file.paths.iter().any(by_default)
    };
    files.iter().filter(builds).map(|file| file.path.as_str()).collect()
}

fn without_opening(sources: &[Source]) -> Vec<&str> {
    let closed = sources.iter().filter(|(_, text)| !text.starts_with("//! "));
    closed.map(|(path, _)| path.as_str()).collect()
}

fn read(folder: &Path, root: &Path, into: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, root, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            into.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn ours() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read(&root.join("src"), root, &mut sources);
    sources.sort();
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

#[test]
fn imports_go_only_downward() {
    let faults = floor_faults(&parse(&ours()));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    assert_eq!(cycle(&parse(&ours())), None);
}

#[test]
fn the_domain_is_pure() {
    let faults = impurities(&parse(&ours()));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    assert_eq!(without_opening(&ours()), Vec::<&str>::new());
}

#[test]
fn only_link_says_who_a_peer_is() {
    assert_eq!(proof_makers(&parse(&ours())), Vec::<&str>::new());
}

#[test]
fn one_file_alone_builds_the_reply() {
    let files = parse(&ours());
    let builders = builders(&files, "GetProfileResponse");
    assert_eq!(builders.len(), 1, "{builders:?}");
}

/// The checks themselves, shown sources that break the rules.
mod the_test_can_fail {
    use super::*;

    fn files(sources: &[(&str, &str)]) -> Vec<File> {
        let sources: Vec<Source> =
            sources.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        parse(&sources)
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
        assert!(faults("src/service/edge.rs", "use crate::link; use crate::review;").is_empty());
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
    fn a_circle_of_modules() {
        let files = files(&[
            ("src/main.rs", "use tributary::app;"),
            ("src/app.rs", "use crate::service;"),
            ("src/service.rs", "use crate::review;"),
            ("src/review/audit.rs", "use crate::domain; fn f() { crate::app::stop() }"),
            ("src/domain.rs", ""),
        ]);
        let way = cycle(&files).unwrap();
        assert_eq!(way, ["app", "service", "review", "app"]);
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
        let pure =
            "use std::time::{Duration, Instant}; use aws_lc_rs::digest; fn f(now: Instant) {}";
        assert!(impurities(&files(&[("src/domain/policy.rs", pure)])).is_empty());
    }

    #[test]
    fn a_proof_made_elsewhere() {
        let call = "fn f() { PeerId::from_verified_certificate(id); }";
        let passed_on = "fn f() { ids.map(PeerId::from_verified_certificate); }";
        for text in [call, passed_on] {
            for path in ["src/service/edge.rs", "src/domain/peer.rs", "src/linkage.rs"] {
                assert_eq!(proof_makers(&files(&[(path, text)])), [path]);
            }
            assert!(proof_makers(&files(&[("src/link/verify.rs", text)])).is_empty());
        }
        let test = format!("#[cfg(test)] mod tests {{ {call} }}");
        assert!(proof_makers(&files(&[("src/service/edge.rs", &test)])).is_empty());
    }

    #[test]
    fn a_second_builder_of_the_reply() {
        let files = files(&[
            ("src/wire/profile.rs", "fn f() -> R { pb::GetProfileResponse { receipt: None } }"),
            ("src/service/a.rs", "fn f() -> R { GetProfileResponse { ..r } }"),
            ("src/service/b.rs", "fn f() -> R { pb::GetProfileResponse::default() }"),
            ("src/service/c.rs", "fn f(r: pb::GetProfileResponse) -> pb::GetProfileResponse { r }"),
        ]);
        let found = builders(&files, "GetProfileResponse");
        assert_eq!(found, ["src/wire/profile.rs", "src/service/a.rs", "src/service/b.rs"]);
    }

    #[test]
    fn a_file_that_says_nothing_of_itself() {
        let sources: Vec<Source> = [("src/a.rs", "//! What it is.\n"), ("src/b.rs", "use x;\n")]
            .map(|(path, text)| (path.into(), text.into()))
            .into();
        assert_eq!(without_opening(&sources), ["src/b.rs"]);
    }
}
