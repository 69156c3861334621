//! A service that answers with JSON as a source. People go into a request's body
//! as a JSON array, or one by one into its path, percent-encoded; rows and cells
//! are found by JSONPath (RFC 9535).
//!
//! What is sent and how often is `exchange`'s business, what an answer means
//! `reading`'s.

pub(super) mod auth;
pub(super) mod client;
mod exchange;
pub(super) mod oauth2;
pub(super) mod reading;
pub(super) mod request;
mod rows_path;

use std::ops::ControlFlow;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use rust_decimal::Decimal;
use serde_json::Value;
use serde_json_path::JsonPath;

use self::exchange::Service;
use self::request::{PeopleAt, Request};
use super::cell::{Cell, Unfit};
use super::fault::{Reason, SourceError};
use super::mapping::Mapping;
use super::place::HttpPlace;
use super::query::Ask;
use super::within::within;
use super::{Key, RowSink, Source};

/// A service, asked with a mapping's queries.
pub(super) struct Http {
    service: Service,
    pool: usize,
    queries: Vec<Option<Request>>,
}

impl Http {
    pub fn new(mapping: &Mapping, place: &HttpPlace) -> Self {
        let request = |ask: &Ask| match ask {
            Ask::Request(request) => Some((**request).clone()),
            _ => None,
        };
        Self {
            service: Service::new(place, mapping.limits.pool),
            pool: mapping.limits.pool,
            queries: mapping.queries.iter().map(|query| request(&query.ask)).collect(),
        }
    }

    fn request(&self, query: usize) -> Result<&Request, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).and_then(Option::as_ref).ok_or_else(unknown)
    }
}

impl Source for Http {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let request = self.request(query)?;
            let headers = self.service.headers().await?;
            let each = match request.people {
                PeopleAt::Body(_) => people.len().max(1),
                PeopleAt::Path => 1,
            };
            let asking: Vec<BoxFuture<'_, _>> = people
                .chunks(each)
                .map(|people| self.service.rows(request, people, &headers, until).boxed())
                .collect();
            let alone = asking.len() == 1;
            let mut answers = futures_util::stream::iter(asking).buffer_unordered(self.pool);
            while let Some(answer) = answers.next().await {
                let rows = answer.map_err(|error| match error.reason {
                    // One person's answer: the others are asked about apart from it.
                    Reason::Schema if !alone => SourceError { reason: Reason::Invalid, ..error },
                    _ => error,
                })?;
                for row in &rows {
                    let cells: Vec<Cell<'_>> =
                        request.columns.iter().map(|path| cell(path, row)).collect();
                    if sink.row(&cells) == ControlFlow::Break(()) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    /// Nothing is known of an answer's members before there is one.
    fn missing_columns<'a>(
        &'a self,
        query: usize,
        _until: Instant,
    ) -> BoxFuture<'a, Result<Vec<SourceError>, SourceError>> {
        Box::pin(async move { self.request(query).map(|_| Vec::new()) })
    }
}

fn cell<'a>(path: &JsonPath, row: &'a Value) -> Cell<'a> {
    let found = match path.query(row).at_most_one() {
        Ok(None) => return Cell::Null,
        Ok(Some(found)) => found,
        Err(_) => return Cell::Broken(Unfit::Several),
    };
    match found {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::String(text) => Cell::Text(text),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Cell::Integer(number),
            (None, Some(number), _) => Cell::Decimal(Decimal::from(number)),
            (None, None, Some(number)) => Cell::Real(number),
            _ => Cell::Other,
        },
        Value::Array(_) | Value::Object(_) => Cell::Other,
    }
}

/// Sorts an error of the client. Its own text holds the address, and with it a
/// person; what lies under it does not.
fn fault(error: &reqwest::Error) -> SourceError {
    if error.is_timeout() {
        return SourceError::new(Reason::Timeout, "the service did not answer in time");
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
        // Its own source is told by it.
        if innermost.is::<std::io::Error>() {
            break;
        }
    }
    match innermost.downcast_ref::<std::io::Error>() {
        Some(io) => SourceError::unreached(io),
        None => SourceError::new(Reason::Down, "the connection failed"),
    }
}
