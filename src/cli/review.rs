//! `tributary review`: what can flow, what a change would open, and whether what
//! happened was declared. For the reviewer, who runs nothing and trusts nobody:
//! everything is computed from files.
//!
//! Exit codes stand in the help of each subcommand.

mod accept;
mod compared;
mod diff;
mod drift;
mod flows;
mod forms;
mod markdown;
mod pack;
mod page;
mod prove;
mod sarif;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

/// Reviews data flows.
#[derive(Debug, Args)]
pub struct ReviewArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what can flow from whom to whom, for what, and by which rule
    #[command(after_help = flows::EXAMPLES)]
    Flows(flows::FlowsArgs),
    /// Say what a change opens, trusts, widens, reads otherwise or closes, and blame it
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::DiffArgs),
    /// Say whether what verified logs say happened was declared
    #[command(after_help = drift::EXAMPLES)]
    Drift(drift::DriftArgs),
    /// Prove that rules and their change keep what they must keep closed
    #[command(after_help = prove::EXAMPLES)]
    Prove(prove::ProveArgs),
    /// Write the whole review as one HTML page
    #[command(after_help = page::EXAMPLES)]
    Page(page::PageArgs),
    /// Write everything that goes into an audit file
    #[command(after_help = pack::EXAMPLES)]
    Pack(pack::PackArgs),
    /// Check that a pack is as it was made, and compute its flows again from it
    VerifyPack(pack::VerifyPackArgs),
    /// Accept the changes between two sides in flows.lock
    #[command(after_help = accept::EXAMPLES)]
    Accept(accept::AcceptArgs),
}

/// Two sides of a comparison.
#[derive(Debug, Args)]
struct Sides {
    /// The side before: a folder, or a git revision such as main or v1:city
    old: String,
    /// The side after
    new: String,
    /// The federation's folder inside the repository, for revisions without one
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: String,
    /// The git repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
    /// The changes that were accepted
    #[arg(long, value_name = "FILE", default_value = "flows.lock")]
    lock: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What cannot be read or written.
pub fn run(args: ReviewArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Flows(args) => flows::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Accept(args) => accept::run(&args),
        Command::Drift(args) => drift::run(&args),
        Command::Prove(args) => prove::run(&args),
        Command::Page(args) => page::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::VerifyPack(args) => pack::verify(&args),
    }
}

/// Writes the page of a federation's folder; `log` is its gateway's and the file of
/// the log's key.
pub(super) fn write_page(
    folder: &Path,
    log: Option<(PathBuf, PathBuf)>,
    output: &Path,
) -> anyhow::Result<()> {
    page::write_for(folder, log, output)
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Whoever the umask lets.
    Anybody,
    /// Its owner alone: it is about a person.
    Owner,
}

/// Writes a file whole: it appears when everything is in it.
pub(super) fn write(path: &Path, bytes: &[u8], reader: Reader) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let failed = || format!("cannot write {}", path.display());
    let mode = if reader == Reader::Anybody { 0o666 } else { 0o600 };
    let mut builder = tempfile::Builder::new();
    let builder = builder.permissions(std::fs::Permissions::from_mode(mode));
    let file = builder.tempfile_in(folder.unwrap_or(Path::new(".")));
    let mut file = file.with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
