//! What the demo shows of the audit log: the receipt of an answer, its proof, and
//! that one changed byte is found. The change is made to a copy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::city::DemoError;
use super::{Audience, Running};
use crate::app::client::GatewayClient;
use crate::clock;
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile};
use crate::domain::audit::{TlogProof, VerifyingKey};
use crate::files;
use crate::store::proof::{ProveError, check_receipt, check_receipt_alone};
use crate::store::verify::{Report, Verdict, verify};
use crate::wire::profile::receipt_file;

/// Tiles follow a record within about a second.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(30);

/// What the log proves, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    /// The log's origin.
    pub origin: String,
    /// The first record of the answer.
    pub first_index: u64,
    /// How many records the answer has: one for each agency that was asked.
    pub records: usize,
    /// The leaf hash of the first record.
    pub leaf_hash: String,
    /// How many entries the receipt's signed checkpoint covers.
    pub checkpoint_size: u64,
    /// The receipt's own proofs lead to its checkpoint, and the log bears them out.
    pub proven: bool,
    /// What verification says of the copy before the change.
    pub untouched: Report,
    /// The file of the copy that was changed.
    pub changed_file: String,
    /// The byte that was changed.
    pub changed_byte: u64,
    /// What verification says then.
    pub changed: Report,
}

impl Running {
    /// Asks for an answer with a proven receipt, and changes a byte in a copy of the
    /// gateway's log.
    ///
    /// # Errors
    /// What failed, or that the log does not bear out what it promises.
    pub async fn evidence(
        &self,
        bundle: &str,
        audience: &mut dyn Audience,
    ) -> Result<Evidence, DemoError> {
        audience.say(
            "Every answer comes with a receipt: before anything was disclosed, the gateway's \
             audit log held a record of it.",
        );
        let mut client = GatewayClient::connect(&self.client_address()?).await?;
        let items = client.bundle(bundle).await?;
        let response = client.proved_profile(self.presentation()?, items, self.deadline).await?;
        let receipt = response.receipt.ok_or_else(|| broken("there is no receipt"))?;
        let receipt = receipt_file(&receipt);
        let key = self.log_key()?;
        let alone = check_receipt_alone(&receipt, &key).map_err(broken)?;
        let log = self.home().join("audit/gateway");
        let until = clock::now() + PUBLISHED_WITHIN;
        let proofs = loop {
            match check_receipt(&receipt, &key, &log) {
                Ok(proofs) => break proofs,
                Err(ProveError::NoEntry { .. }) if clock::now() < until => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(broken(error)),
            }
        };
        let proof = proofs.first().ok_or_else(|| broken("there is no record"))?;

        let copy = tempfile::Builder::new().prefix("tributary-log-").tempdir()?;
        let copied = copy.path();
        copy_log(&log, copied)?;
        let untouched = verify(copied, &key, None, &mut |_| {}).map_err(broken)?;
        let (file, byte) = change(copied, proof, untouched.published)?;
        let changed = verify(copied, &key, None, &mut |_| {}).map_err(broken)?;
        if untouched.verdict != Verdict::Sound || changed.verdict != Verdict::Tampered {
            return Err(broken("verification does not tell a sound log from a changed one"));
        }
        Ok(Evidence {
            origin: receipt.origin,
            first_index: receipt.first_index,
            records: receipt.leaf_hashes.len(),
            leaf_hash: receipt.leaf_hashes.into_iter().next().unwrap_or_default(),
            checkpoint_size: alone.checkpoint.checkpoint().size,
            proven: alone.is_proven,
            untouched,
            changed_file: file,
            changed_byte: byte,
            changed,
        })
    }

    fn log_key(&self) -> Result<VerifyingKey, DemoError> {
        let file = self.home().join("certs/dev/gateway.city.example/audit.vkey");
        files::read_text(&file, files::SMALL)?.parse().map_err(broken)
    }
}

/// Copies a log that is being written: first the checkpoint, then what it covers,
/// so that nothing under it is missing.
fn copy_log(from: &Path, to: &Path) -> Result<(), DemoError> {
    std::fs::copy(from.join("checkpoint"), to.join("checkpoint"))?;
    for part in ["wal", "tile"] {
        copy_folder(&from.join(part), &to.join(part))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Changes one byte in the middle of a record.
fn change(log: &Path, proof: &TlogProof, size: u64) -> Result<(String, u64), DemoError> {
    let number = proof.index / TILE_WIDTH;
    let width = (size - number * TILE_WIDTH).min(TILE_WIDTH);
    let file = Tile { shelf: Shelf::Entries, number, width }.path();
    let path: PathBuf = log.join(&file);
    let mut bytes = files::read(&path, files::LARGE)?;
    let length = proof.entry.len();
    let record = bytes.windows(length).position(|window| window == proof.entry);
    let at = record.map(|record| record + length / 2);
    let byte = at.and_then(|at| bytes.get_mut(at)).ok_or_else(|| broken("no such record"))?;
    *byte ^= 1;
    std::fs::write(&path, bytes)?;
    Ok((file, at.unwrap_or_default() as u64))
}

fn broken(error: impl std::fmt::Display) -> DemoError {
    DemoError::Evidence(error.to_string())
}
