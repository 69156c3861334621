//! Every key of every configuration file has a class. The files' types are walked as
//! they stand in the sources, so that a key which somebody adds is asked for its row,
//! and a row whose key is gone is told as well.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Fields, GenericArgument, Item, PathArguments, Type};
use tributary::domain::flows::keys::{FileKind, ValueForm, identity, row, rows};

use crate::syntax::{Source, ours};

const TABLE: &str = "src/domain/flows/keys/table.rs";

/// The sources in which the shapes of files stand.
const SHAPES: &[&str] = &[
    "src/config",
    "src/domain/catalogue.rs",
    "src/domain/catalogue/file.rs",
    "src/domain/grant/purpose.rs",
    "src/domain/policy/vocabulary.rs",
    "src/issuer/settings.rs",
];

const ROOTS: [(FileKind, &str, &str); 9] = [
    (FileKind::Gateway, "src/config/gateway.rs", "GatewayConfig"),
    (FileKind::Agency, "src/config/agency.rs", "AgencyConfig"),
    (FileKind::Catalogue, "src/domain/catalogue/file.rs", "DomainFile"),
    (FileKind::Reserved, "src/domain/catalogue/file.rs", "ReservedFile"),
    (FileKind::Bundles, "src/domain/catalogue/file.rs", "BundlesFile"),
    (FileKind::Vocabulary, "src/domain/policy/vocabulary.rs", "Vocabulary"),
    (FileKind::Issuer, "src/issuer/settings.rs", "IssuerSettings"),
    (FileKind::Request, "src/issuer/settings.rs", "RequestFile"),
    (FileKind::Review, "src/config/federation.rs", "Manifest"),
];

/// Structs and enums by name and file.
struct Shapes(BTreeMap<String, Vec<(String, Item)>>);

impl Shapes {
    fn of(sources: &[Source]) -> Self {
        let mut shapes: BTreeMap<String, Vec<(String, Item)>> = BTreeMap::new();
        for (path, text) in sources {
            if !SHAPES.iter().any(|shape| path.starts_with(shape)) {
                continue;
            }
            for item in syn::parse_file(text).unwrap().items {
                let name = match &item {
                    Item::Struct(shape) if matches!(shape.fields, Fields::Named(_)) => {
                        shape.ident.to_string()
                    }
                    Item::Enum(shape) => shape.ident.to_string(),
                    _ => continue,
                };
                shapes.entry(name).or_default().push((path.clone(), item));
            }
        }
        Self(shapes)
    }

    /// The shape of a name as a file means it: its own, or the nearest.
    fn find(&self, name: &str, from: &str) -> Option<&(String, Item)> {
        let shared = |path: &str| {
            path.bytes()
                .zip(from.trim_end_matches(".rs").bytes())
                .take_while(|(a, b)| a == b)
                .count()
        };
        self.0.get(name)?.iter().max_by_key(|(path, _)| (path == from, shared(path)))
    }
}

/// What serde is told about a field or a type.
fn serde(attributes: &[Attribute]) -> Vec<String> {
    let mut told = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let tokens = attribute.meta.require_list().unwrap().tokens.to_string();
        told.extend(tokens.split(',').map(|one| one.split_whitespace().collect::<String>()));
    }
    told
}

fn stated(told: &[String], key: &str) -> Option<String> {
    let start = format!("{key}=\"");
    told.iter().find_map(|one| Some(one.strip_prefix(&start)?.trim_end_matches('"').to_owned()))
}

struct Walk<'a> {
    shapes: &'a Shapes,
    kind: FileKind,
    /// Every key, and whether it is a list of tables.
    keys: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Walk<'_> {
    fn shape(&mut self, (path, item): &(String, Item), at: &str) {
        match item {
            Item::Struct(shape) => {
                if let Some(other) = stated(&serde(&shape.attrs), "try_from")
                    && let Some(found) = self.shapes.find(&other, path)
                {
                    return self.shape(found, at);
                }
                for field in &shape.fields {
                    let told = serde(&field.attrs);
                    if told.iter().any(|one| one == "skip") {
                        continue;
                    }
                    let name = field.ident.as_ref().unwrap().to_string();
                    let name = name.strip_prefix("r#").unwrap_or(&name).to_owned();
                    let name = stated(&told, "rename").unwrap_or(name);
                    let inner = match (at.is_empty(), told.iter().any(|one| one == "flatten")) {
                        (_, true) => at.to_owned(),
                        (true, _) => name,
                        (false, _) => format!("{at}.{name}"),
                    };
                    self.field(&field.ty, path, &inner);
                }
            }
            Item::Enum(shape) if serde(&shape.attrs).iter().any(|one| one == "untagged") => {
                for variant in &shape.variants {
                    for field in &variant.fields {
                        self.field(&field.ty, path, at);
                    }
                }
            }
            _ => _ = self.keys.insert(at.to_owned()),
        }
    }

    fn field(&mut self, of: &Type, path: &str, at: &str) {
        let Type::Path(named) = of else {
            self.keys.insert(at.to_owned());
            return;
        };
        let last = named.path.segments.last().unwrap();
        let inner: Vec<&Type> = match &last.arguments {
            PathArguments::AngleBracketed(arguments) => arguments
                .args
                .iter()
                .filter_map(|one| match one {
                    GenericArgument::Type(of) => Some(of),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        match last.ident.to_string().as_str() {
            "Option" | "Spanned" | "Box" if self.holds_shape(inner[0], path) => {
                self.field(inner[0], path, at);
            }
            "Vec" | "BTreeSet" if self.holds_shape(inner[0], path) => {
                if row(self.kind, at)
                    .is_some_and(|row| matches!(row.form, ValueForm::List | ValueForm::Set))
                {
                    self.keys.insert(at.to_owned());
                    return;
                }
                if identity(self.kind, at).is_none() {
                    self.wrong.push(format!(
                        "`{at}` of a {} file is a list of tables: say in IDENTITIES by which key \
                         they are told apart",
                        self.kind.as_str()
                    ));
                }
                let entry = format!("{at}[]");
                self.keys.insert(entry.clone());
                self.field(inner[0], path, &entry);
            }
            "BTreeMap" => {
                let entry = format!("{at}.*");
                if self.holds_shape(inner[1], path) {
                    self.keys.insert(entry.clone());
                }
                self.field(inner[1], path, &entry);
            }
            "Option" if matches!(inner[0], Type::Path(_)) => self.field(inner[0], path, at),
            name => match self.shapes.find(name, path) {
                Some(found) => {
                    self.shape(found, at);
                }
                None => _ = self.keys.insert(at.to_owned()),
            },
        }
    }

    /// Whether a type is a table, or an enum with tables in it, of ours.
    fn holds_shape(&self, of: &Type, path: &str) -> bool {
        let Type::Path(named) = of else { return false };
        let last = named.path.segments.last().unwrap();
        if let PathArguments::AngleBracketed(arguments) = &last.arguments {
            return arguments.args.iter().any(|one| match one {
                GenericArgument::Type(of) => self.holds_shape(of, path),
                _ => false,
            });
        }
        match self.shapes.find(&last.ident.to_string(), path) {
            Some((_, Item::Struct(_))) => true,
            Some((_, Item::Enum(shape))) => {
                shape.variants.iter().any(|variant| !variant.fields.is_empty())
            }
            _ => false,
        }
    }
}

/// Keys without a row, and rows without a key.
fn faults(sources: &[Source]) -> Vec<String> {
    let shapes = Shapes::of(sources);
    let mut wrong = Vec::new();
    for (kind, file, name) in ROOTS {
        let mut walk = Walk { shapes: &shapes, kind, keys: BTreeSet::new(), wrong: Vec::new() };
        let root = shapes.find(name, file).unwrap_or_else(|| panic!("{file} has no {name}"));
        walk.shape(root, "");
        for key in walk.keys.iter().filter(|key| row(kind, key).is_none()) {
            wrong.push(format!(
                "`{key}` of a {} file has no class, so a review would not know what a change of \
                 it means: give it a row in {TABLE}",
                kind.as_str()
            ));
        }
        let stale = rows().filter(|row| row.files.contains(&kind) && !walk.keys.contains(row.key));
        for row in stale {
            let (key, kind) = (row.key, kind.as_str());
            wrong.push(format!("{TABLE} has a row for `{key}`, which is no key of a {kind} file"));
        }
        wrong.append(&mut walk.wrong);
    }
    wrong
}

#[test]
fn every_key_of_every_file_has_a_class() {
    let wrong = faults(&ours());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_new_key_is_asked_for_its_class() {
    let mut sources = ours();
    for (path, text) in &mut sources {
        if path == "src/config/link.rs" {
            let more = "pub struct LinkConfig {\n    pub cipher: Option<String>,";
            *text = text.replacen("pub struct LinkConfig {", more, 1);
        }
    }
    let wrong = faults(&sources);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    for line in wrong {
        assert!(line.starts_with("`link.cipher` of a ") && line.contains(TABLE), "{line}");
    }
}
