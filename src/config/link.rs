//! The `[link]` section: this process's own identity, and whom it believes.
//!
//! The files that are named here are opened by `link`, not here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::faults::{Faults, child};
use crate::domain::peer::{Role, SpiffeId, TrustDomain};

/// What is said of an identity that no trust domain may speak for.
pub(super) const NOT_BELIEVED: &str =
    "whom no entry of `link.trust` may speak for in that role: add its trust domain or the role";

/// Own certificate and key, and the trust domains that peers may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// Own certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// Private key of the certificate, PEM (PKCS#8), readable by its owner alone.
    pub key: PathBuf,
    /// One entry for each organisation; a domain may stand here once.
    #[serde(default)]
    pub trust: Vec<TrustConfig>,
}

/// What one organisation's certificate authority may vouch for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    /// The organisation's namespace, such as `education.city.example`.
    pub domain: TrustDomain,
    /// The roles that its identities may act in.
    pub roles: Vec<Role>,
    /// Its authorities' certificates, PEM.
    pub anchors: PathBuf,
    /// Its revocation lists, PEM. When given, a certificate without a current
    /// list is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PathBuf>,
}

impl LinkConfig {
    /// Reads relative paths as relative to `folder`, the configuration file's own.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        resolve(&mut self.certificate);
        resolve(&mut self.key);
        for trust in &mut self.trust {
            resolve(&mut trust.anchors);
            trust.crl.iter_mut().for_each(resolve);
        }
        self
    }
}

impl LinkConfig {
    /// The files of certificate and key.
    pub fn own_files(&self) -> Vec<PathBuf> {
        vec![self.certificate.clone(), self.key.clone()]
    }

    /// The files of anchors and revocation lists.
    pub fn trust_files(&self) -> Vec<PathBuf> {
        self.trust
            .iter()
            .flat_map(|entry| [Some(&entry.anchors), entry.crl.as_ref()])
            .flatten()
            .cloned()
            .collect()
    }
}

impl LinkConfig {
    /// Whether an identity can be believed in its role.
    pub fn believes(&self, id: &SpiffeId) -> bool {
        let mut trust = self.trust.iter();
        trust.any(|entry| entry.domain == *id.trust_domain() && entry.roles.contains(&id.role()))
    }

    /// Notes what is wrong with the section that is at `key`.
    pub fn check(&self, key: &str, faults: &mut Faults) {
        // Of a section that is not written something else is told.
        let written = faults.is_written(key);
        let (mut seen, key) = (BTreeSet::new(), child(key, "trust"));
        if self.trust.is_empty() && written {
            faults.doubt(&key, "lists nobody, so that no peer is believed: add who may connect");
        }
        for (at, entry) in self.trust.iter().enumerate() {
            let domain = &entry.domain;
            let roles: BTreeSet<_> = entry.roles.iter().collect();
            let at_roles = format!("{key}[{at}].roles");
            if roles.is_empty() {
                let message = "is empty: list at least one role, or remove the entry";
                faults.add(&at_roles, message);
            } else if roles.len() < entry.roles.len() {
                faults.add(&at_roles, "is refused: a role is listed twice");
            } else if Role::ALL.iter().all(|role| roles.contains(role)) {
                let message = format!(
                    "lets `{domain}` speak for every role, so that one organisation may ask, \
                     answer, grant and review: list the roles that it has"
                );
                faults.doubt(&at_roles, message);
            }
            if !seen.insert(domain) {
                let message = format!("is refused: `{domain}` is listed twice: merge the entries");
                faults.add(&format!("{key}[{at}].domain"), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    const SAMPLE: &str = r#"
        certificate = "gateway.pem"
        key = "/etc/tributary/gateway.key"

        [[trust]]
        domain = "education.city.example"
        roles = ["agency"]
        anchors = "trust/education.pem"
        crl = "trust/education.crl"
    "#;

    #[test]
    fn relative_paths_start_at_the_files_folder() {
        let config: LinkConfig = toml::from_str(SAMPLE).unwrap();
        let config = config.resolved(Path::new("/srv/city"));
        assert_eq!(config.certificate, Path::new("/srv/city/gateway.pem"));
        assert_eq!(config.key, Path::new("/etc/tributary/gateway.key"));
        assert_eq!(config.trust[0].anchors, Path::new("/srv/city/trust/education.pem"));
        assert_eq!(
            config.trust[0].crl.as_deref(),
            Some(Path::new("/srv/city/trust/education.crl"))
        );
    }

    fn refused(text: &str) -> String {
        let (config, mut faults) = file::judge_toml::<LinkConfig>(Path::new("link.toml"), text);
        config.unwrap().check("", &mut faults);
        faults.finish(Some(())).unwrap_err().to_string()
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let more = "[[trust]]\ndomain = \"education.city.example\"\nroles = []\nanchors = \"x\"\n";
        let told = refused(&format!("{}{more}", SAMPLE.replace("crl =", "clr =")));
        for expected in [
            "link.toml:9: `trust[0].clr` is no key: did you mean `crl`?",
            "link.toml:11: `trust[1].domain` is refused: `education.city.example` is listed twice",
            "link.toml:12: `trust[1].roles` is empty",
        ] {
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_domain_for_every_role_is_told_and_a_role_twice_is_refused() {
        let with = |roles: &str| SAMPLE.replace("[\"agency\"]", roles);
        let every = r#"["reviewer", "consumer", "agency", "gateway", "issuer"]"#;
        let (config, mut faults) =
            file::judge_toml::<LinkConfig>(Path::new("link.toml"), &with(every));
        config.as_ref().unwrap().check("", &mut faults);
        let doubt = faults.doubts()[0].to_string();
        let expected =
            "link.toml:7: `trust[0].roles` lets `education.city.example` speak for every";
        assert!(doubt.starts_with(expected), "{doubt}");
        faults.finish(config).unwrap();
        let told = refused(&with(r#"["agency", "agency"]"#));
        assert!(told.contains("`trust[0].roles` is refused: a role is listed twice"), "{told}");
    }
}
