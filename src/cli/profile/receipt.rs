//! The receipt of an answer: kept as it came, since it is evidence against the gateway,
//! and held against the answer when the log's key is given.

use std::path::Path;

use anyhow::Context as _;
use time::OffsetDateTime;

use crate::cli::output::tell;
use crate::clock;
use crate::domain::audit::disclosed::{Disclosed, records};
use crate::domain::audit::{Timestamp, VerifyingKey};
use crate::domain::grant::{Contents, Presentation};
use crate::wire::profile::{receipt_file, told};
use crate::wire::proto::pb;

/// How far the gateway's clock and ours may differ.
const CLOCKS: time::Duration = time::Duration::seconds(30);

/// Writes the receipt; nothing of it is taken for granted here.
pub(super) fn write(path: &Path, response: &pb::GetProfileResponse) -> anyhow::Result<()> {
    let receipt = response.receipt.as_ref().context("the gateway gave no receipt")?;
    if receipt.proofs.is_empty() {
        tell!("tributary: the gateway gave no proof with its receipt; the log proves it too");
    }
    let text = serde_json::to_string_pretty(&receipt_file(receipt))?;
    std::fs::write(path, format!("{text}\n"))
        .with_context(|| format!("cannot write the receipt {}", path.display()))
}

/// Whether the receipt proves that what was disclosed under this grant, since we asked,
/// is recorded as it was: consumer, items, decisions and time.
///
/// # Errors
/// In what it does not.
pub(super) fn check(
    response: &pb::GetProfileResponse,
    grant: &str,
    asked: OffsetDateTime,
    key: &VerifyingKey,
) -> anyhow::Result<()> {
    let receipt = response.receipt.as_ref().context("the gateway gave no receipt")?;
    let presentation = Presentation::parse(grant.as_bytes()).context("this is no grant")?;
    let contents = Contents::read(&presentation).context("the grant cannot be read")?;
    let records = records(&receipt_file(receipt), key)?;
    let disclosure = Disclosed {
        request: &response.request_id,
        consumer: &contents.claims.client,
        grant: &contents.claims.jti,
        within: (Timestamp::new(asked - CLOCKS), Timestamp::new(clock::utc() + CLOCKS)),
        sections: told(response).context("the answer has a section without a status")?,
    };
    Ok(disclosure.check(&records)?)
}
