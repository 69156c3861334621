//! `tributary pki`: the development certificate authorities.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::clock;
use crate::domain::peer::{Role, TrustDomain};
use crate::link::pki::{Authority, CertificateRequest, Validity, show};

/// Make and look at certificates for development. Production uses its own
/// authorities: see certs/README.md.
#[derive(Debug, Args)]
pub struct PkiArgs {
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Make a certificate authority for each trust domain
    Init(InitArgs),
    /// Issue a certificate and its private key
    Issue(IssueArgs),
    /// Print what a certificate file holds
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// Folder of the development PKI
    #[arg(long, default_value = "certs/dev")]
    dir: PathBuf,
    /// Trust domain; repeat for several
    #[arg(long = "domain", value_name = "DOMAIN", required = true)]
    domains: Vec<TrustDomain>,
    /// Replace authorities that exist: what they issued is void
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// Folder of the development PKI
    #[arg(long, default_value = "certs/dev")]
    dir: PathBuf,
    /// Trust domain of the identity
    #[arg(long)]
    domain: TrustDomain,
    /// What the identity acts as: gateway, agency, consumer, reviewer or issuer
    #[arg(long)]
    role: Role,
    /// Name of the identity within its domain and role
    #[arg(long, value_name = "NAME")]
    id: String,
    /// DNS name; repeat for several. Gateways, agencies and issuers have `localhost`
    /// when neither --dns nor --ip is given
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// IP address; repeat for several. Gateways, agencies and issuers have
    /// 127.0.0.1 and ::1 when neither --dns nor --ip is given
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// Days until the certificate expires
    #[arg(long, default_value_t = 30)]
    days: i64,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// PEM file with one certificate or a chain
    file: PathBuf,
}

/// Does what the arguments say and prints what it did.
///
/// # Errors
/// Whatever stands in the way, with what to do about it.
pub fn run(args: PkiArgs) -> anyhow::Result<()> {
    let mut out = crate::cli::output::stdout();
    let now = clock::utc();
    match args.command {
        PkiCommand::Init(init) => {
            if !init.force
                && let Some(domain) = init
                    .domains
                    .iter()
                    .find(|domain| init.dir.join(domain.as_str()).join("ca.pem").exists())
            {
                bail!(
                    "an authority for `{domain}` exists in `{}` and nothing was changed: \
                     use --force to replace it; what it issued is void then",
                    init.dir.display()
                );
            }
            for domain in &init.domains {
                let authority = if init.force {
                    Authority::replace(&init.dir, domain, now)
                } else {
                    Authority::create(&init.dir, domain, now)
                };
                let authority =
                    authority.with_context(|| format!("no authority was made for `{domain}`"))?;
                writeln!(out, "{domain}: {}", authority.anchors().display())?;
            }
        }
        PkiCommand::Issue(issue) => {
            let authority = Authority::open(&issue.dir, &issue.domain)?;
            let validity = Validity::days(now, issue.days)?;
            let mut request = CertificateRequest::local(issue.role, &issue.id, validity);
            if !issue.dns.is_empty() || !issue.ip.is_empty() {
                request.dns = issue.dns;
                request.ips = issue.ip;
            }
            let issued = authority.issue(&request)?;
            writeln!(out, "id           {}", issued.id)?;
            writeln!(out, "certificate  {}", issued.certificate.display())?;
            writeln!(out, "key          {}", issued.key.display())?;
        }
        PkiCommand::Show(wanted) => {
            let described = show::describe(&wanted.file, now)?;
            for (index, description) in described.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                write!(out, "{description}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        pki: PkiArgs,
    }

    fn pki(line: &str) -> anyhow::Result<()> {
        let words = std::iter::once("pki").chain(line.split(' '));
        run(Only::try_parse_from(words)?.pki)
    }

    #[test]
    fn the_arguments_are_consistent() {
        Only::command().debug_assert();
    }

    #[test]
    fn an_authority_is_made_once_and_issues() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display();
        let init = format!("init --dir {dir} --domain a.example --domain b.example");
        pki(&init).unwrap();
        let error = pki(&init).unwrap_err().to_string();
        assert!(error.contains("use --force"), "{error}");
        pki(&format!("{init} --force")).unwrap();

        let issue = format!("issue --dir {dir} --domain a.example --role agency --id a");
        pki(&issue).unwrap();
        pki(&format!("show {dir}/a.example/agency-a.pem")).unwrap();
        pki(&format!("{issue} --days 0")).unwrap_err();
        pki(&format!("issue --dir {dir} --domain c.example --role agency --id c")).unwrap_err();
    }
}
