//! What sections of a configuration name: anchors, keys, logs, addresses, names of the
//! catalogue. Each is looked at and what is wrong with it noted under its key; nothing is
//! kept open, and no peer is asked.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::audit::AuditConfig;
use crate::config::catalogue::check_agency;
use crate::config::faults::Faults;
use crate::config::gateway::AgencyEntry;
use crate::config::grants::GrantsConfig;
use crate::config::link::LinkConfig;
use crate::domain::catalogue::Catalogue;
use crate::domain::peer::SpiffeId;
use crate::link::https::{HttpsUri, ServerAnchors};
use crate::link::trust::{BadList, TrustLoadError, TrustStore};

/// The sections that party files may add to.
type OfParties<'a> = (&'a LinkConfig, &'a GrantsConfig, &'a AuditConfig, &'a [AgencyEntry]);

/// Judges all that party files name; paths are relative to `folder`.
pub(super) fn judge_parties(
    (link, grants, audit, agencies): OfParties<'_>,
    folder: &Path,
    catalogue: &Catalogue,
    faults: &mut Faults,
) {
    judge_trust(link, faults);
    audit.peers(faults);
    judge_anchors(grants, folder, faults);
    judge_status_uris(grants, faults);
    grants.load(folder, catalogue, faults);
    for (at, agency) in agencies.iter().enumerate() {
        check_agency(&format!("agency[{at}].id"), &agency.id, catalogue, faults);
    }
}

/// The anchors of trust domains, less those that cannot be read.
pub(super) fn judge_trust(link: &LinkConfig, faults: &mut Faults) -> TrustStore {
    let (store, wrong) = TrustStore::default().reload(&link.trust, BadList::Close);
    for error in wrong {
        // Lists that cannot be used close their own domain alone.
        let (TrustLoadError::Read { domain, .. } | TrustLoadError::Anchors { domain, .. }) = &error
        else {
            continue;
        };
        let at = link.trust.iter().position(|entry| entry.domain == *domain);
        let key = format!("link.trust[{}].anchors", at.unwrap_or_default());
        faults.take::<(), _>(&key, Err(error));
    }
    for (one, other) in store.shared_authorities() {
        let at = link.trust.iter().position(|entry| entry.domain == *one);
        let message = format!(
            "of `{one}` hold an authority of `{other}` too, so that each of the two may \
             speak for the other"
        );
        faults.doubt(&format!("link.trust[{}].anchors", at.unwrap_or_default()), message);
    }
    store
}

/// The anchors of issuers' HTTPS servers, less those that cannot be read.
pub(super) fn judge_anchors(
    grants: &GrantsConfig,
    folder: &Path,
    faults: &mut Faults,
) -> BTreeMap<SpiffeId, ServerAnchors> {
    let mut anchors = BTreeMap::new();
    for (at, entry) in grants.issuer.iter().enumerate() {
        let file = folder.join(&entry.status_anchors);
        let key = format!("grants.issuer[{at}].status_anchors");
        let read = faults.take(&key, ServerAnchors::load(&file));
        anchors.extend(read.map(|read| (entry.id.clone(), read)));
    }
    anchors
}

/// Holds the addresses of issuers' status lists to their form.
pub(super) fn judge_status_uris(grants: &GrantsConfig, faults: &mut Faults) {
    for (at, entry) in grants.issuer.iter().enumerate() {
        for (each, uri) in entry.status_uris.iter().enumerate() {
            let key = format!("grants.issuer[{at}].status_uris[{each}]");
            faults.take(&key, HttpsUri::parse(uri));
        }
    }
}
