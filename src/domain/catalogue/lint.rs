//! The lint: from files as written to a catalogue that keeps every rule, or to
//! the list of everything that is wrong with them.

use std::collections::{BTreeMap, HashMap, HashSet};

use rust_decimal::Decimal;
use toml::Spanned;

use super::file::{BundlesFile, DomainFile, ItemEntry, ReservedFile};
use super::{
    AgencyId, Bundle, Catalogue, Code, Item, Survivorship, Title, is_snake_case, prohibited,
};
use crate::domain::finding::Finding;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::lines::line_at;
use crate::domain::value::{Currency, Range, ValueType};

/// Longest accepted text of one field, in characters.
const MAX_TEXT: usize = 400;
const MAX_CODES: usize = 64;
const TYPES: [&str; 7] = ["boolean", "integer", "decimal", "money", "date", "code", "months"];

const RESERVED: &str = "reserved.toml";
const BUNDLES: &str = "bundles.toml";

/// One catalogue file: its name for messages, and its text.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file's name, such as `lending.toml`.
    pub name: &'a str,
    /// The file's text.
    pub text: &'a str,
}

pub(super) fn build(sources: &[Source<'_>]) -> Result<Catalogue, Vec<Finding>> {
    let mut lint = Lint::default();
    for source in sources.iter().filter(|source| source.name == RESERVED) {
        lint.reserved = lint.read(*source).unwrap_or_default();
    }
    for source in sources.iter().filter(|source| ![RESERVED, BUNDLES].contains(&source.name)) {
        lint.domain(*source);
    }
    lint.uniqueness();
    let items: Vec<Item> =
        std::mem::take(&mut lint.items).into_iter().map(|(_, item)| item).collect();
    let mut bundles = Vec::new();
    for source in sources.iter().filter(|source| source.name == BUNDLES) {
        bundles.extend(lint.bundles(*source, &items));
    }
    if items.is_empty() && lint.findings.is_empty() {
        lint.findings.push(Finding {
            file: "catalogue".into(),
            line: 0,
            message: "there is no item: put one TOML file a domain into this folder".into(),
        });
    }
    if lint.findings.is_empty() {
        Ok(Catalogue::assemble(items, bundles))
    } else {
        lint.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        Err(lint.findings)
    }
}

/// Where an entry stands.
#[derive(Debug, Clone)]
struct Place {
    file: String,
    line: usize,
}

#[derive(Default)]
struct Lint {
    findings: Vec<Finding>,
    items: Vec<(Place, Item)>,
    reserved: ReservedFile,
    categories: HashMap<String, Title>,
    /// Each domain with its file.
    domains: HashMap<String, String>,
    /// Ids of items that have findings, so that a bundle may still name them.
    broken: Vec<String>,
}

impl Lint {
    fn find(&mut self, place: &Place, message: impl Into<String>) {
        let mut message = message.into();
        if message.contains(char::is_control) {
            // One line, and nothing that a terminal would obey.
            message = message.replace('\n', "; ").replace(char::is_control, "\u{fffd}");
        }
        self.findings.push(Finding { file: place.file.clone(), line: place.line, message });
    }

    fn read<T: serde::de::DeserializeOwned>(&mut self, source: Source<'_>) -> Option<T> {
        match toml::from_str(source.text) {
            Ok(file) => Some(file),
            Err(error) => {
                let line = error.span().map_or(0, |span| line_at(source.text, span.start));
                let place = Place { file: source.name.into(), line };
                self.find(&place, error.message());
                None
            }
        }
    }

    fn domain(&mut self, source: Source<'_>) {
        let Some(file) = self.read::<DomainFile>(source) else {
            return;
        };
        let top = Place { file: source.name.into(), line: 1 };
        if !is_snake_case(&file.domain) {
            self.find(
                &top,
                format!("domain `{}` is not a lower-case word", file.domain.escape_default()),
            );
        }
        if let Some(first) = self.domains.insert(file.domain.clone(), source.name.into()) {
            self.find(
                &top,
                format!("domain `{}` has already the file {first}", file.domain.escape_default()),
            );
        }
        self.title(&top, &format!("domain `{}`", file.domain), &file.title);
        for category in file.category {
            let fits = category
                .id
                .split_once('.')
                .is_some_and(|(domain, name)| domain == file.domain && is_snake_case(name));
            if !fits {
                let id = category.id.escape_default().to_string();
                self.find(&top, format!("category `{id}` must be `{}.name`", file.domain));
            }
            let owner = format!("category `{}`", category.id);
            if !self.prohibited(&top, &owner, &category.id) {
                self.title(&top, &owner, &category.title);
            }
            if self.categories.insert(category.id.clone(), category.title).is_some() {
                self.find(&top, format!("category `{}` stands twice", category.id));
            }
        }
        for entry in file.item {
            self.entry(source, &file.domain, entry);
        }
    }

    fn entry(&mut self, source: Source<'_>, domain: &str, entry: Spanned<ItemEntry>) {
        let place =
            Place { file: source.name.into(), line: line_at(source.text, entry.span().start) };
        let entry = entry.into_inner();
        let before = self.findings.len();
        self.id(&place, domain, &entry.id);
        self.texts(&place, &entry);
        let number = ItemNumber::new(entry.number);
        if number.is_none() {
            self.find(
                &place,
                format!("number {} of `{}` is not within 0 to 511", entry.number, entry.id),
            );
        }
        let value_type = self.value_type(&place, &entry);
        let owners = self.owners(&place, &entry);
        let survivorship = self.survivorship(&place, &entry, value_type.as_ref());
        if let (Some(number), Some(value_type)) = (number, value_type)
            && before == self.findings.len()
        {
            let codes = entry.codes.unwrap_or_default().into_iter().map(|code| Code {
                code: code.code.into(),
                title: Title { en: code.en, zh: code.zh },
            });
            let item = Item {
                id: entry.id.into(),
                number,
                title: entry.title,
                value_type,
                unit: entry.unit.unwrap_or_default().into(),
                owners,
                sensitivity: entry.sensitivity,
                adverse_months: entry.adverse_months,
                survivorship,
                meaning: entry.meaning.into(),
                codes: codes.collect(),
            };
            self.items.push((place, item));
        } else {
            self.broken.push(entry.id);
        }
    }

    fn id(&mut self, place: &Place, domain: &str, id: &str) {
        let segments: Vec<&str> = id.split('.').collect();
        let shown = id.escape_default();
        match segments.as_slice() {
            [first, category, name] if is_snake_case(category) && is_snake_case(name) && id.len() <= 64 => {
                if *first != domain {
                    self.find(place, format!("item `{shown}` stands in the file of domain `{domain}`"));
                }
                if !self.categories.contains_key(&format!("{first}.{category}")) {
                    self.find(place, format!("item `{shown}`: category `{first}.{category}` is not declared"));
                }
            }
            _ => self.find(
                place,
                format!("item id `{shown}` must be domain.category.name in lower case, 64 characters at most"),
            ),
        }
        if self.reserved.ids.iter().any(|reserved| reserved == id) {
            self.find(place, format!("id `{shown}` is reserved: it belonged to a removed item"));
        }
    }

    fn texts(&mut self, place: &Place, entry: &ItemEntry) {
        let owner = format!("item `{}`", entry.id);
        let codes = entry.codes.iter().flatten();
        let titles = codes.clone().flat_map(|code| {
            let owner = format!("{owner}: code `{}`", code.code);
            [(owner.clone(), "title.en", &code.en), (owner, "title.zh", &code.zh)]
        });
        let of_item = [
            (owner.clone(), "title.en", &entry.title.en),
            (owner.clone(), "title.zh", &entry.title.zh),
            (owner.clone(), "meaning", &entry.meaning),
        ];
        for (owner, field, text) in of_item.into_iter().chain(titles) {
            self.line(place, &owner, field, text);
        }
        // An absent or empty unit is the type's business.
        if let Some(unit) = entry.unit.as_ref().filter(|unit| !unit.is_empty()) {
            self.line(place, &owner, "unit", unit);
        }
        let codes = codes.flat_map(|code| [&code.code, &code.en, &code.zh]);
        let texts =
            [&entry.id, &entry.title.en, &entry.title.zh, &entry.meaning].into_iter().chain(codes);
        for text in texts {
            if self.prohibited(place, &owner, text) {
                break;
            }
        }
    }

    /// A text that people read: not empty, one line, not endless.
    fn line(&mut self, place: &Place, owner: &str, field: &str, text: &str) {
        if text.trim().is_empty() {
            self.find(place, format!("{owner}: {field} is empty"));
        } else if text.chars().count() > MAX_TEXT || text.chars().any(char::is_control) {
            self.find(
                place,
                format!("{owner}: {field} must be one line of at most {MAX_TEXT} characters"),
            );
        }
    }

    /// The title of something that is no item.
    fn title(&mut self, place: &Place, owner: &str, title: &Title) {
        self.line(place, owner, "title.en", &title.en);
        self.line(place, owner, "title.zh", &title.zh);
        if !self.prohibited(place, owner, &title.en) {
            self.prohibited(place, owner, &title.zh);
        }
    }

    fn prohibited(&mut self, place: &Place, owner: &str, text: &str) -> bool {
        let Some((prohibition, word)) = prohibited::find(text) else {
            return false;
        };
        self.find(
            place,
            format!(
                "{owner} is prohibited: no item may hold {} (found `{word}`); remove it",
                prohibition.name
            ),
        );
        true
    }

    fn value_type(&mut self, place: &Place, entry: &ItemEntry) -> Option<ValueType> {
        let id = &entry.id;
        if !TYPES.contains(&entry.kind.as_str()) {
            let (shown, known) = (entry.kind.escape_default(), TYPES.join(", "));
            self.find(place, format!("item `{id}`: type `{shown}` is none of {known}"));
            return None;
        }
        let numeric = matches!(entry.kind.as_str(), "integer" | "decimal" | "money" | "months");
        let unit_needed = matches!(entry.kind.as_str(), "integer" | "decimal" | "money");
        if unit_needed != entry.unit.as_ref().is_some_and(|unit| !unit.is_empty()) {
            let rule = if unit_needed { "needs a unit" } else { "must have no unit" };
            self.find(place, format!("item `{id}` of type {} {rule}", entry.kind));
            return None;
        }
        if (entry.kind == "code") != entry.codes.is_some() {
            self.find(place, format!("item `{id}`: `codes` goes with type code, and only with it"));
            return None;
        }
        if numeric != entry.range.is_some() {
            let rule = if numeric { "needs a range" } else { "must have no range" };
            self.find(place, format!("item `{id}` of type {} {rule}", entry.kind));
            return None;
        }
        let range = match &entry.range {
            Some((minimum, maximum)) => match (decimal(minimum), decimal(maximum)) {
                (Some(minimum), Some(maximum)) if minimum <= maximum => {
                    Some(Range { minimum, maximum })
                }
                _ => {
                    self.find(
                        place,
                        format!("item `{id}`: range must be two numbers, the smaller first"),
                    );
                    return None;
                }
            },
            None => None,
        };
        match (entry.kind.as_str(), range) {
            ("boolean", None) => Some(ValueType::Boolean),
            ("date", None) => Some(ValueType::Date),
            ("integer", Some(range)) => Some(ValueType::Integer(range)),
            ("decimal", Some(range)) => Some(ValueType::Decimal(range)),
            ("months", Some(range)) => Some(ValueType::Months(range)),
            ("money", Some(range)) => {
                let currency = Currency::new(entry.unit.as_deref().unwrap_or_default());
                if currency.is_none() {
                    self.find(
                        place,
                        format!("item `{id}`: the unit of money is a currency such as CNY"),
                    );
                }
                currency.map(|currency| ValueType::Money(currency, range))
            }
            ("code", None) => self.code_list(place, entry),
            _ => None,
        }
    }

    fn code_list(&mut self, place: &Place, entry: &ItemEntry) -> Option<ValueType> {
        let codes = entry.codes.as_deref().unwrap_or_default();
        let mut seen = HashSet::new();
        for code in codes {
            if !is_snake_case(&code.code) || !seen.insert(&code.code) {
                let shown = code.code.escape_default().to_string();
                self.find(
                    place,
                    format!(
                        "item `{}`: code `{shown}` must be a lower-case word that stands once",
                        entry.id
                    ),
                );
            }
        }
        if codes.len() < 2 || codes.len() > MAX_CODES {
            self.find(
                place,
                format!("item `{}`: a code list has 2 to {MAX_CODES} codes", entry.id),
            );
        }
        u8::try_from(codes.len()).ok().map(ValueType::Code)
    }

    fn owners(&mut self, place: &Place, entry: &ItemEntry) -> Vec<AgencyId> {
        let mut owners = Vec::new();
        for name in &entry.owners {
            match AgencyId::new(name) {
                Some(owner) if owners.contains(&owner) => {
                    self.find(place, format!("item `{}`: owner `{name}` stands twice", entry.id));
                }
                Some(owner) => owners.push(owner),
                None => {
                    let shown = name.escape_default().to_string();
                    self.find(
                        place,
                        format!("item `{}`: `{shown}` is not an agency's name", entry.id),
                    );
                }
            }
        }
        if entry.owners.is_empty() {
            self.find(
                place,
                format!("item `{}` has no owner: name the agency that holds it", entry.id),
            );
        }
        owners
    }

    fn survivorship(
        &mut self,
        place: &Place,
        entry: &ItemEntry,
        value_type: Option<&ValueType>,
    ) -> Survivorship {
        if entry.owners.len() > 1 && entry.survivorship.is_none() {
            self.find(
                place,
                format!(
                    "item `{}` has several owners: say which value survives (survivorship)",
                    entry.id
                ),
            );
        }
        let rule = entry.survivorship.unwrap_or(Survivorship::Authoritative);
        let fits = value_type.is_none_or(|value_type| match rule {
            Survivorship::Authoritative | Survivorship::Freshest => true,
            Survivorship::Maximum | Survivorship::Minimum => value_type.is_ordered(),
            Survivorship::Sum => value_type.is_additive(),
        });
        if !fits {
            self.find(
                place,
                format!(
                    "item `{}`: survivorship {} does not fit type {}",
                    entry.id,
                    rule.as_str(),
                    entry.kind
                ),
            );
        }
        rule
    }

    fn uniqueness(&mut self) {
        let mut ids: HashMap<Box<str>, Place> = HashMap::new();
        let mut numbers: BTreeMap<ItemNumber, (Box<str>, Place)> = BTreeMap::new();
        for (place, item) in std::mem::take(&mut self.items) {
            let number = item.number;
            if let Some(first) = ids.insert(item.id.clone(), place.clone()) {
                let message =
                    format!("id `{}` is already used at {}:{}", item.id, first.file, first.line);
                self.find(&place, message);
            }
            if let Some((other, first)) = numbers.insert(number, (item.id.clone(), place.clone())) {
                let message = format!(
                    "number {number} of `{}` already belongs to `{other}` at {}:{}",
                    item.id, first.file, first.line
                );
                self.find(&place, message);
            }
            if self.reserved.numbers.contains(&u32::from(number.get())) {
                let message = format!(
                    "number {number} of `{}` is reserved: it belonged to a removed item",
                    item.id
                );
                self.find(&place, message);
            }
            self.items.push((place, item));
        }
    }

    fn bundles(&mut self, source: Source<'_>, items: &[Item]) -> Vec<Bundle> {
        let mut bundles: Vec<Bundle> = Vec::new();
        for entry in self.read::<BundlesFile>(source).unwrap_or_default().bundle {
            let place =
                Place { file: source.name.into(), line: line_at(source.text, entry.span().start) };
            let entry = entry.into_inner();
            let mut set = ItemSet::EMPTY;
            for pattern in &entry.items {
                let selected = super::select(items, pattern);
                let broken = || self.broken.iter().any(|id| super::is_named_by(id, pattern));
                if selected.is_empty() && !broken() {
                    let shown = pattern.escape_default().to_string();
                    self.find(&place, format!("bundle `{}`: `{shown}` names no item", entry.id));
                }
                set = set.or(&selected);
            }
            let owner = format!("bundle `{}`", entry.id);
            self.line(&place, &owner, "meaning", &entry.meaning);
            self.title(&place, &owner, &entry.title);
            if !is_snake_case(&entry.id) || bundles.iter().any(|bundle| bundle.id == entry.id) {
                let shown = entry.id.escape_default().to_string();
                self.find(
                    &place,
                    format!("bundle id `{shown}` must be a lower-case word that stands once"),
                );
            }
            bundles.push(Bundle {
                id: entry.id,
                title: entry.title,
                meaning: entry.meaning,
                items: set,
            });
        }
        bundles
    }
}

fn decimal(value: &toml::Value) -> Option<Decimal> {
    match value {
        toml::Value::Integer(number) => Some((*number).into()),
        toml::Value::Float(number) => number.to_string().parse().ok(),
        _ => None,
    }
}
