//! Where a log's mirror is: a folder, or object storage that speaks S3, and what that needs.
//!
//! What can be said of it without asking it is said here; it is reached by
//! `store::mirror`. The credentials have a file of their own, since they are secrets, and are
//! read when they are used: a new key needs no restart.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pem;
use super::private_file::{self, PrivateFileError};
use crate::domain::sensitive::Sensitive;
use crate::files;

/// What object storage is named by.
const SCHEME: &str = "s3://";

/// Longest prefix of a bucket's names.
const MAX_PREFIX: usize = 256;

/// `[audit.store]`: the object storage of a mirror that is named `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Where it answers: `https://host`, or `http://` on this machine.
    pub endpoint: String,
    /// The region that requests are signed for.
    #[serde(default = "us_east_1")]
    pub region: String,
    /// The authority that signed its certificate; no other is believed.
    pub ca: Option<PathBuf>,
    /// The file of the access key, mode 0600: `access_key_id`, `secret_access_key` and, where
    /// it has one, `session_token`.
    pub credentials: PathBuf,
}

fn us_east_1() -> String {
    "us-east-1".to_owned()
}

/// Where a mirror is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// Object storage.
    Bucket {
        /// The bucket.
        name: String,
        /// What its names begin with: empty, or with a slash at the end.
        prefix: String,
    },
}

impl Place {
    /// Reads where a mirror is.
    ///
    /// # Errors
    /// What is wrong with the name of a bucket.
    pub fn of(text: &Path) -> Result<Self, String> {
        let Some(rest) = text.to_str().and_then(|text| text.strip_prefix(SCHEME)) else {
            return Ok(Self::Folder(text.to_owned()));
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
        };
        if !(3..=63).contains(&name.len()) || !name.bytes().all(is_name) || name.contains("..") {
            return Err("must be s3://BUCKET/PREFIX, the bucket of 3 to 63 small letters, \
                        digits, `-` and `.`"
                .to_owned());
        }
        let prefix = prefix.trim_end_matches('/');
        let is_part = |part: &str| {
            let of_part = |byte: u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'=')
            };
            !matches!(part, "" | "." | "..") && part.bytes().all(of_part)
        };
        let is_short = prefix.len() <= MAX_PREFIX;
        let is_good = prefix.is_empty() || (is_short && prefix.split('/').all(is_part));
        if !is_good {
            return Err(format!(
                "has a prefix that is refused: at most {MAX_PREFIX} letters, digits, `-`, `_`, \
                 `.` and `=` between single slashes"
            ));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self::Bucket { name: name.to_owned(), prefix })
    }

    /// A folder as relative to another one; object storage is what it is.
    pub(super) fn resolved(text: PathBuf, folder: &Path) -> PathBuf {
        if text.to_str().is_some_and(|text| text.starts_with(SCHEME)) {
            return text;
        }
        folder.join(text)
    }
}

/// What requests are signed with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The access key's name.
    #[serde(deserialize_with = "sensitive")]
    pub access_key_id: Sensitive<String>,
    /// Its secret.
    #[serde(deserialize_with = "sensitive")]
    pub secret_access_key: Sensitive<String>,
    /// What goes with a key of limited time.
    #[serde(default, deserialize_with = "maybe_sensitive")]
    pub session_token: Option<Sensitive<String>>,
}

fn sensitive<'de, D>(deserializer: D) -> Result<Sensitive<String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    String::deserialize(deserializer).map(Sensitive::new)
}

fn maybe_sensitive<'de, D>(deserializer: D) -> Result<Option<Sensitive<String>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    sensitive(deserializer).map(Some)
}

impl StoreConfig {
    /// Reads relative paths as relative to `folder`.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        self.ca = self.ca.map(|file| folder.join(file));
        self.credentials = folder.join(&self.credentials);
        self
    }

    /// Everything that is wrong with it, by key.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let is_region =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=64).contains(&self.region.len()) || !self.region.bytes().all(is_region) {
            let message = "must be a region's name, such as eu-central-1".to_owned();
            faults.push(("region", message));
        }
        let has_rest = self.endpoint.contains(['?', '#', '@']);
        match self.endpoint.split_once("://") {
            Some(("https", _)) if self.ca.is_none() => {
                let message = "is missing: the file of the authority that signed the \
                               certificate of `endpoint`; no other is believed";
                faults.push(("ca", message.to_owned()));
            }
            Some(("http" | "https", host)) if !host.is_empty() && !has_rest => {}
            _ => {
                let message = "must be https://HOST or https://HOST:PORT, or http:// on this \
                               machine";
                faults.push(("endpoint", message.to_owned()));
            }
        }
        if let Some(ca) = &self.ca {
            let authorities = files::read(ca, files::LARGE)
                .map_err(|error| error.to_string())
                .and_then(|bytes| pem::authorities(&bytes).map_err(|error| error.to_string()));
            if let Err(why) = authorities {
                faults.push(("ca", format!("cannot be used: `{}`: {why}", ca.display())));
            }
        }
        if let Err(why) = self.credentials() {
            faults.push(("credentials", format!("cannot be used: {why}")));
        }
        faults
    }

    /// Reads the credentials.
    ///
    /// # Errors
    /// What is wrong with the file, and nothing of what is in it.
    pub fn credentials(&self) -> Result<Credentials, String> {
        let shown = self.credentials.display();
        let bytes = private_file::read(&self.credentials, files::SMALL).map_err(|error| {
            let why = match &error {
                PrivateFileError::Read(source) => format!(": {source}"),
                PrivateFileError::Shared(_) => ": run chmod 600 on it".to_owned(),
            };
            format!("`{shown}`: {error}{why}")
        })?;
        // The parser's own error shows the line.
        let read = std::str::from_utf8(&bytes).ok().and_then(|text| toml::from_str(text).ok());
        read.ok_or_else(|| {
            format!(
                "`{shown}` must hold access_key_id = \"…\" and secret_access_key = \"…\", each on \
                 a line, and session_token if there is one"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_folders_or_buckets() {
        let of = |text: &str| Place::of(Path::new(text));
        let bucket = |name: &str, prefix: &str| {
            Ok(Place::Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(of("/mnt/mirror"), Ok(Place::Folder("/mnt/mirror".into())));
        assert_eq!(of("s3://logs"), bucket("logs", ""));
        assert_eq!(of("s3://logs/"), bucket("logs", ""));
        assert_eq!(of("s3://logs/city/2026"), bucket("logs", "city/2026/"));
        assert_eq!(of("s3://logs/city/2026/"), bucket("logs", "city/2026/"));
        for bad in [
            "s3://",
            "s3:///x",
            "s3://ab",
            "s3://Logs",
            "s3://a..b",
            "s3://logs//x",
            "s3://logs/../x",
            "s3://logs/./x",
            "s3://logs/a b",
            "s3://logs/a?b",
            "s3://logs/ä",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_of_a_secret_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let credentials = dir.path().join("key");
        let config = StoreConfig {
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: us_east_1(),
            ca: None,
            credentials: credentials.clone(),
        };
        let write = |text: &str, mode: u32| {
            std::fs::write(&credentials, text).unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&credentials, mode).unwrap();
            format!("{:?} {:?}", config.credentials(), config.faults())
        };
        let good = "access_key_id = 'NAME-OF-KEY'\nsecret_access_key = 'HUSH'\n";
        for (text, mode, says) in [
            (good.to_owned(), 0o600, "Ok("),
            (format!("{good}session_token = 'HUSH'\n"), 0o600, "Ok("),
            (good.to_owned(), 0o640, "run chmod 600 on it"),
            (format!("{good}more = 'HUSH'\n"), 0o600, "must hold access_key_id"),
            (format!("{good}HUSH\n"), 0o600, "must hold access_key_id"),
        ] {
            let told = write(&text, mode);
            assert!(told.contains(says), "{told}");
            assert!(!told.contains("HUSH") && !told.contains("NAME-OF-KEY"), "{told}");
        }
    }
}
