//! A catalogue of seven items, a vocabulary, and shorthands.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use tributary::config::policy::{read_texts, sources};
use tributary::domain::catalogue::{AgencyId, Catalogue, Source};
use tributary::domain::item::ItemSet;
use tributary::domain::peer::SpiffeId;
use tributary::domain::policy::engine::{Engine, Question};
use tributary::domain::policy::finding::PolicyFinding;
use tributary::domain::policy::vocabulary::Vocabulary;
use tributary::domain::purpose::{LegalBasis, PurposeCode};

pub const SCORING: &str = "spiffe://scoring.city.example/consumer/scoring-service";
pub const BANK: &str = "spiffe://bank.city.example/consumer/loan-desk";

/// `(id, sensitivity)`; the number is the place in this list.
pub const ITEMS: [(&str, &str); 7] = [
    ("lending.card.open_count", "ordinary"),
    ("lending.card.unused_count", "ordinary"),
    ("lending.debt.total_count", "ordinary"),
    ("lending.debt.income_ratio_band", "conditional"),
    ("education.award.competition_count", "ordinary"),
    ("education.award.grant_total_count", "conditional"),
    ("traffic.vehicle.registered_count", "ordinary"),
];

fn small_catalogue() -> Catalogue {
    let mut files = Vec::new();
    for domain in ["lending", "education", "traffic"] {
        let title = "title = { en = \"Title\", zh = \"标题\" }";
        let mut text = format!("domain = \"{domain}\"\n{title}\n");
        let mut categories: Vec<&str> = ITEMS
            .iter()
            .map(|(id, _)| id.rsplit_once('.').unwrap().0)
            .filter(|category| category.starts_with(domain))
            .collect();
        categories.dedup();
        for category in categories {
            text.push_str(&format!("[[category]]\nid = \"{category}\"\n{title}\n"));
        }
        for (number, (id, sensitivity)) in ITEMS.iter().enumerate() {
            if id.starts_with(domain) {
                text.push_str(&format!(
                    "[[item]]\nid = \"{id}\"\nnumber = {number}\n{title}\ntype = \"integer\"\n\
                     unit = \"count\"\nrange = [0, 10]\nowners = [\"{domain}\"]\n\
                     sensitivity = \"{sensitivity}\"\nmeaning = \"A count.\"\n"
                ));
            }
        }
        files.push((format!("{domain}.toml"), text));
    }
    Catalogue::parse(&sources(&files)).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// The catalogue of seven items.
pub static SMALL: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(small_catalogue()));

/// The catalogue of the example city.
pub static CITY: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let texts = read_texts(&example("catalogue"), "toml").unwrap();
    Arc::new(Catalogue::parse(&sources(&texts)).unwrap_or_else(|found| panic!("{found:?}")))
});

pub fn example(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/city").join(path)
}

pub fn vocabulary() -> Vocabulary {
    Vocabulary {
        purposes: ["credit_profile", "rental_deposit_waiver", "small_business_loan"]
            .map(|code| PurposeCode::new(code).unwrap())
            .into(),
        consumers: [SCORING, BANK].map(consumer).into(),
        agencies: ["lending", "education", "traffic"].map(agency).into(),
    }
}

pub fn consumer(id: &str) -> SpiffeId {
    id.parse().unwrap()
}

pub fn agency(name: &str) -> AgencyId {
    AgencyId::new(name).unwrap()
}

/// Loads one file over the small catalogue.
pub fn load(text: &str) -> Result<Engine, Vec<PolicyFinding>> {
    load_files(&[("gateway.cedar", text)])
}

pub fn load_files(files: &[(&str, &str)]) -> Result<Engine, Vec<PolicyFinding>> {
    let texts: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    Engine::load(Arc::clone(&SMALL), &texts, &vocabulary())
}

pub fn sound(text: &str) -> Engine {
    load(text).unwrap_or_else(|findings| panic!("{text}\n{findings:#?}"))
}

/// Decides on one combination.
pub fn decide(engine: &Engine, who: &str, purpose: &str, basis: LegalBasis, at: &str) -> ItemSet {
    let (consumer, agency) = (consumer(who), agency(at));
    let question = Question { consumer: &consumer, purpose, basis, agency: &agency };
    engine.decide(&question).items
}

/// The numbers of a set, for comparing.
pub fn numbers(items: ItemSet) -> Vec<u16> {
    items.iter().map(|item| item.get()).collect()
}

/// Visits every combination of a vocabulary.
pub fn for_each_question(vocabulary: &Vocabulary, mut visit: impl FnMut(Question<'_>)) {
    for consumer in &vocabulary.consumers {
        for purpose in &vocabulary.purposes {
            for basis in LegalBasis::ALL {
                for agency in &vocabulary.agencies {
                    visit(Question { consumer, purpose: purpose.as_str(), basis, agency });
                }
            }
        }
    }
}
