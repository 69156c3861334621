//! The federation that is measured: `tributary demo --serve` in a folder of its
//! own, four of its agencies, and five items of each.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tributary::app::demo::Federation;
use tributary::app::demo::people::People;
use tributary::clock;
use tributary::config::agency::AgencyConfig;
use tributary::config::catalogue;
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::subject::Subject;

const AGENCIES: [&str; 4] = ["education", "employment", "social_security", "lending"];
const ITEMS_EACH: usize = 5;
const SEED: u64 = 7;
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running federation.
pub struct City {
    pub federation: Federation,
    pub catalogue: Catalogue,
    pub agencies: Vec<Asked>,
    /// Ids of every item that is asked for.
    pub items: Vec<String>,
    pub people: Vec<Subject>,
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

impl City {
    pub async fn start(people: usize) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("tributary-bench-").tempdir()?;
        let folder = home.path().join("city");
        let mut demo = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["demo", "--serve", "--dir"])
            .arg(&folder)
            .args(["--people", &people.to_string(), "--seed", &SEED.to_string()])
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
        let people = made.places().map(|person| format.parse(&made.card_number(person)));
        let people = people.collect::<Result<_, _>>()?;
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
