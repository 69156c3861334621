//! The federation that is measured: `tributary demo --serve` in a folder of its
//! own, four of its agencies, and five items of each.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tributary::app::demo::Federation;
use tributary::app::demo::people::People;
use tributary::clock;
use tributary::config::agency::AgencyConfig;
use tributary::config::{catalogue, key_file};
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::grant::{Disclosure, Frequency, LegalBasis, Per, Presentation, PurposeCode};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::sensitive::Sensitive;
use tributary::domain::subject::Subject;
use tributary::issuer::{AgencyRequest, GrantRequest, Issuer, IssuerSettings};

const AGENCIES: [&str; 4] = ["education", "employment", "social_security", "lending"];
const ITEMS_EACH: usize = 5;
const SEED: u64 = 7;
/// How many of the people have a grant and are asked about.
const GRANTED: usize = 400;
/// How often each grant may be used: more than any run does.
const USES: u32 = 1_000_000;
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running federation.
pub struct City {
    pub federation: Federation,
    pub catalogue: Catalogue,
    pub agencies: Vec<Asked>,
    /// Ids of every item that is asked for.
    pub items: Vec<String>,
    pub people: Vec<Person>,
    // The processes end before their folder goes.
    _demo: Child,
    _home: TempDir,
}

/// One of the agencies and what it is asked for.
pub struct Asked {
    pub id: AgencyId,
    pub config: PathBuf,
    pub pid: u32,
    pub items: ItemSet,
}

/// A synthetic person and the grant over what is asked for.
#[derive(Clone)]
pub struct Person {
    pub subject: Subject,
    /// The whole grant, as the consumer has it.
    pub grant: String,
    /// For each agency that is asked, its part of the grant.
    pub parts: Vec<Bytes>,
}

impl City {
    pub async fn start(people: usize) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("tributary-bench-").tempdir()?;
        let folder = home.path().join("city");
        let mut demo = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["demo", "--serve", "--dir"])
            .arg(&folder)
            .args(["--people", &people.to_string(), "--seed", &SEED.to_string()])
            .args(["--grant-uses", &USES.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let file = folder.join(Federation::FILE);
        let federation: Federation = serde_json::from_str(&appears(&file, &mut demo).await?)?;
        let catalogue = catalogue::load(&folder.join("catalogue"))?;

        let mut agencies = Vec::new();
        let mut items = Vec::new();
        let format = AgencyConfig::load(&folder.join("agencies/education.toml"))?.0.subject.format;
        for id in AGENCIES {
            let entry = federation.agencies.iter().find(|agency| agency.id == id);
            let entry = entry.with_context(|| format!("no agency {id}"))?;
            let asked = items_of(&entry.config, &catalogue)?;
            items.extend(asked.iter().map(|(_, id)| id.clone()));
            agencies.push(Asked {
                id: AgencyId::new(id).context("an agency's id")?,
                config: entry.config.clone(),
                pid: entry.pid,
                items: asked.iter().map(|(number, _)| *number).collect(),
            });
        }
        let made = People::new(SEED, people);
        let issuer = IssuerSettings::read(&federation.issuer.settings)?.issuer()?;
        let mut people = Vec::new();
        for person in made.places().take(GRANTED) {
            let subject = format.parse(&made.card_number(person))?;
            people.push(grant(&issuer, &federation, &agencies, &catalogue, subject)?);
        }
        let city =
            Self { federation, catalogue, agencies, items, people, _demo: demo, _home: home };
        city.wait_until_asked().await?;
        Ok(city)
    }

    /// The demo writes its file just before every link is up.
    async fn wait_until_asked(&self) -> anyhow::Result<()> {
        let until = clock::now() + READY_WITHIN;
        loop {
            let mut client = crate::unary::client(self).await?;
            let mut up = true;
            for agency in &self.federation.agencies {
                up &= client.has_link_to(&agency.id).await;
            }
            if up {
                return Ok(());
            }
            ensure!(clock::now() < until, "the gateway has no link to every agency");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A grant over every item that is asked for, and each agency's part of it.
fn grant(
    issuer: &Issuer,
    federation: &Federation,
    agencies: &[Asked],
    catalogue: &Catalogue,
    subject: Subject,
) -> anyhow::Result<Person> {
    let consumer = federation.consumers.first().context("no consumer")?;
    let now = clock::utc();
    let days = |days| now.date().saturating_add(time::Duration::days(days));
    let ids = |items: &ItemSet| {
        let items = items.iter().filter_map(|number| catalogue.item(number));
        items.map(|item| item.id.to_string()).collect()
    };
    let key = consumer.certificate.with_file_name("proof.pub.jwk");
    let request = GrantRequest {
        audience: federation.gateway.id.parse()?,
        client: consumer.id.parse()?,
        proof_key: key_file::verifying_key(&key)?,
        purpose: PurposeCode::new("credit_profile").context("a purpose")?,
        purpose_text: "Measurement with synthetic people.".into(),
        legal_basis: LegalBasis::WrittenConsent,
        legal_basis_ref: "benchmark".into(),
        not_before: now,
        expires_at: now + time::Duration::days(1),
        data_life: time::Duration::days(1),
        frequency: Frequency { count: USES, per: Per::Day },
        subject: Sensitive::new(subject.expose().to_owned()),
        agencies: agencies
            .iter()
            .map(|asked| AgencyRequest {
                agency: asked.id.clone(),
                items: ids(&asked.items),
                from: days(-3650),
                to: days(365),
            })
            .collect(),
    };
    let grant = issuer.issue(&request, now)?.presentation;
    let presentation = Presentation::parse(grant.as_bytes())?;
    let signed = grant.split('~').next().context("a grant")?;
    let mut parts = Vec::new();
    for asked in agencies {
        let own = presentation.disclosures().iter().find(|encoded| {
            matches!(Disclosure::parse(encoded), Ok(Disclosure::Agency(own)) if own.agency == asked.id)
        });
        let own = own.with_context(|| format!("no disclosure for {}", asked.id))?;
        parts.push(Bytes::from(format!("{signed}~{own}~")));
    }
    Ok(Person { subject, grant, parts })
}

async fn appears(file: &std::path::Path, demo: &mut Child) -> anyhow::Result<String> {
    let until = clock::now() + READY_WITHIN;
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return Ok(text);
        }
        ensure!(demo.try_wait()?.is_none(), "the demo ended before it served");
        ensure!(clock::now() < until, "the demo does not serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Five items that this agency alone holds, out of its first query that has so
/// many: one statement answers them, and no two agencies compete.
fn items_of(
    config: &std::path::Path,
    catalogue: &Catalogue,
) -> anyhow::Result<Vec<(ItemNumber, String)>> {
    let (config, _) = AgencyConfig::load(config)?;
    let alone = |id: &String| {
        let item = catalogue.find(id)?;
        (item.owners.len() == 1 && item.adverse_months.is_none()).then(|| (item.number, id.clone()))
    };
    config
        .query
        .iter()
        .map(|query| query.get_ref().items.keys().filter_map(alone).take(ITEMS_EACH).collect())
        .find(|items: &Vec<_>| items.len() == ITEMS_EACH)
        .with_context(|| format!("{} has no query with {ITEMS_EACH} items", config.id))
}
