//! The catalogue: what every item means, who holds it, how sources are merged.
//!
//! A [`Catalogue`] exists only if it passed the lint; it is built once at load
//! and shared. Reading its files is the business of `config`.

mod agreement;
mod difference;
mod digest;
mod file;
mod lint;
mod prohibited;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

pub use agreement::ItemDigest;
pub use difference::{Difference, FieldChange, ItemChange, difference};
pub use lint::Source;
pub use prohibited::Prohibition;
use serde::{Deserialize, Serialize};

pub use super::finding::Finding;
use super::item::{CAPACITY, ItemNumber, ItemSet};
use super::value::{CodeIndex, Currency, Range, ValueType};

/// Name of an agency, such as `social_security`: lower-case letters, digits, '_'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgencyId(std::sync::Arc<str>);

impl AgencyId {
    /// The name, if it has the right form and at most 64 characters.
    pub fn new(name: &str) -> Option<Self> {
        is_snake_case(name).then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgencyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AgencyId {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::new(&name).ok_or_else(|| {
            format!(
                "`{}` is not an agency's name: use at most 64 lower-case letters, digits and '_'",
                name.escape_default()
            )
        })
    }
}

impl From<AgencyId> for String {
    fn from(agency: AgencyId) -> Self {
        agency.as_str().to_owned()
    }
}

fn is_snake_case(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A text in English and Simplified Chinese.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// English.
    pub en: String,
    /// Simplified Chinese.
    pub zh: String,
}

/// How freely an item may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// No more than the ordinary rules.
    Ordinary,
    /// Needs written consent.
    Conditional,
}

impl Sensitivity {
    /// The word for it in catalogue files and rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Conditional => "conditional",
        }
    }
}

/// How one value is chosen where several agencies hold the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Survivorship {
    /// The first in the order of the item's owners.
    Authoritative,
    /// The one with the latest as-of date.
    Freshest,
    /// The largest, once every owner has answered.
    Maximum,
    /// The smallest, once every owner has answered.
    Minimum,
    /// All added up, once every owner has answered.
    Sum,
}

impl Survivorship {
    /// Whether a missing part would make the result a false fact.
    pub const fn needs_every_part(self) -> bool {
        matches!(self, Self::Maximum | Self::Minimum | Self::Sum)
    }

    /// The rule's word in a catalogue file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authoritative => "authoritative",
            Self::Freshest => "freshest",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Sum => "sum",
        }
    }
}

/// One code of an item's closed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The code itself.
    pub code: Box<str>,
    /// Its meaning.
    pub title: Title,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `domain.category.name`.
    pub id: Box<str>,
    /// Its permanent number.
    pub number: ItemNumber,
    /// Its name for people.
    pub title: Title,
    /// The type of its values.
    pub value_type: ValueType,
    /// The unit of a number; empty for other types.
    pub unit: Box<str>,
    /// The agencies that hold it, in order of authority; at least one.
    pub owners: Vec<AgencyId>,
    /// How freely it may be asked for.
    pub sensitivity: Sensitivity,
    /// For an adverse item, the months for which it may be used after it ended.
    pub adverse_months: Option<u16>,
    /// How one value is chosen among several.
    pub survivorship: Survivorship,
    /// What exactly it says, in a line.
    pub meaning: Box<str>,
    /// The closed list of an item of type code.
    pub codes: Vec<Code>,
}

impl Item {
    /// The first segment of the id.
    pub fn domain(&self) -> &str {
        self.id.split('.').next().unwrap_or_default()
    }

    /// The first two segments of the id.
    pub fn category(&self) -> &str {
        self.id.rsplit_once('.').map_or("", |(category, _)| category)
    }

    /// The place of a code in the item's list.
    pub fn code_index(&self, code: &str) -> Option<CodeIndex> {
        let at = self.codes.iter().position(|entry| &*entry.code == code)?;
        u8::try_from(at).ok().map(CodeIndex)
    }

    /// The code at a place in the item's list.
    pub fn code(&self, index: CodeIndex) -> Option<&Code> {
        self.codes.get(usize::from(index.0))
    }

    /// The place of an agency among the owners; lower is more authoritative.
    pub fn rank_of(&self, agency: &AgencyId) -> Option<usize> {
        self.owners.iter().position(|owner| owner == agency)
    }

    /// The currency of an item of type money.
    pub const fn currency(&self) -> Option<Currency> {
        match self.value_type {
            ValueType::Money(currency, _) => Some(currency),
            _ => None,
        }
    }

    /// The plausible range of a number.
    pub const fn range(&self) -> Option<Range> {
        match self.value_type {
            ValueType::Integer(range)
            | ValueType::Decimal(range)
            | ValueType::Months(range)
            | ValueType::Money(_, range) => Some(range),
            ValueType::Boolean | ValueType::Date | ValueType::Code(_) => None,
        }
    }
}

/// A named set of items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its name in requests.
    pub id: String,
    /// Its name for people.
    pub title: Title,
    /// What it is for.
    pub meaning: String,
    /// Its items.
    pub items: ItemSet,
}

/// SHA-256 over the catalogue's canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CatalogueDigest(pub [u8; 32]);

impl fmt::Display for CatalogueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CatalogueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A catalogue that passed the lint.
#[derive(Debug)]
pub struct Catalogue {
    /// Ascending by number.
    items: Vec<Item>,
    /// In the order of the items.
    digests: Vec<ItemDigest>,
    /// Item number to its place in `items`.
    places: Box<[Option<u16>]>,
    by_id: HashMap<Box<str>, ItemNumber>,
    /// In order of name.
    owned: Vec<(AgencyId, ItemSet)>,
    bundles: Vec<Bundle>,
    digest: CatalogueDigest,
}

impl Catalogue {
    /// Builds a catalogue from the texts of its files.
    ///
    /// # Errors
    /// Every finding of the lint, not just the first.
    pub fn parse(sources: &[Source<'_>]) -> Result<Self, Vec<Finding>> {
        lint::build(sources)
    }

    fn assemble(mut items: Vec<Item>, bundles: Vec<Bundle>) -> Self {
        items.sort_by_key(|item| item.number);
        let digest = digest::digest(&items);
        let digests = items.iter().map(digest::item_digest).collect();
        let mut places = vec![None; usize::from(CAPACITY)].into_boxed_slice();
        let mut by_id = HashMap::with_capacity(items.len());
        let mut owned: BTreeMap<AgencyId, ItemSet> = BTreeMap::new();
        for (item, place) in items.iter().zip(0u16..) {
            if let Some(slot) = places.get_mut(item.number.index()) {
                *slot = Some(place);
            }
            by_id.insert(item.id.clone(), item.number);
            for owner in &item.owners {
                owned.entry(owner.clone()).or_default().insert(item.number);
            }
        }
        let owned = owned.into_iter().collect();
        Self { items, digests, places, by_id, owned, bundles, digest }
    }

    /// The digest that peers exchange.
    pub const fn digest(&self) -> CatalogueDigest {
        self.digest
    }

    /// Every item, ascending by number.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The numbers of all items.
    pub fn numbers(&self) -> ItemSet {
        self.items.iter().map(|item| item.number).collect()
    }

    /// The item with a number.
    pub fn item(&self, number: ItemNumber) -> Option<&Item> {
        self.items.get(self.place(number)?)
    }

    fn place(&self, number: ItemNumber) -> Option<usize> {
        (*self.places.get(number.index())?).map(usize::from)
    }

    /// The item with an id.
    pub fn find(&self, id: &str) -> Option<&Item> {
        self.by_id.get(id).and_then(|number| self.item(*number))
    }

    /// The named sets.
    pub fn bundles(&self) -> &[Bundle] {
        &self.bundles
    }

    /// The items that an agency owns; empty for an agency that the catalogue
    /// does not name.
    pub fn owned_by(&self, agency: &AgencyId) -> ItemSet {
        let found = self.owned.binary_search_by_key(&agency, |(owner, _)| owner).ok();
        found.and_then(|at| self.owned.get(at)).map_or(ItemSet::EMPTY, |(_, items)| *items)
    }

    /// Every agency that owns an item, in order of name.
    pub fn agencies(&self) -> Vec<&AgencyId> {
        self.owners().map(|(agency, _)| agency).collect()
    }

    /// Every agency that owns an item, in order of name, and what it owns.
    pub fn owners(&self) -> impl Iterator<Item = (&AgencyId, &ItemSet)> {
        self.owned.iter().map(|(agency, items)| (agency, items))
    }

    /// The items that a pattern names: an id, a prefix that ends in `.*`, or
    /// `*`. `None` when it names none.
    pub fn select(&self, pattern: &str) -> Option<ItemSet> {
        let set = select(&self.items, pattern);
        (!set.is_empty()).then_some(set)
    }

    /// Up to three ids close to a mistyped one, for error texts.
    pub fn similar_to(&self, id: &str) -> Vec<&str> {
        let last = id.rsplit('.').next().unwrap_or(id);
        let mut near: Vec<&str> = self
            .items
            .iter()
            .map(|item| &*item.id)
            .filter(|known| !last.is_empty() && known.ends_with(last))
            .collect();
        near.truncate(3);
        near
    }
}

fn select(items: &[Item], pattern: &str) -> ItemSet {
    let named = items.iter().filter(|item| is_named_by(&item.id, pattern));
    named.map(|item| item.number).collect()
}

fn is_named_by(id: &str, pattern: &str) -> bool {
    let prefix =
        pattern.strip_suffix('*').filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
    match prefix {
        Some(prefix) => id.starts_with(prefix),
        None => id == pattern,
    }
}
