//! The example city's policies: they load, they protect, and each agency is
//! stricter than the gateway somewhere and looser nowhere that matters.

use std::collections::BTreeSet;
use std::path::Path;

use tributary::config::policy::{read_texts, read_vocabulary, sources};
use tributary::domain::item::ItemSet;
use tributary::domain::policy::engine::{Engine, Question};
use tributary::domain::purpose::LegalBasis;

use super::support::{BANK, CITY, SCORING, agency, consumer, example};

fn engine(policies: &Path) -> Engine {
    let vocabulary = read_vocabulary(&example("policies/vocabulary.toml"), &CITY).unwrap();
    let texts = read_texts(policies, "cedar").unwrap();
    Engine::load(CITY.clone(), &sources(&texts), &vocabulary)
        .unwrap_or_else(|findings| panic!("{findings:#?}"))
}

fn open(engine: &Engine, who: &str, purpose: &str, basis: LegalBasis, at: &str) -> ItemSet {
    let (consumer, agency) = (consumer(who), agency(at));
    let question = Question { consumer: &consumer, purpose, basis, agency: &agency };
    engine.decide(&question).items.and(&CITY.owned_by(&agency))
}

const USES: [(&str, &str); 3] = [
    (SCORING, "credit_profile"),
    (SCORING, "rental_deposit_waiver"),
    (BANK, "small_business_loan"),
];

#[test]
fn every_agency_has_rules_that_load_and_is_stricter_somewhere() {
    let gateway = engine(&example("policies"));
    let agencies = CITY.agencies();
    assert_eq!(agencies.len(), 7);
    for agency in agencies {
        let own = engine(&example(&format!("policies/agencies/{agency}.cedar")));
        let mut withheld = 0;
        let mut released = 0;
        for (who, purpose) in USES {
            for basis in LegalBasis::ALL {
                let allowed = open(&gateway, who, purpose, basis, agency.as_str());
                let here = open(&own, who, purpose, basis, agency.as_str());
                withheld += allowed.without(&here).len();
                released += allowed.and(&here).len();
            }
        }
        assert!(withheld > 0, "{agency} adds nothing of its own");
        assert!(released > 0, "{agency} releases nothing");
    }
}

#[test]
fn the_gateway_opens_what_its_comments_say() {
    let gateway = engine(&example("policies"));
    let domains = |items: ItemSet| -> BTreeSet<&str> {
        items.iter().filter_map(|item| CITY.item(item)).map(|item| item.domain()).collect()
    };
    let consent = open(&gateway, SCORING, "credit_profile", LegalBasis::Consent, "lending");
    let written = open(&gateway, SCORING, "credit_profile", LegalBasis::WrittenConsent, "lending");
    assert!(consent.is_subset(&written) && consent != written);
    assert_eq!(written, CITY.owned_by(&agency("lending")));
    let statute = open(&gateway, SCORING, "credit_profile", LegalBasis::Statute, "lending");
    assert_eq!(Some(statute), CITY.select("lending.public_record.*"));
    let rental =
        open(&gateway, SCORING, "rental_deposit_waiver", LegalBasis::WrittenConsent, "lending");
    assert!(!rental.is_empty() && !domains(rental).contains("assets"));
    let desk = open(&gateway, BANK, "small_business_loan", LegalBasis::WrittenConsent, "lending");
    let enquiries = CITY.select("lending.inquiry.*").unwrap();
    assert!(domains(desk).contains("lending") && desk.and(&enquiries).is_empty());
    assert!(open(&gateway, BANK, "credit_profile", LegalBasis::Consent, "lending").is_empty());
}
