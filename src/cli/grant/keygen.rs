//! `tributary grant keygen`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{KeyKind, KeygenArgs};
use crate::domain::grant::jwk::PublicKey;
use crate::domain::grant::{Algorithm, KeyId, base64};
use crate::issuer::{PersonKeys, SealingKeyPair, SigningKey, write_private, write_public};

pub(super) fn run(args: &KeygenArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let kid = KeyId::try_from(args.kid.clone()).map_err(anyhow::Error::msg)?;
    let private = ending(&args.out, "jwk");
    let (secret, public) = match args.kind {
        KeyKind::Ed25519 => signing(Algorithm::EdDsa, &kid)?,
        KeyKind::P256 => signing(Algorithm::Es256, &kid)?,
        KeyKind::Sealing => {
            let pair = SealingKeyPair::generate(kid.clone())?;
            (pair.to_jwk().into_exposed(), PublicKey::Sealing(pair.public))
        }
        KeyKind::Person => {
            let secret = PersonKeys::generate_secret()?;
            let path = ending(&args.out, "secret");
            write_private(&path, base64::encode(secret.expose()).as_bytes())?;
            writeln!(
                out,
                "secret {} (keep a copy: tags cannot be made without it)",
                path.display()
            )?;
            return Ok(());
        }
    };
    write_private(&private, secret.as_bytes())?;
    let path = ending(&args.out, "pub.jwk");
    write_public(&path, format!("{}\n", public.to_json(Some(&kid))).as_bytes())
        .context("the private key was written, its public half was not")?;
    writeln!(out, "private key {}\npublic key  {}", private.display(), path.display())?;
    Ok(())
}

fn signing(algorithm: Algorithm, kid: &KeyId) -> anyhow::Result<(String, PublicKey)> {
    let key = SigningKey::generate(algorithm, kid.clone())?;
    Ok((key.to_jwk()?.into_exposed(), PublicKey::Verifying(key.verifying_key()?)))
}

/// The path with an ending more; a dot in the name is kept.
fn ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
