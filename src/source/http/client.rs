//! The client of a source's service, and the base of every address.

use std::path::Path;

use crate::config::mapping::{BaseUrl, HttpEntry};
use crate::outgoing;
pub(super) use crate::outgoing::Trust;

/// How it calls itself.
const AGENT: &str = "tributary-agency";

/// Makes the client of a service and the base of every address.
///
/// # Errors
/// What is wrong with the entry, without the address.
pub(in crate::source) fn of_service(
    entry: &HttpEntry,
    folder: &Path,
) -> Result<(reqwest::Client, reqwest::Url), String> {
    let trust = Trust {
        ca: entry.ca.as_ref(),
        certificate: entry.certificate.as_ref(),
        key: entry.key.as_ref(),
    };
    let (client, base) = client(entry.url.get_ref(), trust, entry.pool, folder)?;
    if base.query().is_some() || base.path() != "/" {
        return Err("the address ends after the port: the rest belongs to `path`".to_owned());
    }
    Ok((client, base))
}

/// Makes a client, and reads the address.
///
/// # Errors
/// What is wrong, without the address.
pub(super) fn client(
    url: &BaseUrl,
    trust: Trust<'_>,
    pool: usize,
    folder: &Path,
) -> Result<(reqwest::Client, reqwest::Url), String> {
    outgoing::client(AGENT, url.expose(), trust, pool, folder)
}
