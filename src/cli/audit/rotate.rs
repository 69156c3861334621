//! `tributary audit rotate`: makes ready the log in which another is to go on.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;

use crate::cli::output::say;
use crate::config::audit::{self, AuditConfig};
use crate::domain::audit::{Origin, Successor, VerifyingKey};
use crate::files;
use crate::issuer::key_files::{self, KeyFiles, with_ending};
use crate::issuer::write_public;

/// Makes the next log's key, and the note by which peers pin it beforehand, signed with the
/// key of the log that is being written. Nothing turns yet: what is printed says what to hand
/// over and what to put into the configuration, which a running process takes by itself.
#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The configuration of the gateway or agency whose log it is.
    #[arg(long, short)]
    config: PathBuf,
    /// The next log's origin line, such as gateway.city.example/2027.
    #[arg(long)]
    origin: String,
    /// The next log's folder, as the configuration will name it.
    #[arg(long)]
    folder: PathBuf,
    /// Where to write NAME.seed (private, mode 0600), NAME.vkey and NAME.successor (for
    /// peers); existing files are kept.
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
}

/// What is read of a configuration: whether the rest is sound is not asked here.
#[derive(Deserialize)]
struct Configuration {
    audit: AuditConfig,
}

pub(super) fn run(args: &RotateArgs, json: bool) -> anyhow::Result<ExitCode> {
    let of = || format!("in {}", args.config.display());
    let text = files::read_text(&args.config, files::MEDIUM).with_context(of)?;
    let Configuration { audit: now } = toml::from_str(&text).with_context(of)?;
    let base = args.config.parent().unwrap_or(Path::new(""));
    let signing = audit::seed(&base.join(&now.key))?;
    let old: Origin = now.origin.parse().with_context(of)?;
    let ended = signing.verifying_key(&old)?;
    let origin: Origin = args.origin.parse().context("--origin")?;
    anyhow::ensure!(origin != old, "--origin: `{origin}` is the origin of the log that is to end");

    let (KeyFiles { private, public }, key) = key_files::log(&args.out, &origin)?;
    let note = with_ending(&args.out, "successor");
    write_public(&note, Successor::sign(&signing, &old, &key)?.as_bytes())?;
    let ended = known_by(base, &now, &ended, &args.out)?;
    let section = section(&Next { args, now: &now, ended: &ended, private: &private })?;
    if json {
        let told = serde_json::json!({
            "origin": origin.as_str(), "private": private, "public": public,
            "successor": note, "key": key.to_string(), "section": section,
        });
        say!("{told:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "made {private}, {public} and {note}. Next:\n\
         1. hand {note} to every peer that pins this log; it belongs into [[audit.peer]] logs, \
         beside the key of {old}\n\
         2. once they have it, put this in the place of the same keys of {config}; paths are as \
         seen from there:\n\n{section}\n\
         3. a running process says that the audit log goes on in another folder; if it is not \
         running, it goes on at the next start\n\
         4. then remove audit.succeeds.key and destroy the seed that it names; keep the folder",
        private = private.display(),
        public = public.display(),
        note = note.display(),
        config = args.config.display(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The file of the old log's public key: the one beside its seed, or one that is made.
fn known_by(
    base: &Path,
    now: &AuditConfig,
    key: &VerifyingKey,
    out: &Path,
) -> anyhow::Result<PathBuf> {
    let beside = now.key.with_extension("vkey");
    let found = files::read_text(&base.join(&beside), files::SMALL);
    if found.is_ok_and(|found| found.trim() == key.to_string()) {
        return Ok(beside);
    }
    let made = with_ending(out, "before.vkey");
    write_public(&made, format!("{key}\n").as_bytes())?;
    Ok(from(base, &made))
}

struct Next<'a> {
    args: &'a RotateArgs,
    now: &'a AuditConfig,
    ended: &'a Path,
    private: &'a Path,
}

/// What belongs into the configuration.
fn section(next: &Next<'_>) -> anyhow::Result<String> {
    let Next { args, now, ended, private } = *next;
    let base = args.config.parent().unwrap_or(Path::new(""));
    let text = |path: &Path| -> anyhow::Result<toml::Value> {
        let text = path.to_str().with_context(|| format!("{} is no text", path.display()))?;
        Ok(toml::Value::String(text.to_owned()))
    };
    let origin = toml::Value::String(args.origin.clone());
    let (folder, key, peers) =
        (text(&args.folder)?, text(&from(base, private))?, text(&now.peers_folder())?);
    let (old, known, old_key) = (text(&now.folder)?, text(ended)?, text(&now.key)?);
    Ok(format!(
        "[audit]\nfolder = {folder}\norigin = {origin}\nkey = {key}\npeers_folder = {peers}\n\n\
         [audit.succeeds]\nfolder = {old}\nlog_key = {known}\nkey = {old_key}\n"
    ))
}

/// A path as it is seen from the configuration's folder.
fn from(base: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(base)
        .map(Path::to_owned)
        .unwrap_or_else(|_| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}
