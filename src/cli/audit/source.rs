//! Where the subcommands read from: a log's folder, a key, an export.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cli::output::tell;
use crate::domain::audit::export::Line;
use crate::domain::audit::{SignedCheckpoint, VerifyingKey};
use crate::files;
use crate::store::walk::{Fault, FaultKind, Step, walk};

/// Reads a public key: the text itself, or a file that holds it.
pub(in crate::cli) fn key(text: &str) -> anyhow::Result<VerifyingKey> {
    if text.contains('+') {
        return Ok(text.parse()?);
    }
    let file = files::read_text(Path::new(text), files::SMALL)
        .with_context(|| format!("cannot read the key's file {text}"))?;
    file.parse().with_context(|| format!("in the key's file {text}"))
}

/// Reads a signed checkpoint from a file.
pub(super) fn checkpoint(path: &Path, key: &VerifyingKey) -> anyhow::Result<SignedCheckpoint> {
    let note = files::read_text(path, files::SMALL)
        .with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
    Ok(key.verify(&note)?)
}

/// Goes through a log and hands over every record as a line. The exit code tells
/// whether the log was whole; what is wrong with it goes to standard error.
pub(super) fn lines(
    log: &Path,
    key: &VerifyingKey,
    with_tags: bool,
    on_line: &mut dyn FnMut(Line) -> std::io::Result<()>,
) -> anyhow::Result<ExitCode> {
    super::gone::say_of(log, key)?;
    let mut progress = Progress::new();
    let mut written = Ok(());
    let walked = walk(log, Some(key), &mut |Step { index, record, .. }| {
        progress.tell(index + 1);
        if let (Some(record), true) = (record, written.is_ok()) {
            let line = Line::new(key.origin().as_str(), index, record, with_tags);
            written = on_line(line);
        }
    })?;
    progress.end();
    written.context("cannot write the records")?;
    Ok(exit_code(&walked.faults))
}

/// The key of the log in a folder, by the origin of its newest checkpoint, and that
/// checkpoint's note, of which nothing is verified yet.
pub(in crate::cli) fn key_of<'a>(
    folder: &Path,
    keys: &'a [VerifyingKey],
) -> anyhow::Result<(&'a VerifyingKey, String)> {
    let shown = folder.display();
    let note = files::read_text(&folder.join("checkpoint"), files::SMALL)
        .with_context(|| format!("{shown} has no checkpoint: is it a log's folder?"))?;
    let origin = SignedCheckpoint::parse_unverified(&note)?.checkpoint().origin.clone();
    let key = keys.iter().find(|key| *key.origin() == origin);
    let key = key
        .with_context(|| format!("no key is given for the log `{origin}` in {shown}: add --key"))?;
    Ok((key, note))
}

/// Reads a log's folder or an export of one.
pub(super) fn log_or_export(path: &Path, keys: &[VerifyingKey]) -> anyhow::Result<Vec<Line>> {
    if !path.is_dir() {
        let text = files::read_text(path, files::EXPORT)
            .with_context(|| format!("cannot read the export {}", path.display()))?;
        return text
            .lines()
            .zip(1..)
            .map(|(line, at)| {
                serde_json::from_str(line)
                    .with_context(|| format!("line {at} of {} is not of an export", path.display()))
            })
            .collect();
    }
    let (key, _) = key_of(path, keys)?;
    let mut all = Vec::new();
    let code = lines(path, key, false, &mut |line| {
        all.push(line);
        Ok(())
    })?;
    anyhow::ensure!(
        code == ExitCode::SUCCESS,
        "the log in {} is not sound: run `tributary audit verify` first",
        path.display()
    );
    Ok(all)
}

/// Tells what is wrong, and the exit code for it.
pub(super) fn exit_code(faults: &[Fault]) -> ExitCode {
    for fault in faults {
        tell!("{fault}");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else if faults.iter().any(|fault| fault.kind == FaultKind::Changed) {
        ExitCode::from(2)
    } else {
        ExitCode::from(3)
    }
}

/// A count on standard error, once a second, where a person looks at it.
pub(super) struct Progress {
    next: Option<Instant>,
    told: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        let person = std::io::stderr().is_terminal();
        let next = person.then(|| crate::clock::now() + Duration::from_secs(1));
        Self { next, told: false }
    }

    pub(super) fn tell(&mut self, entries: u64) {
        if entries.is_multiple_of(4096)
            && let Some(next) = self.next
            && crate::clock::now() >= next
        {
            self.next = Some(next + Duration::from_secs(1));
            self.told = true;
            let mut err = std::io::stderr();
            let _ = write!(err, "\r{entries} entries read").and_then(|()| err.flush());
        }
    }

    pub(super) fn end(&mut self) {
        if self.told {
            tell!("");
        }
    }
}
