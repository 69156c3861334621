//! A service that answers with JSON as a source. People go into a request's body
//! as a JSON array, or one by one into its path, percent-encoded; rows and cells
//! are found by JSONPath (RFC 9535).

pub(super) mod client;
pub(super) mod request;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use request::{People, Request};
use rust_decimal::Decimal;
use serde_json::Value;
use serde_json_path::JsonPath;
use tokio::sync::Semaphore;

use super::cell::{Cell, Unfit};
use super::fault::{Reason, SourceError};
use super::mapping::{Ask, Mapping};
use super::place::HttpPlace;
use super::pool::secret;
use super::within::within;
use super::{Key, RowSink, Source};
use crate::config::mapping::SecretEntry;
use crate::domain::sensitive::Sensitive;

/// A service, asked with a mapping's queries.
pub(super) struct Http {
    client: reqwest::Client,
    base: reqwest::Url,
    token: Option<SecretEntry>,
    max_bytes: usize,
    pool: usize,
    permits: Semaphore,
    queries: Vec<Option<Request>>,
}

impl Http {
    pub fn new(mapping: &Mapping, place: &HttpPlace) -> Self {
        let request = |ask: &Ask| match ask {
            Ask::Request(request) => Some((**request).clone()),
            _ => None,
        };
        Self {
            client: place.client.clone(),
            base: place.base.clone(),
            token: place.token.clone(),
            max_bytes: place.max_bytes,
            pool: mapping.limits.pool,
            permits: Semaphore::new(mapping.limits.pool),
            queries: mapping.queries.iter().map(|query| request(&query.ask)).collect(),
        }
    }

    fn request(&self, query: usize) -> Result<&Request, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).and_then(Option::as_ref).ok_or_else(unknown)
    }

    async fn token(&self) -> Result<Option<Sensitive<String>>, SourceError> {
        secret(self.token.as_ref()).await
    }

    /// One request and its answer; `None` where there is nobody.
    async fn answer(
        &self,
        request: &Request,
        people: &[Key],
        token: Option<&Sensitive<String>>,
        until: Instant,
    ) -> Result<Option<Value>, SourceError> {
        let Some((path, body)) = request.of(people) else {
            return Ok(None);
        };
        let malformed = |_| SourceError::new(Reason::Schema, "its path makes no address");
        let url = self.base.join(&path).map_err(malformed)?;
        let one = matches!(request.people, People::Path);
        let mut asking = match body {
            Some(body) => self
                .client
                .post(url)
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body),
            None => self.client.get(url),
        };
        if let Some(token) = token {
            asking = asking.bearer_auth(token.expose());
        }
        let left = until.saturating_duration_since(crate::clock::now());
        let asking = asking.timeout(left);
        let again = asking.try_clone();
        let _permit = self.permits.acquire().await;
        let answer = match (asking.send().await, again) {
            // A kept connection may have died meanwhile; to ask twice changes nothing.
            (Err(error), Some(again)) if !error.is_timeout() && !error.is_connect() => {
                again.send().await
            }
            (answer, _) => answer,
        };
        let answer = answer.map_err(|error| fault(&error))?;
        match answer.status().as_u16() {
            200 => {}
            404 if one => return Ok(None),
            code => return Err(refused(code)),
        }
        let bytes = self.body(answer).await?;
        let parsed = serde_json::from_slice(&bytes).map_err(|error| {
            // The library's text would quote the answer.
            let detail = format!("its answer is no JSON, from line {} on", error.line());
            SourceError::new(Reason::Invalid, detail)
        })?;
        Ok(Some(parsed))
    }

    /// An answer's bytes; one that is too long is not read to its end.
    async fn body(&self, answer: reqwest::Response) -> Result<Vec<u8>, SourceError> {
        let mut answer = answer;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| fault(&error))? {
            if bytes.len() + chunk.len() > self.max_bytes {
                let limit = self.max_bytes / (1024 * 1024);
                let detail = format!("its answer has more than max_mib = {limit}: it was cut");
                return Err(SourceError::new(Reason::Down, detail));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
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
            let token = self.token().await?;
            let each = match request.people {
                People::Body(_) => people.len().max(1),
                People::Path => 1,
            };
            let asking: Vec<BoxFuture<'_, _>> = people
                .chunks(each)
                .map(|people| self.answer(request, people, token.as_ref(), until).boxed())
                .collect();
            let mut answers = futures_util::stream::iter(asking).buffer_unordered(self.pool);
            while let Some(answer) = answers.next().await {
                let Some(answer) = answer? else {
                    continue;
                };
                for row in request.rows.query(&answer).all() {
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

    fn probe<'a>(&'a self, until: Instant) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let left = until.saturating_duration_since(crate::clock::now());
            let asking = self.client.head(self.base.clone()).timeout(left);
            // Whatever it says, it is there.
            asking.send().await.map(drop).map_err(|error| fault(&error))
        })
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

fn refused(code: u16) -> SourceError {
    match code {
        401 | 403 => {
            let detail = format!("the service refuses our token or certificate (status {code})");
            SourceError::new(Reason::Down, detail)
        }
        408 | 425 | 429 | 500..=599 => {
            SourceError::new(Reason::Down, format!("the service fails (status {code})"))
        }
        300..=399 => {
            let detail =
                format!("the service sends us elsewhere (status {code}): name that address");
            SourceError::new(Reason::Schema, detail)
        }
        _ => SourceError::new(
            Reason::Schema,
            format!("the service does not take the request (status {code})"),
        ),
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

/// How long a connection may take to be made.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
