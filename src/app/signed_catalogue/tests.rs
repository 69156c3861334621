//! What is taken of a gateway that hands on what was signed, and of one that does not.

use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::config::catalogue::SCHOOL;

/// A gateway that says whatever it is told to say.
#[derive(Debug, Clone, Default)]
struct Saying {
    note: String,
    files: HashMap<[u8; 32], Vec<u8>>,
    /// Files that it was asked for.
    asked: usize,
}

impl Supplier for Saying {
    async fn note(&mut self) -> Result<String, SignedCatalogueError> {
        Ok(self.note.clone())
    }

    async fn file(&mut self, file: NotedFile) -> Result<Vec<u8>, SignedCatalogueError> {
        self.asked += 1;
        Ok(self.files.get(&file.0).cloned().unwrap_or_default())
    }
}

fn key(seed: u8) -> (Origin, SigningKey, VerifyingKey) {
    let name: Origin = "city.example/catalogue".parse().unwrap();
    let key = SigningKey::from_seed(&[seed; 32]).unwrap();
    let public = key.verifying_key(&name).unwrap();
    (name, key, public)
}

fn folder(root: &Path, name: &str, school: &str) -> PathBuf {
    let folder = root.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("school.toml"), school).unwrap();
    fs::write(folder.join("reserved.toml"), "").unwrap();
    folder
}

/// A catalogue that was signed as a version, and the gateway that hands it on.
fn signed(root: &Path, version: u64, school: &str) -> Saying {
    let (name, key, _) = key(1);
    let folder = folder(root, &format!("signed-{version}"), school);
    sign(&folder, version, &name, &key).unwrap();
    let files = catalogue::texts(&folder).unwrap().into_iter().map(|(_, text)| text.into_bytes());
    Saying {
        note: catalogue::note(&folder).unwrap().unwrap(),
        files: files.map(|content| (NotedFile::of(&content).0, content)).collect(),
        asked: 0,
    }
}

fn all(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    let mut all: Vec<_> = entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort();
    all
}

async fn taken(from: &mut Saying, folder: &Path) -> Result<Fetched, String> {
    fetch(from, &[key(1).2], folder).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_signed_catalogue_is_taken_whole_once_and_again_where_a_file_was_changed() {
    let root = tempfile::tempdir().unwrap();
    let mut gateway = signed(root.path(), 3, SCHOOL);
    let held = root.path().join("held");
    let first = taken(&mut gateway, &held).await.unwrap();
    assert!(matches!(&first, Fetched::Taken(noted) if noted.version == 3), "{first:?}");
    assert_eq!(all(&held), all(&root.path().join("signed-3")));
    assert_eq!(gateway.asked, 2);

    let again = taken(&mut gateway, &held).await.unwrap();
    assert!(matches!(again, Fetched::Held(_)), "{again:?}");
    fs::write(held.join("school.toml"), SCHOOL.replace("on record", "not on record")).unwrap();
    let again = taken(&mut gateway, &held).await.unwrap();
    assert!(matches!(again, Fetched::Taken(_)), "{again:?}");
    assert_eq!(all(&held), all(&root.path().join("signed-3")));
    // What the folder has already is not asked for.
    assert_eq!(gateway.asked, 3);

    let newer = SCHOOL.replace("Degree held", "A degree held");
    let mut gateway = signed(root.path(), 4, &newer);
    taken(&mut gateway, &held).await.unwrap();
    assert_eq!(all(&held), all(&root.path().join("signed-4")));
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(left.len(), 3, "nothing else is left beside it: {left:?}");
}

#[tokio::test]
async fn what_is_not_as_it_was_signed_is_refused_by_name_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let good = signed(root.path(), 3, SCHOOL);
    let held = root.path().join("held");
    taken(&mut good.clone(), &held).await.unwrap();
    let before = all(&held);
    let newer = SCHOOL.replace("Degree held", "A degree held");
    let next = signed(root.path(), 4, &newer);
    let older = signed(root.path(), 2, SCHOOL);
    let (name, other, _) = key(2);
    let noted = CatalogueNote::unverified(&next.note).unwrap();
    let digest = noted.files["school.toml"].0;
    let with = |content: Vec<u8>| {
        let mut files = next.files.clone();
        files.insert(digest, content);
        Saying { files, ..next.clone() }
    };
    let said = |note: String| Saying { note, ..next.clone() };
    // Another catalogue under the version that is held.
    let twice = signed(&root.path().join("twice"), 3, &newer);
    let cases = [
        ("another key", said(noted.sign(&name, &other).unwrap()), "not signed with the pinned key"),
        ("an altered note", said(next.note.replace("version 4", "version 5")), "not signed"),
        ("a note that is cut", said(next.note[..next.note.len() / 2].to_owned()), "a part of one"),
        ("no note", said(String::new()), "this is no note of a catalogue"),
        ("a note too long", said(" ".repeat(MAX_NOTE_BYTES + 1)), "longer than any"),
        ("an altered file", with(newer.replace('7', "8").into_bytes()), "`school.toml` is not the"),
        ("a file that is cut", with(newer.as_bytes()[..99].to_vec()), "`school.toml` is not the"),
        ("a file that is none", with(Vec::new()), "`school.toml` is not the file"),
        ("a file too large", with(vec![b'#'; 1024 * 1024 + 1]), "longer than any"),
        ("an older version", older, "version 2 is older than 3"),
        ("two of one version", twice, "version 3 was signed twice"),
    ];
    for (what, mut gateway, told) in cases {
        let refused = taken(&mut gateway, &held).await.unwrap_err();
        assert!(refused.contains(told), "{what}: {refused}");
        assert_eq!(all(&held), before, "{what}");
    }
    taken(&mut next.clone(), &held).await.unwrap();
    let refused = taken(&mut good.clone(), &held).await.unwrap_err();
    assert!(refused.contains("version 3 is older than 4"), "{refused}");
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_or_another_operators_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let gateway = signed(root.path(), 3, SCHOOL);
    let foreign = folder(root.path(), "foreign", SCHOOL);
    fs::write(foreign.join("notes.txt"), "mine").unwrap();
    let refused = taken(&mut gateway.clone(), &foreign).await.unwrap_err();
    assert!(refused.contains("holds `notes.txt`, which is no part"), "{refused}");

    // An unsigned one is taken over; one that another key signed needs that key as well.
    let own = folder(root.path(), "own", SCHOOL);
    let (name, other, public) = key(2);
    sign(&own, 9, &name, &other).unwrap();
    let refused = taken(&mut gateway.clone(), &own).await.unwrap_err();
    assert!(refused.contains("own` holds: the note is not signed"), "{refused}");
    let keys = [key(1).2, public];
    let refused = fetch(&mut gateway.clone(), &keys, &own).await.unwrap_err().to_string();
    assert!(refused.contains("version 3 is older than 9"), "{refused}");
    fs::remove_file(own.join(NOTE)).unwrap();
    taken(&mut gateway.clone(), &own).await.unwrap();
}

#[test]
fn a_version_is_signed_once_and_never_a_lower_one_after_it() {
    let root = tempfile::tempdir().unwrap();
    let (name, key, _) = key(1);
    let folder = folder(root.path(), "signed", SCHOOL);
    sign(&folder, 3, &name, &key).unwrap();
    sign(&folder, 3, &name, &key).unwrap();
    let refused = sign(&folder, 2, &name, &key).unwrap_err().to_string();
    assert!(refused.contains("version 2 is older than 3"), "{refused}");
    fs::write(folder.join("school.toml"), SCHOOL.replace("Degree held", "Held")).unwrap();
    let refused = sign(&folder, 3, &name, &key).unwrap_err().to_string();
    assert!(refused.contains("version 3 was signed twice"), "{refused}");
    sign(&folder, 4, &name, &key).unwrap();
}
