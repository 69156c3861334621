//! All that a role's configuration file names, read and judged before anything is
//! opened or written: a start that is refused says everything that is wrong at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::StartError;
use super::rotation::{LinkWatch, PinsWatch, Read};
use super::serving::folder_of;
use super::statuses::plan_with;
use crate::clock;
use crate::config::agency::AgencyConfig;
use crate::config::audit::{AuditConfig, AuditKeys, PinnedLogs};
use crate::config::catalogue::{self, Texts};
use crate::config::faults::Faults;
use crate::config::file::FileError;
use crate::config::gateway::GatewayConfig;
use crate::config::grants::{Grants, GrantsConfig};
use crate::config::link::LinkConfig;
use crate::config::policy::PolicyConfig;
use crate::config::reload::Watch;
use crate::domain::catalogue::{Catalogue, Source};
use crate::domain::grant::OpeningKeys;
use crate::domain::peer::{Role, SpiffeId};
use crate::domain::policy::engine::Engine;
use crate::link::https::Anchors;
use crate::link::identity::{IdentityError, OwnIdentity};
use crate::link::tls::LinkTls;
use crate::link::trust::{BadList, Trust, TrustLoadError, TrustStore};
use crate::service::status_lists::StatusPlan;
use crate::source::{Mapping, Written};

/// What gateway and agency have in common. Its files are watched since before they
/// were read.
pub(super) struct Common {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) texts: Texts,
    pub(super) tls: LinkTls,
    pub(super) links: LinkWatch,
    pub(super) grants: Grants,
    pub(super) pins: PinsWatch,
    pub(super) lists: StatusPlan,
    pub(super) engine: Engine,
    pub(super) policy: Watch,
    pub(super) keys: AuditKeys,
    pub(super) logs: Vec<PinnedLogs>,
}

/// The sections that both roles have.
struct Sections<'a> {
    path: &'a Path,
    role: Role,
    read: Read,
    catalogue: &'a Path,
    link: &'a LinkConfig,
    grants: &'a GrantsConfig,
    policy: &'a PolicyConfig,
    audit: &'a AuditConfig,
}

/// A gateway's configuration.
pub(super) fn gateway(path: &Path, read: Read) -> Result<(GatewayConfig, Common), StartError> {
    let (config, mut faults) = GatewayConfig::judge(path)?;
    let judged = config.and_then(|config| {
        let GatewayConfig { catalogue, link, grants, policy, audit, .. } = &config;
        let role = Role::Gateway;
        let sections = Sections { path, role, read, catalogue, link, grants, policy, audit };
        let common = sections.judge(&mut faults, |catalogue, faults| {
            config.check_agencies(catalogue, faults);
        });
        Some((config, common?))
    });
    let (config, common) = finished(faults, judged)?;
    common.lists.check()?;
    Ok((config, common))
}

/// An agency's configuration, with its mapping and the keys that open subjects.
pub(super) fn agency(
    path: &Path,
    read: Read,
) -> Result<(AgencyConfig, Common, Mapping, OpeningKeys), StartError> {
    let (config, text, mut faults) = AgencyConfig::judge(path)?;
    let judged = config.and_then(|config| {
        let folder = folder_of(path);
        let AgencyConfig { catalogue, link, grants, policy, audit, .. } = &config;
        let role = Role::Agency;
        let sections = Sections { path, role, read, catalogue, link, grants, policy, audit };
        let keys = grants.opening_keys(folder, &mut faults);
        config.counters.check(folder, &mut faults);
        let mut mapping = None;
        let common = sections.judge(&mut faults, |catalogue, faults| {
            config.check_id(catalogue, faults);
            if faults.touches("id") || faults.touches("source") || faults.touches("query") {
                return;
            }
            let name = path.display().to_string();
            let written = Written {
                file: Source { name: &name, text: &text },
                folder,
                source: &config.source,
                queries: &config.query,
            };
            match Mapping::compile(&config.id, catalogue, written) {
                Ok(compiled) => mapping = Some(compiled),
                Err(findings) => faults.extend(findings),
            }
        });
        Some((config, common?, mapping?, keys?))
    });
    let (config, common, mapping, keys) = finished(faults, judged)?;
    common.lists.check()?;
    Ok((config, common, mapping, keys))
}

/// Tells what is hardly meant of a file that is taken.
fn finished<T>(faults: Faults, judged: Option<T>) -> Result<T, StartError> {
    let doubts = faults.doubts().to_vec();
    let judged = faults.finish(judged).map_err(FileError::from)?;
    doubts.iter().for_each(|doubt| tracing::warn!("{doubt}"));
    Ok(judged)
}

impl Sections<'_> {
    /// Judges every section, whatever is wrong with another. `more` is what else
    /// there is to hold against the catalogue.
    fn judge(
        &self,
        faults: &mut Faults,
        more: impl FnOnce(&Arc<Catalogue>, &mut Faults),
    ) -> Option<Common> {
        let links = LinkWatch::new(self.path, self.read, self.link);
        let pins = PinsWatch::new(self.path, self.read, self.grants);
        let policy = self.policy.watch();
        let tls = self.link(faults);
        let audit = self.audit.judge(faults);
        let anchors = self.anchors(faults);
        let (catalogue, texts) = catalogue::judge(self.catalogue, faults)?;
        let catalogue = Arc::new(catalogue);
        let grants = self.grants.load(folder_of(self.path), &catalogue, faults);
        let engine = self.policy.judge(&catalogue, faults);
        more(&catalogue, faults);
        let (keys, logs) = audit?;
        let (tls, grants, engine) = (tls?, grants?, engine?);
        let lists = plan_with(&grants, anchors);
        Some(Common {
            catalogue,
            texts,
            tls,
            links,
            grants,
            pins,
            lists,
            engine,
            policy,
            keys,
            logs,
        })
    }

    /// The own identity, which must be in the role, and the anchors.
    fn link(&self, faults: &mut Faults) -> Option<LinkTls> {
        let identity = OwnIdentity::load(&self.link.certificate, &self.link.key, clock::utc());
        let of_key = matches!(&identity, Err(
            IdentityError::Read { file, .. } | IdentityError::Pem { file, .. } |
            IdentityError::KeyReadableByOthers { file, .. }
        ) if *file == self.link.key);
        let key = if of_key { "link.key" } else { "link.certificate" };
        let identity = faults.take(key, identity);
        if let Some(id) = identity.as_ref().map(|identity| identity.id())
            && id.role() != self.role
        {
            let role = self.role.as_str();
            let message =
                format!("is for another role, `{id}`: a {role} needs one for spiffe://…/{role}/…");
            faults.add(key, message);
        }
        let (store, wrong) = TrustStore::default().reload(&self.link.trust, BadList::Close);
        for error in wrong {
            // Lists that cannot be used close their own domain alone.
            let (TrustLoadError::Read { domain, .. } | TrustLoadError::Anchors { domain, .. }) =
                &error
            else {
                continue;
            };
            let at = self.link.trust.iter().position(|entry| entry.domain == *domain);
            let key = format!("link.trust[{}].anchors", at.unwrap_or_default());
            faults.take::<(), _>(&key, Err(error));
        }
        for (one, other) in store.shared_authorities() {
            let at = self.link.trust.iter().position(|entry| entry.domain == *one);
            let message = format!(
                "of `{one}` hold an authority of `{other}` too, so that each of the two may \
                 speak for the other"
            );
            faults.doubt(&format!("link.trust[{}].anchors", at.unwrap_or_default()), message);
        }
        identity.map(|identity| LinkTls::new(identity, Trust::new(store)))
    }

    /// The anchors of issuers' HTTPS servers, less those that cannot be read.
    fn anchors(&self, faults: &mut Faults) -> BTreeMap<SpiffeId, Anchors> {
        let mut anchors = BTreeMap::new();
        for (at, entry) in self.grants.issuer.iter().enumerate() {
            let file = folder_of(self.path).join(&entry.status_anchors);
            let key = format!("grants.issuer[{at}].status_anchors");
            let read = faults.take(&key, Anchors::load(&file));
            anchors.extend(read.map(|read| (entry.id.clone(), read)));
        }
        anchors
    }
}
