//! Tokens by client credentials (RFC 6749, section 4.4): asked for once, kept until
//! they expire, asked for again when a service refuses one. Kept in memory alone.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::client::{self, Trust};
use super::fault;
use crate::clock;
use crate::config::mapping::{ClientAuth, HttpEntry, Oauth2Entry, SecretEntry};
use crate::domain::sensitive::Sensitive;
use crate::source::fault::{Reason, SourceError};
use crate::source::pool::secret;

/// How long a token is kept whose server does not say how long it lives.
const UNSTATED: Duration = Duration::from_secs(300);

/// How long before its end a token is no longer used, at most.
const BEFORE: Duration = Duration::from_secs(30);

/// The longest that a token server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of its answer at most.
const MAX_BYTES: usize = 64 * 1024;

type Token = Arc<Sensitive<String>>;

/// Where tokens are had, and the one that is.
pub(in crate::source) struct Tokens {
    client: reqwest::Client,
    url: reqwest::Url,
    id: String,
    secret: SecretEntry,
    scope: Option<String>,
    auth: ClientAuth,
    /// Held while one is asked for: by one at a time.
    kept: tokio::sync::Mutex<Option<Kept>>,
}

struct Kept {
    token: Token,
    until: Instant,
}

/// What a token server answers.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<f64>,
}

/// What it answers when it does not give one.
#[derive(Deserialize)]
struct Failed {
    error: String,
}

impl Tokens {
    /// Reads `[source.http.oauth2]`.
    ///
    /// # Errors
    /// What is wrong, without an address.
    pub fn new(entry: &Oauth2Entry, http: &HttpEntry, folder: &Path) -> Result<Self, String> {
        let said = |error: String| format!("oauth2: {error}");
        let trust = Trust {
            ca: entry.ca.as_ref().or(http.ca.as_ref()),
            certificate: http.certificate.as_ref(),
            key: http.key.as_ref(),
        };
        let (client, url) =
            client::client(&entry.token_url, trust, http.pool, folder).map_err(said)?;
        let secret =
            SecretEntry::new(entry.secret_file.as_ref(), entry.secret_env.as_ref(), folder)
                .map_err(|error| said(error.to_string()))?
                .ok_or_else(|| said("state `secret_file` or `secret_env`".to_owned()))?;
        if entry.client_id.is_empty() || entry.client_id.chars().any(char::is_control) {
            return Err(said("`client_id` is empty or not printable".to_owned()));
        }
        Ok(Self {
            client,
            url,
            id: entry.client_id.clone(),
            secret,
            scope: entry.scope.clone(),
            auth: entry.auth,
            kept: tokio::sync::Mutex::default(),
        })
    }

    /// A token that has not expired, and is not the one that was refused.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn token(&self, refused: Option<&Token>) -> Result<Token, SourceError> {
        let mut kept = self.kept.lock().await;
        if let Some(known) = &*kept
            && clock::now() < known.until
            && refused.is_none_or(|refused| !Arc::ptr_eq(refused, &known.token))
        {
            return Ok(Arc::clone(&known.token));
        }
        *kept = None;
        let new = self.ask().await?;
        let token = Arc::clone(&new.token);
        *kept = Some(new);
        Ok(token)
    }

    async fn ask(&self) -> Result<Kept, SourceError> {
        let down =
            |detail: String| SourceError::new(Reason::Down, format!("token server: {detail}"));
        let secret = secret(Some(&self.secret)).await?;
        let secret = secret.ok_or_else(|| down("there is no secret".to_owned()))?;
        let coded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            form += &format!("&scope={}", coded(scope));
        }
        let asking = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .timeout(PATIENCE);
        let asking = match self.auth {
            ClientAuth::Basic => {
                asking.basic_auth(coded(&self.id), Some(coded(secret.expose()))).body(form)
            }
            ClientAuth::Body => {
                let (id, secret) = (coded(&self.id), coded(secret.expose()));
                asking.body(format!("{form}&client_id={id}&client_secret={secret}"))
            }
        };
        let asked = clock::now();
        let mut answer = asking.send().await.map_err(|error| down(fault(&error).detail))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| down(fault(&error).detail))? {
            if bytes.len() + chunk.len() > MAX_BYTES {
                return Err(down("its answer is too long".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status != 200 {
            return Err(down(refusal(status, &bytes)));
        }
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| down("its answer holds no `access_token` and `token_type`".to_owned()))?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(down("its token is not of the type `Bearer`".to_owned()));
        }
        if answer.access_token.is_empty()
            || !answer.access_token.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(down("its token is no printable text".to_owned()));
        }
        let lives = answer.expires_in.map_or(UNSTATED, |seconds| {
            let day = 24.0 * 60.0 * 60.0;
            Duration::try_from_secs_f64(seconds.clamp(0.0, day)).unwrap_or(UNSTATED)
        });
        let until = asked + lives.saturating_sub(BEFORE.min(lives / 10));
        Ok(Kept { token: Arc::new(Sensitive::new(answer.access_token)), until })
    }
}

/// Why there is no token. Of what the server says only the words of RFC 6749,
/// section 5.2, are repeated.
fn refusal(status: u16, bytes: &[u8]) -> String {
    const WORDS: &[&str] = &[
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ];
    let said = serde_json::from_slice::<Failed>(bytes).map(|failed| failed.error).ok();
    let word = said.and_then(|said| WORDS.iter().find(|word| **word == said));
    match word {
        Some(word) => format!(
            "it refuses us ({word}, status {status}): check `client_id`, the secret and `scope`"
        ),
        None => format!("it gives no token (status {status})"),
    }
}
