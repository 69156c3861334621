//! `tributary grant keygen`.

use std::io::Write;

use super::{KeyKind, KeygenArgs};
use crate::domain::grant::{Algorithm, KeyId};
use crate::issuer::key_files;

pub(super) fn run(args: &KeygenArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let kid = KeyId::try_from(args.kid.clone()).map_err(anyhow::Error::msg)?;
    let files = match args.kind {
        KeyKind::Ed25519 => key_files::signing(&args.out, Algorithm::EdDsa, &kid)?,
        KeyKind::P256 => key_files::signing(&args.out, Algorithm::Es256, &kid)?,
        KeyKind::Sealing => key_files::sealing(&args.out, &kid)?,
        KeyKind::Person => {
            let path = key_files::with_ending(&args.out, "secret");
            key_files::secret(&path)?;
            writeln!(
                out,
                "secret {} (keep a copy: tags cannot be made without it)",
                path.display()
            )?;
            return Ok(());
        }
    };
    writeln!(
        out,
        "private key {}\npublic key  {}",
        files.private.display(),
        files.public.display()
    )?;
    Ok(())
}
