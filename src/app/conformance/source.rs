//! Level `source`: a `SourceService`, asked as the agency beside it would.

mod bounds;
mod describe;
mod mapped;
mod people;
mod rows;

use futures_util::FutureExt;
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::plan::SourcePlan;
use super::{Check, Level, Report, Stop, Verdict, check, failed, run_all, skipped};
use crate::config::mapping::LocalEndpoint;
use crate::source::{MAX_ANSWER_BYTES, SourceError, local_channel};
use crate::wire::proto::pb;
use crate::wire::proto::pb::source_cell::Kind;
use crate::wire::proto::pb::source_service_client::SourceServiceClient;

/// Queries that the kit looks at; a source has few.
const MAX_QUERIES: usize = 64;

/// Every check, in the order in which they are made.
#[rustfmt::skip]
pub(super) static CHECKS: &[Check<SourceBench>] = &[
    check(101, "DescribeSource answers in time", |b| describe::answers(b).boxed()),
    check(102, "it describes queries with distinct, usable names", |b| describe::queries(b).boxed()),
    check(103, "each query has a subject and other columns, with distinct names", |b| describe::columns(b).boxed()),
    check(104, "it describes itself alike twice", |b| describe::stable(b).boxed()),
    check(105, "every column's kind is one that the protocol knows", |b| describe::kinds(b).boxed()),
    check(110, "each test person has a row", |b| people::known(b).boxed()),
    check(111, "a row's first cell repeats the subject byte for byte, as text", |b| people::subject_cell(b).boxed()),
    check(112, "no row of a person who was not asked about", |b| people::nobody_else(b).boxed()),
    check(113, "one row a person and query at most", |b| people::one_row(b).boxed()),
    check(114, "a number that is nobody's has no row, and that is no error", |b| people::unknown(b).boxed()),
    check(115, "a known person is found beside an unknown one", |b| people::beside(b).boxed()),
    check(116, "people in one batch get the rows that each gets alone", |b| people::batch(b).boxed()),
    check(117, "nobody's rows for nobody: an empty batch", |b| people::none(b).boxed()),
    check(118, "a subject is compared exactly: no trimming, no other case, no pattern", |b| people::exact(b).boxed()),
    check(119, "a subject is never part of a statement", |b| people::injection(b).boxed()),
    check(120, "a row has a cell for each column asked for", |b| rows::width(b).boxed()),
    check(121, "cells come in the order asked for", |b| rows::order(b).boxed()),
    check(122, "cells are of the kind announced", |b| rows::kinds(b).boxed()),
    check(123, "numbers are finite", |b| rows::finite(b).boxed()),
    check(124, "texts are short and printable", |b| rows::texts(b).boxed()),
    check(125, "dates are of the form YYYY-MM-DD", |b| rows::dates(b).boxed()),
    check(126, "the same question twice has the same answer", |b| rows::stable(b).boxed()),
    check(127, "a cell may be asked for alone", |b| rows::subset(b).boxed()),
    check(130, "an unknown query is refused", |b| bounds::unknown_query(b).boxed()),
    check(131, "an unknown column is refused", |b| bounds::unknown_column(b).boxed()),
    check(132, "no columns at all are refused or give no cells", |b| bounds::no_columns(b).boxed()),
    check(133, "a refusal's text repeats no subject", |b| bounds::silent_refusal(b).boxed()),
    check(134, "as many subjects as announced are answered", |b| bounds::full_batch(b).boxed()),
    check(135, "more subjects than announced are refused", |b| bounds::beyond_batch(b).boxed()),
    check(136, "calls at once each get their own answer", |b| bounds::concurrent(b).boxed()),
    check(137, "it goes on after a call was cancelled", |b| bounds::cancelled(b).boxed()),
    check(138, "garbage is refused, and it goes on", |b| bounds::garbage(b).boxed()),
    check(140, "it describes every query and column of the mapping", |b| mapped::described(b).boxed()),
    check(141, "values of the test people fit the catalogue", |b| mapped::fits(b).boxed()),
    check(142, "expected cells are found", |b| mapped::expected(b).boxed()),
];

/// What the checks ask with.
pub(super) struct SourceBench {
    plan: SourcePlan,
    channel: Channel,
    endpoint: LocalEndpoint,
    described: OnceCell<Result<pb::DescribeSourceResponse, Status>>,
}

/// Checks the service at this endpoint.
///
/// Call it within a tokio runtime.
///
/// # Errors
/// The endpoint is no address. Whatever the service does is a finding.
pub async fn run(endpoint: &LocalEndpoint, plan: SourcePlan) -> Result<Report, SourceError> {
    let channel = local_channel(endpoint)?;
    let described = OnceCell::new();
    let bench = SourceBench { plan, channel, endpoint: endpoint.clone(), described };
    Ok(run_all(Level::Source, CHECKS, &bench).await)
}

impl SourceBench {
    fn client(&self) -> SourceServiceClient<Channel> {
        SourceServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn timed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.plan.deadline);
        request
    }

    /// Ends a call that outlives the deadline, whatever the service does.
    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        let late = |_| Status::deadline_exceeded("no answer in time");
        let answer = tokio::time::timeout(self.plan.deadline, call).await;
        answer.map_err(late)?.map(tonic::Response::into_inner)
    }

    async fn describe(&self) -> Result<pb::DescribeSourceResponse, Status> {
        let request = self.timed(pb::DescribeSourceRequest {});
        self.bounded(self.client().describe_source(request)).await
    }

    /// The description, asked for once.
    async fn described(&self) -> Verdict<&pb::DescribeSourceResponse> {
        let described = self.described.get_or_init(|| self.describe()).await;
        match described {
            Ok(described) => Ok(described),
            Err(_) => skipped("there is no description: see check 101"),
        }
    }

    /// The queries that can be asked: with a column for the subject.
    async fn queries(&self) -> Verdict<Vec<&pb::SourceQuery>> {
        let queries: Vec<_> = self.described().await?.queries.iter().take(MAX_QUERIES).collect();
        if queries.iter().all(|query| query.columns.is_empty()) {
            return skipped("no query with columns is described");
        }
        Ok(queries.into_iter().filter(|query| !query.columns.is_empty()).collect())
    }

    async fn fetch(&self, request: pb::FetchRowsRequest) -> Result<Vec<pb::SourceRow>, Status> {
        let request = self.timed(request);
        Ok(self.bounded(self.client().fetch_rows(request)).await?.rows)
    }

    /// A query's whole rows for these people; a refusal is a failure.
    async fn rows(&self, query: &pb::SourceQuery, people: &[&str]) -> Verdict<Vec<pb::SourceRow>> {
        self.fetch(question(query, people)).await.map_err(|status| refused(query, &status))
    }

    /// The rows of all test people together, query by query.
    async fn known_rows(&self) -> Verdict<Vec<(&pb::SourceQuery, Vec<pb::SourceRow>)>> {
        let mut all = Vec::new();
        for query in self.queries().await? {
            all.push((query, self.rows(query, &self.known()).await?));
        }
        if all.iter().all(|(_, rows)| rows.is_empty()) {
            return skipped("no test person has a row: see check 110");
        }
        Ok(all)
    }

    fn known(&self) -> Vec<&str> {
        self.plan.known.iter().map(|person| person.number().expose().as_str()).collect()
    }

    fn unknown(&self) -> &str {
        self.plan.unknown.number().expose()
    }

    /// A query in which a test person has a row, and that person.
    async fn someone(&self) -> Verdict<(&pb::SourceQuery, &str)> {
        for query in self.queries().await? {
            for person in self.known() {
                if !self.rows(query, &[person]).await?.is_empty() {
                    return Ok((query, person));
                }
            }
        }
        skipped("no test person has a row: see check 110")
    }

    /// Whether it still answers.
    async fn goes_on(&self) -> Verdict {
        match self.describe().await {
            Ok(_) => Ok(()),
            Err(status) => failed(format!("afterwards it answers no more: {:?}", status.code())),
        }
    }
}

fn question(query: &pb::SourceQuery, people: &[&str]) -> pb::FetchRowsRequest {
    pb::FetchRowsRequest {
        query: query.name.clone(),
        columns: query.columns.iter().map(|column| column.name.clone()).collect(),
        subjects: people.iter().map(ToString::to_string).collect(),
    }
}

/// The code alone: a text may quote a person's number.
fn refused(query: &pb::SourceQuery, status: &Status) -> Stop {
    let name = query.name.escape_default();
    Stop::Failed(format!("query `{name}` is refused with {:?}", status.code()))
}

fn text(cell: &pb::SourceCell) -> Option<&str> {
    match &cell.kind {
        Some(Kind::Text(text)) => Some(text),
        _ => None,
    }
}

/// Whose row it says it is.
fn subject(row: &pb::SourceRow) -> Option<&str> {
    row.cells.first().and_then(text)
}

/// Rows so that two answers can be compared: in an order of their own, and with
/// every NaN made alike, which is unlike itself and check 123's business.
fn sorted(mut rows: Vec<pb::SourceRow>) -> Vec<pb::SourceRow> {
    for cell in rows.iter_mut().flat_map(|row| &mut row.cells) {
        if matches!(cell.kind, Some(Kind::Real(number)) if number.is_nan()) {
            cell.kind = None;
        }
    }
    rows.sort_by(|one, other| subject(one).cmp(&subject(other)));
    rows
}
