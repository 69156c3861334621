//! `tributary catalogue keygen`, `sign` and `fetch`: the federation's operator signs a
//! catalogue, and whoever pins the key takes it from a gateway.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::app::signed_catalogue::{self, Fetched, Gateway};
use crate::cli::audit::source;
use crate::cli::connection::ConnectionArgs;
use crate::config::audit::seed;
use crate::config::catalogue::NOTE;
use crate::domain::audit::{Origin, VerifyingKey};
use crate::issuer::key_files::{self, KeyFiles};

pub(super) const FETCH_HELP: &str = "\
Nothing is written before note and files are verified; then the folder is exchanged as a whole, and
a process that has it as its `catalogue` takes it. A version before the one that the folder holds
is refused. Run it as the account of that process: what it writes is that account's alone.

Example: tributary catalogue fetch catalogue --federation city/federation.json
  --catalogue-key operator.vkey";

#[derive(Debug, Args)]
pub(super) struct CatalogueKeygenArgs {
    /// The operator's name for it, such as federation.city.example/catalogue
    #[arg(long)]
    name: Origin,
    /// Where to write NAME.seed (private, mode 0600) and NAME.vkey (what others pin);
    /// existing files are kept
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The catalogue's folder
    folder: PathBuf,
    /// The version, higher than every one that was signed before
    #[arg(long, value_name = "NUMBER")]
    version: u64,
    /// The seed of the operator's key, as `catalogue keygen` makes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The name of that key
    #[arg(long, value_name = "NAME")]
    key_name: Origin,
}

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// The folder to put in place; it may be there already, with a catalogue and nothing else
    folder: PathBuf,
    /// The operator's public key, NAME+HASH+BASE64, or a file that holds it; may be repeated
    /// while a new key takes the place of an old one
    #[arg(long = "catalogue-key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Which consumer of the federation to be, by the end of its id
    #[arg(long, value_name = "NAME", requires = "federation")]
    consumer: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(super) fn keygen(args: &CatalogueKeygenArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (KeyFiles { private, public }, _) = key_files::log(&args.out, &args.name)?;
    writeln!(out, "private seed {}\npublic key   {}", private.display(), public.display())?;
    Ok(())
}

pub(super) fn sign(args: &SignArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (folder, key) = (&args.folder, seed(&args.key)?);
    let noted = signed_catalogue::sign(folder, args.version, &args.key_name, &key)?;
    let note = folder.join(NOTE);
    let (version, files) = (noted.version, noted.files.len());
    writeln!(out, "version {version}, digest {}, {files} files: {}", noted.digest, note.display())?;
    Ok(())
}

pub(super) fn fetch(args: &FetchArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let keys: Vec<VerifyingKey> =
        args.keys.iter().map(|key| source::key(key)).collect::<anyhow::Result<_>>()?;
    let who = args.consumer.as_deref();
    let address = args.connection.address(|federation| &federation.consumers, who)?;
    let folder = &args.folder;
    let fetched = crate::cli::block_on(async {
        let mut gateway = Gateway::connect(&address).await?;
        Ok(signed_catalogue::fetch(&mut gateway, &keys, folder).await?)
    })?;
    let (what, noted) = match &fetched {
        Fetched::Taken(noted) => ("has been put in place", noted),
        Fetched::Held(noted) => ("was there already", noted),
    };
    let (version, digest) = (noted.version, noted.digest);
    writeln!(out, "version {version}, digest {digest}, {what}: {}", folder.display())?;
    Ok(())
}
