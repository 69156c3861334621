//! A mirror in a bucket of object storage that speaks S3.
//!
//! A put that was answered is durable there, so nothing has to be settled. The exchange is
//! a conditional put, `If-Match` with the tag of what was read, or `If-None-Match: *`; a
//! store that does not know these, and overwrites, is found out and refused.
//!
//! Requests are signed by `rusty-s3` in their address, which therefore stands in no error.

use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, ETAG, IF_MATCH, IF_NONE_MATCH};
use reqwest::{RequestBuilder, StatusCode};
use rusty_s3::{Bucket as Signed, Credentials, S3Action, UrlStyle};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::Store;
use crate::config::mirror::StoreConfig;
use crate::files;
use crate::outgoing::{self, Trust};

/// How it calls itself.
const AGENT: &str = "tributary-mirror";

/// How long an answer may take, and how many bytes a second are enough beside that.
const WITHIN: Duration = Duration::from_secs(20);
const BYTES_A_SECOND: u64 = 64 * 1024;

/// For how long a signature is good.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// The rests before a request is sent again that the store could not serve.
const RESTS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Most bytes of an answer that is an error.
const ERROR_BYTES: u64 = 64 * 1024;

/// What a store says that has no room.
const FULL: &[&str] = &[
    "InsufficientStorage",
    "QuotaExceeded",
    "StorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "XMinioStorageFull",
];

/// A bucket, and what the names of one mirror in it begin with.
#[derive(Debug)]
pub struct Bucket {
    client: reqwest::Client,
    bucket: Signed,
    prefix: String,
    config: StoreConfig,
    within: Duration,
    /// Made where it is used: it cannot end on a thread of another one.
    runtime: OnceLock<Runtime>,
    /// Whether it is known to keep to the conditions of a put.
    keeps_conditions: AtomicBool,
}

/// An answer.
struct Answer {
    status: StatusCode,
    /// The tag of what is there.
    tag: Option<String>,
    body: Vec<u8>,
}

/// What a put asks for.
#[derive(Debug, Clone, Copy)]
enum Condition<'a> {
    /// Whatever is there.
    Any,
    /// That nothing is there.
    Nothing,
    /// That what is there has this tag.
    Tag(&'a str),
}

impl Bucket {
    /// The bucket with this name where `config` says. Nothing is asked of it yet.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(name: &str, prefix: &str, config: &StoreConfig) -> Result<Self, String> {
        let trust = Trust { ca: config.ca.as_ref(), certificate: None, key: None };
        // Paths were made whole when the configuration was read.
        let (client, endpoint) =
            outgoing::client(AGENT, &config.endpoint, trust, 1, Path::new(""))?;
        let region = config.region.clone();
        let bucket = Signed::new(endpoint, UrlStyle::Path, name.to_owned(), region)
            .map_err(|error| format!("the address cannot be used: {error}"))?;
        Ok(Self {
            client,
            bucket,
            prefix: prefix.to_owned(),
            config: config.clone(),
            within: WITHIN,
            runtime: OnceLock::new(),
            keeps_conditions: AtomicBool::new(false),
        })
    }

    /// With another bound on the time until an answer has begun and ended.
    #[must_use]
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    fn runtime(&self) -> io::Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let made = Builder::new_current_thread().enable_all().build()?;
        Ok(self.runtime.get_or_init(|| made))
    }

    fn credentials(&self) -> io::Result<Credentials> {
        let refused = |why| io::Error::new(io::ErrorKind::PermissionDenied, why);
        let read = self.config.credentials().map_err(refused)?;
        let (name, secret) = (read.access_key_id, read.secret_access_key.into_exposed());
        Ok(match read.session_token {
            None => Credentials::new(name.into_exposed(), secret),
            Some(token) => {
                Credentials::new_with_token(name.into_exposed(), secret, token.into_exposed())
            }
        })
    }

    /// Sends a request, again where the store could not serve it; `bytes` is what may have to
    /// come and go.
    fn send(
        &self,
        bytes: u64,
        make: impl Fn(&Credentials) -> RequestBuilder,
    ) -> io::Result<Answer> {
        let (runtime, mut rests) = (self.runtime()?, RESTS.iter());
        let within = self.within + Duration::from_secs(bytes / BYTES_A_SECOND);
        loop {
            let request = make(&self.credentials()?);
            let sent = runtime.block_on(answer(request, bytes, within));
            let passes = match &sent {
                Ok(answer) => {
                    answer.status.is_server_error()
                        && answer.status != StatusCode::INSUFFICIENT_STORAGE
                        || answer.status == StatusCode::TOO_MANY_REQUESTS
                }
                Err(_) => true,
            };
            match rests.next().filter(|_| passes) {
                Some(rest) => runtime.block_on(async { sleep(*rest).await }),
                None => return sent,
            }
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What a name holds, and its tag.
    fn held(&self, name: &str, most: u64) -> io::Result<Option<(Vec<u8>, String)>> {
        let key = self.key(name);
        let answer = self.send(most, |credentials| {
            let action = self.bucket.get_object(Some(credentials), &key);
            self.client.get(action.sign(SIGNED_FOR))
        })?;
        match (answer.status, answer.tag) {
            (StatusCode::OK, Some(tag)) => Ok(Some((answer.body, tag))),
            (StatusCode::OK, None) => Err(io::Error::other("it gives an object without its tag")),
            (StatusCode::NOT_FOUND, _) if code(&answer.body) == Some("NoSuchKey") => Ok(None),
            (status, _) => Err(refused(status, &answer.body)),
        }
    }

    /// Puts a content; false where the condition does not hold.
    fn set(&self, name: &str, content: &[u8], condition: Condition<'_>) -> io::Result<bool> {
        let key = self.key(name);
        let header = match condition {
            Condition::Any => None,
            Condition::Nothing => Some((IF_NONE_MATCH, "*")),
            Condition::Tag(tag) => Some((IF_MATCH, tag)),
        };
        let answer = self.send(content.len() as u64, |credentials| {
            let mut action = self.bucket.put_object(Some(credentials), &key);
            if let Some((header, value)) = &header {
                action.headers_mut().insert(header.as_str().to_owned(), (*value).to_owned());
            }
            let request = self.client.put(action.sign(SIGNED_FOR)).body(content.to_vec());
            let request = request.header(CONTENT_LENGTH, content.len());
            match &header {
                Some((header, value)) => request.header(header, *value),
                None => request,
            }
        })?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::PRECONDITION_FAILED if header.is_some() => Ok(false),
            status => Err(refused(status, &answer.body)),
        }
    }

    /// A store that knows no conditions would replace another's checkpoint: here it could
    /// only replace what is there by itself.
    fn is_fit(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if self.keeps_conditions.load(Ordering::Relaxed) {
            return Ok(());
        }
        let other = Condition::Tag("\"00000000000000000000000000000000\"");
        for condition in [Condition::Nothing, other] {
            if self.set(name, content, condition)? {
                let message = "it overwrites what `If-None-Match` and `If-Match` forbid to \
                               overwrite; use one that knows conditional puts";
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
        }
        self.keeps_conditions.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Store for Bucket {
    fn get(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(self.held(name, most)?.map(|(content, _)| content))
    }

    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.set(name, content, Condition::Any).map(drop)
    }

    fn settle(&self) -> io::Result<()> {
        Ok(())
    }

    fn exchange(&self, name: &str, expected: Option<&[u8]>, content: &[u8]) -> io::Result<bool> {
        let held = self.held(name, files::SMALL)?;
        let held = held.as_ref().map(|(content, tag)| (&content[..], &tag[..]));
        if held.map(|(content, _)| content) != expected {
            return Ok(false);
        }
        let is_done = match held {
            None => self.set(name, content, Condition::Nothing)?,
            Some((before, tag)) => {
                self.is_fit(name, before)?;
                self.set(name, content, Condition::Tag(tag))?
            }
        };
        if !is_done {
            // One whose answer was lost, and that was sent again, finds what it has done.
            return Ok(self.get(name, files::SMALL)?.as_deref() == Some(content));
        }
        if held.is_none()
            && let Err(error) = self.is_fit(name, content)
        {
            // Nothing was there before, and no mirror begins here.
            self.remove(name)?;
            return Err(error);
        }
        Ok(true)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let key = self.key(name);
        let answer = self.send(0, |credentials| {
            let action = self.bucket.delete_object(Some(credentials), &key);
            self.client.delete(action.sign(SIGNED_FOR))
        })?;
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND if code(&answer.body) == Some("NoSuchKey") => Ok(()),
            status => Err(refused(status, &answer.body)),
        }
    }
}

/// Sends a request once, and reads its answer: of a good one so many bytes at most.
async fn answer(request: RequestBuilder, bytes: u64, within: Duration) -> io::Result<Answer> {
    let late = |_| {
        let message = format!("it did not answer within {} s", within.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, message)
    };
    let reading = async {
        let mut response = request.send().await.map_err(|error| away(&error))?;
        let status = response.status();
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.map(str::to_owned);
        let most = if status == StatusCode::OK { bytes } else { ERROR_BYTES };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| away(&error))? {
            if body.len() as u64 + chunk.len() as u64 > most {
                return Err(io::Error::other(format!("it gives more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, tag, body })
    };
    timeout(within, reading).await.map_err(late)?
}

/// Why no answer came, without the address: that has the signature in it.
fn away(error: &reqwest::Error) -> io::Error {
    let kind = if error.is_timeout() {
        io::ErrorKind::TimedOut
    } else if error.is_connect() {
        io::ErrorKind::NotConnected
    } else {
        io::ErrorKind::ConnectionAborted
    };
    let mut source = std::error::Error::source(error);
    let mut why = None;
    while let Some(inner) = source {
        why = Some(inner.to_string());
        source = inner.source();
    }
    io::Error::new(kind, why.unwrap_or_else(|| "the connection broke".to_owned()))
}

/// The word for what is wrong in an answer of S3.
fn code(body: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(body).ok()?.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then_some(code)
}

/// What an answer says that is none of those that are looked for.
fn refused(status: StatusCode, body: &[u8]) -> io::Error {
    let code = code(body);
    let shown = code.map(|code| format!(", {code}")).unwrap_or_default();
    let message = format!("it answers {}{shown}", status.as_u16());
    let is_full =
        status == StatusCode::INSUFFICIENT_STORAGE || code.is_some_and(|code| FULL.contains(&code));
    let (kind, advice) = match status {
        _ if is_full => (io::ErrorKind::StorageFull, ""),
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => (
            io::ErrorKind::PermissionDenied,
            ": check the access key, its rights (get, put and delete objects, list the bucket) \
             and this machine's clock",
        ),
        StatusCode::NOT_FOUND => (io::ErrorKind::Other, ": check the bucket's name"),
        status if status.is_redirection() => {
            (io::ErrorKind::Other, ": name the endpoint of the bucket's own region")
        }
        _ => (io::ErrorKind::Other, ""),
    };
    io::Error::new(kind, format!("{message}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_words_and_without_the_answer() {
        let body = b"<Error><Code>AccessDenied</Code><Message>SECRET</Message></Error>";
        let told = refused(StatusCode::FORBIDDEN, body);
        assert_eq!(told.kind(), io::ErrorKind::PermissionDenied);
        assert!(told.to_string().starts_with("it answers 403, AccessDenied: check"), "{told}");
        assert!(!told.to_string().contains("SECRET"));
        for (status, body, is_full) in [
            (507, &b""[..], true),
            (403, b"<Code>QuotaExceeded</Code>", true),
            (400, b"<Code>Quota Exceeded</Code>", false),
            (500, b"\xff<Code>", false),
        ] {
            let told = refused(StatusCode::from_u16(status).unwrap(), body);
            assert_eq!(told.kind() == io::ErrorKind::StorageFull, is_full, "{told}");
        }
    }
}
