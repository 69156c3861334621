//! A question on its way to one agency, whichever way it takes: on a lane, or as a
//! FetchSection call where the agency's server has no Exchange.

use std::time::Instant;

use prost::Message;
use tokio::task::AbortHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::clock;
use crate::service::agencies::replies::Reply;
use crate::service::agencies::request::Form;
use crate::service::agencies::stream::{Arrival, Asking, Failure};
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;

/// A question on its way to an agency. Dropped before the answer came, it is
/// cancelled.
#[derive(Debug)]
pub enum UnderWay {
    /// On a lane.
    Lane(Asking),
    /// As a FetchSection call.
    Call(Call),
    /// Answered already: there was no way.
    Nowhere,
}

impl UnderWay {
    /// Its answer has come: there is nothing to cancel.
    pub fn answered(self) {
        if let Self::Lane(asking) = self {
            asking.answered();
        }
    }
}

/// A call's task, which ends with whoever wants the answer.
#[derive(Debug)]
pub struct Call(AbortHandle);

impl Call {
    /// Asks; the answer goes to `reply`.
    pub fn start(
        client: AgencyServiceClient<Channel>,
        form: Form,
        until: Instant,
        reply: Reply,
    ) -> Self {
        Self(tokio::spawn(call(client, form, until, reply)).abort_handle())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks by a FetchSection call.
async fn call(mut client: AgencyServiceClient<Channel>, form: Form, until: Instant, reply: Reply) {
    let outcome = async {
        let decoded =
            pb::FetchSectionRequest::decode(form.request).map_err(|_| Status::internal("request"));
        let mut request = tonic::Request::new(decoded?);
        request.set_timeout(until.saturating_duration_since(clock::now()));
        client.fetch_section(request).await
    };
    let outcome = match outcome.await {
        Ok(response) => Ok(response.into_inner().encode_to_vec().into()),
        Err(status) if status.code() == Code::Unavailable => Err(Failure::LaneLost),
        Err(status) => {
            let reason = crate::wire::refusal::reason_of(&status);
            Err(Failure::refused(status.code(), reason, form.named))
        }
    };
    reply.give(Arrival { at: clock::now(), outcome });
}
