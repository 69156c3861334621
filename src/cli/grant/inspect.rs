//! `tributary grant inspect`: a grant in words.

use std::io::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::InspectArgs;
use crate::config::key_file::verifying_key;
use crate::domain::grant::base64;
use crate::domain::grant::{Contents, Jws, Presentation};
use crate::issuer::read_public;

pub(super) fn run(
    args: &InspectArgs,
    out: &mut dyn Write,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    let text = read_public(&args.grant)?;
    let presentation = Presentation::parse(text.trim_ascii())?;
    let contents = Contents::read(&presentation)?;
    let signature = match &args.key {
        None => "not checked (give --key FILE to check it)".to_owned(),
        Some(path) => {
            Jws::parse(presentation.jwt())?.check(&verifying_key(path)?)?;
            format!("holds under {}", path.display())
        }
    };
    print(&contents, &signature, now, out)
}

fn print(
    contents: &Contents,
    signature: &str,
    now: OffsetDateTime,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let claims = &contents.claims;
    let validity = if now >= claims.expires_at {
        "expired"
    } else if now < claims.not_before {
        "not valid yet"
    } else {
        "within its time"
    };
    let frequency = claims.frequency;
    let mut line = |name: &str, value: String| writeln!(out, "{name:<12} {value}");
    line("grant", claims.jti.to_string())?;
    line("signature", signature.to_owned())?;
    line("issuer", format!("{} (key {})", claims.issuer, contents.kid))?;
    line("consumer", claims.client.to_string())?;
    line("gateway", claims.audience.to_string())?;
    line("purpose", format!("{}: {}", claims.purpose, claims.purpose_text))?;
    line("legal basis", format!("{}: {}", claims.legal_basis.as_str(), claims.legal_basis_ref))?;
    line("issued", claims.issued_at.format(&Rfc3339)?)?;
    line("valid from", claims.not_before.format(&Rfc3339)?)?;
    line("valid until", format!("{} ({validity})", claims.expires_at.format(&Rfc3339)?))?;
    line("use", format!("at most {} per {}", frequency.count, frequency.per.as_str()))?;
    line(
        "data life",
        match claims.data_life.whole_seconds() {
            0 => "not to be kept".to_owned(),
            seconds if seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
            seconds => format!("{seconds} seconds"),
        },
    )?;
    line("status", format!("{} at {}", claims.status.index, claims.status.uri))?;
    line(
        "log tag",
        match contents.gateway {
            Some(tag) => base64::encode(tag.expose()),
            None => "not disclosed".to_owned(),
        },
    )?;
    line(
        "agencies",
        format!(
            "{} disclosed, among {} digests (decoys included)",
            contents.agencies().count(),
            claims.digests.len(),
        ),
    )?;
    for agency in contents.agencies() {
        writeln!(
            out,
            "\n{}: {} items, records of {} to {}",
            agency.agency,
            agency.items.len(),
            agency.period.from,
            agency.period.to,
        )?;
        writeln!(out, "  subject: sealed to key {}", agency.subject.kid)?;
        for item in &agency.items {
            writeln!(out, "  {item}")?;
        }
    }
    Ok(())
}
