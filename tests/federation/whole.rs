//! Whole profiles, many at once, each value held against the agencies' databases
//! by a reading of our own.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use tributary::config::agency::AgencyConfig;
use tributary::config::mapping::ItemEntry;
use tributary::domain::value::ValueType;
use tributary::wire::proto::google::r#type::Date;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::value::Kind;

use crate::kit::demo::City;
use crate::kit::sqlite_file;
use crate::kit::waiting::UNHURRIED as DEADLINE;

const PEOPLE: usize = 32;

/// What a database holds of one item about one person.
#[derive(Debug)]
struct Held {
    value: String,
    as_of: String,
    disputed: bool,
    adverse: bool,
}

/// Person, agency and item to what is held.
type Truth = BTreeMap<(String, String, String), Held>;

fn truth(city: &City) -> Truth {
    let mut truth = Truth::new();
    for entry in &city.described.agencies {
        let database = sqlite_file::reader(&entry.database);
        let (config, _) = AgencyConfig::load(&entry.config).unwrap();
        for query in config.query.iter().map(toml::Spanned::get_ref) {
            let disputed =
                query.disputed.as_ref().map_or("0", |column| column.get_ref().column.as_str());
            for (id, item) in &query.items {
                // In the demo a table is named as its query.
                let text = format!(
                    "select {}, cast({} as text), {}, cast({disputed} as integer) from {}",
                    query.subject.get_ref(),
                    item.get_ref().column,
                    query.as_of.get_ref(),
                    query.name.get_ref(),
                );
                let mut statement = database.prepare(&text).unwrap();
                let mut rows = statement.query([]).unwrap();
                while let Some(row) = rows.next().unwrap() {
                    let Some(raw) = row.get::<_, Option<String>>(1).unwrap() else { continue };
                    let held = Held {
                        value: meant(city, id, item.get_ref(), &raw),
                        as_of: row.get(2).unwrap(),
                        disputed: row.get::<_, i64>(3).unwrap() != 0,
                        adverse: query.ended.is_some(),
                    };
                    let key = (row.get(0).unwrap(), entry.id.clone(), id.clone());
                    assert!(truth.insert(key, held).is_none(), "one row a person");
                }
            }
        }
    }
    truth
}

/// What a column's text means, in the catalogue's terms.
fn meant(city: &City, id: &str, entry: &ItemEntry, raw: &str) -> String {
    match &city.catalogue.find(id).unwrap().value_type {
        ValueType::Boolean => (raw == "1").to_string(),
        ValueType::Date => raw.to_owned(),
        ValueType::Code(_) => {
            let codes = entry.codes.as_ref();
            codes.and_then(|codes| codes.get(raw)).map_or(raw, String::as_str).to_owned()
        }
        _ => {
            let shift = Decimal::from(10_i64.pow(entry.scale.unwrap_or(0)));
            (raw.parse::<Decimal>().unwrap() / shift).normalize().to_string()
        }
    }
}

fn said(value: &Option<pb::Value>) -> String {
    match value.as_ref().unwrap().kind.as_ref().unwrap() {
        Kind::Boolean(boolean) => boolean.to_string(),
        Kind::Integer(number) => number.to_string(),
        Kind::Months(months) => months.to_string(),
        Kind::Code(code) => code.clone(),
        Kind::Decimal(number) => number.value.parse::<Decimal>().unwrap().normalize().to_string(),
        Kind::Money(money) => {
            assert_eq!(money.currency_code, "CNY");
            let parts = Decimal::new(money.nanos.into(), 9);
            (Decimal::from(money.units) + parts).normalize().to_string()
        }
        Kind::Date(date) => day(date),
    }
}

fn day(date: &Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

/// Everything that a profile says of an item: whose, what, as of when, disputed.
fn claims(item: &pb::ProfileItem) -> Vec<(&str, String, String, bool)> {
    let as_of = |date: &Option<Date>| day(date.as_ref().unwrap());
    let others = item.alternatives.iter();
    let mut claims: Vec<_> = others
        .map(|other| (&*other.agency, said(&other.value), as_of(&other.as_of), other.disputed))
        .collect();
    // A sum of several is nobody's value; its parts are.
    if !item.agency.is_empty() {
        claims.push((&*item.agency, said(&item.value), as_of(&item.as_of), item.disputed));
    }
    claims
}

/// Holds one answer against the truth; gives how many values it compared.
fn compare(
    truth: &Truth,
    subject: &str,
    items: &[String],
    answer: &pb::GetProfileResponse,
) -> usize {
    let mut compared = 0;
    let profile = answer.profile.as_ref().unwrap();
    for item in &profile.items {
        assert!(items.contains(&item.id), "{} was not asked for", item.id);
        let claims = claims(item);
        assert!(!claims.is_empty(), "{} comes from nowhere", item.id);
        for (agency, value, as_of, disputed) in &claims {
            let held = &truth[&(subject.to_owned(), (*agency).to_owned(), item.id.clone())];
            let held = (&held.value, &held.as_of, held.disputed);
            assert_eq!((value, as_of, *disputed), held, "{} of {agency}", item.id);
            compared += 1;
        }
        if item.agency.is_empty() {
            let parts = claims.iter().map(|(_, value, ..)| value.parse::<Decimal>().unwrap());
            let sum: Decimal = parts.sum();
            assert_eq!(said(&item.value), sum.normalize().to_string(), "{}", item.id);
        }
    }
    // Nothing that a database holds is left out without a reason.
    for ((_, agency, id), held) in truth.iter().filter(|((person, ..), _)| person == subject) {
        if held.adverse || !items.contains(id) {
            continue;
        }
        let report = answer.sections.iter().find(|section| section.agency == *agency).unwrap();
        assert_eq!(report.status(), pb::SectionStatus::Ok, "{agency}: {}", report.reason);
        if report.missing.iter().any(|gap| gap.id == *id) {
            let gap = report.missing.iter().find(|gap| gap.id == *id).unwrap();
            assert_eq!(gap.absence(), pb::Absence::Denied, "{id} of {agency}");
            continue;
        }
        let item = profile.items.iter().find(|item| item.id == *id);
        let item = item.unwrap_or_else(|| panic!("{id} of {agency} is not there"));
        let there = said(&item.value) == held.value
            || claims(item)
                .iter()
                .any(|(whose, value, ..)| whose == agency && *value == held.value);
        assert!(there, "{id}: what {agency} holds is not there");
    }
    compared
}

async fn everybody_gets_their_own(bundle: &str) {
    let city = City::start(&["--bundle", bundle]);
    let client = city.client().await;
    let items = client.clone().bundle(bundle).await.unwrap();
    let asked = (0..PEOPLE).map(|person| {
        let (mut client, grant, items) = (client.clone(), city.grant(person), items.clone());
        tokio::spawn(async move { client.profile(&grant, items, DEADLINE).await.unwrap() })
    });
    let answers = futures_util::future::join_all(asked).await;
    let truth = truth(&city);
    let mut compared = 0;
    for (person, answer) in answers.into_iter().enumerate() {
        let subject = &city.described.subjects[person];
        compared += compare(&truth, subject, &items, &answer.unwrap());
    }
    assert!(compared > PEOPLE * 10, "only {compared} values were there to compare");
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_profiles_are_what_the_databases_hold() {
    everybody_gets_their_own("basic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_of_amounts_are_what_the_databases_hold() {
    everybody_gets_their_own("small_business_loan").await;
}
