//! The note by which the federation's operator signs a catalogue (C2SP signed-note): which
//! version it is, what it means, and the files that it is made of.
//!
//! Who takes a catalogue from somebody else believes the key that it pins, and nothing of
//! whoever hands it over. How note and files come, and where they are kept, is no matter of it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

use super::audit::{NoteError, Origin, SigningKey, VerifyingKey};
use super::catalogue::{Catalogue, CatalogueDigest, Finding, Source};

/// Most bytes of a note: so many files, and some signatures.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;

/// Most files of a catalogue.
const MAX_FILES: usize = 64;

/// Longest name of a file.
const MAX_NAME: usize = 64;

const HEADER: &str = "tributary/catalogue/v1";

/// What an operator says of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueNote {
    /// Rises with each catalogue that the operator signs.
    pub version: u64,
    /// The digest of its canonical form.
    pub digest: CatalogueDigest,
    /// SHA-256 of each file, by name.
    pub files: BTreeMap<String, NotedFile>,
}

/// SHA-256 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotedFile(pub [u8; 32]);

impl NotedFile {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut sha256 = [0; 32];
        let made = digest(&SHA256, bytes);
        sha256.iter_mut().zip(made.as_ref()).for_each(|(to, from)| *to = *from);
        Self(sha256)
    }
}

impl fmt::Display for NotedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NotedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a catalogue is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueNoteError {
    /// No note, or one that is cut.
    #[error(
        "this is no note of a catalogue as `tributary catalogue sign` writes it, or only a part of one"
    )]
    Form,
    /// A note that is longer than any.
    #[error("the note has more than {MAX_NOTE_BYTES} bytes, and none has so many")]
    TooLong,
    /// Another key, or another text.
    #[error(
        "the note is not signed with the pinned key of {0}: ask the federation's operator for its key, and never the gateway's"
    )]
    Signature(String),
    /// A file is not the one that was signed.
    #[error("`{0}` is not the file that was signed: it was altered or cut on its way")]
    Altered(String),
    /// A file is missing.
    #[error("`{0}` is signed as a part of the catalogue, and is not there")]
    Missing(String),
    /// A file that nobody signed.
    #[error("`{0}` is there, and is no part of the catalogue that was signed")]
    Unsigned(String),
    /// The files are no catalogue.
    #[error("the signed files are no sound catalogue: {0}")]
    Unsound(String),
    /// The files are another catalogue.
    #[error("the signed files make the catalogue {made}, and the note names {named}")]
    OtherDigest {
        /// What they make.
        made: CatalogueDigest,
        /// What is named.
        named: CatalogueDigest,
    },
    /// A version before the one that is held.
    #[error("version {offered} is older than {held}, which is held: signed versions only rise")]
    Older {
        /// What is held.
        held: u64,
        /// What is offered.
        offered: u64,
    },
    /// Two catalogues of one version.
    #[error(
        "version {0} was signed twice, over different catalogues: one of the two is held; ask the federation's operator which one is meant, and for a higher version"
    )]
    Twice(u64),
    /// What a catalogue's files cannot be called.
    #[error(
        "`{0}` cannot be signed: a catalogue has 1 to {MAX_FILES} files, each called by at most {MAX_NAME} small letters, digits, '_' and '-', and `.toml`"
    )]
    Name(String),
    /// The key cannot sign it.
    #[error("the key cannot sign: {0}")]
    Key(NoteError),
}

impl CatalogueNote {
    /// What is said of a catalogue that was made of these files.
    ///
    /// # Errors
    /// [`CatalogueNoteError::Name`].
    pub fn new(
        version: u64,
        catalogue: &Catalogue,
        texts: &[(String, String)],
    ) -> Result<Self, CatalogueNoteError> {
        let strange = texts.iter().find(|(name, _)| !is_name(name));
        if let Some((name, _)) = strange {
            return Err(CatalogueNoteError::Name(name.escape_debug().to_string()));
        }
        if texts.is_empty() || texts.len() > MAX_FILES {
            return Err(CatalogueNoteError::Name(format!("{} files", texts.len())));
        }
        let files = texts.iter().map(|(name, text)| (name.clone(), NotedFile::of(text.as_bytes())));
        Ok(Self { version, digest: catalogue.digest(), files: files.collect() })
    }

    fn text(&self) -> String {
        let mut text = format!("{HEADER}\nversion {}\ndigest {}\n", self.version, self.digest);
        for (name, file) in &self.files {
            // Writing to a string does not fail.
            let _ = writeln!(text, "file {file} {name}");
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != HEADER {
            return None;
        }
        let version = lines.next()?.strip_prefix("version ")?.parse().ok()?;
        let digest = CatalogueDigest(sha256(lines.next()?.strip_prefix("digest ")?)?);
        let mut files = BTreeMap::new();
        for line in lines {
            let (file, name) = line.strip_prefix("file ")?.split_once(' ')?;
            files.insert(name.to_owned(), NotedFile(sha256(file)?));
        }
        let note = Self { version, digest, files };
        let bounded = (1..=MAX_FILES).contains(&note.files.len());
        let named = note.files.keys().all(|name| is_name(name));
        // One way to write it, so that nothing stands in it that nobody reads.
        (bounded && named && note.text() == text).then_some(note)
    }

    /// Signs it under the operator's name.
    ///
    /// # Errors
    /// [`CatalogueNoteError::Key`].
    pub fn sign(&self, name: &Origin, key: &SigningKey) -> Result<String, CatalogueNoteError> {
        key.sign_text(name, &self.text()).map_err(CatalogueNoteError::Key)
    }

    /// What a note says, if one of these keys signed it.
    ///
    /// # Errors
    /// [`CatalogueNoteError::TooLong`], [`CatalogueNoteError::Form`] and
    /// [`CatalogueNoteError::Signature`].
    pub fn verify(note: &str, keys: &[VerifyingKey]) -> Result<Self, CatalogueNoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(CatalogueNoteError::TooLong);
        }
        VerifyingKey::signers(note).ok_or(CatalogueNoteError::Form)?;
        let signed = keys.iter().find_map(|key| key.verify_text(note).ok());
        let text = signed.ok_or_else(|| {
            let names: Vec<&str> = keys.iter().map(|key| key.origin().as_str()).collect();
            CatalogueNoteError::Signature(names.join(", "))
        })?;
        Self::parse(&text).ok_or(CatalogueNoteError::Form)
    }

    /// What a note says, whoever signed it: for who hands it on and believes nothing of it.
    pub fn unverified(note: &str) -> Option<Self> {
        if note.len() > MAX_NOTE_BYTES {
            return None;
        }
        let (text, _) = note.rsplit_once("\n\n")?;
        Self::parse(&format!("{text}\n"))
    }

    /// Whether it comes after what is held; false where it is the same.
    ///
    /// # Errors
    /// [`CatalogueNoteError::Older`] and [`CatalogueNoteError::Twice`].
    pub fn follows(&self, held: &Self) -> Result<bool, CatalogueNoteError> {
        if self.version < held.version {
            let (held, offered) = (held.version, self.version);
            return Err(CatalogueNoteError::Older { held, offered });
        }
        if self.version == held.version && self != held {
            return Err(CatalogueNoteError::Twice(self.version));
        }
        Ok(self.version > held.version)
    }

    /// Holds files against it.
    ///
    /// # Errors
    /// What of them is altered, missing, not signed or no such catalogue.
    pub fn check(&self, texts: &[(String, String)]) -> Result<Catalogue, CatalogueNoteError> {
        for (name, text) in texts {
            match self.files.get(name) {
                None => {
                    return Err(CatalogueNoteError::Unsigned(name.escape_debug().to_string()));
                }
                Some(file) if *file != NotedFile::of(text.as_bytes()) => {
                    return Err(CatalogueNoteError::Altered(name.clone()));
                }
                Some(_) => {}
            }
        }
        let there = |name: &String| texts.iter().any(|(known, _)| known == name);
        if let Some(missing) = self.files.keys().find(|name| !there(name)) {
            return Err(CatalogueNoteError::Missing(missing.clone()));
        }
        let sources: Vec<Source<'_>> =
            texts.iter().map(|(name, text)| Source { name, text }).collect();
        let unsound = |findings: Vec<Finding>| {
            let first = findings.first().map(ToString::to_string);
            CatalogueNoteError::Unsound(first.unwrap_or_default())
        };
        let catalogue = Catalogue::parse(&sources).map_err(unsound)?;
        if catalogue.digest() != self.digest {
            let (made, named) = (catalogue.digest(), self.digest);
            return Err(CatalogueNoteError::OtherDigest { made, named });
        }
        Ok(catalogue)
    }
}

/// What a file of a catalogue may be called, wherever it is written.
fn is_name(name: &str) -> bool {
    let stem = name.strip_suffix(".toml").unwrap_or_default();
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
    };
    !stem.is_empty() && name.len() <= MAX_NAME && stem.bytes().all(allowed)
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// A small sound catalogue, for tests.
#[cfg(test)]
pub(crate) const SCHOOL: &str = r#"
domain = "school"
title = { en = "School", zh = "学校" }
[[category]]
id = "school.degree"
title = { en = "Degree", zh = "学位" }
[[item]]
id = "school.degree.held"
number = 7
title = { en = "Degree held", zh = "有学位" }
type = "boolean"
owners = ["education"]
sensitivity = "ordinary"
meaning = "A degree is on record."
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<(String, String)> {
        let reserved = ("reserved.toml".to_owned(), "# nothing yet\n".to_owned());
        vec![reserved, ("school.toml".to_owned(), SCHOOL.to_owned())]
    }

    fn noted(version: u64) -> CatalogueNote {
        let texts = vec![("school.toml".to_owned(), SCHOOL.to_owned())];
        let sources: Vec<Source<'_>> =
            texts.iter().map(|(name, text)| Source { name, text }).collect();
        CatalogueNote::new(version, &Catalogue::parse(&sources).unwrap(), &texts).unwrap()
    }

    fn key(seed: u8) -> (SigningKey, Origin, VerifyingKey) {
        let (key, name) = (
            SigningKey::from_seed(&[seed; 32]).unwrap(),
            "city.example/catalogue".parse().unwrap(),
        );
        let public = key.verifying_key(&name).unwrap();
        (key, name, public)
    }

    #[test]
    fn what_was_signed_is_read_again_by_its_key_and_by_no_other() {
        let ((signing, name, public), (_, _, other)) = (key(1), key(2));
        let noted = noted(7);
        let note = noted.sign(&name, &signing).unwrap();
        assert!(note.starts_with("tributary/catalogue/v1\nversion 7\ndigest "), "{note}");
        assert_eq!(
            CatalogueNote::verify(&note, &[other.clone(), public.clone()]),
            Ok(noted.clone())
        );
        assert_eq!(CatalogueNote::unverified(&note), Some(noted));
        let refused = CatalogueNote::verify(&note, &[other]).unwrap_err();
        assert_eq!(refused, CatalogueNoteError::Signature("city.example/catalogue".to_owned()));
        let altered = note.replace("version 7", "version 8");
        let refused = CatalogueNote::verify(&altered, &[public]).unwrap_err();
        assert!(matches!(refused, CatalogueNoteError::Signature(_)), "{refused}");
    }

    #[test]
    fn a_note_that_is_cut_too_long_or_another_text_is_none() {
        let (signing, name, public) = key(1);
        let keys = [public];
        let note = noted(7).sign(&name, &signing).unwrap();
        for end in 0..note.len() {
            let Some(cut) = note.get(..end) else { continue };
            let refused = CatalogueNote::verify(cut, &keys).unwrap_err();
            assert!(
                matches!(refused, CatalogueNoteError::Form | CatalogueNoteError::Signature(_)),
                "{end}: {refused}"
            );
        }
        let long = format!("{note}{}", "x".repeat(MAX_NOTE_BYTES));
        assert_eq!(CatalogueNote::verify(&long, &keys), Err(CatalogueNoteError::TooLong));
        assert_eq!(CatalogueNote::unverified(&long), None);
        let text = noted(7).text();
        for other in [
            text.replace("version 7", "version 07"),
            text.replace("version 7", "version -7"),
            text.replace("school.toml", "../school.toml"),
            text.replace("school.toml", "School.toml"),
            text.replace("school.toml", ".toml"),
            text.replace("school.toml", "school.txt"),
            text.replace("digest ", "digest 0"),
            format!("{text}more\n"),
            text.lines().take(3).map(|line| format!("{line}\n")).collect(),
        ] {
            assert_ne!(other, text);
            let note = signing.sign_text(&name, &other).unwrap();
            assert_eq!(
                CatalogueNote::verify(&note, &keys),
                Err(CatalogueNoteError::Form),
                "{other}"
            );
        }
    }

    #[test]
    fn signed_versions_only_rise() {
        assert_eq!(noted(7).follows(&noted(7)), Ok(false));
        assert_eq!(noted(8).follows(&noted(7)), Ok(true));
        let older = CatalogueNoteError::Older { held: 8, offered: 7 };
        assert_eq!(noted(7).follows(&noted(8)), Err(older));
        let mut other = noted(7);
        other.digest = CatalogueDigest([1; 32]);
        assert_eq!(other.follows(&noted(7)), Err(CatalogueNoteError::Twice(7)));
    }

    #[test]
    fn files_are_those_that_were_signed_all_of_them_and_no_other() {
        let noted = noted(1);
        let school = |text: &str| vec![("school.toml".to_owned(), text.to_owned())];
        assert_eq!(noted.check(&school(SCHOOL)).unwrap().digest(), noted.digest);
        let refused = |texts: &[(String, String)]| noted.check(texts).unwrap_err();
        let altered = CatalogueNoteError::Altered("school.toml".to_owned());
        assert_eq!(refused(&school(&SCHOOL.replace('7', "8"))), altered);
        assert_eq!(refused(&school(SCHOOL.trim_end())), altered);
        assert_eq!(refused(&[]), CatalogueNoteError::Missing("school.toml".to_owned()));
        assert_eq!(refused(&texts()), CatalogueNoteError::Unsigned("reserved.toml".to_owned()));

        let mut other = noted.clone();
        other.digest = CatalogueDigest([1; 32]);
        let refused = other.check(&school(SCHOOL)).unwrap_err();
        assert!(matches!(refused, CatalogueNoteError::OtherDigest { .. }), "{refused}");
        let mut unsound = noted;
        unsound.files.insert("school.toml".to_owned(), NotedFile::of(b"domain = 7"));
        let refused = unsound.check(&school("domain = 7")).unwrap_err();
        assert!(matches!(refused, CatalogueNoteError::Unsound(_)), "{refused}");
    }

    #[test]
    fn what_a_note_cannot_name_is_not_signed() {
        let catalogue = Catalogue::parse(&[Source { name: "s", text: SCHOOL }]).unwrap();
        for name in ["Größe.toml", "a b.toml", "a/b.toml", "a.txt", ".toml"] {
            let refused =
                CatalogueNote::new(1, &catalogue, &[(name.to_owned(), SCHOOL.to_owned())]);
            assert!(matches!(refused, Err(CatalogueNoteError::Name(_))), "{name}");
        }
        assert!(matches!(CatalogueNote::new(1, &catalogue, &[]), Err(CatalogueNoteError::Name(_))));
    }
}
