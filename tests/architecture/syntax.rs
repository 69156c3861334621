//! The sources as the checks see them.
//!
//! Every `src/**/*.rs` is read as a syntax tree, of which the paths are collected that
//! lead into this crate, in `use`, in expressions and types, and as far as one can see
//! inside macros. Items under `#[cfg(test)]` are left out. Names are not resolved: a glob
//! import of a whole module counts as that module.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A source file: its path from the package's root, and its text.
pub type Source = (String, String);

/// What one file says about the rest of the crate.
pub struct File {
    pub path: String,
    /// The module that the file is, such as `["domain", "value"]`.
    pub module: Vec<String>,
    /// Every path outside tests, as written but with `crate`, `self` and `super`
    /// resolved: those into this crate start with `crate`.
    pub paths: Vec<Vec<String>>,
    /// The types that struct expressions outside tests build.
    pub built: Vec<String>,
    /// Modules of which the file says `#[cfg(test)] mod name;`.
    test_modules: Vec<Vec<String>>,
}

impl File {
    pub fn parse((path, text): &Source) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let module = module_of(path);
        let mut walk = Walk {
            here: module.clone(),
            children: children_of(&syntax.items),
            paths: Vec::new(),
            built: Vec::new(),
            own: None,
            test_modules: Vec::new(),
        };
        walk.visit_file(&syntax);
        let Walk { paths, built, test_modules, .. } = walk;
        Self { path: path.clone(), module, paths, built, test_modules }
    }

    /// The top-level module that the file belongs to; nothing for `lib.rs`, which
    /// only names the modules.
    pub fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// The top-level modules that the file names, each with a path that does.
    pub fn imports(&self) -> impl Iterator<Item = (&str, String)> {
        let inward = self.paths.iter().filter(|path| path[0] == "crate" && path.len() > 1);
        inward.map(|path| (path[1].as_str(), path.join("::")))
    }

    pub fn uses(&self, prefix: &[&str]) -> bool {
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

pub fn is_test_only(attributes: &[syn::Attribute]) -> bool {
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
    /// The type of the `impl` that is being walked.
    own: Option<String>,
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

pub fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
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

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let own = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.own, own);
        visit::visit_item_impl(self, item);
        self.own = outer;
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
        let name = built.path.segments.last().map(|last| last.ident.to_string());
        let own = |name| if name == "Self" { self.own.clone() } else { Some(name) };
        self.built.extend(name.and_then(own));
        visit::visit_expr_struct(self, built);
    }
}

/// Every file that is part of the program, tests left out.
pub fn parse(sources: &[Source]) -> Vec<File> {
    let mut files: Vec<File> = sources.iter().map(File::parse).collect();
    let tests: Vec<Vec<String>> =
        files.iter().flat_map(|file| file.test_modules.iter().cloned()).collect();
    files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
    files
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

pub fn ours() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read(&root.join("src"), root, &mut sources);
    sources.sort();
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

/// Every file of the program, read once.
pub static OURS: LazyLock<Vec<File>> = LazyLock::new(|| parse(&ours()));

/// Files that are not there, for the checks of the checks.
pub fn files(sources: &[(&str, &str)]) -> Vec<File> {
    let sources: Vec<Source> =
        sources.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
    parse(&sources)
}
