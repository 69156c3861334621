//! What the databases say, against which answers are held.

use anyhow::{bail, ensure};
use tokio::sync::OnceCell;
use tributary::clock;
use tributary::config::agency::AgencyConfig;
use tributary::domain::catalogue::Source;
use tributary::domain::profile;
use tributary::domain::section::{Section, SectionStatus};
use tributary::source::{Held, Holdings, Mapping, Written};

use crate::city::{Asked, City, Person};
use crate::row::Answer;

/// The asked agencies' databases, opened here.
static DATABASES: OnceCell<Vec<Holdings>> = OnceCell::const_new();

/// Holds a run's sample against the databases, and fails on any difference.
pub async fn check(city: &City, sample: &[(Person, Answer)]) -> anyhow::Result<()> {
    let databases = DATABASES.get_or_try_init(|| async { open(city) }).await?;
    ensure!(!sample.is_empty(), "no answer was sampled: measure for longer");
    for (person, answer) in sample {
        let mut sections = Vec::new();
        for (asked, holdings) in city.agencies.iter().zip(databases) {
            sections.push(section(asked, holdings, person).await?);
        }
        let expected = Answer::Merged(profile::merge(&city.catalogue, &sections, &[]));
        let expected = expected.into_message(&city.catalogue);
        let found = answer.clone().into_message(&city.catalogue);
        ensure!(found == expected, "an answer differs from what the databases hold");
    }
    Ok(())
}

fn open(city: &City) -> anyhow::Result<Vec<Holdings>> {
    city.agencies.iter().map(|asked| holdings(city, asked)).collect()
}

fn holdings(city: &City, asked: &Asked) -> anyhow::Result<Holdings> {
    let (config, text) = AgencyConfig::load(&asked.config)?;
    let written = Written {
        file: Source { name: asked.id.as_str(), text: &text },
        folder: asked.config.parent().unwrap_or(&asked.config),
        source: &config.source,
        queries: &config.query,
    };
    match Mapping::compile(&asked.id, &city.catalogue, written) {
        Ok(mapping) => Ok(Holdings::open(mapping)),
        Err(findings) => bail!("{findings:?}"),
    }
}

async fn section(asked: &Asked, holdings: &Holdings, person: &Person) -> anyhow::Result<Section> {
    let until = clock::now() + std::time::Duration::from_secs(5);
    let bare = |status| Section::without_values(asked.id.clone(), asked.items, status, "");
    match holdings.fetch(&person.subject, &asked.items, until).await {
        Held::NoRecord => Ok(bare(SectionStatus::NoRecord)),
        Held::Answered { items, missing } => {
            Ok(Section { items, missing, ..bare(SectionStatus::Ok) })
        }
        Held::Failed { reason, .. } => bail!("{}: {reason}", asked.id),
    }
}
