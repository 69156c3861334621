//! Grants for the people who are asked about, made as the consent service makes
//! them, before anything is measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use tributary::app::demo::Federation;
use tributary::clock;
use tributary::config::key_file;
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::grant::{
    Disclosure, Frequency, JwsKey, LegalBasis, Per, Presentation, PresentationDigest, PurposeCode,
};
use tributary::domain::item::ItemSet;
use tributary::domain::peer::SpiffeId;
use tributary::domain::sensitive::Sensitive;
use tributary::domain::subject::Subject;
use tributary::issuer::{AgencyRequest, GrantRequest, Issuer, IssuerSettings, StatusDirectory};

use crate::city::{Asked, USES};
use crate::process;

/// The issuer writes its whole file anew for each grant, so a file is left after
/// this many.
const GRANTS_OF_A_FILE: usize = 64;

/// A synthetic person and the grant over what is asked for.
#[derive(Clone)]
pub struct Person {
    pub subject: Subject,
    /// The whole grant, as the consumer has it.
    pub grant: String,
    /// Its digest.
    pub digest: PresentationDigest,
    /// For each agency that is asked, its part of the grant.
    pub parts: Vec<Part>,
}

/// An agency's part of a grant, with its digest, as the gateway keeps both.
#[derive(Clone)]
pub struct Part {
    pub whole: Bytes,
    pub digest: PresentationDigest,
}

/// Issues grants.
pub struct Mint {
    settings: PathBuf,
    audience: SpiffeId,
    client: SpiffeId,
    proof_key: JwsKey,
    /// Each agency with the ids of its items.
    agencies: Vec<(AgencyId, Vec<String>)>,
}

impl Mint {
    pub fn open(
        federation: &Federation,
        agencies: &[Asked],
        catalogue: &Catalogue,
    ) -> anyhow::Result<Self> {
        let consumer = federation.consumers.first().context("no consumer")?;
        let key = consumer.certificate.with_file_name("proof.pub.jwk");
        let ids = |items: &ItemSet| {
            let items = items.iter().filter_map(|number| catalogue.item(number));
            items.map(|item| item.id.to_string()).collect()
        };
        Ok(Self {
            settings: federation.issuer.settings.clone(),
            audience: federation.gateway.id.parse()?,
            client: consumer.id.parse()?,
            proof_key: key_file::verifying_key(&key)?,
            agencies: agencies.iter().map(|asked| (asked.id.clone(), ids(&asked.items))).collect(),
        })
    }

    /// Issues so many grants, each new, to these people in turn.
    pub fn issue(&self, subjects: &[Subject], count: usize) -> anyhow::Result<Vec<Person>> {
        let threads = process::cores();
        let share = count.div_ceil(threads);
        std::thread::scope(|scope| {
            let parts: Vec<_> = (0..threads)
                .map(|thread| {
                    let range = (thread * share).min(count)..((thread + 1) * share).min(count);
                    scope.spawn(move || self.issue_part(subjects, range))
                })
                .collect();
            let mut all = Vec::with_capacity(count);
            for part in parts {
                all.extend(part.join().map_err(|_| anyhow!("issuing grants panicked"))??);
            }
            Ok(all)
        })
    }

    fn issue_part(
        &self,
        subjects: &[Subject],
        range: std::ops::Range<usize>,
    ) -> anyhow::Result<Vec<Person>> {
        let mut issuer = IssuerSettings::read(&self.settings)?.issuer()?;
        let uri = issuer.records.uri().to_owned();
        // Memory where there is any to be had as a folder.
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory)?,
            false => tempfile::tempdir()?,
        };
        let mut people = Vec::with_capacity(range.len());
        for (turn, place) in range.enumerate() {
            if turn % GRANTS_OF_A_FILE == 0 {
                let records = folder.path().join(turn.to_string());
                issuer.records = StatusDirectory::open(&records, &uri)?;
            }
            let subject = subjects.get(place % subjects.len()).context("nobody")?;
            people.push(self.grant(&issuer, subject)?);
        }
        Ok(people)
    }

    /// A grant over every item that is asked for, and each agency's part of it.
    fn grant(&self, issuer: &Issuer, subject: &Subject) -> anyhow::Result<Person> {
        let now = clock::utc();
        let days = |days| now.date().saturating_add(time::Duration::days(days));
        let asked = self.agencies.iter().map(|(agency, items)| AgencyRequest {
            agency: agency.clone(),
            items: items.clone(),
            from: days(-3650),
            to: days(365),
        });
        let request = GrantRequest {
            audience: self.audience.clone(),
            client: self.client.clone(),
            proof_key: self.proof_key.clone(),
            purpose: PurposeCode::new("credit_profile").context("a purpose")?,
            purpose_text: "Measurement with synthetic people.".into(),
            legal_basis: LegalBasis::WrittenConsent,
            legal_basis_ref: "benchmark".into(),
            not_before: now,
            expires_at: now + time::Duration::days(1),
            data_life: time::Duration::days(1),
            frequency: Frequency { count: USES, per: Per::Day },
            subject: Sensitive::new(subject.expose().to_owned()),
            agencies: asked.collect(),
        };
        let grant = issuer.issue(&request, now)?.presentation;
        let presentation = Presentation::parse(grant.as_bytes())?;
        let mut parts = Vec::new();
        for (agency, _) in &self.agencies {
            let own = presentation.disclosures().iter().find(|encoded| {
                matches!(Disclosure::parse(encoded), Ok(Disclosure::Agency(own)) if own.agency == *agency)
            });
            let own = own.with_context(|| format!("no disclosure for {agency}"))?;
            let whole = Bytes::from(format!("{}~{own}~", presentation.jwt()));
            parts.push(Part { digest: PresentationDigest::of(&whole), whole });
        }
        let digest = PresentationDigest::of(grant.as_bytes());
        Ok(Person { subject: subject.clone(), grant, digest, parts })
    }
}

/// Whom a measurement asks about.
pub enum Asks {
    /// The same people at random, with the grants that they have.
    Again(Arc<Vec<Person>>),
    /// Each grant once.
    Once(Vec<Person>, AtomicUsize),
}

impl Asks {
    pub fn once(people: Vec<Person>) -> Self {
        Self::Once(people, AtomicUsize::new(0))
    }

    /// The next; none when each was asked about.
    pub fn next(&self, random: &mut Random) -> Option<&Person> {
        match self {
            Self::Again(people) => people.get(random.below(people.len())),
            Self::Once(people, next) => people.get(next.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) as usize % bound.max(1)
    }
}
