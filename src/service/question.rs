//! A question on its way to one agency, whichever way it takes: on a lane, or as a
//! FetchSection call where the agency's server has no Exchange.

use std::time::Instant;

use bytes::Bytes;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::lane::{Arrival, Asking, Failure};
use crate::clock;
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;
use crate::wire::section::RequestHash;

/// A question on its way to an agency.
#[derive(Debug)]
pub enum Question {
    /// On a lane.
    Lane(Asking),
    /// As a FetchSection call, with the request to be sent.
    Unary(Box<AgencyServiceClient<Channel>>, Bytes),
}

/// Asks by a FetchSection call.
async fn call(mut client: AgencyServiceClient<Channel>, request: Bytes, until: Instant) -> Arrival {
    let outcome = async {
        let decoded =
            pb::FetchSectionRequest::decode(request).map_err(|_| Status::internal("request"));
        let mut request = tonic::Request::new(decoded?);
        request.set_timeout(until.saturating_duration_since(clock::now()));
        client.fetch_section(request).await
    };
    let outcome = match outcome.await {
        Ok(response) => Ok(response.into_inner().encode_to_vec().into()),
        Err(status) if status.code() == Code::Unavailable => Err(Failure::LaneLost),
        Err(status) => {
            let reason = crate::wire::refusal::reason_of(&status);
            Err(Failure::Refused { code: status.code(), reason })
        }
    };
    Arrival { at: clock::now(), outcome }
}

impl Question {
    /// The hash that the answer must echo.
    pub fn hash(&self) -> RequestHash {
        match self {
            Self::Lane(asking) => asking.hash(),
            Self::Unary(_, request) => RequestHash::of(request),
        }
    }

    /// Waits for the answer. Dropping the future cancels the question.
    pub async fn arrival(self, until: Instant) -> Arrival {
        match self {
            Self::Lane(mut asking) => asking.arrival().await,
            // On the heap: it is large, and every lane's question would carry it.
            Self::Unary(client, request) => Box::pin(call(*client, request, until)).await,
        }
    }
}
