//! The signed catalogue that a gateway hands on, kept in step with the one in force.
//!
//! Read from the folder whenever that or the rulebook changes. What is not about the
//! catalogue in force, or not whole, is not handed on; that stops nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::standing::News;
use crate::app::watching::Rounds;
use crate::config::catalogue::{self, NOTE};
use crate::config::reload::{Look, Watch};
use crate::domain::catalogue::CatalogueDigest;
use crate::domain::catalogue_note::CatalogueNote;
use crate::domain::finding::causes;
use crate::service::catalogue::published::{Published, SignedFiles};
use crate::service::rulebook::InForce;

/// Hands on what the catalogue's folder has of a signed catalogue.
pub(in crate::app) fn keep(news: News, rules: Arc<InForce>, rounds: &Rounds) -> Arc<Published> {
    let published = Arc::new(Published::default());
    let folder = news.now().catalogue.clone();
    let (watch, digest) = (watched(&folder), None);
    let [seen, told] = [String::new(), String::new()];
    let mut hands =
        Handing { news, rules, published: published.clone(), folder, watch, digest, seen, told };
    hands.look();
    rounds.keep_looking(move || hands.look());
    published
}

fn watched(folder: &Path) -> Watch {
    Watch::new(vec![folder.to_owned(), folder.join(NOTE)], "toml")
}

struct Handing {
    news: News,
    rules: Arc<InForce>,
    published: Arc<Published>,
    folder: PathBuf,
    watch: Watch,
    /// The catalogue in force when the folder was read.
    digest: Option<CatalogueDigest>,
    /// Why nothing is handed on, as it was seen in the last round and as it was told.
    seen: String,
    told: String,
}

impl Handing {
    fn look(&mut self) {
        let folder = self.news.now().catalogue.clone();
        let moved = folder != self.folder;
        if moved {
            self.watch = watched(&folder);
            self.folder = folder;
        }
        let digest = Some(self.rules.now().catalogue().digest());
        let settled = self.watch.look() == Look::Settled;
        if moved || settled || digest != self.digest {
            self.digest = digest;
            self.read();
        }
    }

    fn read(&mut self) {
        let digest = self.rules.now().catalogue().digest();
        match signed(&self.folder, digest) {
            Ok(Some(signed)) => {
                let version = signed.noted().version;
                let known = self.published.now();
                if known.is_none_or(|known| known.noted() != signed.noted()) {
                    tracing::info!(version, %digest, "the signed catalogue is handed on");
                }
                self.published.put(Some(signed));
                self.seen.clear();
                self.told.clear();
            }
            Ok(None) => self.published.put(None),
            Err(why) => {
                // While the files are those of another catalogue, what was read of the one in
                // force is still true.
                let stale = |signed: Arc<SignedFiles>| signed.noted().digest != digest;
                if self.published.now().is_some_and(stale) {
                    self.published.put(None);
                }
                if why != self.seen {
                    // The rulebook may follow its files in a moment.
                    self.digest = None;
                } else if why != self.told {
                    tracing::warn!(error = why, "the catalogue's note is not handed on");
                    self.told.clone_from(&why);
                }
                self.seen = why;
            }
        }
    }
}

/// What the folder has, if it is what is in force.
fn signed(folder: &Path, digest: CatalogueDigest) -> Result<Option<SignedFiles>, String> {
    let Some(note) = catalogue::note(folder).map_err(|error| causes(&error))? else {
        return Ok(None);
    };
    let noted = CatalogueNote::unverified(&note)
        .ok_or("it is no note as `tributary catalogue sign` writes it")?;
    let texts = catalogue::texts(folder).map_err(|error| causes(&error))?;
    noted.check(&texts).map_err(|error| error.to_string())?;
    if noted.digest != digest {
        return Err(format!(
            "it is about the catalogue {}, and {digest} is in force",
            noted.digest
        ));
    }
    Ok(Some(SignedFiles::new(note, noted, texts)))
}
