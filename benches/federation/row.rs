//! A way to one person's profile.

use tributary::domain::catalogue::Catalogue;
use tributary::domain::profile::Profile;
use tributary::wire::profile;
use tributary::wire::proto::pb;

use crate::city::{City, Person};
use crate::direct::Direct;
use crate::unary::Unary;

/// One of the arrangements that are compared.
pub enum Row {
    /// The consumer asks the agencies itself.
    Direct(Direct),
    /// Through the gateway, a call each.
    Unary(Unary),
}

/// A profile as its row hands it to the consumer.
#[derive(Clone)]
pub enum Answer {
    Merged(Profile),
    Received(pb::Profile),
}

impl Row {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Direct(_) => "direct",
            Self::Unary(_) => "unary",
        }
    }

    pub async fn fetch(&self, city: &City, person: &Person) -> anyhow::Result<Answer> {
        match self {
            Self::Direct(direct) => direct.fetch(city, person).await.map(Answer::Merged),
            Self::Unary(unary) => unary.fetch(city, person).await.map(Answer::Received),
        }
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
