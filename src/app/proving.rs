//! A consumer's proofs of its requests, made with the key that its grants name.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clock;
use crate::domain::audit::Hash;
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

/// Most requests under one signature: their paths have seven hashes at most.
const TOGETHER: usize = 128;

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

/// A request that is to be proved.
#[derive(Debug, Clone, Copy)]
pub struct ToProve<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// The grant, with every disclosure.
    pub grant: &'a str,
    /// Ids of the items wanted.
    pub items: &'a [String],
}

/// What proves requests to one gateway.
#[derive(Debug)]
pub struct RequestProver {
    key: SigningKey,
    gateway: SpiffeId,
}

/// A request's leaf, and from where it came.
struct Leaf {
    hash: Hash,
    nonce: [u8; 16],
    seed: [u8; 32],
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

    /// A fresh proof of each request, many under one signature; none of what asks under no
    /// grant or under one that opens nothing of it, which the gateway refuses better than we
    /// could.
    ///
    /// # Errors
    /// The key or the system's randomness does not serve.
    pub fn prove(
        &self,
        requests: &[ToProve<'_>],
    ) -> Result<Vec<Option<pb::RequestProof>>, ProvingError> {
        let mut proofs = Vec::with_capacity(requests.len());
        for together in requests.chunks(TOGETHER) {
            let leaves = together.iter().map(leaf_of).collect::<Result<Vec<_>, _>>()?;
            let hashes: Vec<Hash> = leaves.iter().flatten().map(|leaf| leaf.hash).collect();
            let tree = SmallTree::of(&hashes)?;
            let token = if hashes.is_empty() { Box::default() } else { self.sign(&tree)? };
            let mut index = 0;
            for leaf in leaves {
                proofs.push(match leaf {
                    Some(leaf) => Some(leaf.under(&token, &tree, index)?),
                    None => None,
                });
                index += u64::from(proofs.last().is_some_and(Option::is_some));
            }
        }
        Ok(proofs)
    }

    fn sign(&self, tree: &SmallTree) -> Result<Box<str>, ProvingError> {
        let now = clock::utc().unix_timestamp();
        let head = ProofHead {
            audience: self.gateway.clone(),
            issued_at: now,
            expires_at: now + LIFE,
            root: tree.root()?,
            size: tree.size(),
        };
        Ok(self.key.sign_jws(TOKEN_TYPE, &head.payload())?.into())
    }
}

impl Leaf {
    fn under(
        self,
        token: &str,
        tree: &SmallTree,
        index: u64,
    ) -> Result<pb::RequestProof, ProvingError> {
        let (path, nonce) = (tree.path(index)?, self.nonce);
        let leaf = SignedLeaf { token: token.into(), index, path, nonce };
        Ok(request_proof::encode_consumer(&ConsumerProof { leaf, seed: self.seed }))
    }
}

/// The leaf of one request.
fn leaf_of(request: &ToProve<'_>) -> Result<Option<Leaf>, ProvingError> {
    let grant = request.grant.as_bytes();
    let Ok(presentation) = Presentation::parse(grant) else { return Ok(None) };
    let (contents, id) = (Contents::read(&presentation), RequestId::new(request.request_id));
    let (Ok(contents), Ok(request_id)) = (contents, id) else { return Ok(None) };
    let asked: BTreeSet<&str> = request.items.iter().map(String::as_str).collect();
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
    let entries = AgencyEntries::of(&seed, &wanted)?.stated();
    let grant = sha256_of_text(presentation.jwt());
    let leaf = RequestLeaf { request_id: &request_id, grant, nonce, entries };
    Ok(Some(Leaf { hash: leaf.hash(), nonce, seed }))
}
