//! The catalogue as messages. It holds nothing about people.

use bytes::Bytes;

use super::proto::pb;
use crate::domain::catalogue::{Catalogue, Code, Item, Sensitivity, Survivorship, Title};
use crate::domain::value::ValueType;

/// Every item whose id starts with a prefix.
pub fn encode_items(catalogue: &Catalogue, prefix: &str) -> pb::ListItemsResponse {
    let items = catalogue.items().iter().filter(|item| item.id.starts_with(prefix));
    pb::ListItemsResponse {
        catalogue_digest: Bytes::copy_from_slice(&catalogue.digest().0),
        items: items.map(encode_item).collect(),
    }
}

/// Every bundle with its items.
pub fn encode_bundles(catalogue: &Catalogue) -> pb::ListBundlesResponse {
    let bundles = catalogue.bundles().iter().map(|bundle| pb::Bundle {
        id: bundle.id.clone(),
        title: Some(encode_title(&bundle.title)),
        meaning: bundle.meaning.clone(),
        items: bundle
            .items
            .iter()
            .filter_map(|number| catalogue.item(number))
            .map(|item| item.id.to_string())
            .collect(),
    });
    pb::ListBundlesResponse { bundles: bundles.collect() }
}

/// One item.
pub fn encode_item(item: &Item) -> pb::CatalogueItem {
    pb::CatalogueItem {
        id: item.id.to_string(),
        number: u32::from(item.number.get()),
        title: Some(encode_title(&item.title)),
        r#type: encode_type(&item.value_type).into(),
        unit: item.unit.to_string(),
        owners: item.owners.iter().map(ToString::to_string).collect(),
        sensitivity: match item.sensitivity {
            Sensitivity::Ordinary => pb::Sensitivity::Ordinary,
            Sensitivity::Conditional => pb::Sensitivity::Conditional,
        }
        .into(),
        adverse_months: item.adverse_months.map(u32::from),
        survivorship: match item.survivorship {
            Survivorship::Authoritative => pb::Survivorship::Authoritative,
            Survivorship::Freshest => pb::Survivorship::Freshest,
            Survivorship::Maximum => pb::Survivorship::Maximum,
            Survivorship::Minimum => pb::Survivorship::Minimum,
            Survivorship::Sum => pb::Survivorship::Sum,
        }
        .into(),
        meaning: item.meaning.to_string(),
        codes: item.codes.iter().map(encode_code).collect(),
    }
}

const fn encode_type(value_type: &ValueType) -> pb::ItemType {
    match value_type {
        ValueType::Boolean => pb::ItemType::Boolean,
        ValueType::Integer(_) => pb::ItemType::Integer,
        ValueType::Decimal(_) => pb::ItemType::Decimal,
        ValueType::Money(..) => pb::ItemType::Money,
        ValueType::Date => pb::ItemType::Date,
        ValueType::Code(_) => pb::ItemType::Code,
        ValueType::Months(_) => pb::ItemType::Months,
    }
}

fn encode_code(code: &Code) -> pb::CatalogueCode {
    pb::CatalogueCode { code: code.code.to_string(), title: Some(encode_title(&code.title)) }
}

fn encode_title(title: &Title) -> pb::LocalizedText {
    pb::LocalizedText { en: title.en.clone(), zh: title.zh.clone() }
}
