//! `tributary audit keygen`: makes the key of a log.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::output::say;
use crate::domain::audit::Origin;
use crate::issuer::key_files::{self, KeyFiles};

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
    let (KeyFiles { private, public }, key) = key_files::log(&args.out, &origin)?;
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
