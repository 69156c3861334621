//! All that a role's configuration file names, read and judged before anything is
//! opened or written: a start that is refused says everything that is wrong at once.

use std::path::Path;
use std::sync::Arc;

use super::StartError;
use super::governing::rulebook::RulebookFiles;
use super::mapping_file::AsWritten;
use super::named::{judge_anchors, judge_status_uris, judge_trust};
use super::rotation::LinkWatch;
use super::serving::folder_of;
use super::standing::{Read, Standing, Watched};
use super::statuses::plan_with;
use crate::clock;
use crate::config::agency::AgencyConfig;
use crate::config::audit::{AuditConfig, AuditKeys, PinnedLogs};
use crate::config::catalogue::{self, Texts};
use crate::config::faults::Faults;
use crate::config::file::FileError;
use crate::config::gateway::{AgencyEntry, GatewayConfig};
use crate::config::grants::{Grants, GrantsConfig};
use crate::config::link::LinkConfig;
use crate::config::policy::PolicyConfig;
use crate::domain::catalogue::Catalogue;
use crate::domain::grant::OpeningKeys;
use crate::domain::peer::Role;
use crate::domain::policy::engine::Engine;
use crate::files;
use crate::link::connect::Connector;
use crate::link::identity::{IdentityError, OwnIdentity};
use crate::link::limits::ConnectLimits;
use crate::link::tls::LinkTls;
use crate::link::trust::Trust;
use crate::service::status_lists::StatusPlan;
use crate::source::Mapping;

/// What gateway and agency have in common. Its files are watched since before they
/// were read.
pub(super) struct Common {
    pub(super) texts: Texts,
    pub(super) standing: Arc<Standing>,
    pub(super) tls: LinkTls,
    pub(super) links: LinkWatch,
    pub(super) grants: Grants,
    pub(super) lists: StatusPlan,
    /// The policy, over the catalogue.
    pub(super) engine: Engine,
    pub(super) files: RulebookFiles,
    pub(super) keys: AuditKeys,
    pub(super) logs: Vec<PinnedLogs>,
}

/// The sections that both roles have.
struct Sections<'a> {
    path: &'a Path,
    role: Role,
    catalogue: &'a Path,
    link: &'a LinkConfig,
    grants: &'a GrantsConfig,
    policy: &'a PolicyConfig,
    audit: &'a AuditConfig,
}

/// A gateway's configuration and what it names.
pub(super) type GatewayRead = (GatewayConfig, Common);

/// An agency's configuration, what it names, its mapping, the keys that open subjects.
pub(super) type AgencyRead = (AgencyConfig, Common, (Arc<AsWritten>, Mapping), OpeningKeys);

/// What was read, as far as it could be, and everything that is wrong with it.
pub(super) type WithFaults<T> = (Option<T>, Faults);

/// A gateway's configuration for a start.
pub(super) fn gateway(path: &Path, read: Read) -> Result<GatewayRead, StartError> {
    let (judged, faults) = judge_gateway(path, read)?;
    Ok(finished(faults, judged)?)
}

/// A gateway's configuration with its faults, for who starts nothing.
pub(super) fn judge_gateway(path: &Path, read: Read) -> Result<WithFaults<GatewayRead>, FileError> {
    let watched = Watched::read(path)?;
    let (config, mut faults) = GatewayConfig::judge_written(&watched.written);
    let judged = config.and_then(|config| {
        let GatewayConfig { catalogue, link, grants, policy, audit, .. } = &config;
        let role = Role::Gateway;
        let sections = Sections { path, role, catalogue, link, grants, policy, audit };
        let common = sections.judge((watched, read), &mut faults, |catalogue, faults| {
            config.check_agencies(catalogue, faults);
        });
        let common = common?;
        connectors(&config.agency, &common.tls, &mut faults);
        Some((config, common))
    });
    Ok((judged, faults))
}

/// An agency's configuration for a start.
pub(super) fn agency(path: &Path, read: Read) -> Result<AgencyRead, StartError> {
    let (judged, faults) = judge_agency(path, read)?;
    Ok(finished(faults, judged)?)
}

/// An agency's configuration with its faults, for who starts nothing.
pub(super) fn judge_agency(path: &Path, read: Read) -> Result<WithFaults<AgencyRead>, FileError> {
    let watched = Watched::read(path)?;
    let (config, mut faults) = AgencyConfig::judge_written(&watched.written);
    let judged = config.and_then(|config| {
        let folder = folder_of(path);
        let AgencyConfig { catalogue, link, grants, policy, audit, .. } = &config;
        let role = Role::Agency;
        let sections = Sections { path, role, catalogue, link, grants, policy, audit };
        let keys = grants.opening_keys(folder, &mut faults);
        config.counters.check(folder, &mut faults);
        let (source, queries) = (config.source.clone(), config.query.clone());
        let written = Arc::new(AsWritten::of(&watched.written, source, queries));
        let mut mapping = None;
        let common = sections.judge((watched, read), &mut faults, |catalogue, faults| {
            config.check_id(catalogue, faults);
            if faults.touches("id") || faults.touches("source") || faults.touches("query") {
                return;
            }
            match written.compile(&config.id, catalogue, folder) {
                Ok(compiled) => mapping = Some(compiled),
                Err(findings) => faults.extend(findings),
            }
        });
        Some((config, common?, (written, mapping?), keys?))
    });
    Ok((judged, faults))
}

/// Holds the addresses of agencies to what a connection can be made to.
fn connectors(agencies: &[AgencyEntry], tls: &LinkTls, faults: &mut Faults) {
    for (at, entry) in agencies.iter().enumerate() {
        for endpoint in &entry.endpoints {
            let (identity, limits) = (entry.identity.clone(), ConnectLimits::default());
            let connector = Connector::new(endpoint, identity, tls.clone(), limits);
            faults.take(&format!("agency[{at}].endpoints"), connector);
        }
    }
}

/// Tells what is hardly meant of a file that is taken.
fn finished<T>(faults: Faults, judged: Option<T>) -> Result<T, FileError> {
    let doubts = faults.doubts().to_vec();
    let judged = faults.finish(judged)?;
    doubts.iter().for_each(|doubt| tracing::warn!("{doubt}"));
    Ok(judged)
}

impl Sections<'_> {
    /// Judges every section, whatever is wrong with another. `more` is what else
    /// there is to hold against the catalogue.
    fn judge(
        &self,
        (watched, read): (Watched, Read),
        faults: &mut Faults,
        more: impl FnOnce(&Arc<Catalogue>, &mut Faults),
    ) -> Option<Common> {
        let links = LinkWatch::new(self.link);
        let files =
            RulebookFiles::new(folder_of(self.path), self.catalogue, self.policy, self.grants);
        let tls = self.link(faults);
        let audit = self.audit.judge(faults);
        let anchors = judge_anchors(self.grants, folder_of(self.path), faults);
        judge_status_uris(self.grants, faults);
        let folder = folder_of(self.path);
        let Some((catalogue, texts)) = catalogue::judge(self.catalogue, faults) else {
            self.grants.judge_without_catalogue(folder, faults);
            self.policy.judge_without_catalogue(faults);
            return None;
        };
        let catalogue = Arc::new(catalogue);
        let grants = self.grants.load(folder, &catalogue, faults);
        let engine = self.policy.judge(&catalogue, faults);
        more(&catalogue, faults);
        let (keys, logs) = audit?;
        let (tls, grants, engine) = (tls?, grants?, engine?);
        let lists = plan_with(&grants, anchors);
        let changing = read(&watched.written).0?;
        let standing = Standing::new(watched, read, changing, &catalogue);
        Some(Common { texts, standing, tls, links, grants, lists, engine, files, keys, logs })
    }

    /// The own identity, which must be in the role, and the anchors.
    fn link(&self, faults: &mut Faults) -> Option<LinkTls> {
        let identity = OwnIdentity::load(&self.link.certificate, &self.link.key, clock::utc());
        let of_key = matches!(&identity, Err(
            IdentityError::Read { file, .. } | IdentityError::Pem { file, .. } |
            IdentityError::KeyReadableByOthers { file, .. }
        ) if *file == self.link.key);
        let key = if of_key { "link.key" } else { "link.certificate" };
        if of_key {
            // The certificate was not looked at then.
            let file = &self.link.certificate;
            let read = files::read(file, files::LARGE)
                .map_err(|source| IdentityError::Read { file: file.clone(), source });
            faults.take("link.certificate", read);
        }
        let identity = faults.take(key, identity);
        if let Some(id) = identity.as_ref().map(|identity| identity.id())
            && id.role() != self.role
        {
            let role = self.role.as_str();
            let message =
                format!("is for another role, `{id}`: a {role} needs one for spiffe://…/{role}/…");
            faults.add(key, message);
        }
        let store = judge_trust(self.link, faults);
        identity.map(|identity| LinkTls::new(identity, Trust::new(store)))
    }
}
