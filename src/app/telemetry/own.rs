//! What the status service says of the gateway itself.

use std::sync::Arc;

use crate::clock;
use crate::link::tls::LinkTls;
use crate::service::audit::recorder::Recorder;
use crate::service::readiness::Readiness;
use crate::service::rulebook::InForce;
use crate::wire::status::{Expiry, Own};

/// A look at the process, to be asked each time anew.
pub(in crate::app) fn look(
    tls: LinkTls,
    recorder: Arc<Recorder>,
    readiness: Arc<Readiness>,
    rules: Arc<InForce>,
) -> impl Fn() -> Own + Send + Sync + 'static {
    let started = clock::now();
    move || {
        let trust = tls.trust().current();
        let expiry = |what, trust_domain, until| Expiry { what, trust_domain, until };
        let own = expiry("certificate", String::new(), tls.identity().not_after());
        let anchors = trust.anchors_until().into_iter();
        let anchors = anchors.map(|(domain, until)| expiry("anchor", domain.to_string(), until));
        let lists = trust.lists_until().into_iter();
        let lists =
            lists.map(|(domain, _, until)| expiry("revocation list", domain.to_string(), until));
        let causes = readiness.look().into_iter().filter_map(|(_, cause)| cause);
        let engine = rules.engine();
        Own {
            not_ready: causes.map(|cause| cause.reason).collect(),
            expiries: std::iter::once(own).chain(anchors).chain(lists).collect(),
            catalogue: engine.catalogue().digest(),
            policy: engine.digest(),
            entries: recorder.size(),
            uptime: started.elapsed(),
        }
    }
}
