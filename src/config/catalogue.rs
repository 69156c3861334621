//! Reads a catalogue's folder: every `*.toml` in it, in order of name, within
//! bounds. What makes a catalogue sound is the business of `domain`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::faults::Faults;
use crate::domain::catalogue::{AgencyId, Catalogue, Source};
use crate::domain::finding::{Findings, causes};
use crate::files;

/// Most files of one catalogue.
pub const MAX_FILES: usize = 64;

/// Most bytes of one file.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The note by which a catalogue is signed, beside its files.
pub const NOTE: &str = "catalogue.note";

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The folder cannot be listed.
    #[error("cannot list the catalogue's folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There are more files than a catalogue has.
    #[error("`{}` holds more than {MAX_FILES} TOML files: is it a catalogue's folder?", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file's name or text is not UTF-8.
    #[error("the name or text of `{}` is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// The lint found something.
    #[error("the catalogue in `{}` is not sound:\n{findings}", path.display())]
    Unsound {
        /// The folder.
        path: PathBuf,
        /// Everything that is wrong; never empty.
        findings: Findings,
    },
}

/// Name and text of each file.
pub type Texts = Vec<(String, String)>;

/// Reads and checks the catalogue in a folder.
///
/// # Errors
/// The first file that cannot be read, or else everything that the lint found.
pub fn load(folder: &Path) -> Result<Catalogue, CatalogueError> {
    load_with_texts(folder).map(|(catalogue, _)| catalogue)
}

/// As [`load`], with what was read, for whoever keeps it or hands it on.
///
/// # Errors
/// As [`load`].
pub fn load_with_texts(folder: &Path) -> Result<(Catalogue, Texts), CatalogueError> {
    let files = texts(folder)?;
    let sources: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    match Catalogue::parse(&sources) {
        Ok(catalogue) => Ok((catalogue, files)),
        Err(findings) => {
            let findings = Findings(findings);
            Err(CatalogueError::Unsound { path: folder.into(), findings })
        }
    }
}

/// Name and text of each file, whatever they say.
///
/// # Errors
/// The first file that cannot be read.
pub fn texts(folder: &Path) -> Result<Texts, CatalogueError> {
    let mut files = Texts::new();
    for path in list(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = name.ok_or_else(|| CatalogueError::NotUtf8 { path: path.clone() })?;
        files.push((name, read(path)?));
    }
    Ok(files)
}

/// The note beside a catalogue's files, if there is one.
///
/// # Errors
/// [`CatalogueError::File`].
pub fn note(folder: &Path) -> Result<Option<String>, CatalogueError> {
    let path = folder.join(NOTE);
    match files::read_text(&path, files::SMALL) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CatalogueError::File { path, source }),
    }
}

/// As [`load`], for a configuration file whose faults are gathered, with the texts: what
/// is kept of a catalogue is what was read, whatever becomes of its files.
pub fn judge(folder: &Path, faults: &mut Faults) -> Option<(Catalogue, Texts)> {
    match load_with_texts(folder) {
        Ok(read) => return Some(read),
        Err(CatalogueError::Unsound { findings, .. }) => faults.extend(findings.0),
        Err(error) => faults.add("catalogue", format!("is refused: {}", causes(&error))),
    }
    None
}

/// Notes an agency that owns nothing in the catalogue.
pub(crate) fn check_agency(
    key: &str,
    agency: &AgencyId,
    catalogue: &Catalogue,
    faults: &mut Faults,
) {
    if catalogue.owned_by(agency).is_empty() {
        let known: Vec<String> = catalogue.agencies().iter().map(ToString::to_string).collect();
        let known = known.join(", ");
        let message = format!(
            "is refused: agency `{agency}` owns no item of the catalogue; it knows {known}"
        );
        faults.add(key, message);
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, CatalogueError> {
    let failed = |source| CatalogueError::Folder { path: folder.into(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            return Err(CatalogueError::TooMany { path: folder.into() });
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: PathBuf) -> Result<String, CatalogueError> {
    let bytes = match files::read(&path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(source) => return Err(CatalogueError::File { path, source }),
    };
    String::from_utf8(bytes).map_err(|_| CatalogueError::NotUtf8 { path })
}

#[cfg(test)]
pub(crate) use crate::domain::catalogue_note::SCHOOL;

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_read_and_other_files_are_left_alone() {
        let folder = folder(&[("school.toml", SCHOOL.as_bytes()), ("README.md", b"[[item]]")]);
        let catalogue = load(folder.path()).unwrap();
        assert_eq!(catalogue.items().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let missing = load(Path::new("no/such/folder")).unwrap_err().to_string();
        assert!(missing.contains("no/such/folder"), "{missing}");

        let latin = folder(&[("school.toml", b"\xff")]);
        let error = load(latin.path()).unwrap_err();
        assert!(
            matches!(&error, CatalogueError::NotUtf8 { path } if path.ends_with("school.toml"))
        );

        let large = vec![b'#'; MAX_FILE_BYTES as usize + 1];
        let error = load(folder(&[("school.toml", &large)]).path()).unwrap_err();
        assert!(matches!(error, CatalogueError::File { .. }), "{error}");

        let directory = folder(&[]);
        fs::create_dir(directory.path().join("school.toml")).unwrap();
        let error = load(directory.path()).unwrap_err();
        assert!(matches!(error, CatalogueError::File { .. }), "{error}");
    }

    #[test]
    fn too_many_files_are_refused() {
        let folder = folder(&[]);
        for at in 0..=MAX_FILES {
            fs::write(folder.path().join(format!("{at}.toml")), "").unwrap();
        }
        let error = load(folder.path()).unwrap_err();
        assert!(matches!(error, CatalogueError::TooMany { .. }), "{error}");
    }

    #[test]
    fn findings_stand_one_a_line() {
        let text = SCHOOL.replace("boolean", "text").replace("[\"education\"]", "[]");
        let folder = folder(&[("school.toml", text.as_bytes())]);
        let error = load(folder.path()).unwrap_err();
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines.iter().all(|line| line.starts_with("school.toml:7: ")), "{text}");
    }
}
