//! One question to a service: its requests, page by page, each sent once more when
//! that may help and time is left. To ask twice changes nothing, since a question
//! only reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use reqwest::Url;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::auth::{Auth, Headers};
use super::fault;
use super::request::{PeopleAt, Request};
use crate::clock;
use crate::source::Key;
use crate::source::fault::{Reason, SourceError};
use crate::source::place::HttpPlace;

/// How long to wait before a second attempt where the service does not say.
const PAUSE: Duration = Duration::from_millis(100);

/// A service and how it is asked.
pub(super) struct Service {
    client: reqwest::Client,
    base: Url,
    auth: Arc<Auth>,
    max_bytes: usize,
    max_pages: usize,
    permits: Semaphore,
}

/// What is sent for one page.
struct Asked {
    url: Url,
    body: Option<Vec<u8>>,
}

/// An answer as it came.
struct Answer {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

/// No answer came.
struct Failed {
    error: SourceError,
    /// Whether a second attempt may have one.
    again: bool,
}

impl Failed {
    fn of(error: &reqwest::Error) -> Self {
        let error = fault(error);
        Self { again: error.reason == Reason::Down, error }
    }
}

impl From<Failed> for SourceError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl Service {
    pub fn new(place: &HttpPlace, pool: usize) -> Self {
        Self {
            client: place.client.clone(),
            base: place.base.clone(),
            auth: Arc::clone(&place.auth),
            max_bytes: place.max_bytes,
            max_pages: place.max_pages,
            permits: Semaphore::new(pool),
        }
    }

    /// The headers of a statement's requests.
    pub async fn headers(&self) -> Result<Headers, SourceError> {
        self.auth.headers().await
    }

    /// All rows about these people.
    pub async fn rows(
        &self,
        request: &Request,
        people: &[Key],
        headers: &Headers,
        until: Instant,
    ) -> Result<Vec<Value>, SourceError> {
        let Some((path, body)) = request.of(people) else {
            return Ok(Vec::new());
        };
        let one = matches!(request.people, PeopleAt::Path);
        let malformed = |_| SourceError::new(Reason::Schema, "its path makes no address");
        let mut asked = Asked { url: self.base.join(&path).map_err(malformed)?, body };
        let (mut rows, mut seen) = (Vec::new(), Vec::new());
        let _permit = self.permits.acquire().await;
        loop {
            let answer = self.answer(&asked, headers, until).await?;
            let page = match answer.status {
                200 => {
                    let value = parsed(&answer.bytes)?;
                    if request.reading.nobody(200, Some(&value), one) && seen.is_empty() {
                        return Ok(Vec::new());
                    }
                    request.reading.page(&value, &answer.headers, rows.len())?
                }
                status => {
                    let value = match request.reading.reads_body_of(status) {
                        true => parsed(&answer.bytes).ok(),
                        false => None,
                    };
                    let nobody = request.reading.nobody(status, value.as_ref(), one);
                    return match nobody && seen.is_empty() {
                        true => Ok(Vec::new()),
                        false => Err(refused(status)),
                    };
                }
            };
            rows.extend(page.rows);
            let Some(next) = page.next else { return Ok(rows) };
            let next = self.next(&asked.url, &next)?;
            seen.push(std::mem::replace(&mut asked.url, next));
            if seen.len() >= self.max_pages || seen.contains(&asked.url) {
                let detail = format!(
                    "its pages do not end within max_pages = {}, or lead back to one that was read",
                    self.max_pages
                );
                return Err(SourceError::new(Reason::Invalid, detail));
            }
        }
    }

    /// The address of the next page, at the same service alone.
    fn next(&self, here: &Url, next: &str) -> Result<Url, SourceError> {
        let url = here.join(next).ok().filter(|url| url.origin() == self.base.origin());
        url.ok_or_else(|| {
            let detail =
                "the next page is at another address than the service: it is not asked for";
            SourceError::new(Reason::Invalid, detail)
        })
    }

    /// Asks, and once more where that may help: a kept connection has died, the
    /// service is busy, the token is no longer taken.
    async fn answer(
        &self,
        asked: &Asked,
        headers: &Headers,
        until: Instant,
    ) -> Result<Answer, SourceError> {
        let first = self.send(asked, &headers.map, until).await;
        let pause = match &first {
            Err(failed) if failed.again => Duration::ZERO,
            Ok(answer) if answer.status == 401 => {
                return match self.auth.renewed(headers).await? {
                    Some(headers) => Ok(self.send(asked, &headers.map, until).await?),
                    None => Ok(first?),
                };
            }
            Ok(answer) if matches!(answer.status, 408 | 425 | 429 | 500 | 502 | 503 | 504) => {
                retry_after(&answer.headers).unwrap_or(PAUSE)
            }
            _ => return Ok(first?),
        };
        if clock::now() + pause >= until {
            return Ok(first?);
        }
        tokio::time::sleep(pause).await;
        Ok(self.send(asked, &headers.map, until).await?)
    }

    async fn send(
        &self,
        asked: &Asked,
        headers: &HeaderMap,
        until: Instant,
    ) -> Result<Answer, Failed> {
        let url = asked.url.clone();
        let asking = match &asked.body {
            Some(body) => self
                .client
                .post(url)
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone()),
            None => self.client.get(url),
        };
        let left = until.saturating_duration_since(clock::now());
        let asking = asking.headers(headers.clone()).timeout(left);
        let mut answer = asking.send().await.map_err(|error| Failed::of(&error))?;
        let mut bytes = Vec::new();
        // One that is too long is not read to its end.
        while let Some(chunk) = answer.chunk().await.map_err(|error| Failed::of(&error))? {
            if bytes.len() + chunk.len() > self.max_bytes {
                let limit = self.max_bytes / (1024 * 1024);
                let detail = format!("its answer has more than max_mib = {limit}: it was cut");
                let error = SourceError::new(Reason::Down, detail);
                return Err(Failed { error, again: false });
            }
            bytes.extend_from_slice(&chunk);
        }
        let status = answer.status().as_u16();
        Ok(Answer { status, headers: std::mem::take(answer.headers_mut()), bytes })
    }
}

fn parsed(bytes: &[u8]) -> Result<Value, SourceError> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The library's text would quote the answer.
        let detail = format!("its answer is no JSON, from line {} on", error.line());
        SourceError::new(Reason::Invalid, detail)
    })
}

/// How long the service asks us to wait (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(clock::utc().into()).unwrap_or_default())
}

fn refused(code: u16) -> SourceError {
    let (reason, what) = match code {
        401 | 403 => (Reason::Down, "the service refuses our token, key or certificate"),
        408 | 425 | 429 | 500..=599 => (Reason::Down, "the service fails"),
        206 => (Reason::Invalid, "the answer says that it is a part"),
        404 | 410 => (
            Reason::Schema,
            "the service knows no such path; if it says so of somebody whom it does not know, \
             state `nobody = [404]`",
        ),
        200..=299 => (Reason::Schema, "the service's answer has no rows"),
        300..=399 => {
            (Reason::Schema, "redirect not followed: state the final address in `url` and `path`")
        }
        _ => (Reason::Schema, "the service does not take the request"),
    };
    SourceError::new(reason, format!("{what} (status {code})"))
}
