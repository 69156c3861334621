//! Grants as the city's own issuer gives them.

use std::path::Path;

use time::{Date, Duration, OffsetDateTime};
use tributary::config::key_file::verifying_key;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{Frequency, LegalBasis, Per, PurposeCode};
use tributary::domain::item::ItemSet;
use tributary::domain::sensitive::Sensitive;
use tributary::issuer::{AgencyRequest, GrantRequest, IssuerSettings};

use crate::kit::federation::Federation;

/// The agencies that grants here are about.
pub const AGENCIES: [&str; 3] = ["employment", "lending", "traffic"];

pub const CLIENTS: [&str; 2] = [
    "spiffe://scoring.city.example/consumer/scoring-service",
    "spiffe://bank.city.example/consumer/loan-desk",
];
pub const PURPOSES: [&str; 3] = ["credit_profile", "rental_deposit_waiver", "small_business_loan"];
pub const BASES: [LegalBasis; 2] = [LegalBasis::Consent, LegalBasis::WrittenConsent];

/// What is granted.
#[derive(Debug, Clone)]
pub struct Grant {
    pub person: usize,
    pub client: usize,
    pub purpose: usize,
    pub basis: usize,
    /// The items of each of [`AGENCIES`].
    pub items: [ItemSet; 3],
    pub from: Date,
    pub to: Date,
    /// When it begins, from now; it lives for a day.
    pub begins: Duration,
    pub uses: u32,
}

impl Grant {
    /// Of this person's items to the first client, for a credit profile with
    /// written consent.
    pub fn of(person: usize, items: [ItemSet; 3]) -> Self {
        let today = tributary::clock::utc().date();
        Self {
            person,
            client: 0,
            purpose: 0,
            basis: 1,
            items,
            from: today - Duration::days(10_000),
            to: today + Duration::days(400),
            begins: Duration::ZERO,
            uses: 3,
        }
    }

    /// Has it issued.
    pub fn issue(&self, federation: &Federation) -> String {
        let settings = IssuerSettings::read(&federation.described.issuer.settings).unwrap();
        let now: OffsetDateTime = tributary::clock::utc() + self.begins;
        let client = CLIENTS[self.client];
        let consumer = federation.described.consumers.iter().find(|known| known.id == client);
        let folder = consumer.unwrap().certificate.parent().unwrap_or(Path::new("."));
        let agencies = AGENCIES.iter().zip(&self.items).filter(|(_, items)| !items.is_empty());
        let agencies = agencies.map(|(agency, items)| AgencyRequest {
            agency: AgencyId::new(agency).unwrap(),
            items: ids(federation, items),
            from: self.from,
            to: self.to,
        });
        let request = GrantRequest {
            audience: federation.described.gateway.id.parse().unwrap(),
            client: client.parse().unwrap(),
            proof_key: verifying_key(&folder.join("proof.pub.jwk")).unwrap(),
            purpose: PurposeCode::new(PURPOSES[self.purpose]).unwrap(),
            purpose_text: "To see what may leave an agency.".into(),
            legal_basis: BASES[self.basis],
            legal_basis_ref: "consent form of a test".into(),
            not_before: now,
            expires_at: now + Duration::days(1),
            data_life: Duration::days(1),
            frequency: Frequency { count: self.uses, per: Per::Day },
            subject: Sensitive::new(federation.described.grants[self.person].subject.clone()),
            agencies: agencies.collect(),
        };
        settings.issuer().unwrap().issue(&request, now).unwrap().presentation
    }
}

/// The ids of items.
pub fn ids(federation: &Federation, items: &ItemSet) -> Vec<String> {
    items.iter().map(|item| federation.catalogue.item(item).unwrap().id.to_string()).collect()
}
