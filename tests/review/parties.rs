//! What stands in a party file is reviewed as if it stood in the main file: nothing hides
//! there, and moving it there changes nothing.

use tributary::config::agency::AgencyConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::flows::change::{Change, Class};
use tributary::domain::flows::diff::diff;
use tributary::domain::flows::edits::{Edited, combine, edits};
use tributary::issuer::IssuerSettings;

use crate::support::{BANK, City};

const ISSUER: &str = "spiffe://consent.city.example/issuer/consent-service";
const PARTY: &str = "parties.d/lending.toml";

/// Those of the gateway's parties.
const DOMAINS: [&str; 10] = [
    "bank",
    "education",
    "employment",
    "enterprise",
    "lending",
    "review",
    "scoring",
    "social-security",
    "traffic",
    "volunteering",
];

/// Public files, without which nothing is known of what they hold.
fn files(city: &City) {
    for domain in DOMAINS {
        let folder = format!("certs/dev/{domain}.city.example");
        std::fs::create_dir_all(city.path().join(&folder)).unwrap();
        for file in ["ca.pem", "audit.vkey", "other.vkey"] {
            city.write(&format!("{folder}/{file}"), &format!("{domain} {file}\n"));
        }
    }
}

/// Moves the lending house out of the gateway's file into one of its own.
fn moved(city: &City) {
    files(city);
    let mut document: toml_edit::DocumentMut = city.read("gateway.toml").parse().unwrap();
    let mut party = toml_edit::DocumentMut::new();
    for (section, list, by) in [
        ("link", "trust", "lending.city"),
        ("audit", "peer", "lending.city"),
        ("", "agency", "lending"),
    ] {
        let tables = match section {
            "" => document.as_table_mut(),
            section => document[section].as_table_mut().unwrap(),
        };
        let entries = tables[list].as_array_of_tables_mut().unwrap();
        let at = entries.iter().position(|entry| entry.to_string().contains(by)).unwrap();
        let mut entry = entries.get(at).unwrap().clone();
        entries.remove(at);
        for key in ["anchors", "logs"] {
            if let Some(value) = entry.get_mut(key) {
                let below = value.to_string().replace("certs/", "../certs/");
                *value = below.trim().parse().unwrap();
            }
        }
        let mut only = toml_edit::ArrayOfTables::new();
        only.push(entry);
        let only = toml_edit::Item::ArrayOfTables(only);
        match section {
            "" => _ = party.insert(list, only),
            section => {
                let mut table = toml_edit::Table::new();
                table.set_implicit(true);
                table.insert(list, only);
                party.insert(section, toml_edit::Item::Table(table));
            }
        }
    }
    document.insert("include", toml_edit::value("parties.d/*.toml"));
    city.write("gateway.toml", &document.to_string());
    std::fs::create_dir(city.path().join("parties.d")).unwrap();
    city.write(PARTY, &party.to_string());
}

fn compared(old: &City, new: &City) -> (Vec<Change>, Vec<Edited>) {
    let (old, new) = (old.load(), new.load());
    combine(diff(&old, &new), edits(&old, &new))
}

fn told(edits: &[Edited]) -> Vec<String> {
    let one = |edit: &Edited| {
        let place = edit.place.as_ref().unwrap();
        format!("{} {} {}", edit.class.as_str(), edit.key, place.file)
    };
    edits.iter().map(one).collect()
}

#[test]
fn a_party_that_moves_to_a_file_of_its_own_is_no_change() {
    let (old, new) = (City::new(), City::new());
    files(&old);
    moved(&new);
    let (changes, edits) = compared(&old, &new);
    assert_eq!(changes, Vec::new());
    assert_eq!(told(&edits), Vec::<String>::new());
}

#[test]
fn what_changes_in_a_party_file_has_the_class_of_its_key_and_its_place_there() {
    let old = City::new();
    moved(&old);
    for (from, to, expected) in [
        ("127.0.0.1:7104", "elsewhere.example:1", "rerouted agency[lending].endpoints"),
        (
            "[\"agency\"]",
            "[\"agency\", \"consumer\"]",
            "trust link.trust[lending.city.example].roles",
        ),
        (
            "lending.city.example/ca.pem",
            "bank.city.example/ca.pem",
            "trust link.trust[lending.city.example].anchors",
        ),
        (
            "audit.vkey",
            "other.vkey",
            "trust audit.peer[spiffe://lending.city.example/agency/lending].logs",
        ),
    ] {
        let new = City::new();
        moved(&new);
        new.replace(PARTY, from, to);
        let (_, edits) = compared(&old, &new);
        let told = told(&edits);
        assert!(told.contains(&format!("{expected} {PARTY}")), "{from}: {told:?}");
    }
}

#[test]
fn a_party_file_that_comes_or_goes_is_told_with_all_that_it_says() {
    let (old, new) = (City::new(), City::new());
    moved(&old);
    moved(&new);
    new.write(
        "parties.d/thief.toml",
        &format!(
            "[[link.trust]]\ndomain = \"thief.example\"\nroles = [\"consumer\", \"agency\"]\n\
             anchors = \"thief.pem\"\n[[consumer]]\nid = \"spiffe://thief.example/consumer/c\"\n\
             issuers = [\"{ISSUER}\"]\n[[review.reviewer]]\n\
             id = \"spiffe://thief.example/reviewer/r\"\nmay = [\"list\"]\n"
        ),
    );
    for (old, new) in [(&old, &new), (&new, &old)] {
        let told = told(&compared(old, new).1);
        for expected in [
            "trust link.trust[thief.example]",
            "trust consumer[spiffe://thief.example/consumer/c]",
            "reviewers review.reviewer[spiffe://thief.example/reviewer/r]",
        ] {
            let expected = format!("{expected} parties.d/thief.toml");
            assert!(told.contains(&expected), "{expected}: {told:#?}");
        }
    }

    // Without its file an agency is asked for nothing any more.
    std::fs::remove_file(new.path().join(PARTY)).unwrap();
    let (changes, _) = compared(&old, &new);
    assert!(changes.iter().any(|change| change.class == Class::Closed), "{changes:#?}");
}

#[test]
fn whom_an_issuer_may_open_to_is_the_same_flow_wherever_it_is_said() {
    let (old, new) = (City::new(), City::new());
    old.replace("gateway.toml", &format!("    \"{BANK}\",\n"), "");
    new.replace("gateway.toml", &format!("    \"{BANK}\",\n"), "");
    new.replace("gateway.toml", "catalogue =", "include = \"parties.d/*.toml\"\ncatalogue =");
    std::fs::create_dir(new.path().join("parties.d")).unwrap();
    let bank = format!("[[consumer]]\nid = \"{BANK}\"\nissuers = [\"{ISSUER}\"]\n");
    new.write("parties.d/bank.toml", &bank);
    let told = told(&compared(&old, &new).1);
    let expected = format!("trust consumer[{BANK}] parties.d/bank.toml");
    assert!(told.contains(&expected), "{told:?}");
    let issuers = |city: &City| -> Vec<_> {
        let mut issuers = city.load().gateway.issuers;
        issuers.iter_mut().for_each(|issuer| issuer.consumers.sort());
        issuers.into_iter().map(|issuer| format!("{issuer:?}")).collect()
    };
    // What is compared with grants is what the issuer's own list would say.
    assert_eq!(issuers(&new), issuers(&City::new()));
}

#[test]
fn the_example_with_a_file_for_each_party_opens_what_the_demos_one_file_opens() {
    let (one, by_parties) = (City::new(), City::by_parties());
    files(&one);
    files(&by_parties);
    let (changes, edits) = compared(&one, &by_parties);
    assert_eq!(changes, Vec::new());
    // What the issuer's one entry listed is said by each agency and consumer itself.
    let mut keys: Vec<&str> = edits.iter().map(|edit| &*edit.key).collect();
    keys.retain(|key| {
        let parties = ["agency[", "consumer["].iter().any(|party| key.starts_with(party));
        !parties && !key.starts_with(&format!("grants.issuer[{ISSUER}]"))
    });
    assert_eq!(keys, Vec::<&str>::new(), "{edits:#?}");
    let issuers = |city: &City| -> Vec<_> {
        let mut issuers = city.load().gateway.issuers;
        for issuer in &mut issuers {
            issuer.consumers.sort();
            issuer.agencies.sort();
        }
        issuers.into_iter().map(|issuer| format!("{issuer:?}")).collect()
    };
    assert_eq!(issuers(&by_parties), issuers(&one));
}

/// Every file of docs/adding-a-party.md, read as part of the configuration that it is for.
#[test]
fn the_files_of_the_guide_are_taken_as_they_stand_there() {
    let page = include_str!("../../docs/adding-a-party.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 6, "the page has lost its files");
    let city = City::new();
    let consent = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city/consent");
    crate::kit::files::copy(&consent, &city.path().join("consent"));
    city.replace("gateway.toml", "[[agency]]\nid = \"lending\"", "[[agency]]\nid = \"other\"");
    city.replace(
        "consent/issuer.toml",
        "[[sealing]]\nagency = \"lending\"",
        "[[sealing]]\nagency = \"other\"",
    );
    let (agency, main) = ("agencies/education.toml", "gateway.toml");
    for (file, include) in [
        (main, "[\"agencies.d/*.toml\", \"consumers.d/*.toml\"]"),
        (agency, "\"gateways.d/*.toml\""),
        ("consent/issuer.toml", "\"agencies.d/*.toml\""),
    ] {
        let text = city.read(file);
        city.write(file, &format!("include = {include}\n{text}"));
    }
    let folders = ["agencies.d", "consumers.d", "agencies/gateways.d", "consent/agencies.d"];
    for folder in folders {
        std::fs::create_dir(city.path().join(folder)).unwrap();
    }
    for block in blocks {
        let (head, text) = block.split_once('\n').unwrap();
        let (whose, file) = head.trim_start_matches("# ").split_once(": ").unwrap();
        let below = match whose {
            "gateway" => "",
            "agency" => "agencies/",
            "issuer" => "consent/",
            other => panic!("{other}"),
        };
        city.write(&format!("{below}{file}"), text);
    }
    GatewayConfig::load(&city.path().join(main)).unwrap();
    AgencyConfig::load(&city.path().join(agency)).unwrap();
    let issuer = IssuerSettings::read(&city.path().join("consent/issuer.toml")).unwrap();
    assert_eq!(issuer.parties().len(), 1);
}
