//! The federation that is measured: `tributary demo --serve` in a folder of its
//! own, four of its agencies, and five items of each; or a town of our own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tributary::app::demo::people::People;
use tributary::app::demo::{Federation, GatewayEntry};
use tributary::clock;
use tributary::config::agency::AgencyConfig;
use tributary::config::catalogue;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::peer::SpiffeId;
use tributary::domain::subject::Subject;

use crate::child::Server;
use crate::front::Front;
use crate::grants::{Mint, Person};
use crate::truth::Databases;
use crate::unary;

const AGENCIES: [&str; 4] = ["education", "employment", "social_security", "lending"];
const ITEMS_EACH: usize = 5;
/// Of the synthetic people.
pub const SEED: u64 = 7;
/// How many of the people have a grant and are asked about.
const GRANTED: usize = 400;
/// How often each grant may be used: more than any run does.
pub const USES: u32 = 1_000_000;
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running federation, and what is asked of it.
pub struct City {
    pub federation: Federation,
    /// The gateway and its replicas.
    pub gateways: Vec<GatewayEntry>,
    pub catalogue: Arc<Catalogue>,
    pub agencies: Vec<Asked>,
    /// Ids of every item that is asked for.
    pub items: Vec<String>,
    /// People whose grants are used again and again.
    pub people: Arc<Vec<Person>>,
    /// Makes more grants for them.
    pub mint: Mint,
    pub databases: Databases,
    /// Behind which the last agency stands, if it does.
    pub front: Option<Front>,
    // The processes end before their folder goes.
    _processes: Arc<Processes>,
    pub home: Arc<TempDir>,
}

/// The processes of a federation; dropping them ends them.
pub enum Processes {
    /// The demo, whose children end with it.
    Demo(#[expect(dead_code, reason = "held, not read")] Child),
    Ours(#[expect(dead_code, reason = "held, not read")] Vec<Server>),
}

/// One of the agencies and what it is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    pub id: AgencyId,
    pub config: PathBuf,
    pub endpoint: String,
    pub identity: SpiffeId,
    pub pid: u32,
    pub items: ItemSet,
}

impl City {
    /// The demo's city.
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
        let gateway = GatewayConfig::load(&federation.gateway.config)?;
        let mut agencies = Vec::new();
        for id in AGENCIES {
            let entry = federation.agencies.iter().find(|agency| agency.id == id);
            let entry = entry.with_context(|| format!("no agency {id}"))?;
            let pinned = gateway.agency.iter().find(|pinned| pinned.id.as_str() == id);
            agencies.push(Asked {
                id: AgencyId::new(id).context("an agency's id")?,
                config: entry.config.clone(),
                endpoint: entry.endpoint.clone(),
                identity: pinned.with_context(|| format!("no agency {id}"))?.identity.clone(),
                pid: entry.pid,
                items: items_of(&entry.config, &catalogue)?,
            });
        }
        let made = People::new(SEED, people);
        let gateways = vec![federation.gateway.clone()];
        let processes = Processes::Demo(demo);
        Self::of(home, federation, gateways, catalogue, agencies, made, processes).await
    }

    /// A federation whose processes run, once every link is up.
    pub async fn of(
        home: TempDir,
        federation: Federation,
        gateways: Vec<GatewayEntry>,
        catalogue: Catalogue,
        agencies: Vec<Asked>,
        people: People,
        processes: Processes,
    ) -> anyhow::Result<Self> {
        let config = &agencies.first().context("no agency")?.config;
        let format = AgencyConfig::load(config)?.0.subject.format;
        let subjects = people.places().take(GRANTED).map(|person| people.card_number(person));
        let subjects = subjects.map(|number| format.parse(&number));
        let subjects = subjects.collect::<Result<Vec<Subject>, _>>()?;
        let mint = Mint::open(&federation, &agencies, &catalogue)?;
        let city = Self {
            items: ids(&agencies, &catalogue),
            people: Arc::new(mint.issue(&subjects, GRANTED)?),
            catalogue: Arc::new(catalogue),
            home: Arc::new(home),
            databases: Databases::new(),
            front: None,
            _processes: Arc::new(processes),
            federation,
            gateways,
            agencies,
            mint,
        };
        for gateway in &city.gateways {
            city.wait_until_asked(gateway).await?;
        }
        Ok(city)
    }

    /// The same federation, of which fewer agencies are asked, for fewer items.
    pub fn narrowed(&self, agencies: usize, items: usize) -> anyhow::Result<Self> {
        let share = |place| (place + 1) * items / agencies - place * items / agencies;
        let asked = self.agencies.iter().take(agencies).enumerate().map(|(place, asked)| {
            let items = asked.items.iter().take(share(place)).collect();
            Asked { items, ..asked.clone() }
        });
        let agencies: Vec<Asked> = asked.collect();
        let subjects: Vec<Subject> = self.people.iter().map(|p| p.subject.clone()).collect();
        let mint = Mint::open(&self.federation, &agencies, &self.catalogue)?;
        Ok(Self {
            items: ids(&agencies, &self.catalogue),
            people: Arc::new(mint.issue(&subjects, subjects.len())?),
            federation: self.federation.clone(),
            gateways: self.gateways.clone(),
            catalogue: self.catalogue.clone(),
            databases: Databases::new(),
            front: self.front.clone(),
            _processes: self._processes.clone(),
            home: self.home.clone(),
            agencies,
            mint,
        })
    }

    /// A gateway serves before every link is up.
    async fn wait_until_asked(&self, gateway: &GatewayEntry) -> anyhow::Result<()> {
        let until = clock::now() + READY_WITHIN;
        let mut client = unary::client(self, &gateway.endpoint).await?;
        loop {
            let mut up = true;
            for agency in &self.agencies {
                up &= client.has_link_to(agency.id.as_str()).await;
            }
            if up {
                return Ok(());
            }
            ensure!(clock::now() < until, "the gateway has no link to every agency");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn ids(agencies: &[Asked], catalogue: &Catalogue) -> Vec<String> {
    let numbers = agencies.iter().flat_map(|asked| asked.items.iter().collect::<Vec<_>>());
    let items = numbers.filter_map(|number| catalogue.item(number));
    items.map(|item| item.id.to_string()).collect()
}

async fn appears(file: &Path, demo: &mut Child) -> anyhow::Result<String> {
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
fn items_of(config: &Path, catalogue: &Catalogue) -> anyhow::Result<ItemSet> {
    let (config, _) = AgencyConfig::load(config)?;
    let alone = |id: &String| {
        let item = catalogue.find(id)?;
        (item.owners.len() == 1 && item.adverse_months.is_none()).then_some(item.number)
    };
    config
        .query
        .iter()
        .map(|query| query.get_ref().items.keys().filter_map(alone).take(ITEMS_EACH).collect())
        .find(|items: &Vec<ItemNumber>| items.len() == ITEMS_EACH)
        .map(|items| items.into_iter().collect())
        .with_context(|| format!("{} has no query with {ITEMS_EACH} items", config.id))
}
