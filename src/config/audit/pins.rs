//! The logs by which a peer is known: each by its public key, or by the note with which
//! another of them named it its successor. A note counts only beside the log that signed it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::faults::Faults;
use crate::domain::audit::{NoteError, Origin, Successor, SuccessorError, VerifyingKey};
use crate::domain::peer::SpiffeId;
use crate::files;

/// One log of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedLog {
    /// Its key.
    pub key: VerifyingKey,
    /// The log from which it must go on, where a note of that one is all that speaks for it.
    pub succeeds: Option<Origin>,
}

/// A peer's logs, by which it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedLogs {
    /// Who writes them.
    pub identity: SpiffeId,
    /// The logs, as they are listed.
    pub logs: Vec<PinnedLog>,
}

/// Why a file pins no log.
#[derive(Debug, thiserror::Error)]
#[error("`{}` pins no audit log: {why}", path.display())]
struct PinError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Key(#[from] NoteError),
    #[error(transparent)]
    Note(#[from] SuccessorError),
    #[error("the log `{0}` is listed twice: leave one file of each log")]
    Twice(Origin),
    #[error(
        "it is the successor note of `{0}`, which is not listed beside it: add the key of that log, or its own successor note, to the same `logs`"
    )]
    Alone(Origin),
    #[error(
        "`{before}` has the successor `{first}` by another file: a log has one, so leave the note that it is to follow"
    )]
    TwoSuccessors { before: Origin, first: Origin },
    #[error("the successor notes go round from `{0}` to itself: leave out the one that is wrong")]
    Loop(Origin),
}

/// A file, read.
enum Pin {
    Key(VerifyingKey),
    /// Signed by nobody known yet.
    Note {
        text: String,
        named: Successor,
    },
}

/// A log that is pinned, and by which of the files.
type Found = (usize, PinnedLog);

/// Reads the files of one peer, `name` in the configuration. `origins` are the logs that are
/// listed already, of whichever peer.
pub(super) fn read(
    name: &str,
    paths: &[PathBuf],
    origins: &mut BTreeSet<Origin>,
    faults: &mut Faults,
) -> Vec<PinnedLog> {
    let mut found: Vec<Found> = Vec::with_capacity(paths.len());
    let mut notes = Vec::new();
    let mut refuse = |at: usize, path: &Path, why: Why| {
        let error = PinError { path: path.to_owned(), why };
        faults.take::<(), _>(&format!("{name}[{at}]"), Err(error));
    };
    for (at, path) in paths.iter().enumerate() {
        match pin(path) {
            Ok(Pin::Key(key)) if origins.insert(key.origin().clone()) => {
                found.push((at, PinnedLog { key, succeeds: None }));
            }
            Ok(Pin::Key(key)) => refuse(at, path, Why::Twice(key.origin().clone())),
            Ok(Pin::Note { text, named }) => notes.push((at, path, text, named)),
            Err(why) => refuse(at, path, why),
        }
    }
    // Each round takes the notes of the logs that are known by then.
    loop {
        let known = found.len();
        notes.retain(|(at, path, text, named)| {
            let Some((_, old)) = found.iter().find(|(_, log)| *log.key.origin() == named.before)
            else {
                return true;
            };
            match judge(text, &old.key, &found, origins) {
                Ok(log) => found.push((*at, log)),
                Err(why) => refuse(*at, path, why),
            }
            false
        });
        if found.len() == known {
            break;
        }
    }
    for (at, path, _, named) in &notes {
        // Upwards from note to note: to a log that is not listed, or round.
        let mut before = &named.before;
        for _ in &notes {
            let above = notes.iter().find(|(.., above)| above.key.origin() == before);
            before = above.map_or(before, |(.., above)| &above.before);
        }
        let is_loop = notes.iter().any(|(.., above)| above.key.origin() == before);
        let why = if is_loop { Why::Loop } else { Why::Alone };
        refuse(*at, path, why(if is_loop { before } else { &named.before }.clone()));
    }
    found.sort_unstable_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, log)| log).collect()
}

/// A log by the note of the one before it.
fn judge(
    note: &str,
    old: &VerifyingKey,
    found: &[Found],
    origins: &mut BTreeSet<Origin>,
) -> Result<PinnedLog, Why> {
    let key = Successor::verify(note, old)?;
    let (before, origin) = (old.origin(), key.origin());
    let mut others = found.iter().map(|(_, log)| log);
    if let Some(first) = others.find(|log| log.succeeds.as_ref() == Some(before)) {
        let (before, first) = (before.clone(), first.key.origin().clone());
        if first != *origin {
            return Err(Why::TwoSuccessors { before, first });
        }
    }
    let mut above = Some(old.origin());
    while let Some(each) = above {
        if each == origin {
            return Err(Why::Loop(origin.clone()));
        }
        let log = found.iter().find(|(_, log)| log.key.origin() == each);
        above = log.and_then(|(_, log)| log.succeeds.as_ref());
    }
    if !origins.insert(origin.clone()) {
        return Err(Why::Twice(origin.clone()));
    }
    let succeeds = Some(before.clone());
    Ok(PinnedLog { key, succeeds })
}

/// A key is one line, and a note several.
fn pin(path: &Path) -> Result<Pin, Why> {
    let text = files::read_text(path, files::SMALL)?;
    if text.trim().contains('\n') {
        let named = Successor::parse_unverified(&text)?;
        return Ok(Pin::Note { text, named });
    }
    Ok(Pin::Key(text.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::SigningKey;

    /// The log of a letter.
    fn key(log: u8) -> (SigningKey, VerifyingKey) {
        let key = SigningKey::from_seed(&[log; 32]).unwrap();
        let origin = char::from(log).to_string().parse().unwrap();
        let public = key.verifying_key(&origin).unwrap();
        (key, public)
    }

    fn note(old: u8, new: u8) -> String {
        let (signing, old) = key(old);
        Successor::sign(&signing, old.origin(), &key(new).1).unwrap()
    }

    /// Files of keys (`A`) and notes (`AB`), and what is pinned by them, or refused.
    fn pinned(files: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let text = match file.as_bytes() {
                &[log] => format!("{}\n", key(log).1),
                &[old, new] => note(old, new),
                other => String::from_utf8(other.to_vec()).unwrap(),
            };
            paths.push(folder.path().join(format!("{at}")));
            std::fs::write(&paths[at], text).unwrap();
        }
        let mut faults = Faults::new(Path::new("gateway.toml"));
        let logs = read("audit.peer[0].logs", &paths, &mut BTreeSet::new(), &mut faults);
        let told = faults.refuse().to_string();
        if !told.is_empty() {
            return Err(told.replace(&format!("{}/", folder.path().display()), ""));
        }
        let word = |log: PinnedLog| match log.succeeds {
            None => log.key.origin().to_string(),
            Some(before) => format!("{before}{}", log.key.origin()),
        };
        Ok(logs.into_iter().map(word).collect())
    }

    #[test]
    fn a_successor_is_pinned_by_the_note_of_a_log_beside_it_in_any_order() {
        for files in [
            vec!["A"],
            vec!["A", "AB"],
            vec!["AB", "A"],
            vec!["CD", "AB", "X", "BC", "A"],
            vec!["A", "X", "XY", "AB"],
        ] {
            assert_eq!(pinned(&files).unwrap(), files);
        }
    }

    #[test]
    fn a_note_that_pins_nothing_is_refused_with_its_file_and_what_to_do() {
        let altered = note(b'A', b'B').replace("\n\n— A ", "\n\n— A A");
        let forged = note(b'A', b'B').replace("new B", "new C");
        let cases: [(&[&str], &str); 12] = [
            (
                &["X", "AB"],
                "logs[1]` is refused: `1` pins no audit log: it is the successor note of `A`, which is not listed beside it: add",
            ),
            (
                &["BC", "AB"],
                "logs[0]` is refused: `0` pins no audit log: it is the successor note of `B`, which is not listed",
            ),
            (
                &["A", "AB", "AC"],
                "logs[2]` is refused: `2` pins no audit log: `A` has the successor `B` by another file: a log has one",
            ),
            (
                &["A", "AB", "BA"],
                "logs[2]` is refused: `2` pins no audit log: the successor notes go round from `A` to itself",
            ),
            (
                &["A", "AB", "BC", "CB"],
                "logs[3]` is refused: `3` pins no audit log: the successor notes go round from `B` to itself",
            ),
            (
                &["X", "AB", "BA"],
                "logs[1]` is refused: `1` pins no audit log: the successor notes go round from",
            ),
            (
                &["A", "AB", "B"],
                "logs[1]` is refused: `1` pins no audit log: the log `B` is listed twice",
            ),
            (
                &["A", "AB", "AB"],
                "logs[2]` is refused: `2` pins no audit log: the log `B` is listed twice",
            ),
            (
                &["A", "A"],
                "logs[1]` is refused: `1` pins no audit log: the log `A` is listed twice",
            ),
            (
                &["A", &altered],
                "logs[1]` is refused: `1` pins no audit log: this is no successor note: ",
            ),
            (
                &["A", &forged],
                "logs[1]` is refused: `1` pins no audit log: this is not a log's public key",
            ),
            (
                &["A", "no\nnote"],
                "logs[1]` is refused: `1` pins no audit log: this is no successor note: it is no signed note",
            ),
        ];
        for (files, told) in cases {
            let refused = pinned(files).unwrap_err();
            assert!(refused.contains(told), "{files:?}: {told}\n{refused}");
        }
        // A note whose words were changed, its key with them.
        let (signing, old) = key(b'A');
        let other = signing.verifying_key(&"C".parse().unwrap()).unwrap();
        let text = note(b'A', b'B').replace(&key(b'B').1.to_string(), &key(b'C').1.to_string());
        let refused = pinned(&["A", &text]).unwrap_err();
        assert!(refused.contains("is not signed with the key of the log `A`"), "{refused}");
        // And a log that names itself under another name.
        let text = format!("tributary/log-successor/v1\nold A\nnew {other}\n");
        let refused = pinned(&["A", &signing.sign_text(old.origin(), &text).unwrap()]);
        assert!(refused.unwrap_err().contains("cannot be its own successor"));
    }

    #[test]
    fn a_log_of_another_peer_signs_nothing_here() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, key(b'A').1.to_string()).unwrap();
        std::fs::write(&other, note(b'A', b'B')).unwrap();
        let (mut origins, mut faults) = (BTreeSet::new(), Faults::new(Path::new("x.toml")));
        read("audit.peer[0].logs", &[one], &mut origins, &mut faults);
        assert_eq!(faults.count(), 0);
        read("audit.peer[1].logs", &[other], &mut origins, &mut faults);
        let told = faults.refuse().to_string();
        assert!(told.contains("audit.peer[1].logs[0]") && told.contains("not listed"), "{told}");
    }
}
