//! A way to one person's profile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tributary::domain::catalogue::Catalogue;
use tributary::domain::profile::Profile;
use tributary::wire::profile;
use tributary::wire::proto::pb;

use crate::city::City;
use crate::direct::Direct;
use crate::grants::Person;
use crate::stream::Streams;
use crate::unary::Unary;

/// One of the arrangements that are compared.
#[derive(Clone)]
pub struct Row {
    /// Its name in every table.
    pub name: &'static str,
    pub way: Arc<Way>,
    /// Whether each grant is used once.
    pub fresh: bool,
    /// Whether sections may be missing.
    pub partial: bool,
    /// Whose CPU time counts as the gateway's: there may be none.
    pub gateway: Vec<u32>,
    pub agencies: Vec<u32>,
}

/// How it is asked.
pub enum Way {
    /// The consumer asks the agencies itself.
    Direct(Direct),
    /// Through the gateway, a call each.
    Unary(Unary),
    /// Through the gateway, many over a few streams.
    Streams(Streams),
    /// Through a gateway that checks nothing, a call each.
    Naive(Unary),
}

/// A profile as its row hands it to the consumer.
#[derive(Clone)]
pub enum Answer {
    Merged(Profile),
    Received(pb::Profile),
}

/// An answer, and how long the gateway waited for the slowest agency.
pub struct Fetched {
    pub answer: Answer,
    pub waited: Option<Duration>,
}

/// A number that no other request of this process has: agencies know a request
/// again by its id, whoever's connection it comes over.
pub fn next_request() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Row {
    pub async fn fetch(&self, city: &City, person: &Person) -> anyhow::Result<Fetched> {
        match &*self.way {
            Way::Direct(direct) => {
                let answer = Answer::Merged(direct.fetch(city, person).await?);
                Ok(Fetched { answer, waited: None })
            }
            Way::Unary(unary) => self.received(city, unary.fetch(city, &person.grant).await?),
            Way::Streams(streams) => self.received(city, streams.fetch(city, person).await?),
            Way::Naive(naive) => {
                let response = naive.fetch(city, person.subject.expose()).await?;
                Ok(Fetched { waited: None, ..self.received(city, response)? })
            }
        }
    }

    fn received(&self, city: &City, response: pb::GetProfileResponse) -> anyhow::Result<Fetched> {
        ensure!(response.sections.len() == city.agencies.len(), "a section is missing");
        for section in response.sections.iter().filter(|_| !self.partial) {
            let answered =
                matches!(section.status(), pb::SectionStatus::Ok | pb::SectionStatus::NoRecord);
            ensure!(answered, "{}: {}", section.agency, section.reason);
        }
        let waited = response.sections.iter().map(|section| section.elapsed_micros).max();
        Ok(Fetched {
            answer: Answer::Received(response.profile.unwrap_or_default()),
            waited: waited.map(Duration::from_micros),
        })
    }
}

impl Answer {
    /// The profile as a message, whoever merged it.
    pub fn into_message(self, catalogue: &Catalogue) -> pb::Profile {
        match self {
            Self::Merged(profile) => profile::encode_profile(profile, catalogue),
            Self::Received(profile) => profile,
        }
    }
}
