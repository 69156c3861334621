//! One meaning for a word: no two types of a floor that more than one file sees have the same
//! name.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

use super::floors::FLOORS;
use super::syntax::{Source, is_test_only, ours};

#[derive(Default)]
struct Types(Vec<String>);

impl Types {
    fn take(&mut self, attributes: &[syn::Attribute], seen: &syn::Visibility, name: &syn::Ident) {
        if !matches!(seen, syn::Visibility::Inherited) && !is_test_only(attributes) {
            self.0.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Types {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test_only(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.take(&item.attrs, &item.vis, &item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.take(&item.attrs, &item.vis, &item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.take(&item.attrs, &item.vis, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.take(&item.attrs, &item.vis, &item.ident);
    }
}

/// Names that several files of a floor give to types of their own.
fn shared(sources: &[Source], floor: &[&str]) -> Vec<String> {
    let inside = |path: &str| {
        let of = |module: &&str| {
            path == format!("src/{module}.rs") || path.starts_with(&format!("src/{module}/"))
        };
        floor.iter().any(of)
    };
    let mut homes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (path, text) in sources.iter().filter(|(path, _)| inside(path)) {
        let mut types = Types::default();
        types.visit_file(&syn::parse_file(text).unwrap());
        for name in types.0 {
            homes.entry(name).or_default().push(path);
        }
    }
    let shared = homes.into_iter().filter(|(_, paths)| paths.len() > 1);
    shared.map(|(name, paths)| format!("{name}: {}", paths.join(", "))).collect()
}

#[test]
fn a_name_is_one_types() {
    let sources = ours();
    let mut floors: BTreeMap<u8, Vec<&str>> = BTreeMap::new();
    for (module, floor) in FLOORS {
        floors.entry(*floor).or_default().push(module);
    }
    for modules in floors.values() {
        let found = shared(&sources, modules);
        assert!(found.is_empty(), "give one of them a name that says more:\n{}", found.join("\n"));
    }
}

#[test]
fn a_name_of_two_types() {
    let of = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let found = shared(
        &[
            of("src/domain/plan.rs", "pub struct Offer; struct Own; pub enum Kind {}"),
            of("src/domain/item.rs", "pub(super) type Offer = u8; struct Own; pub trait Other {}"),
            of("src/domain/name.rs", "#[cfg(test)] mod tests { pub struct Kind; }"),
            of("src/source/row.rs", "pub trait Other {}"),
        ],
        &["domain"],
    );
    assert_eq!(found, ["Offer: src/domain/plan.rs, src/domain/item.rs"]);
    let beside = [of("src/store.rs", "pub struct Row;"), of("src/link/a.rs", "pub struct Row;")];
    assert_eq!(shared(&beside, &["link", "store"]), ["Row: src/store.rs, src/link/a.rs"]);
    assert!(shared(&beside, &["link"]).is_empty());
}
