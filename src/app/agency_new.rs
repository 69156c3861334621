//! `agency new`: all that a new agency needs but its records: keys, its file, and what it
//! hands over to the gateway's and the issuer's operators.
//!
//! Whom it believes it has from another agency's file: trust anchors, issuers with their keys,
//! purposes, the gateway's log, the form of people's numbers, the catalogue. All of that is
//! copied, so that nothing outside the new folder is named. What it opens is nobody's to copy:
//! its policy opens nothing.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::config::agency::AgencyConfig;
use crate::config::catalogue::{self, CatalogueError};
use crate::config::file::FileError;
use crate::config::grants::{IssuerEntry, KeyEntry};
use crate::config::reload;
use crate::domain::audit::{NoteError, Origin};
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::KeyId;
use crate::domain::peer::{Role, TrustDomain};
use crate::files;
use crate::issuer::key_files::{self, KeyFileError};
use crate::link::pki::{Authority, CertificateRequest, PkiError, Validity};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct NewAgency {
    /// Its name in the catalogue.
    pub id: AgencyId,
    /// Its own trust domain.
    pub domain: TrustDomain,
    /// The address at which gateways reach it.
    pub endpoint: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The file of another agency of the federation.
    pub like: PathBuf,
    /// The folder to make.
    pub folder: PathBuf,
    /// The name of its keys, such as `2026-1`.
    pub kid: KeyId,
    /// Days until its certificate expires.
    pub days: i64,
}

/// Nothing was made, and why.
#[derive(Debug, thiserror::Error)]
pub enum NewAgencyError {
    /// The folder is there.
    #[error("--dir: `{}` is there already; name a new folder", .0.display())]
    Exists(PathBuf),
    /// The other agency's file.
    #[error("--like: {0}")]
    Like(#[from] FileError),
    /// The other agency's file is no TOML.
    #[error("--like: {0}")]
    Toml(#[from] toml_edit::TomlError),
    /// The catalogue.
    #[error("--like: its catalogue cannot be used")]
    Catalogue(#[from] CatalogueError),
    /// The agency owns nothing.
    #[error("--id: agency `{id}` owns no item of the catalogue; it knows {known}")]
    NotInCatalogue {
        /// Which.
        id: AgencyId,
        /// Who does.
        known: String,
    },
    /// The origin of its log.
    #[error("--domain: its log would have no name")]
    Origin(#[from] NoteError),
    /// The certificate.
    #[error("its certificate cannot be made")]
    Pki(#[from] PkiError),
    /// A key.
    #[error("its keys cannot be made")]
    Key(#[from] KeyFileError),
    /// A file cannot be read or written.
    #[error("`{}`: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes the folder whole, or nothing at all.
///
/// # Errors
/// Why not.
pub fn make(wanted: &NewAgency, now: OffsetDateTime) -> Result<(), NewAgencyError> {
    let NewAgency { folder, like, id, .. } = wanted;
    if folder.symlink_metadata().is_ok() {
        return Err(NewAgencyError::Exists(folder.clone()));
    }
    let (like_config, text) = AgencyConfig::load(like)?;
    let catalogue = catalogue::load(&like_config.catalogue)?;
    if catalogue.owned_by(id).is_empty() {
        let known: Vec<String> = catalogue.agencies().iter().map(ToString::to_string).collect();
        return Err(NewAgencyError::NotInCatalogue { id: id.clone(), known: known.join(", ") });
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let failed = |source| NewAgencyError::File { file: folder.clone(), source };
    let made = tempfile::Builder::new().prefix(".agency-").tempdir_in(parent).map_err(failed)?;
    let mut house = House { wanted, like: &like_config, root: made.path().to_owned() };
    house.keys(now)?;
    house.catalogue()?;
    house.policy()?;
    house.own_file(&text.parse()?)?;
    house.hand_over()?;
    fs::rename(made.path(), folder).map_err(failed)
}

/// The folder while it is made.
struct House<'a> {
    wanted: &'a NewAgency,
    like: &'a AgencyConfig,
    root: PathBuf,
}

impl House<'_> {
    fn keys(&mut self, now: OffsetDateTime) -> Result<(), NewAgencyError> {
        let NewAgency { id, domain, kid, days, .. } = self.wanted;
        let keys = self.folder("keys")?;
        let authority = Authority::create(&keys, domain, now)?;
        let mut request =
            CertificateRequest::local(Role::Agency, id.as_str(), Validity::days(now, *days)?);
        let host = self.wanted.endpoint.rsplit_once(':').map_or("", |(host, _)| host);
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => request.ips.push(address),
            Err(_) if host != "localhost" => request.dns.push(host.to_owned()),
            Err(_) => {}
        }
        authority.issue(&request)?;
        key_files::sealing(&keys.join("sealing"), kid)?;
        key_files::log(&keys.join("audit"), &self.origin(now)?)?;
        key_files::secret(&keys.join("tags.seed"))?;
        Ok(())
    }

    /// The year's log: its name is read from the key that was made for it.
    fn origin(&self, now: OffsetDateTime) -> Result<Origin, NewAgencyError> {
        Ok(format!("{}/{}", self.wanted.domain, now.year()).parse()?)
    }

    fn catalogue(&mut self) -> Result<(), NewAgencyError> {
        let (from, to) = (&self.like.catalogue, self.folder("catalogue")?);
        let failed = |source| NewAgencyError::File { file: from.clone(), source };
        for file in reload::files(from, "toml").map_err(failed)? {
            copy(&file, &to.join(file.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    fn policy(&mut self) -> Result<(), NewAgencyError> {
        let folder = self.folder("policy")?;
        copy(&self.like.policy.vocabulary, &folder.join("vocabulary.toml"))?;
        self.write("policy/rules.cedar", POLICY)
    }

    fn own_file(&mut self, like: &DocumentMut) -> Result<(), NewAgencyError> {
        let NewAgency { id, domain, listen, kid, .. } = self.wanted;
        let origin = self.read("keys/audit.vkey")?;
        let origin = origin.split('+').next().unwrap_or_default();
        let text = format!(
            r#"# {id}, of {domain}. What is about somebody else is copied from another agency's file:
# read it, since from now on it is what this house believes.
id = "{id}"
title = {{ en = "{id}", zh = "{id}" }}
listen = "{listen}"
catalogue = "catalogue"

# One small file for each gateway, issuer or consumer that comes later.
include = ["parties.d/*.toml"]

# The kill switch: false releases nothing, from within a second on.
enabled = true

[link]
certificate = "keys/{domain}/agency-{id}.pem"
key = "keys/{domain}/agency-{id}.key"

# Who may read what. It opens nothing yet: that is for this house to decide.
[policy]
rules = "policy/rules.cedar"
vocabulary = "policy/vocabulary.toml"

# Where uses of grants are counted: a database of its own, never the records'.
[counters]
url = "sqlite:state/counters.db"

# The tamper-evident log of this agency's releases: no record, no data.
[audit]
folder = "state/audit"
origin = "{origin}"
key = "keys/audit.seed"
tag_key = "keys/tags.seed"

# The private half of the key to which issuers seal people's numbers for this agency.
[[grants.opening_key]]
kid = "{kid}"
file = "keys/sealing.jwk"

"#
        );
        self.folder("state")?;
        self.folder("parties.d")?;
        let believed = self.believed(like)?;
        let file = format!("{id}.toml");
        self.write(&file, &format!("{text}{believed}{SOURCE}"))
    }

    /// Whom the other agency believes, for what, with copies of what that names.
    fn believed(&mut self, like: &DocumentMut) -> Result<DocumentMut, NewAgencyError> {
        let mut trusts = ArrayOfTables::new();
        for trust in &self.like.link.trust {
            let mut table = Table::new();
            table.insert("domain", value(trust.domain.as_str()));
            table.insert(
                "roles",
                value(trust.roles.iter().map(|role| role.as_str()).collect::<Array>()),
            );
            table.insert("anchors", value(self.peers_file(&trust.domain, &trust.anchors)?));
            if let Some(crl) = &trust.crl {
                table.insert("crl", value(self.peers_file(&trust.domain, crl)?));
            }
            trusts.push(table);
        }
        let mut peers = ArrayOfTables::new();
        for peer in &self.like.audit.peer {
            let mut table = Table::new();
            table.insert("identity", value(peer.identity.as_str()));
            let domain = peer.identity.trust_domain();
            let logs = peer.logs.iter().map(|log| self.peers_file(domain, log));
            table.insert("logs", value(logs.collect::<Result<Array, _>>()?));
            peers.push(table);
        }
        let mut issuers = ArrayOfTables::new();
        for issuer in &self.like.grants.issuer {
            issuers.push(self.issuer(issuer)?);
        }
        let mut grants = Table::new();
        grants.set_implicit(true);
        for key in ["max_age", "fetch_every", "cache", "purpose"] {
            if let Some(item) = like.get("grants").and_then(|grants| grants.get(key)) {
                grants.insert(key, unplaced(item.clone()));
            }
        }
        grants.insert("issuer", Item::ArrayOfTables(issuers));
        let mut document = DocumentMut::new();
        for (section, key, entries) in [("link", "trust", trusts), ("audit", "peer", peers)] {
            let mut table = Table::new();
            table.set_implicit(true);
            table.insert(key, Item::ArrayOfTables(entries));
            document.insert(section, Item::Table(table));
        }
        document.insert("grants", Item::Table(grants));
        if let Some(subject) = like.get("subject") {
            document.insert("subject", unplaced(subject.clone()));
        }
        Ok(document)
    }

    fn issuer(&mut self, issuer: &IssuerEntry) -> Result<Table, NewAgencyError> {
        let folder = self.like_folder();
        let domain = issuer.id.trust_domain();
        let mut table = Table::new();
        table.insert("id", value(issuer.id.as_str()));
        for (key, entries) in [("keys", &issuer.keys), ("status_keys", &issuer.status_keys)] {
            let pinned = entries.iter().map(|entry: &KeyEntry| {
                let mut key = InlineTable::new();
                key.insert("kid", entry.kid.as_str().into());
                key.insert("algorithm", entry.algorithm.as_str().into());
                let file = self.peers_file(domain, &folder.join(&entry.file))?;
                key.insert("file", file.into());
                Ok(Value::InlineTable(key))
            });
            table.insert(key, value(pinned.collect::<Result<Array, NewAgencyError>>()?));
        }
        let uris = issuer.status_uris.iter().map(|uri| uri.to_string());
        table.insert("status_uris", value(uris.collect::<Array>()));
        table.insert(
            "status_anchors",
            value(self.peers_file(domain, &folder.join(&issuer.status_anchors))?),
        );
        let bases = issuer.legal_bases.iter().map(|basis| basis.as_str());
        table.insert("legal_bases", value(bases.collect::<Array>()));
        let purposes = issuer.purposes.iter().map(|purpose| purpose.as_str());
        table.insert("purposes", value(purposes.collect::<Array>()));
        table.insert("agencies", value(Array::from_iter([self.wanted.id.as_str()])));
        table.insert(
            "consumers",
            value(issuer.consumers().map(|id| id.as_str()).collect::<Array>()),
        );
        Ok(table)
    }

    /// What the gateway's and the issuer's operators get, as they put it into place.
    fn hand_over(&mut self) -> Result<(), NewAgencyError> {
        let NewAgency { id, domain, endpoint, kid, .. } = self.wanted;
        let issuers: Vec<String> =
            self.like.grants.issuer.iter().map(|issuer| format!("\"{}\"", issuer.id)).collect();
        let gateway = format!(
            r#"# For the gateway's operator: into a folder that its file includes, with the folder beside it.
[[agency]]
id = "{id}"
identity = "spiffe://{domain}/agency/{id}"
endpoints = ["{endpoint}"]
issuers = [{issuers}]

[[link.trust]]
domain = "{domain}"
roles = ["agency"]
anchors = "{id}/ca.pem"

[[audit.peer]]
identity = "spiffe://{domain}/agency/{id}"
logs = ["{id}/audit.vkey"]
"#,
            issuers = issuers.join(", ")
        );
        let issuer = format!(
            r#"# For the issuer's operator: into a folder that its file includes, with the folder beside it.
[[sealing]]
agency = "{id}"
kid = "{kid}"
file = "{id}/sealing.pub.jwk"
"#
        );
        let keys = self.root.join("keys");
        let anchors = keys.join(domain.as_str()).join("ca.pem");
        for (whose, text, public) in [
            ("gateway", gateway, vec![anchors, keys.join("audit.vkey")]),
            ("issuer", issuer, vec![keys.join("sealing.pub.jwk")]),
        ] {
            let folder = self.folder(&format!("hand-over/{whose}/agencies.d/{id}"))?;
            for file in public {
                copy(&file, &folder.join(file.file_name().unwrap_or_default()))?;
            }
            self.write(&format!("hand-over/{whose}/agencies.d/{id}.toml"), &text)?;
        }
        Ok(())
    }

    fn like_folder(&self) -> PathBuf {
        self.wanted.like.parent().unwrap_or(Path::new(".")).to_owned()
    }

    /// A copy of another party's public file, as the own file names it: files of one name
    /// that say different things stay two files.
    fn peers_file(&self, domain: &TrustDomain, file: &Path) -> Result<String, NewAgencyError> {
        let failed = |source| NewAgencyError::File { file: file.to_owned(), source };
        let bytes = files::read(file, files::LARGE).map_err(failed)?;
        let (folder, name) = (format!("peers/{domain}"), file.file_name().unwrap_or_default());
        let (name, root) = (name.to_string_lossy().into_owned(), self.folder(&folder)?);
        let names = std::iter::once(name.clone()).chain((2..).map(|nth| format!("{nth}-{name}")));
        for name in names {
            let to = root.join(&name);
            match files::read(&to, files::LARGE) {
                Ok(there) if there != bytes => continue,
                Ok(_) => {}
                Err(_) => fs::write(&to, &bytes).map_err(failed)?,
            }
            return Ok(format!("{folder}/{name}"));
        }
        // The names never end.
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, NewAgencyError> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder)
            .map_err(|source| NewAgencyError::File { file: folder.clone(), source })?;
        Ok(folder)
    }

    fn read(&self, name: &str) -> Result<String, NewAgencyError> {
        let file = self.root.join(name);
        files::read_text(&file, files::SMALL)
            .map_err(|source| NewAgencyError::File { file, source })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), NewAgencyError> {
        let file = self.root.join(name);
        fs::write(&file, text).map_err(|source| NewAgencyError::File { file, source })
    }
}

/// The same, to stand wherever its new document has it.
fn unplaced(item: Item) -> Item {
    match item {
        Item::Table(mut table) => {
            table.set_position(None);
            Item::Table(table)
        }
        Item::ArrayOfTables(tables) => {
            let mut unplaced = ArrayOfTables::new();
            for mut table in tables {
                table.set_position(None);
                unplaced.push(table);
            }
            Item::ArrayOfTables(unplaced)
        }
        item => item,
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), NewAgencyError> {
    let copied = files::read(from, files::LARGE).and_then(|bytes| fs::write(to, bytes));
    copied.map_err(|source| NewAgencyError::File { file: from.to_owned(), source })
}

const POLICY: &str = r#"// This house's own rules. They hold whatever the gateway allows, and they open nothing yet: a
// rule is needed for each purpose. A rule looks like this:
//
// @id("credit-profile")
// permit (
//     principal == Consumer::"spiffe://scoring.city.example/consumer/scoring-service",
//     action == Action::"read",
//     resource
// )
// when { context.purpose == Purpose::"credit_profile" && context.basis == Basis::"written_consent" };
"#;

const SOURCE: &str = r#"
# The records: append what `tributary agency init` prints for them, from its [source.…] on.
"#;
