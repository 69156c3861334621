//! Edits of whom the gateway believes, held against handshakes: whoever is let in by the
//! new files and not by the old ones, or the other way round, is told as a change of trust,
//! and what lets in the same is none.

use std::collections::BTreeSet;

use rcgen::ExtendedKeyUsagePurpose::ClientAuth;
use tokio::io::AsyncReadExt;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::flows::change::Class;
use tributary::domain::flows::edits::edits;
use tributary::domain::flows::federation::Federation;
use tributary::domain::peer::Role;
use tributary::link::limits::LinkLimits;

use crate::kit::pki::{Pair, Pki, Server, tls};
use crate::kit::rude::{rude, rude_connect};
use crate::kit::waiting::within;
use crate::support::City;

/// Whose authorities there are. The last is nobody's whom the city knows.
const DOMAINS: [&str; 6] = [
    "scoring.city.example",
    "bank.city.example",
    "lending.city.example",
    "review.city.example",
    "gateway.city.example",
    ROGUE,
];
const ROGUE: &str = "rogue.example";

/// Who tries to get in: by whose authority, and what is claimed.
const TRIED: [(&str, &str); 9] = [
    ("scoring.city.example", "spiffe://scoring.city.example/consumer/scoring-service"),
    ("scoring.city.example", "spiffe://scoring.city.example/agency/scoring"),
    ("scoring.city.example", "spiffe://bank.city.example/consumer/loan-desk"),
    ("bank.city.example", "spiffe://bank.city.example/consumer/loan-desk"),
    ("lending.city.example", "spiffe://lending.city.example/agency/lending"),
    (ROGUE, "spiffe://scoring.city.example/consumer/scoring-service"),
    (ROGUE, "spiffe://lending.city.example/agency/lending"),
    (ROGUE, "spiffe://review.city.example/reviewer/board"),
    (ROGUE, "spiffe://rogue.example/consumer/rogue"),
];

const ANCHORS: &str = "certs/dev";

/// The city with authorities, and everybody's certificate.
struct Tried {
    pki: Pki,
    pairs: Vec<Pair>,
}

impl Tried {
    fn new() -> Self {
        let pki = Pki::new(&DOMAINS);
        let of = |(by, claimed): &(&str, &str)| pki.leaf(by, &[claimed], vec![ClientAuth]);
        let pairs = TRIED.iter().map(of).collect();
        Self { pki, pairs }
    }

    fn city(&self) -> City {
        let city = City::new();
        for domain in DOMAINS {
            let folder = format!("{ANCHORS}/{domain}");
            std::fs::create_dir_all(city.path().join(&folder)).unwrap();
            city.write(&format!("{folder}/ca.pem"), &self.anchor(domain));
        }
        // Of those who try nothing, any authority will do.
        for domain in ["education", "employment", "social-security", "enterprise", "traffic"] {
            self.other(&city, domain);
        }
        self.other(&city, "volunteering");
        self.other(&city, "consent");
        city
    }

    fn other(&self, city: &City, name: &str) {
        let folder = format!("{ANCHORS}/{name}.city.example");
        std::fs::create_dir_all(city.path().join(&folder)).unwrap();
        city.write(&format!("{folder}/ca.pem"), &self.anchor("gateway.city.example"));
    }

    fn anchor(&self, domain: &str) -> String {
        std::fs::read_to_string(self.pki.dir.path().join(domain).join("ca.pem")).unwrap()
    }

    /// Whom a gateway with these files lets in.
    async fn let_in(&self, city: &City) -> BTreeSet<(&'static str, &'static str)> {
        let config = GatewayConfig::load(&city.path().join("gateway.toml")).unwrap();
        let own = self.pki.issue("gateway.city.example", Role::Gateway, "main");
        let link = tls(&own.certificate, &own.key, &config.link.trust);
        let server = Server::start(link, LinkLimits::default()).await;
        let mut all = BTreeSet::new();
        for (who, pair) in TRIED.iter().zip(&self.pairs) {
            let tried = async {
                let mut stream = rude_connect(server.address, rude(Some(pair), &["h2"])).await?;
                // HTTP/2 begins, or an alert comes.
                stream.read_u8().await
            };
            if within(tried).await.is_ok() {
                all.insert(*who);
            }
        }
        server.stop().await;
        all
    }
}

fn load(city: &City) -> Federation {
    tributary::app::review::load(city.path()).unwrap_or_else(|error| panic!("{error:?}"))
}

/// The entry of a trust domain.
fn entry(domain: &str, role: &str, anchors: &str) -> String {
    format!(
        "[[link.trust]]\ndomain = \"{domain}\"\nroles = [\"{role}\"]\nanchors = \"{anchors}\"\n"
    )
}

/// What an edit is called, and the edit.
type Edit = (&'static str, fn(&City));

const GATEWAY: &str = "gateway.toml";
const SCORING: &str = "certs/dev/scoring.city.example/ca.pem";
const BANK: &str = "certs/dev/bank.city.example/ca.pem";
const OF_ROGUE: &str = "certs/dev/rogue.example/ca.pem";

const EDITS: &[Edit] = &[
    ("a second authority in a file of anchors", |city| {
        city.append(SCORING, &city.read(OF_ROGUE));
    }),
    ("another authority in a file of anchors", |city| city.write(SCORING, &city.read(OF_ROGUE))),
    ("another file of anchors", |city| city.replace(GATEWAY, SCORING, OF_ROGUE)),
    ("a reviewer's authority", |city| {
        city.replace(GATEWAY, "certs/dev/review.city.example/ca.pem", OF_ROGUE);
    }),
    ("an agency's authority", |city| {
        city.replace(GATEWAY, "certs/dev/lending.city.example/ca.pem", OF_ROGUE);
    }),
    ("two anchors change places", |city| {
        let (scoring, bank) = (city.read(SCORING), city.read(BANK));
        city.write(SCORING, &bank);
        city.write(BANK, &scoring);
    }),
    ("another domain", |city| {
        let entry = entry("rogue.example", "consumer", OF_ROGUE);
        city.replace(GATEWAY, "[[link.trust]]", &format!("{entry}\n[[link.trust]]"));
    }),
    ("one authority for two domains", |city| city.replace(GATEWAY, BANK, SCORING)),
    ("a second role", |city| {
        let from = "domain = \"scoring.city.example\"\nroles = [\"consumer\"]";
        city.replace(GATEWAY, from, &from.replace("\"]", "\", \"agency\"]"));
    }),
    ("anchors under another name", |city| {
        city.write("certs/scoring.pem", &city.read(SCORING));
        city.replace(GATEWAY, SCORING, "certs/scoring.pem");
    }),
    ("anchors with a comment", |city| city.write(BANK, &format!("# ours\n{}", city.read(BANK)))),
    ("entries in another order", |city| {
        let moved = entry("bank.city.example", "consumer", BANK);
        city.replace(GATEWAY, &moved, "");
        city.replace(GATEWAY, "[[link.trust]]", &format!("{moved}\n[[link.trust]]"));
    }),
    ("another address", |city| city.replace(GATEWAY, "127.0.0.1:7100", "127.0.0.1:7200")),
    ("a longer time", |city| city.replace(GATEWAY, "\"60s\"", "\"70s\"")),
];

#[tokio::test(flavor = "multi_thread")]
async fn row_72_trust_is_told_exactly_when_other_peers_are_let_in() {
    let tried = Tried::new();
    let base = tried.city();
    let (before, was) = (load(&base), tried.let_in(&base).await);
    assert_eq!(was.len(), 3, "{was:?}");
    let (mut wrong, mut changed) = (Vec::new(), 0);
    for (name, apply) in EDITS {
        let city = tried.city();
        apply(&city);
        let is = tried.let_in(&city).await;
        let edits = edits(&before, &load(&city));
        let told = edits.iter().any(|edit| edit.class == Class::Trust);
        changed += usize::from(is != was);
        if told != (is != was) {
            let differ: Vec<_> = is.symmetric_difference(&was).collect();
            let says: Vec<&str> = edits.iter().map(|edit| &*edit.says).collect();
            wrong.push(format!("{name}: {differ:?} differ, and {says:?} is told"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(changed, 9);
}
