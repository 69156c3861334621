//! Every file that a federation's review compares, as text, with the digests of the
//! public files that they name: anchors, pins, revocation lists. Private ones are never
//! opened, and nothing outside the federation's folder is.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

use super::{Files, ReviewError, Texts};
use crate::config::{file, pem};
use crate::domain::flows::keys::FileKind;
use crate::domain::flows::places::GATEWAY;
use crate::domain::flows::settings::{Seen, Text, public_files};
use crate::files;
use crate::issuer::{IssuerSettings, RequestFile};

/// Most requests beside one issuer's settings.
const MAX_REQUESTS: usize = 64;

/// Reads all of them; `catalogue` is the folder's name and `texts` what is in it, `parties`
/// are the files that each house includes.
pub(super) fn read(
    files: &Files,
    (catalogue, texts): (&str, &Texts),
    vocabularies: &[(String, PathBuf)],
    parties: &[(String, Vec<PathBuf>)],
) -> Result<Vec<Text>, ReviewError> {
    let mut reader = Reader { files, seen: HashMap::new(), found: Vec::new() };
    reader.add(FileKind::Gateway, GATEWAY, &files.gateway)?;
    for path in &files.agencies {
        let house = id(&file::read_text(path)?);
        reader.add(FileKind::Agency, &house, path)?;
    }
    for (house, paths) in parties {
        let kind = if house == GATEWAY { FileKind::Gateway } else { FileKind::Agency };
        for path in paths {
            reader.add(kind, house, path)?;
        }
    }
    for (name, text) in texts {
        let kind = match &**name {
            "reserved.toml" => FileKind::Reserved,
            "bundles.toml" => FileKind::Bundles,
            _ => FileKind::Catalogue,
        };
        reader.found.push(Text {
            kind,
            house: String::new(),
            file: format!("{catalogue}/{name}"),
            text: text.clone(),
            public: BTreeMap::new(),
        });
    }
    for (house, path) in vocabularies {
        reader.add(FileKind::Vocabulary, house, path)?;
    }
    for path in &files.issuers {
        let wrong = |path: &Path, error: &dyn std::error::Error| {
            let message = crate::domain::finding::causes(error);
            ReviewError::Apart { path: path.to_owned(), message }
        };
        let settings = IssuerSettings::read(path).map_err(|error| wrong(path, &error))?;
        let house = id(&file::read_text(path)?);
        reader.add(FileKind::Issuer, &house, path)?;
        for party in settings.parties() {
            reader.add(FileKind::Issuer, &house, party)?;
        }
        for request in requests(path)? {
            RequestFile::read(&request).map_err(|error| wrong(&request, &error))?;
            let name = files.name(&request);
            reader.add(FileKind::Request, &name, &request)?;
        }
    }
    if let Some(path) = &files.manifest {
        reader.add(FileKind::Review, "review", path)?;
    }
    Ok(reader.found)
}

/// What a file says that it is.
fn id(text: &str) -> String {
    let table: Option<toml::Table> = text.parse().ok();
    let id = table.as_ref().and_then(|table| table.get("id")?.as_str());
    id.unwrap_or_default().to_owned()
}

/// The requests beside an issuer's settings: files that name a gateway and a consumer.
fn requests(settings: &Path) -> Result<Vec<PathBuf>, ReviewError> {
    let folder = settings.parent().unwrap_or(Path::new("."));
    let mut found = Vec::new();
    for path in super::list(folder)?.into_iter().filter(|path| path != settings) {
        let table: Option<toml::Table> = file::read_text(&path)?.parse().ok();
        let named = |key| table.as_ref().is_some_and(|table| table.contains_key(key));
        if named("audience") && named("client_id") {
            found.push(path);
        }
    }
    if found.len() > MAX_REQUESTS {
        let message = format!("more than {MAX_REQUESTS} requests: keep issued ones elsewhere");
        return Err(ReviewError::Apart { path: folder.to_owned(), message });
    }
    Ok(found)
}

struct Reader<'a> {
    files: &'a Files,
    seen: HashMap<PathBuf, Seen>,
    found: Vec<Text>,
}

impl Reader<'_> {
    fn add(&mut self, kind: FileKind, house: &str, path: &Path) -> Result<(), ReviewError> {
        let mut text = Text {
            kind,
            house: house.to_owned(),
            file: self.files.name(path),
            text: file::read_text(path)?,
            public: BTreeMap::new(),
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        for written in public_files(&text) {
            let seen = self.look(&folder.join(&written));
            text.public.insert(written, seen);
        }
        self.found.push(text);
        Ok(())
    }

    fn look(&mut self, path: &Path) -> Seen {
        let Some(inside) = inside(&self.files.root, path) else { return Seen::Outside };
        let seen = self.seen.entry(inside.clone());
        let read = || match files::read(&inside, files::LARGE) {
            Ok(bytes) => Seen::Digest(digest_of(&bytes)),
            Err(_) => Seen::Absent,
        };
        seen.or_insert_with(read).clone()
    }
}

/// SHA-256 of what a public file says: of its certificates, whatever else stands around
/// them and in whatever order, so that it is the fingerprint of a lone one; else of all.
fn digest_of(file: &[u8]) -> String {
    let said = match pem::authorities(file) {
        Ok(mut certificates) => {
            certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
            certificates.iter().flat_map(|der| der.iter().copied()).collect()
        }
        Err(_) => file.to_vec(),
    };
    HEXLOWER.encode(digest(&SHA256, &said).as_ref())
}

/// A path without detours, if it is below a folder.
pub fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(clean.components().next_back(), Some(Component::Normal(_))) =>
            {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    let root: PathBuf = root.components().filter(|part| *part != Component::CurDir).collect();
    let below = clean.strip_prefix(&root).ok()?;
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then_some(clean)
}
