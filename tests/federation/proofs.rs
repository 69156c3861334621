//! Proofs of request over real links: an agency that demands them answers exactly what the
//! consumer has signed, and nothing to a gateway in an attacker's hands that has its real
//! certificate and the consumer's grant.

use tributary::app::proving::{RequestProver, ToProve};
use tributary::clock;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{Contents, Presentation, digest};
use tributary::domain::names::RequestId;
use tributary::domain::now::Now;
use tributary::domain::request_proof::{
    AgencyEntries, AgencyProof, ProofHead, Proven, RequestLeaf, SignedLeaf, SmallTree, TOKEN_TYPE,
    VerifiedHeads, Wanted,
};
use tributary::issuer::SigningKey;
use tributary::wire::proto::pb;
use tributary::wire::request_proof;

use crate::kit::demo::{City, ask};
use crate::kit::files::replace;
use crate::kit::forged::part_of;
use crate::kit::waiting::becomes;
use crate::refusals::{AGENCY, ITEM};

const MORE: &str = "employment.current.employed";

/// What the gateway makes of a consumer's proof for [`AGENCY`].
fn share(city: &City, id: &str, grant: &str, items: &[&str]) -> pb::RequestProof {
    let consumer = &city.described.consumers[0];
    let gateway = city.described.gateway.id.parse().unwrap();
    let prover = RequestProver::load(consumer.proof_key.as_ref().unwrap(), gateway).unwrap();
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    let one = ToProve { request_id: id, grant, items: &texts };
    let proof = prover.prove(&[one]).unwrap().remove(0).unwrap();

    let presentation = Presentation::parse(grant.as_bytes()).unwrap();
    let contents = Contents::read(&presentation).unwrap();
    let wanted = contents.agencies().map(|one| {
        let mut own: Vec<Box<str>> = one.items.clone();
        own.retain(|item| items.contains(&&**item));
        own.sort_unstable();
        Wanted { agency: one.agency.clone(), items: own }
    });
    let wanted: Vec<Wanted> = wanted.filter(|one| !one.items.is_empty()).collect();
    let now = clock::utc();
    let request = Proven {
        request_id: &RequestId::new(id).unwrap(),
        key: &contents.claims.proof_key,
        grant: digest(presentation.jwt()),
        gateway: &contents.claims.audience,
        now: Now { earliest: now, latest: now },
        heads: &VerifiedHeads::default(),
    };
    let opened = request_proof::decode_consumer(&proof).unwrap().open(&request, &wanted).unwrap();
    request_proof::encode_agency(&opened.for_agency(&AgencyId::new(AGENCY).unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_74_an_agency_that_demands_proofs_answers_what_the_consumer_signed_and_nothing_else() {
    let city = City::start(&["--grant-uses", "1000"]);
    let config = &city.entry(AGENCY).config;
    let text = std::fs::read_to_string(config).unwrap();
    let demanding = text.replacen("[grants]\n", "[grants]\nrequire_proof = true\n", 1);
    assert_ne!(demanding, text);
    replace(config, &demanding);

    let (grant, other) = (city.grant(0), city.grant(1));
    let mut agency = city.agency(AGENCY).await;
    let part = part_of(&grant, AGENCY);
    let question = |id: &str, items: &[&str], proof: Option<pb::RequestProof>| {
        pb::FetchSectionRequest { proof, ..city.question(id, &part, items) }
    };
    let mut nth = 0;
    becomes("the demand in force", "PROOF_MISSING", async || {
        nth += 1;
        ask(&mut agency, question(&format!("none-{nth}"), &[ITEM], None)).await.0
    })
    .await;

    // What it signed, also over the whole way; and without a proof only this agency is silent.
    let one = share(&city, "one", &grant, &[ITEM]);
    assert_eq!(ask(&mut agency, question("one", &[ITEM], Some(one.clone()))).await.0, "OK");
    let mut client = city.client().await;
    let items = || vec![ITEM.to_owned(), MORE.to_owned()];
    let deadline = std::time::Duration::from_secs(20);
    let answer = client.profile(&grant, items(), deadline).await.unwrap();
    let section = |answer: &pb::GetProfileResponse| {
        let found = answer.sections.iter().find(|section| section.agency == AGENCY).unwrap();
        (found.status(), found.reason.clone(), found.asked)
    };
    assert_eq!(section(&answer), (pb::SectionStatus::Ok, String::new(), 2));
    let consumer = &city.described.consumers[0];
    let address = city.address(consumer.certificate.clone(), consumer.key.clone());
    let mut silent = tributary::app::client::GatewayClient::connect(&address).await.unwrap();
    let answer = silent.profile(&grant, items(), deadline).await.unwrap();
    assert_eq!(section(&answer), (pb::SectionStatus::Denied, "PROOF_MISSING".into(), 2));

    // A gateway in an attacker's hands.
    let both = share(&city, "both", &grant, &[ITEM, MORE]);
    let others = share(&city, "others", &other, &[ITEM]);
    let mut short = one.clone();
    short.nonce = short.nonce.slice(1..);
    let mut entry = both.clone();
    entry.entry = one.entry.clone();
    let mut seed = one.clone();
    seed.seed = vec![7; 32].into();
    for (case, id, items, proof, reason) in [
        ("stripped", "one", &[ITEM][..], None, "PROOF_MISSING"),
        ("over-asking", "one", &[ITEM, MORE], Some(one.clone()), "PROOF_INVALID"),
        ("narrowing", "both", &[ITEM], Some(both.clone()), "PROOF_INVALID"),
        ("something else", "one", &[MORE], Some(one.clone()), "PROOF_INVALID"),
        ("another request", "two", &[ITEM], Some(one.clone()), "PROOF_INVALID"),
        ("another grant's", "others", &[ITEM], Some(others), "PROOF_INVALID"),
        ("another entry", "both", &[ITEM], Some(entry), "PROOF_INVALID"),
        ("a short nonce", "one", &[ITEM], Some(short), "BAD_REQUEST"),
        ("with a seed", "one", &[ITEM], Some(seed), "BAD_REQUEST"),
    ] {
        assert_eq!(ask(&mut agency, question(id, items, proof)).await.0, reason, "{case}");
    }
    // The same once more is the repeat that a lost answer needs, and no use.
    assert_eq!(ask(&mut agency, question("one", &[ITEM], Some(one))).await.0, "OK");
    assert_eq!(ask(&mut agency, question("both", &[ITEM, MORE], Some(both))).await.0, "OK");
}

/// What no client of ours makes: one leaf with two entries of [`AGENCY`].
fn two_sets(city: &City, id: &str, grant: &str, sets: [&[&str]; 2]) -> [pb::RequestProof; 2] {
    let key = std::fs::read(city.described.consumers[0].proof_key.as_ref().unwrap()).unwrap();
    let key = SigningKey::from_jwk(&key).unwrap();
    let presentation = Presentation::parse(grant.as_bytes()).unwrap();
    let (seed, nonce) = ([1; 32], [2; 16]);
    let [one, two] = sets.map(|items| Wanted {
        agency: AgencyId::new(AGENCY).unwrap(),
        items: items.iter().map(|item| (*item).into()).collect(),
    });
    // The same tree; the first entry of an agency is the one that it is shown.
    let trees = [[one.clone(), two.clone()], [two, one]];
    let trees = trees.map(|wanted| AgencyEntries::of(&seed, &wanted).unwrap());
    let entries = trees[0].stated();
    assert_eq!(entries, trees[1].stated());
    let request_id = &RequestId::new(id).unwrap();
    let leaf = RequestLeaf { request_id, grant: digest(presentation.jwt()), nonce, entries };
    let tree = SmallTree::of(&[leaf.hash()]).unwrap();
    let (now, audience) = (clock::utc().unix_timestamp(), &city.described.gateway.id);
    let head = ProofHead {
        audience: audience.parse().unwrap(),
        issued_at: now,
        expires_at: now + 60,
        root: tree.root().unwrap(),
        size: 1,
    };
    let token: Box<str> = key.sign_jws(TOKEN_TYPE, &head.payload()).unwrap().into();
    trees.map(|tree| {
        let leaf = SignedLeaf { token: token.clone(), index: 0, path: Vec::new(), nonce };
        let entry = tree.proof_for(&AgencyId::new(AGENCY).unwrap()).unwrap();
        request_proof::encode_agency(&AgencyProof { leaf, entry })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn row_74_one_leaf_asks_an_agency_one_thing() {
    let city = City::start(&["--grant-uses", "1000"]);
    let (grant, mut agency) = (city.grant(0), city.agency(AGENCY).await);
    let part = part_of(&grant, AGENCY);
    let [one, more] = two_sets(&city, "twice", &grant, [&[ITEM], &[MORE]]);
    for (items, proof, reason) in [
        (&[ITEM][..], &one, "OK"),
        (&[MORE], &more, "PROOF_REPLAYED"),
        // What a lost answer needs.
        (&[ITEM], &one, "OK"),
        (&[MORE], &more, "PROOF_REPLAYED"),
    ] {
        let question = city.question("twice", &part, items);
        let question = pb::FetchSectionRequest { proof: Some(proof.clone()), ..question };
        assert_eq!(ask(&mut agency, question).await.0, reason, "{items:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_by_another_key_is_refused_at_the_gateway() {
    let city = City::start(&[]);
    let named = |name: &str| {
        city.described.consumers.iter().find(|consumer| consumer.id.ends_with(name)).unwrap()
    };
    let (own, other) = (named("scoring-service"), named("loan-desk"));
    let address = city.address(own.certificate.clone(), own.key.clone());
    let address = tributary::app::client::Address { proof_key: other.proof_key.clone(), ..address };
    let mut client = tributary::app::client::GatewayClient::connect(&address).await.unwrap();
    assert_eq!(city.at_gateway(&mut client, &city.grant(0), ITEM).await, "PROOF_INVALID");
    assert_eq!(city.at_gateway(&mut city.client().await, &city.grant(0), ITEM).await, "OK");
}
