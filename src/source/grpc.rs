//! A program of any language as a source: `SourceService` on a Unix socket or a
//! loopback port.
//!
//! It gives rows and is believed in nothing else: whose row it is, how many,
//! what fits the catalogue are judged above, as for any source. There is no TLS
//! and no certificate here, which is why the service must stand on this machine.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::Semaphore;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::cell::Cell;
use super::fault::{Reason, SourceError};
use super::mapping::Mapping;
use super::{Key, RowSink, Source};
use crate::clock;
use crate::config::mapping::LocalEndpoint;
use crate::wire::proto::pb;
use crate::wire::proto::pb::source_cell::Kind;
use crate::wire::proto::pb::source_service_client::SourceServiceClient;

/// Bytes of one answer at most: what a stock gRPC library takes as well.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// How long a connection on this machine may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A channel to a service on this machine. It connects when it is first used,
/// and again after the service was restarted.
///
/// Call it within a tokio runtime.
///
/// # Errors
/// [`SourceError`], where the socket's path is not UTF-8.
pub fn local_channel(endpoint: &LocalEndpoint) -> Result<Channel, SourceError> {
    let address = match endpoint {
        LocalEndpoint::Socket(path) => path.to_str().map(|path| format!("unix:{path}")),
        LocalEndpoint::Loopback(address) => Some(format!("http://{address}")),
    };
    let endpoint = address.and_then(|address| Endpoint::from_shared(address).ok());
    let wrong = || SourceError::new(Reason::Down, "the endpoint is no address of a service");
    Ok(endpoint.ok_or_else(wrong)?.connect_timeout(CONNECT_WITHIN).connect_lazy())
}

/// A `SourceService`, asked with a mapping's queries.
pub(super) struct Grpc {
    client: Result<SourceServiceClient<Channel>, SourceError>,
    /// Calls under way at once.
    calls: Semaphore,
    max_batch: usize,
    queries: Vec<Asked>,
}

/// What a query asks for.
struct Asked {
    name: Arc<str>,
    columns: Vec<String>,
}

impl Grpc {
    pub fn new(mapping: &Mapping, endpoint: &LocalEndpoint) -> Self {
        let queries = mapping.queries.iter().map(|query| Asked {
            name: Arc::clone(&query.name),
            columns: query.selected.iter().map(ToString::to_string).collect(),
        });
        let client = local_channel(endpoint).map(|channel| {
            SourceServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
        });
        Self {
            client,
            calls: Semaphore::new(mapping.limits.pool),
            max_batch: mapping.limits.max_batch,
            queries: queries.collect(),
        }
    }

    fn asked(&self, query: usize) -> Result<&Asked, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }

    /// One call, within the bounds of time and number. It is made once more when
    /// the service was not there: it only reads, and the first attempt may have
    /// gone to a connection that the service's restart had broken.
    async fn call<M: Clone, T, F>(
        &self,
        message: M,
        until: Instant,
        call: impl Fn(SourceServiceClient<Channel>, Request<M>) -> F,
    ) -> Result<T, SourceError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let client = self.client.clone()?;
        let asking = async {
            let _place = self.calls.acquire().await.map_err(|_| Status::cancelled(""))?;
            match call(client.clone(), until_of(message.clone(), until)).await {
                // A question that was on its way when its connection broke is cancelled.
                Err(status) if matches!(status.code(), Code::Unavailable | Code::Cancelled) => {
                    call(client, until_of(message, until)).await
                }
                answer => answer,
            }
        };
        let answer = tokio::time::timeout_at(until.into(), asking).await;
        let late = |_| SourceError::new(Reason::Timeout, "the service did not answer in time");
        answer.map_err(late)?.map(Response::into_inner).map_err(|status| fault(&status))
    }

    async fn describe(&self, until: Instant) -> Result<pb::DescribeSourceResponse, SourceError> {
        let describe = |mut client: SourceServiceClient<Channel>, request| async move {
            client.describe_source(request).await
        };
        self.call(pb::DescribeSourceRequest {}, until, describe).await
    }
}

/// A request that tells the service how long is waited.
fn until_of<T>(message: T, until: Instant) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(until.saturating_duration_since(clock::now()));
    request
}

impl Source for Grpc {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        async move {
            let asked = self.asked(query)?;
            let request = pb::FetchRowsRequest {
                query: asked.name.to_string(),
                columns: asked.columns.clone(),
                subjects: people.iter().map(|person| person.expose().to_string()).collect(),
            };
            let fetch = |mut client: SourceServiceClient<Channel>, request| async move {
                client.fetch_rows(request).await
            };
            let answer = self.call(request, until, fetch).await?;
            for row in &answer.rows {
                if row.cells.len() != asked.columns.len() {
                    let detail = format!(
                        "a row has {} cells where {} columns were asked for",
                        row.cells.len(),
                        asked.columns.len()
                    );
                    return Err(SourceError::new(Reason::Invalid, detail));
                }
                if give(row, sink).is_break() {
                    break;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn missing_columns<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Vec<SourceError>, SourceError>> {
        async move {
            let asked = self.asked(query)?;
            let described = self.describe(until).await?;
            let mut errors = Vec::new();
            let mut schema = |detail| errors.push(SourceError::new(Reason::Schema, detail));
            let most = described.max_subjects;
            if most > 0 && usize::try_from(most).is_ok_and(|most| most < self.max_batch) {
                schema(format!(
                    "the service takes {most} people at most: set `max_batch = {most}`"
                ));
            }
            let Some(known) = described.queries.iter().find(|known| *known.name == *asked.name)
            else {
                let detail = "the service describes no query of this name: correct the mapping or \
                              the service";
                schema(detail.to_owned());
                return Ok(errors);
            };
            let has = |wanted: &&String| known.columns.iter().all(|column| column.name != **wanted);
            for wanted in asked.columns.iter().filter(has) {
                schema(format!(
                    "the service describes no column `{wanted}`: correct the mapping or the service"
                ));
            }
            Ok(errors)
        }
        .boxed()
    }
}

fn give(row: &pb::SourceRow, sink: &mut dyn RowSink) -> ControlFlow<()> {
    let mut cells: Vec<Cell<'_>> = row.cells.iter().map(cell).collect();
    // The subject is a text: a number could have lost its leading zeros.
    if let Some(subject) = cells.first_mut()
        && !matches!(subject, Cell::Text(_))
    {
        *subject = Cell::Other;
    }
    sink.row(&cells)
}

fn cell(cell: &pb::SourceCell) -> Cell<'_> {
    match &cell.kind {
        None => Cell::Null,
        Some(Kind::Boolean(value)) => Cell::Bool(*value),
        Some(Kind::Integer(value)) => Cell::Integer(*value),
        Some(Kind::Real(value)) => Cell::Real(*value),
        Some(Kind::Text(value)) => Cell::Text(value),
    }
}

/// Sorts a status. The service's own text may quote a person's number, so only
/// the code is repeated.
fn fault(status: &Status) -> SourceError {
    let code = status.code();
    let (reason, what) = match code {
        Code::InvalidArgument | Code::NotFound | Code::Unimplemented | Code::FailedPrecondition => {
            (Reason::Schema, "the service does not know this query, its columns or this call")
        }
        Code::DeadlineExceeded => (Reason::Timeout, "the service did not answer in time"),
        Code::OutOfRange | Code::DataLoss => {
            (Reason::Invalid, "the service's answer is too large or no message")
        }
        Code::Unavailable | Code::Cancelled => {
            (Reason::Down, "the service cannot be reached or read")
        }
        Code::ResourceExhausted => (Reason::Overloaded, "the service takes no more for now"),
        _ => (Reason::Down, "the service failed"),
    };
    SourceError::new(reason, format!("{what} ({code:?})"))
}
