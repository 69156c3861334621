//! `review pack` and `review verify-pack`: what goes into an audit file, with a
//! manifest that says which bytes it was made of.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::page::{Review, WhatArgs, render};
use super::{diff, drift, forms, sarif};
use crate::app::review::Files;
use crate::app::review::inside;
use crate::app::review::revision::Revision;
use crate::domain::flows::federation::Federation;
use crate::domain::flows::keys::{FileKind, ValueForm};
use crate::domain::flows::open::flows;
use crate::domain::flows::settings::{Seen, Text, read};
use crate::files;

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review pack examples/city --against main:examples/city -o evidence
  tributary review verify-pack evidence

The folder holds the page, flows, changes and drift as JSON, SARIF, the
configuration and rules as they were read, anchors and pins, checkpoints,
proofs, the list of dependencies (CycloneDX) and manifest.json with the SHA-256
of each. No private key and no password is in it. verify-pack computes its flows
again: 0 whole, 1 error, 2 something was changed.";

const MANIFEST: &str = "manifest.json";

/// Most bytes of a file that is packed or checked.
const MAX_BYTES: u64 = 256 << 20;

/// Something was changed.
const CHANGED: u8 = 2;

/// The lock file of this very build.
const CARGO_LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// The federation's folder
    #[arg(default_value = ".")]
    folder: String,
    /// The folder to make; it must not exist yet, or be empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    what: WhatArgs,
}

#[derive(Debug, Args)]
pub(super) struct VerifyPackArgs {
    /// The folder of the pack
    folder: PathBuf,
    /// The SHA-256 of manifest.json, from whoever made the pack
    #[arg(long, value_name = "HEX")]
    manifest: Option<String>,
}

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// What made it.
    made_by: String,
    /// The day as of which it was made.
    as_of: String,
    /// The federation.
    federation: String,
    /// SHA-256 of each file, by name.
    files: BTreeMap<String, String>,
}

/// Files of a pack, in memory: none of them is large.
#[derive(Default)]
struct Pack(BTreeMap<String, Vec<u8>>);

impl Pack {
    fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(name.into(), bytes.into());
    }

    fn json(&mut self, name: &str, value: &Value) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.add(name, text);
        Ok(())
    }
}

pub(super) fn run(args: &PackArgs) -> anyhow::Result<ExitCode> {
    let review = Review::read(&args.folder, &args.what)?;
    let mut pack = Pack::default();
    pack.add("review.html", render(&review));
    let federation = &review.federation;
    let listed: Vec<Value> =
        review.flows.iter().map(|flow| forms::flow(federation, flow)).collect();
    let digests = forms::digests(federation);
    pack.json("flows.json", &json!({ "federation": digests, "flows": listed }))?;
    pack.json("digests.json", &digests)?;
    if let (Some(compared), Some(judged)) = (&review.compared, review.judged()) {
        pack.json("changes.json", &diff::report(compared, &judged))?;
        pack.json("changes.sarif", &sarif::render(compared, &judged))?;
    }
    if let Some(found) = &review.drift {
        pack.json("drift.json", &drift::report(federation, found))?;
        for log in &found.logs {
            pack.add(format!("checkpoints/{}.txt", plain(&log.house)), log.checkpoint.clone());
        }
        for incident in &found.drift.incidents {
            if let Ok(proof) = found.proof(incident) {
                pack.add(
                    format!("proofs/{}-{}.txt", plain(&incident.house), incident.index),
                    proof,
                );
            }
        }
    }
    pack.json("dependencies.cdx.json", &dependencies(CARGO_LOCK)?)?;
    let here = Revision::open(&args.folder, &args.what.repository, &args.what.path)?;
    inputs(&mut pack, here.folder())?;
    texts(&mut pack, here.folder(), federation)?;
    let files = pack.0.iter().map(|(name, bytes)| (name.clone(), hash(bytes)));
    let manifest = Manifest {
        made_by: format!("tributary {}", env!("CARGO_PKG_VERSION")),
        as_of: review.as_of.to_string(),
        federation: review.label.clone(),
        files: files.collect(),
    };
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    let sum = hash(text.as_bytes());
    pack.add(MANIFEST, text);
    write(&args.output, &pack)?;
    let mut out = crate::cli::output::stdout();
    writeln!(out, "{} files in {}\nmanifest {sum}", pack.0.len(), args.output.display())?;
    Ok(ExitCode::SUCCESS)
}

/// A house's name as one of a file.
fn plain(house: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' }
    };
    house.chars().map(letter).collect()
}

/// Every configuration file that decides, and the public files that it names. A password
/// in an address and a header's value are left out, which no flow depends on.
fn texts(pack: &mut Pack, root: &Path, federation: &Federation) -> anyhow::Result<()> {
    for text in &federation.files {
        let name = format!("inputs/{}", text.file);
        let catalogue =
            matches!(text.kind, FileKind::Catalogue | FileKind::Reserved | FileKind::Bundles);
        if catalogue || text.kind == FileKind::Vocabulary {
            continue;
        }
        pack.add(name, without_secrets(text));
        let folder = Path::new(&text.file).parent().unwrap_or(Path::new("")).to_owned();
        for (written, seen) in &text.public {
            let Seen::Digest(known) = seen else { continue };
            let Some(file) = inside(Path::new(""), &folder.join(written)) else { continue };
            let bytes = bounded(&root.join(&file))?;
            let shown = file.display();
            ensure!(hash(&bytes) == *known, "{shown} changed while it was packed: try again");
            pack.add(format!("inputs/{shown}"), bytes);
        }
    }
    Ok(())
}

/// A file's text without what may be secret in it.
fn without_secrets(text: &Text) -> String {
    let mut clean = text.text.clone();
    for setting in read(text).into_values() {
        let form = setting.row(text.kind).map(|row| row.form);
        let secret = matches!(form, Some(ValueForm::Address | ValueForm::Hidden) | None);
        if secret && setting.value != setting.shown && !setting.value.is_empty() {
            clean = clean.replace(&setting.value, &setting.shown);
        }
    }
    clean
}

/// Whether the flows of a pack follow from its own files, and from nothing else.
fn recomputed(folder: &Path) -> anyhow::Result<Option<String>> {
    let inputs = folder.join("inputs");
    let federation = match crate::app::review::load(&inputs) {
        Ok(federation) => federation,
        Err(error) => {
            let why = crate::domain::finding::causes(&error);
            return Ok(Some(format!("flows.json cannot be computed again from inputs: {why}")));
        }
    };
    let computed: Vec<Value> =
        flows(&federation).iter().map(|flow| forms::flow(&federation, flow)).collect();
    let packed: Value = serde_json::from_slice(&bounded(&folder.join("flows.json"))?)
        .context("flows.json is not of a pack")?;
    let packed = packed.get("flows").and_then(Value::as_array).cloned().unwrap_or_default();
    let differ = computed.iter().filter(|flow| !packed.contains(flow)).count()
        + packed.iter().filter(|flow| !computed.contains(flow)).count();
    let message = format!("flows.json does not follow from inputs: {differ} of its entries differ");
    Ok((differ > 0).then_some(message))
}

/// Catalogue and rules, byte for byte.
fn inputs(pack: &mut Pack, root: &Path) -> anyhow::Result<()> {
    let files = Files::find(root)?;
    let config = crate::config::gateway::GatewayConfig::load(&files.gateway)?;
    let mut read: BTreeSet<PathBuf> = BTreeSet::new();
    read.insert(config.catalogue.clone());
    let mut policies = vec![config.policy];
    for path in &files.agencies {
        policies.push(crate::config::agency::AgencyConfig::load(path)?.0.policy);
    }
    for policy in policies {
        read.extend([policy.rules, policy.vocabulary]);
    }
    for path in read {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                let path = entry?.path();
                if path.extension().is_some_and(|end| end == "toml" || end == "cedar") {
                    pack.add(format!("inputs/{}", files.name(&path)), bounded(&path)?);
                }
            }
        } else {
            pack.add(format!("inputs/{}", files.name(&path)), bounded(&path)?);
        }
    }
    Ok(())
}

fn write(folder: &Path, pack: &Pack) -> anyhow::Result<()> {
    if folder.exists() && std::fs::read_dir(folder)?.next().is_some() {
        bail!("{} is not empty: name a folder that does not exist yet", folder.display());
    }
    for (name, bytes) in &pack.0 {
        let path = safe(folder, name)?;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A name of the pack as a path inside its folder.
fn safe(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(plain && !name.is_empty(), "`{}` leads out of the pack", name.escape_default());
    Ok(folder.join(path))
}

fn bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("cannot read {}", path.display());
    let state = std::fs::symlink_metadata(path).with_context(failed)?;
    ensure!(state.is_file(), "{} is no regular file", path.display());
    files::read(path, MAX_BYTES).with_context(failed)
}

fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn verify(args: &VerifyPackArgs) -> anyhow::Result<ExitCode> {
    let text = bounded(&args.folder.join(MANIFEST))?;
    let mut wrong = Vec::new();
    if args.manifest.as_ref().is_some_and(|known| known.to_ascii_lowercase() != hash(&text)) {
        wrong.push(format!("{MANIFEST} is another one: {}", hash(&text)));
    }
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{MANIFEST} is not of a pack"))?;
    for (name, known) in &manifest.files {
        let path = safe(&args.folder, name)?;
        match bounded(&path) {
            Ok(bytes) if hash(&bytes) == *known => {}
            Ok(_) => wrong.push(format!("{name} was changed")),
            Err(_) => wrong.push(format!("{name} is missing")),
        }
    }
    for name in present(&args.folder, "", 0)? {
        if name != MANIFEST && !manifest.files.contains_key(&name) {
            wrong.push(format!("{} is not in the manifest", name.escape_default()));
        }
    }
    if wrong.is_empty() {
        wrong.extend(recomputed(&args.folder)?);
    }
    let mut out = crate::cli::output::stdout();
    for line in &wrong {
        writeln!(out, "{line}")?;
    }
    if wrong.is_empty() {
        let files = manifest.files.len();
        writeln!(
            out,
            "whole: {files} files, as of {}; its flows follow from them",
            manifest.as_of
        )?;
        if args.manifest.is_none() {
            writeln!(out, "manifest {}: compare it with the one that you were given", hash(&text))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(CHANGED))
}

/// Names of the files in a pack's folder.
fn present(folder: &Path, prefix: &str, depth: usize) -> anyhow::Result<Vec<String>> {
    ensure!(depth < 16, "{} nests too deeply to be a pack", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            names.extend(present(&entry.path(), &format!("{name}/"), depth + 1)?);
        } else {
            names.push(name);
        }
    }
    Ok(names)
}

/// What this build is made of, as CycloneDX 1.5, from its own lock file.
fn dependencies(lock: &str) -> anyhow::Result<Value> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        source: Option<String>,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock).context("the build's own Cargo.lock cannot be read")?;
    let components = lock.package.iter().filter(|package| package.source.is_some());
    let components: Vec<Value> = components
        .map(|Package { name, version, checksum, .. }| {
            let purl = format!("pkg:cargo/{name}@{version}");
            let mut component = json!({
                "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            });
            if let (Some(sum), Some(fields)) = (checksum, component.as_object_mut()) {
                let hashes = json!([{ "alg": "SHA-256", "content": sum }]);
                fields.insert("hashes".to_owned(), hashes);
            }
            component
        })
        .collect();
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "bom-ref": "tributary", "name": "tributary",
            "version": env!("CARGO_PKG_VERSION"),
        }},
        "components": components,
    }))
}
