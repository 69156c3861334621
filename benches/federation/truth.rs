//! What the databases say, against which answers are held.

use anyhow::{bail, ensure};
use tokio::sync::OnceCell;
use tributary::clock;
use tributary::domain::profile;
use tributary::domain::section::{Section, SectionStatus};
use tributary::domain::subject::Subject;
use tributary::source::{Held, Holdings};
use tributary::wire::proto::pb;

use crate::bare;
use crate::city::{Asked, City};
use crate::row::Answer;

/// The asked agencies' databases, opened here once they are needed.
pub type Databases = OnceCell<Vec<Holdings>>;

/// Holds a run's sample against the databases, and fails on any difference.
pub async fn check(city: &City, sample: &[(Subject, Answer)]) -> anyhow::Result<()> {
    let databases = city.databases.get_or_try_init(|| async { open(city) }).await?;
    for (subject, answer) in sample {
        let mut sections = Vec::new();
        for (asked, holdings) in city.agencies.iter().zip(databases) {
            sections.push(section(asked, holdings, subject).await?);
        }
        let expected = Answer::Merged(profile::merge(&city.catalogue, &sections, &[]));
        let expected = without_causes(expected.into_message(&city.catalogue));
        let found = without_causes(answer.clone().into_message(&city.catalogue));
        ensure!(found == expected, "an answer differs from what the databases hold");
    }
    Ok(())
}

/// A profile without why owners have not answered, which only a gateway knows.
fn without_causes(mut profile: pb::Profile) -> pb::Profile {
    let of_items = profile.items.iter_mut().map(|item| &mut item.unanswered);
    let of_gaps = profile.gaps.iter_mut().map(|gap| &mut gap.unanswered);
    of_items.chain(of_gaps).flatten().for_each(|owner| owner.cause = 0);
    profile
}

fn open(city: &City) -> anyhow::Result<Vec<Holdings>> {
    let open = |asked: &Asked| bare::holdings(&asked.config, &city.catalogue);
    city.agencies.iter().map(open).collect()
}

async fn section(asked: &Asked, holdings: &Holdings, subject: &Subject) -> anyhow::Result<Section> {
    let until = clock::now() + std::time::Duration::from_secs(5);
    let bare = |status| Section::without_values(asked.id.clone(), asked.items, status, None);
    match holdings.fetch(subject, &asked.items, until).await {
        Held::NoRecord => Ok(bare(SectionStatus::NoRecord)),
        Held::Answered { items, missing } => {
            Ok(Section { items, missing, ..bare(SectionStatus::Ok) })
        }
        Held::Failed { reason, .. } => bail!("{}: {reason}", asked.id),
    }
}
