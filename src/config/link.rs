//! The `[link]` section: this process's own identity, and whom it believes.
//!
//! The files that are named here are opened by `link`, not here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::peer::{Role, TrustDomain};

/// Own certificate and key, and the trust domains that peers may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// Own certificate chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// Private key of the certificate, PEM (PKCS#8), readable by its owner alone.
    pub key: PathBuf,
    /// One entry for each organisation; a domain may stand here once.
    #[serde(deserialize_with = "distinct_domains")]
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

fn distinct_domains<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<TrustConfig>, D::Error> {
    let trust = Vec::<TrustConfig>::deserialize(from)?;
    let mut seen = BTreeSet::new();
    for entry in &trust {
        if entry.roles.is_empty() {
            return Err(serde::de::Error::custom(format!(
                "trust domain `{}` has no roles: list at least one, or remove the entry",
                entry.domain
            )));
        }
        if !seen.insert(&entry.domain) {
            return Err(serde::de::Error::custom(format!(
                "trust domain `{}` is listed twice: merge the two entries into one",
                entry.domain
            )));
        }
    }
    Ok(trust)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_domain_stands_once() {
        let twice = format!(
            "{SAMPLE}\n[[trust]]\ndomain = \"education.city.example\"\nroles = [\"reviewer\"]\nanchors = \"x\"\n"
        );
        let error = toml::from_str::<LinkConfig>(&twice).unwrap_err();
        assert!(error.to_string().contains("listed twice"), "{error}");
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let misspelt = SAMPLE.replace("crl =", "clr =");
        let error = toml::from_str::<LinkConfig>(&misspelt).unwrap_err();
        assert!(error.to_string().contains("unknown field `clr`"), "{error}");
    }

    #[test]
    fn a_domain_without_roles_is_an_error() {
        let none = SAMPLE.replace("[\"agency\"]", "[]");
        let error = toml::from_str::<LinkConfig>(&none).unwrap_err();
        assert!(error.to_string().contains("has no roles"), "{error}");
    }
}
