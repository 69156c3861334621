//! `tributary audit keygen`: makes the key of a log.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::output::say;
use crate::domain::audit::{Origin, SigningKey};
use crate::domain::grant::base64;
use crate::domain::sensitive::Sensitive;
use crate::issuer::{write_private, write_public};

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The log's origin line, such as gateway.city.example/2026
    #[arg(long)]
    origin: String,
    /// Where to write NAME.seed (private, mode 0600) and NAME.vkey (what verifiers
    /// take); existing files are kept
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
}

pub(super) fn run(args: &KeygenArgs, json: bool) -> anyhow::Result<ExitCode> {
    let origin: Origin = args.origin.parse()?;
    let mut bytes = [0u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok().context("the system gives no randomness")?;
    let seed = Sensitive::new(bytes);
    let key = SigningKey::from_seed(seed.expose())?.verifying_key(&origin)?;
    let (private, public) = (args.out.with_extension("seed"), args.out.with_extension("vkey"));
    write_private(&private, base64::encode(seed.expose()).as_bytes())?;
    write_public(&public, format!("{key}\n").as_bytes())?;
    if json {
        let told = serde_json::json!({
            "origin": origin.as_str(), "private": private, "public": public,
            "key": key.to_string(),
        });
        say!("{told:#}")?;
    } else {
        say!("private seed {}\npublic key   {}", private.display(), public.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
