//! The audit log for reviewers: admission, the search and its own record, the
//! answer, in this order. A search that cannot be recorded gets no answer.
//!
//! The log is read from its files, like any tlog-tiles reader does; what is asked
//! for is found by the index.

mod finding;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status};

use crate::clock;
use crate::domain::audit::{SearchKind, SearchRecord, Timestamp, VerifyingKey};
use crate::domain::peer::PeerId;
use crate::domain::reason::Reason;
use crate::domain::reviewer::{Act, Questions, ReviewPolicy, ReviewRefusal};
use crate::service::audit::recorder::Recorder;
use crate::service::peer::peer_of;
use crate::service::random;
use crate::store::index::{Found, Index, IndexError};
use crate::store::proof::{self, ProveError};
use crate::store::pruned;
use crate::wire::audit as message;
use crate::wire::deadline;
use crate::wire::proto::pb;
use crate::wire::proto::pb::audit_service_server::AuditService;
use crate::wire::refusal::Refusal;

/// Longest time given to one question: it may have to bring the index up to date.
const MAX_DEADLINE: Duration = Duration::from_secs(20);

/// Questions under way at once, of all reviewers together: they must not keep the
/// disk from those who ask for profiles.
const MAX_IN_FLIGHT: usize = 4;

/// What a gateway tells its reviewers.
#[derive(Debug)]
pub struct Review {
    policy: ArcSwap<ReviewPolicy>,
    max_page: AtomicU32,
    asked: Mutex<Questions>,
    recorder: Arc<Recorder>,
    /// Of the log that is written, with its folder; opened by the first search, and held by
    /// whichever is under way, on its own thread.
    index: Arc<AsyncMutex<Option<(PathBuf, Index)>>>,
    room: Arc<Semaphore>,
}

impl Review {
    /// Reviewers under this policy, of the log that the recorder writes.
    pub fn new(policy: ReviewPolicy, max_page: u32, recorder: Arc<Recorder>) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            max_page: AtomicU32::new(max_page),
            asked: Mutex::default(),
            recorder,
            index: Arc::default(),
            room: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        }
    }

    /// Lets these in from now on, and gives no longer pages.
    pub fn replace(&self, policy: ReviewPolicy, max_page: u32) {
        self.policy.store(Arc::new(policy));
        self.max_page.store(max_page, Relaxed);
    }

    fn admit(&self, peer: &PeerId, act: Act) -> Result<(), Refusal> {
        let now = clock::utc().unix_timestamp();
        let minute = u64::try_from(now).unwrap_or_default() / 60;
        let mut asked = self.asked.lock();
        self.policy.load().admit(&mut asked, peer.spiffe(), act, minute).map_err(|refusal| {
            let reason = match refusal {
                ReviewRefusal::NotAReviewer => Reason::NotAReviewer,
                ReviewRefusal::NotAllowed => Reason::ReviewDenied,
                ReviewRefusal::Quota(_) => Reason::ReviewQuota,
            };
            // Quotas begin anew with each minute of the clock.
            let retry_after = reason
                .retry_after()
                .map(|_| Duration::from_secs(60 - u64::try_from(now).unwrap_or_default() % 60));
            Refusal { retry_after, ..Refusal::new(reason, refusal.to_string()) }
        })
    }
}

/// A question that was let in. Its place is taken until whatever works for it on a thread
/// has ended, also when nobody awaits the answer any more.
#[derive(Clone)]
struct Asked {
    review: Arc<Review>,
    room: Arc<OwnedSemaphorePermit>,
}

impl Asked {
    /// Searches, records the search, and only then gives what was found.
    async fn search(
        &self,
        peer: &PeerId,
        kind: SearchKind,
        search: message::Search,
    ) -> Result<Found, Refusal> {
        let recorder = &self.review.recorder;
        recorder.check_ready()?;
        let keys = search.query.keys();
        let found = self.find(search).await;
        let found = found.map_err(|error| {
            tracing::error!(reason = %Reason::IndexDown, "the audit log cannot be searched: {error}");
            let message = "the audit log cannot be searched now; the gateway's own log says why";
            Refusal::new(Reason::IndexDown, message)
        })?;
        let record = SearchRecord {
            time: Timestamp::new(clock::process().recorded()),
            reviewer: peer.spiffe().clone(),
            kind,
            keys,
            hits: found.hits.len() as u64,
        };
        recorder.record_search(record).await?;
        Ok(found)
    }

    /// Searches on a thread that may wait. When nobody awaits the answer any more, what
    /// brings the index up to date ends, and the next search has it afterwards.
    async fn find(&self, search: message::Search) -> Result<Found, IndexError> {
        let mut index = Arc::clone(&self.review.index).lock_owned().await;
        let log = self.review.recorder.log().folder();
        let room = Arc::clone(&self.room);
        let awaited = Arc::new(());
        let asker = Arc::downgrade(&awaited);
        let found = tokio::task::spawn_blocking(move || {
            let _room = room;
            let mut once = || finding::find(&mut index, &log, &search, &asker);
            match once() {
                // What is there is not what the log says: once more, from nothing.
                Err(IndexError::Differs(_)) => once(),
                found => found,
            }
        });
        let found = found.await;
        drop(awaited);
        found.map_err(|_| IndexError::Ended)?
    }

    /// What a search finds, where to go on, and how far the log is pruned.
    async fn found(
        &self,
        peer: &PeerId,
        kind: SearchKind,
        search: message::Search,
    ) -> Result<(Vec<pb::AuditRecord>, u64, String), Refusal> {
        let found = self.search(peer, kind, search).await?;
        let note = self.prove(|log, key| Ok(pruned::note(&log, &key)?)).await?;
        let hits = found.hits.iter();
        let records = hits.map(|hit| message::encode_record(hit.index, hit.leaf, &hit.record));
        let note = note.map(|(note, _)| note).unwrap_or_default();
        Ok((records.collect(), found.next.unwrap_or_default(), note))
    }

    async fn prove<T: Send + 'static>(
        &self,
        work: impl FnOnce(PathBuf, VerifyingKey) -> Result<T, ProveError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let log = self.review.recorder.log().folder();
        let room = Arc::clone(&self.room);
        let worked = tokio::task::spawn_blocking(move || {
            let _room = room;
            work(log.dir, log.key)
        });
        let worked = worked.await;
        match worked {
            Ok(Ok(proof)) => Ok(proof),
            Ok(Err(error @ ProveError::NoEntry { .. })) => {
                Err(Refusal::new(Reason::NoEntry, error.to_string()))
            }
            Ok(Err(error)) => {
                tracing::error!(reason = %Reason::NoProof, "the audit log gives no proof: {error}");
                Err(no_proof())
            }
            Err(_) => Err(no_proof()),
        }
    }
}

fn no_proof() -> Refusal {
    let message = "the audit log gives no proof now; the gateway's own log says why";
    Refusal::new(Reason::NoProof, message)
}

/// The service of a gateway's reviewers.
#[derive(Debug, Clone)]
pub struct ReviewServer(Arc<Review>);

impl ReviewServer {
    /// Serves reviewers.
    pub const fn new(review: Arc<Review>) -> Self {
        Self(review)
    }

    /// Admits a question and answers it in time; a refusal is counted in the log.
    async fn answer<Q, A, F>(
        &self,
        act: Act,
        request: Request<Q>,
        work: impl FnOnce(Asked, PeerId, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Refusal>>,
    {
        let peer = peer_of(&request);
        let answered = async {
            let now = clock::now();
            let until = deadline::deadline(request.metadata(), now, MAX_DEADLINE);
            let peer = peer.clone()?;
            self.0.admit(&peer, act)?;
            let room = Arc::clone(&self.0.room).try_acquire_owned().map_err(|_| {
                Refusal::overloaded("as many reviewers' questions are under way as are taken")
            })?;
            let asked = Asked { review: self.0.clone(), room: Arc::new(room) };
            let work = work(asked, peer, request.into_inner());
            tokio::time::timeout_at(until.into(), work).await.map_err(|_| {
                let message =
                    "the question was not answered in time; give it longer or ask for less";
                Refusal::new(Reason::Deadline, message)
            })?
        };
        answered.await.map(Response::new).map_err(|refusal: Refusal| {
            if let Ok(peer) = &peer {
                self.0.recorder.count_refusal(peer.spiffe(), refusal.reason);
            }
            let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
            let id = random::id().unwrap_or_default();
            tracing::info!(peer, refusal = id, reason = %refusal.reason, code = ?refusal.code(), "refused");
            refusal.into_status(&id)
        })
    }
}

#[tonic::async_trait]
impl AuditService for ReviewServer {
    async fn list_records(
        &self,
        request: Request<pb::ListRecordsRequest>,
    ) -> Result<Response<pb::ListRecordsResponse>, Status> {
        let work = async |asked: Asked, peer: PeerId, request| {
            let search = message::decode_list(&request, asked.review.max_page.load(Relaxed))?;
            let (records, next_index, pruned) =
                asked.found(&peer, SearchKind::List, search).await?;
            Ok(pb::ListRecordsResponse { records, next_index, pruned })
        };
        self.answer(Act::List, request, work).await
    }

    async fn get_subject_access(
        &self,
        request: Request<pb::GetSubjectAccessRequest>,
    ) -> Result<Response<pb::GetSubjectAccessResponse>, Status> {
        let work = async |asked: Asked, peer: PeerId, request| {
            let search = message::decode_access(&request, asked.review.max_page.load(Relaxed))?;
            let (records, next_index, pruned) =
                asked.found(&peer, SearchKind::SubjectAccess, search).await?;
            Ok(pb::GetSubjectAccessResponse { records, next_index, pruned })
        };
        self.answer(Act::SubjectAccess, request, work).await
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::GetCheckpointResponse>, Status> {
        let work = async |asked: Asked, _: PeerId, _| {
            let signed = asked.prove(|log, key| proof::published(&log, &key)).await?;
            Ok(pb::GetCheckpointResponse { checkpoint: signed.as_str().to_owned() })
        };
        self.answer(Act::Prove, request, work).await
    }

    async fn prove_inclusion(
        &self,
        request: Request<pb::ProveInclusionRequest>,
    ) -> Result<Response<pb::ProveInclusionResponse>, Status> {
        let work = async |asked: Asked, _: PeerId, request: pb::ProveInclusionRequest| {
            let index = request.index;
            let proved = asked.prove(move |log, key| proof::prove_leaf(&log, &key, index));
            let proved = proved.await?;
            let hashes = proved.path.iter().map(|hash| Bytes::copy_from_slice(&hash.0));
            Ok(pb::ProveInclusionResponse {
                leaf_hash: Bytes::copy_from_slice(&proved.leaf.0),
                path: Some(pb::InclusionPath { hashes: hashes.collect() }),
                checkpoint: proved.checkpoint.as_str().to_owned(),
            })
        };
        self.answer(Act::Prove, request, work).await
    }

    async fn prove_consistency(
        &self,
        request: Request<pb::ProveConsistencyRequest>,
    ) -> Result<Response<pb::ProveConsistencyResponse>, Status> {
        let work = async |asked: Asked, _: PeerId, request: pb::ProveConsistencyRequest| {
            let old = request.old_size;
            let proved = asked.prove(move |log, key| proof::prove_consistency(&log, &key, old));
            let proved = proved.await?;
            let hashes = proved.hashes.iter().map(|hash| Bytes::copy_from_slice(&hash.0));
            Ok(pb::ProveConsistencyResponse {
                hashes: hashes.collect(),
                checkpoint: proved.checkpoint.as_str().to_owned(),
            })
        };
        self.answer(Act::Prove, request, work).await
    }
}

#[cfg(test)]
mod tests;
