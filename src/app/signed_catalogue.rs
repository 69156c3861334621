//! A signed catalogue on its way: signed in its folder, fetched from a gateway, held against
//! the pinned key and against the version that is held, and put in place in one moment.
//!
//! The gateway is only where it comes from. Nothing is written before all of it is verified,
//! and the folder is exchanged as a whole, so that whoever reads it, a running process
//! included, sees the old catalogue or the new one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tonic::Code;
use tonic::transport::Channel;

use super::client::{Address, ClientError, channel};
use crate::config::catalogue::{self, CatalogueError, NOTE, Texts};
use crate::domain::audit::{Origin, SigningKey, VerifyingKey};
use crate::domain::catalogue_note::{CatalogueNote, CatalogueNoteError, MAX_NOTE_BYTES, NotedFile};
use crate::files;
use crate::wire::proto::pb;
use crate::wire::proto::pb::catalogue_service_client::CatalogueServiceClient;

/// Most bytes of one answer: a file as large as a catalogue's may be, and what is around it.
const MAX_ANSWER_BYTES: usize = 1024 * 1024 + 1024;

/// Nothing was written, and why.
#[derive(Debug, thiserror::Error)]
pub enum SignedCatalogueError {
    /// What is offered is not to be believed.
    #[error(transparent)]
    Offered(#[from] CatalogueNoteError),
    /// What the folder holds is not to be believed.
    #[error("the catalogue that `{}` holds: {source}", folder.display())]
    Held {
        /// Which folder.
        folder: PathBuf,
        /// Why not.
        source: CatalogueNoteError,
    },
    /// The folder cannot be read, or has no sound catalogue.
    #[error(transparent)]
    Folder(#[from] CatalogueError),
    /// Something else is in the folder.
    #[error(
        "`{}` holds `{other}`, which is no part of a catalogue and would be lost: name a folder of the catalogue's own",
        folder.display()
    )]
    Foreign {
        /// Which folder.
        folder: PathBuf,
        /// What is in it.
        other: String,
    },
    /// A file is longer than any.
    #[error("the gateway sends a note or a file that is longer than any of a catalogue")]
    TooLarge,
    /// The gateway does not answer so.
    #[error(transparent)]
    Gateway(#[from] ClientError),
    /// A file cannot be read or written.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What became of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It has another catalogue now.
    Taken(CatalogueNote),
    /// It has had that one before.
    Held(CatalogueNote),
}

/// Where a signed catalogue comes from. None of it is believed.
pub trait Supplier {
    /// The note.
    fn note(&mut self) -> impl Future<Output = Result<String, SignedCatalogueError>> + Send;

    /// The file with this digest.
    fn file(
        &mut self,
        file: NotedFile,
    ) -> impl Future<Output = Result<Vec<u8>, SignedCatalogueError>> + Send;
}

/// A gateway that hands on what was signed.
#[derive(Debug)]
pub struct Gateway(CatalogueServiceClient<Channel>);

impl Gateway {
    /// Connects.
    ///
    /// # Errors
    /// Why there is no link.
    pub async fn connect(address: &Address) -> Result<Self, SignedCatalogueError> {
        let client = CatalogueServiceClient::new(channel(address).await?);
        Ok(Self(client.max_decoding_message_size(MAX_ANSWER_BYTES)))
    }
}

/// What a gateway's refusal means.
fn refused(status: tonic::Status) -> SignedCatalogueError {
    match status.code() {
        Code::OutOfRange => SignedCatalogueError::TooLarge,
        _ => ClientError::from(status).into(),
    }
}

impl Supplier for Gateway {
    async fn note(&mut self) -> Result<String, SignedCatalogueError> {
        let asked = self.0.get_catalogue_note(pb::GetCatalogueNoteRequest {}).await;
        Ok(asked.map_err(refused)?.into_inner().note)
    }

    async fn file(&mut self, file: NotedFile) -> Result<Vec<u8>, SignedCatalogueError> {
        let request = pb::GetCatalogueFileRequest { sha256: file.0.to_vec().into() };
        let asked = self.0.get_catalogue_file(request).await;
        Ok(asked.map_err(refused)?.into_inner().content.into())
    }
}

/// Signs the catalogue in a folder as a version, and puts the note beside its files.
///
/// # Errors
/// Why not; a version that is not higher than the one that is signed there, unless it is
/// the same catalogue.
pub fn sign(
    folder: &Path,
    version: u64,
    name: &Origin,
    key: &SigningKey,
) -> Result<CatalogueNote, SignedCatalogueError> {
    let public = key.verifying_key(name).map_err(CatalogueNoteError::Key)?;
    let (catalogue, texts) = catalogue::load_with_texts(folder)?;
    let noted = CatalogueNote::new(version, &catalogue, &texts)?;
    if let Some(held) = held(folder, &[public])? {
        noted.follows(&held)?;
    }
    let note = noted.sign(name, key)?;
    write(folder, NOTE, &note)?;
    Ok(noted)
}

/// Fetches what is newer than what the folder holds, believes these keys, and puts it in the
/// folder's place.
///
/// # Errors
/// Why not. The folder is then as it was.
pub async fn fetch(
    from: &mut impl Supplier,
    keys: &[VerifyingKey],
    folder: &Path,
) -> Result<Fetched, SignedCatalogueError> {
    // Behind a link the folder itself is exchanged, and the link stays.
    let folder = match folder.canonicalize() {
        Ok(folder) => {
            own(&folder)?;
            folder
        }
        Err(_) => folder.to_owned(),
    };
    let there = folder.is_dir();
    let note = from.note().await?;
    if note.len() > MAX_NOTE_BYTES {
        return Err(SignedCatalogueError::TooLarge);
    }
    let noted = CatalogueNote::verify(&note, keys)?;
    let had = if there { catalogue::texts(&folder)? } else { Texts::new() };
    if there && let Some(held) = held(&folder, keys)? {
        // Whatever happened to its files, they are made whole again.
        if !noted.follows(&held)? && noted.check(&had).is_ok() {
            return Ok(Fetched::Held(noted));
        }
    }
    let mut texts = Texts::new();
    for (name, file) in &noted.files {
        let known = had.iter().find(|(_, text)| NotedFile::of(text.as_bytes()) == *file);
        let text = match known {
            Some((_, text)) => text.clone(),
            None => fetched(from, name, *file).await?,
        };
        texts.push((name.clone(), text));
    }
    noted.check(&texts)?;
    put(&folder, there, &note, &texts)?;
    Ok(Fetched::Taken(noted))
}

async fn fetched(
    from: &mut impl Supplier,
    name: &str,
    file: NotedFile,
) -> Result<String, SignedCatalogueError> {
    let content = from.file(file).await?;
    if content.len() as u64 > catalogue::MAX_FILE_BYTES {
        return Err(SignedCatalogueError::TooLarge);
    }
    let altered = || CatalogueNoteError::Altered(name.to_owned());
    if NotedFile::of(&content) != file {
        return Err(altered().into());
    }
    String::from_utf8(content).map_err(|_| altered().into())
}

/// The note that a folder holds, if these keys signed it: below its version nothing is taken.
fn held(
    folder: &Path,
    keys: &[VerifyingKey],
) -> Result<Option<CatalogueNote>, SignedCatalogueError> {
    let Some(note) = catalogue::note(folder)? else { return Ok(None) };
    let held = CatalogueNote::verify(&note, keys);
    let held =
        held.map_err(|source| SignedCatalogueError::Held { folder: folder.to_owned(), source })?;
    Ok(Some(held))
}

/// Refuses a folder in which something else would be lost.
fn own(folder: &Path) -> Result<(), SignedCatalogueError> {
    let failed = |source| SignedCatalogueError::File { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let is_part = name == NOTE || Path::new(&name).extension().is_some_and(|e| e == "toml");
        if !is_part {
            let other = name.to_string_lossy().into_owned();
            return Err(SignedCatalogueError::Foreign { folder: folder.to_owned(), other });
        }
    }
    Ok(())
}

/// Writes a folder beside the one in use, on the disk, and exchanges the two.
fn put(
    folder: &Path,
    there: bool,
    note: &str,
    texts: &[(String, String)],
) -> Result<(), SignedCatalogueError> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let failed = |source| SignedCatalogueError::File { path: folder.to_owned(), source };
    let fresh = tempfile::Builder::new().prefix(".catalogue-").tempdir_in(parent);
    let fresh = fresh.map_err(failed)?;
    for (name, text) in texts {
        write(fresh.path(), name, text)?;
    }
    write(fresh.path(), NOTE, note)?;
    files::sync_folder(fresh.path()).map_err(failed)?;
    if there {
        // The old one goes with the temporary folder, whose place it has taken.
        renameat_with(CWD, fresh.path(), CWD, folder, RenameFlags::EXCHANGE)
            .map_err(|errno| failed(errno.into()))?;
        files::sync_folder(parent).map_err(failed)?;
        fresh.close().map_err(failed)
    } else {
        fs::rename(fresh.path(), folder).map_err(failed)?;
        files::sync_folder(parent).map_err(failed)
    }
}

/// Writes a file anew, on the disk, in one moment.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), SignedCatalogueError> {
    let path = folder.join(name);
    let fresh = folder.join(format!(".{name}.new"));
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        files::sync_folder(folder)
    };
    written().map_err(|source| SignedCatalogueError::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests;
