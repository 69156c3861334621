//! How we are let in by a service: the headers of each request. Secrets are read
//! again for each statement, so that a new one is taken without a restart.

use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::oauth2::Tokens;
use crate::config::mapping::{HeaderEntry, HttpEntry, SecretEntry};
use crate::domain::sensitive::Sensitive;
use crate::source::fault::{Reason, SourceError};
use crate::source::pool::secret;

/// The headers of a service's requests.
pub(in crate::source) struct Auth {
    fixed: HeaderMap,
    secrets: Vec<SecretHeader>,
    tokens: Option<Tokens>,
}

/// A header whose value nobody may see.
struct SecretHeader {
    name: HeaderName,
    prefix: String,
    base64: bool,
    secret: SecretEntry,
}

/// The headers of one statement's requests.
#[derive(Clone)]
pub(in crate::source) struct Headers {
    pub map: HeaderMap,
    /// The token that is among them, if it can be renewed.
    pub token: Option<Arc<Sensitive<String>>>,
}

impl Auth {
    /// Reads what the mapping says.
    ///
    /// # Errors
    /// What is wrong, without a value.
    pub fn new(http: &HttpEntry, folder: &Path, tokens: Option<Tokens>) -> Result<Self, String> {
        let mut auth = Self { fixed: HeaderMap::new(), secrets: Vec::new(), tokens };
        let token = SecretEntry::new(http.token_file.as_ref(), http.token_env.as_ref(), folder)
            .map_err(|error| error.to_string())?;
        match (token, &http.token_header) {
            (Some(_), _) if auth.tokens.is_some() => {
                return Err("state a token or `oauth2`, not both".to_owned());
            }
            (Some(secret), None) => auth.add(header::AUTHORIZATION, "Bearer ", false, secret)?,
            (Some(secret), Some(name)) => auth.add(named(name)?, "", false, secret)?,
            (None, Some(_)) => {
                return Err("`token_header` is for a token: state `token_file`".to_owned());
            }
            (None, None) => {}
        }
        for (written, entry) in &http.headers {
            let name = named(written)?;
            match entry {
                HeaderEntry::Text(text) => {
                    let value = HeaderValue::from_str(text).map_err(|_| {
                        format!("the value of the header `{name}` is not printable text")
                    })?;
                    auth.free(&name)?;
                    auth.fixed.insert(name, value);
                }
                HeaderEntry::Secret(entry) => {
                    let secret = SecretEntry::new(entry.file.as_ref(), entry.env.as_ref(), folder)
                        .map_err(|error| error.to_string())?
                        .ok_or_else(|| format!("the header `{name}` needs `file` or `env`"))?;
                    auth.add(name, &entry.prefix, entry.base64, secret)?;
                }
            }
        }
        Ok(auth)
    }

    fn add(
        &mut self,
        name: HeaderName,
        prefix: &str,
        base64: bool,
        secret: SecretEntry,
    ) -> Result<(), String> {
        self.free(&name)?;
        self.secrets.push(SecretHeader { name, prefix: prefix.to_owned(), base64, secret });
        Ok(())
    }

    fn free(&self, name: &HeaderName) -> Result<(), String> {
        let tokens = self.tokens.is_some() && *name == header::AUTHORIZATION;
        let taken = self.secrets.iter().any(|known| known.name == *name)
            || self.fixed.contains_key(name)
            || tokens;
        if taken { Err(format!("the header `{name}` is stated twice")) } else { Ok(()) }
    }

    /// The headers as they are now.
    ///
    /// # Errors
    /// A secret or a token cannot be had.
    pub async fn headers(&self) -> Result<Headers, SourceError> {
        let mut map = self.fixed.clone();
        for known in &self.secrets {
            let Some(secret) = secret(Some(&known.secret)).await? else { continue };
            let encoded = match known.base64 {
                true => Sensitive::new(BASE64.encode(secret.expose().as_bytes())),
                false => secret,
            };
            map.insert(known.name.clone(), value(&known.prefix, &encoded)?);
        }
        let token = match &self.tokens {
            Some(tokens) => Some(tokens.token(None).await?),
            None => None,
        };
        let mut headers = Headers { map, token: None };
        if let Some(token) = token {
            headers.bear(token)?;
        }
        Ok(headers)
    }

    /// The same headers with a new token, if a token is what they have.
    ///
    /// # Errors
    /// A token cannot be had.
    pub async fn renewed(&self, old: &Headers) -> Result<Option<Headers>, SourceError> {
        let (Some(tokens), Some(token)) = (&self.tokens, &old.token) else {
            return Ok(None);
        };
        let mut headers = old.clone();
        headers.bear(tokens.token(Some(token)).await?)?;
        Ok(Some(headers))
    }
}

impl Headers {
    fn bear(&mut self, token: Arc<Sensitive<String>>) -> Result<(), SourceError> {
        self.map.insert(header::AUTHORIZATION, value("Bearer ", &token)?);
        self.token = Some(token);
        Ok(())
    }
}

/// A header that a mapping may set.
fn named(written: &str) -> Result<HeaderName, String> {
    let shown = written.escape_default();
    let name = HeaderName::from_bytes(written.as_bytes())
        .map_err(|_| format!("`{shown}` is no name of a header"))?;
    let ours = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::UPGRADE,
        header::ACCEPT_ENCODING,
        header::RANGE,
    ];
    if ours.contains(&name) {
        return Err(format!("the header `{shown}` is set by the agency itself: remove it"));
    }
    Ok(name)
}

fn value(prefix: &str, secret: &Sensitive<String>) -> Result<HeaderValue, SourceError> {
    let text = format!("{prefix}{}", secret.expose());
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        SourceError::new(Reason::Down, "a secret has a character that no header may have")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(keys: &str) -> Result<Auth, String> {
        let entry: HttpEntry = toml::from_str(&format!("url = 'https://db'\n{keys}")).unwrap();
        Auth::new(&entry, Path::new("/nowhere"), None)
    }

    #[test]
    fn a_header_is_stated_once_and_is_not_one_of_ours() {
        for good in [
            "token_file = 't'",
            "token_file = 't'\ntoken_header = 'X-API-Key'",
            "[headers]\nX-API-Key = { env = 'KEY' }\nAccept-Language = 'zh-CN'",
            "[headers]\nAuthorization = { file = 'p', prefix = 'Basic ', base64 = true }",
        ] {
            assert!(auth(good).is_ok(), "{good}");
        }
        for (wrong, phrase) in [
            ("token_header = 'X-API-Key'", "state `token_file`"),
            ("[headers]\nHost = 'x'", "by the agency itself"),
            ("[headers]\n'a b' = 'x'", "no name of a header"),
            ("[headers]\nX-Key = {}", "needs `file` or `env`"),
            ("token_file = 't'\n[headers]\nauthorization = 'x'", "stated twice"),
        ] {
            let refused = auth(wrong).err().unwrap();
            assert!(refused.contains(phrase), "{wrong}: {refused}");
        }
    }
}
