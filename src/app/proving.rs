//! A consumer's proofs of its requests, made with the key that its grants name.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clock;
use crate::domain::grant::{AgencyDisclosure, Contents, Presentation, digest as sha256_of_text};
use crate::domain::names::RequestId;
use crate::domain::peer::SpiffeId;
use crate::domain::request_proof::{
    AgencyEntries, ConsumerProof, ProofFault, ProofHead, RequestLeaf, SignedLeaf, SmallTree,
    TOKEN_TYPE, Wanted,
};
use crate::files;
use crate::issuer::{FileError, RandomError, SigningKey, SigningKeyError, read_private};
use crate::wire::proto::pb;
use crate::wire::request_proof;

/// Seconds for which a proof holds: a request's time, and some for clocks that differ.
const LIFE: i64 = 60;

/// Why a request cannot be proved.
#[derive(Debug, thiserror::Error)]
pub enum ProvingError {
    /// The key's file.
    #[error("the proof key cannot be used")]
    File(#[from] FileError),
    /// The key.
    #[error("the proof key cannot be used")]
    Key(#[from] SigningKeyError),
    /// What is to be proved makes no tree.
    #[error("the proof cannot be made")]
    Proof(#[from] ProofFault),
    /// No randomness.
    #[error("the proof cannot be made")]
    Random(#[from] RandomError),
}

/// What proves requests to one gateway.
#[derive(Debug)]
pub struct RequestProver {
    key: SigningKey,
    gateway: SpiffeId,
}

impl RequestProver {
    /// With the private key in this file, which nobody else may be able to read.
    ///
    /// # Errors
    /// The file or the key in it.
    pub fn load(path: &Path, gateway: SpiffeId) -> Result<Self, ProvingError> {
        let key = SigningKey::from_jwk(&read_private(path, files::SMALL)?)?;
        Ok(Self { key, gateway })
    }

    /// A fresh proof of a request for these items under this grant; none under what is no
    /// grant or opens none of them, which the gateway refuses better than we could.
    ///
    /// # Errors
    /// The key or the system's randomness does not serve.
    pub fn prove(
        &self,
        request_id: &str,
        grant: &str,
        items: &[String],
    ) -> Result<Option<pb::RequestProof>, ProvingError> {
        let Ok(presentation) = Presentation::parse(grant.as_bytes()) else { return Ok(None) };
        let (contents, id) = (Contents::read(&presentation), RequestId::new(request_id));
        let (Ok(contents), Ok(request_id)) = (contents, id) else { return Ok(None) };
        let asked: BTreeSet<&str> = items.iter().map(String::as_str).collect();
        let of_agency = |agency: &AgencyDisclosure| {
            let mut items = agency.items.clone();
            items.retain(|item| asked.contains(&**item));
            items.sort_unstable();
            Wanted { agency: agency.agency.clone(), items }
        };
        let wanted = contents.agencies().map(of_agency).filter(|one| !one.items.is_empty());
        let wanted: Vec<Wanted> = wanted.collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let (mut seed, mut nonce) = ([0; 32], [0; 16]);
        for bytes in [&mut seed[..], &mut nonce[..]] {
            aws_lc_rs::rand::fill(bytes).map_err(|_| RandomError)?;
        }
        let entries = AgencyEntries::of(&seed, &wanted)?;
        let grant = sha256_of_text(presentation.jwt());
        let leaf = RequestLeaf { request_id: &request_id, grant, nonce, entries: entries.stated() };
        let tree = SmallTree::of(&[leaf.hash()])?;
        let now = clock::utc().unix_timestamp();
        let head = ProofHead {
            audience: self.gateway.clone(),
            issued_at: now,
            expires_at: now + LIFE,
            root: tree.root()?,
            size: tree.size(),
        };
        let token = self.key.sign_jws(TOKEN_TYPE, &head.payload())?.into();
        let leaf = SignedLeaf { token, index: 0, path: tree.path(0)?, nonce };
        Ok(Some(request_proof::encode_consumer(&ConsumerProof { leaf, seed })))
    }
}
