//! A reviewer's client: what `audit review` asks with. It uses the public protocol
//! and believes nothing that it can check.

use tonic::transport::Channel;

use super::client::{Address, ClientError, MAX_ANSWER_BYTES, channel};
use crate::domain::audit::export::Line;
use crate::domain::audit::{Query, SubjectTag};
use crate::wire::audit as message;
use crate::wire::proto::pb;
use crate::wire::proto::pb::audit_service_client::AuditServiceClient;

/// A connection to a gateway's audit log.
#[derive(Debug, Clone)]
pub struct ReviewClient {
    client: AuditServiceClient<Channel>,
    /// What the lines say is the log's origin.
    origin: String,
}

/// A part of an answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The records.
    pub lines: Vec<Line>,
    /// Where the next page begins.
    pub next: Option<u64>,
    /// What the gateway says of how far its log is pruned, unchecked; empty where it was not.
    pub pruned: String,
}

impl ReviewClient {
    /// Connects; `origin` is the log's, as its public key names it.
    ///
    /// # Errors
    /// Why there is no link.
    pub async fn connect(address: &Address, origin: &str) -> Result<Self, ClientError> {
        let client = AuditServiceClient::new(channel(address).await?)
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { client, origin: origin.to_owned() })
    }

    /// A page of the records that answer a query; its tags are left aside.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn list(
        &mut self,
        query: &Query,
        from: u64,
        page_size: u32,
    ) -> Result<Page, ClientError> {
        let text = |text: Option<String>| text.unwrap_or_default();
        let request = pb::ListRecordsRequest {
            request_id: text(query.request.as_ref().map(ToString::to_string)),
            consumer: text(query.consumer.as_ref().map(ToString::to_string)),
            agency: text(query.agency.as_ref().map(ToString::to_string)),
            since_micros: query.since.unwrap_or_default().0,
            until_micros: query.until.unwrap_or_default().0,
            from_index: from,
            page_size,
        };
        let answer = self.client.list_records(request).await?.into_inner();
        Ok(self.page(answer.records, answer.next_index, answer.pruned))
    }

    /// A page of the records about the person to whom the tags belong.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn subject_access(
        &mut self,
        tags: impl IntoIterator<Item = &SubjectTag>,
        from: u64,
    ) -> Result<Page, ClientError> {
        let tags = tags.into_iter().map(|tag| tag.expose().to_vec().into()).collect();
        let request = pb::GetSubjectAccessRequest { tags, from_index: from };
        let answer = self.client.get_subject_access(request).await?.into_inner();
        Ok(self.page(answer.records, answer.next_index, answer.pruned))
    }

    /// The newest published checkpoint, unchecked.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn checkpoint(&mut self) -> Result<String, ClientError> {
        let answer = self.client.get_checkpoint(pb::GetCheckpointRequest {}).await?;
        Ok(answer.into_inner().checkpoint)
    }

    /// A proof that a record is in the log, unchecked.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn inclusion(
        &mut self,
        index: u64,
    ) -> Result<pb::ProveInclusionResponse, ClientError> {
        let request = pb::ProveInclusionRequest { index };
        Ok(self.client.prove_inclusion(request).await?.into_inner())
    }

    /// A proof that the log continues what it was, unchecked.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn consistency(
        &mut self,
        old_size: u64,
    ) -> Result<pb::ProveConsistencyResponse, ClientError> {
        let request = pb::ProveConsistencyRequest { old_size };
        Ok(self.client.prove_consistency(request).await?.into_inner())
    }

    fn page(&self, records: Vec<pb::AuditRecord>, next: u64, pruned: String) -> Page {
        let records = records.into_iter();
        let lines = records.filter_map(|record| message::decode_record(&self.origin, record));
        Page { lines: lines.collect(), next: (next != 0).then_some(next), pruned }
    }
}
