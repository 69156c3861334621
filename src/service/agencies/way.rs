//! One way to an agency: a lane, or FetchSection calls where its server has no
//! Exchange. Ways are opened, held and replaced in [`crate::service::agencies::pool`].

use std::sync::Arc;

use tonic::transport::Channel;

use crate::domain::grant::Shown;
use crate::service::agencies::pending::{Call, UnderWay};
use crate::service::agencies::replies::Reply;
use crate::service::agencies::request::Question;
use crate::service::agencies::stream::{Failure, Lane};
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;

/// A way.
#[derive(Debug)]
pub enum Way {
    /// A lane.
    Exchange(Arc<Lane>),
    /// Single calls.
    Unary {
        /// On a connection of their own.
        client: AgencyServiceClient<Channel>,
        /// Whether the agency takes a grant's digest for the grant.
        takes_digests: bool,
    },
}

impl Way {
    /// Whether it takes questions.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Exchange(lane) => lane.is_open(),
            Self::Unary { .. } => true,
        }
    }

    /// Puts a question, in the shorter form where the server at this very end says that
    /// it takes digests and was `shown` the grant.
    ///
    /// # Errors
    /// As [`Lane::ask`].
    pub fn ask(
        &self,
        question: &Question,
        shown: &Shown,
        reply: Reply,
    ) -> Result<UnderWay, (Failure, Reply)> {
        let form = question.put(|digest| self.takes_digests() && shown.knows(digest));
        match self {
            Self::Exchange(lane) => lane.ask(form, question.until(), reply).map(UnderWay::Lane),
            Self::Unary { client, .. } => {
                let call = Call::start(client.clone(), form.clone(), question.until(), reply);
                Ok(UnderWay::Call(call))
            }
        }
    }

    fn takes_digests(&self) -> bool {
        match self {
            Self::Exchange(lane) => lane.takes_digests(),
            Self::Unary { takes_digests, .. } => *takes_digests,
        }
    }
}
