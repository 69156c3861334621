//! The Cedar schema and the entities, made from the catalogue and the
//! vocabulary.
//!
//! Purposes, bases, agencies and consumers are enumerated types, so Cedar's own
//! validator and its symbolic tools know that the lists are closed. Items cannot
//! be enumerated, since they have groups; `operand` checks them instead. There
//! are no attributes and the context holds three values: rules cannot depend on
//! a person.

use std::collections::HashSet;
use std::fmt::Write;
use std::str::FromStr;

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, Schema};

use super::finding::PolicyFinding;
use super::vocabulary::Vocabulary;
use crate::domain::catalogue::Catalogue;
use crate::domain::item::ItemNumber;
use crate::domain::purpose::LegalBasis;

/// The groups by sensitivity. No item is in the last one; a rule that ships
/// with the product forbids it all the same.
pub(super) const SENSITIVITIES: [&str; 3] = ["ordinary", "conditional", "prohibited"];

/// The schema as text, for the validator, for editors and for people.
pub fn schema(catalogue: &Catalogue, vocabulary: &Vocabulary) -> String {
    let mut text = format!(
        "// Generated from the catalogue {digest} and the vocabulary.\n\
         // {count} items. An item's category is the first two words of its id,\n\
         // its domain is the first: lending.card.balance, lending.card, lending.\n\
         entity Domain;\n\
         entity Category in [Domain];\n\
         entity Item in [Category, Sensitivity];\n",
        digest = catalogue.digest(),
        count = catalogue.items().len(),
    );
    enumerate(&mut text, "Sensitivity", SENSITIVITIES);
    enumerate(&mut text, "Basis", LegalBasis::ALL.map(LegalBasis::as_str));
    enumerate(&mut text, "Purpose", vocabulary.purposes.iter().map(|purpose| purpose.as_str()));
    enumerate(&mut text, "Agency", vocabulary.agencies.iter().map(|agency| agency.as_str()));
    enumerate(&mut text, "Consumer", vocabulary.consumers.iter().map(|id| id.as_str()));
    text.push_str(
        "action read appliesTo {\n  \
           principal: [Consumer],\n  \
           resource: [Item],\n  \
           context: { purpose: Purpose, basis: Basis, agency: Agency },\n\
         };\n",
    );
    text
}

/// None of the names needs escaping: each has passed a narrow alphabet.
fn enumerate<'a>(text: &mut String, name: &str, ids: impl IntoIterator<Item = &'a str>) {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("{id:?}")).collect();
    // Cedar knows no empty enumeration. Without one, `operand` refuses every id.
    let list = if ids.is_empty() { String::new() } else { format!(" enum [{}]", ids.join(", ")) };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "entity {name}{list};");
}

/// The catalogue and the vocabulary as Cedar sees them.
#[derive(Debug)]
pub(super) struct World {
    pub schema: Schema,
    pub entities: Entities,
    pub action: EntityUid,
    /// Every item, ascending by number.
    pub items: Vec<(ItemNumber, EntityUid)>,
}

impl World {
    pub(super) fn new(
        catalogue: &Catalogue,
        vocabulary: &Vocabulary,
    ) -> Result<Self, PolicyFinding> {
        let text = schema(catalogue, vocabulary);
        let (schema, _) = Schema::from_cedarschema_str(&text).map_err(broken)?;
        let mut entities = Vec::new();
        let mut groups = HashSet::new();
        let mut items = Vec::with_capacity(catalogue.items().len());
        for item in catalogue.items() {
            let (domain, category) =
                (uid("Domain", item.domain())?, uid("Category", item.category())?);
            if groups.insert(item.domain()) {
                entities.push(Entity::new_no_attrs(domain.clone(), HashSet::new()));
            }
            if groups.insert(item.category()) {
                entities.push(Entity::new_no_attrs(category.clone(), HashSet::from([domain])));
            }
            let parents = HashSet::from([category, uid("Sensitivity", item.sensitivity.as_str())?]);
            let resource = uid("Item", &item.id)?;
            entities.push(Entity::new_no_attrs(resource.clone(), parents));
            items.push((item.number, resource));
        }
        let entities = Entities::from_entities(entities, Some(&schema)).map_err(broken)?;
        Ok(Self { schema, entities, action: uid("Action", "read")?, items })
    }
}

/// A Cedar entity's name.
pub(super) fn uid(kind: &str, id: &str) -> Result<EntityUid, PolicyFinding> {
    let kind = EntityTypeName::from_str(kind).map_err(broken)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// The catalogue's lint and the vocabulary's types should make this impossible.
fn broken(error: impl std::fmt::Display) -> PolicyFinding {
    PolicyFinding::of_file(
        "schema",
        format!("the generated schema does not hold, which is an error in Tributary: {error}"),
    )
}
