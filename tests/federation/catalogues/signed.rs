//! A catalogue that the federation's operator signed is fetched from the gateway by who pins
//! the key, and a running process takes it from there.

use std::path::Path;
use std::process::{Command, Output};

use toml_edit::value;
use tributary::config::catalogue;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::catalogue_service_client::CatalogueServiceClient;
use tributary::wire::refusal::reason_of;

use super::{ADDED, edit, put_new};
use crate::kit::demo::City;
use crate::kit::process::{binary, told};
use crate::kit::waiting::becomes;

const NAME: &str = "federation.city.example/catalogue";
const AGENCY: &str = "education";

fn sign(city: &City, folder: &str, version: u64) -> Output {
    let mut command = binary();
    command.args(["catalogue", "sign"]).arg(city.home.join(folder));
    command.args(["--version", &version.to_string(), "--key-name", NAME, "--key"]);
    command.arg(city.home.join("operator.seed")).output().unwrap()
}

/// Fetches as the scoring service, or as an agency.
fn fetch(city: &City, to: &Path, key: &str, as_agency: bool) -> Output {
    let mut command = binary();
    command.args(["catalogue", "fetch"]).arg(to).arg("--federation");
    command.arg(city.home.join("federation.json")).arg("--catalogue-key");
    command.arg(city.home.join(key));
    if as_agency {
        let own = city.home.join(format!("certs/dev/{AGENCY}.city.example"));
        command.arg("--certificate").arg(own.join(format!("agency-{AGENCY}.pem")));
        command.arg("--key").arg(own.join(format!("agency-{AGENCY}.key")));
    }
    command.output().unwrap()
}

fn keygen(city: &City, name: &str) {
    let mut command: Command = binary();
    command.args(["catalogue", "keygen", "--name", NAME, "--out"]);
    told(command.arg(city.home.join(name)));
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn note(city: &City) -> Result<String, String> {
    let consumer = &city.described.consumers[0];
    let to = &city.described.gateway.endpoint;
    let channel = city.connect(to, &consumer.certificate, &consumer.key).await.unwrap();
    let mut client = CatalogueServiceClient::new(channel);
    let asked = client.get_catalogue_note(pb::GetCatalogueNoteRequest {}).await;
    let lost = client
        .get_catalogue_file(pb::GetCatalogueFileRequest { sha256: vec![7; 32].into() })
        .await
        .unwrap_err();
    assert_eq!(reason_of(&lost), "CATALOGUE_NOT_SIGNED");
    match asked {
        Ok(note) => Ok(note.into_inner().note),
        Err(status) => Err(reason_of(&status)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_69_a_signed_catalogue_is_fetched_by_who_pins_the_key_and_taken_while_it_runs() {
    let city = City::of(10, &["--grant-uses", "1000000"]);
    keygen(&city, "operator");
    keygen(&city, "other");
    put_new(&city.home);
    let held = city.home.join("fetched");
    assert_eq!(note(&city).await, Err("CATALOGUE_NOT_SIGNED".to_owned()));
    let why = refused(&fetch(&city, &held, "operator.vkey", false));
    assert!(why.contains("CATALOGUE_NOT_SIGNED") && !held.exists(), "{why}");

    // Signed beside the gateway's files, it is handed on while the gateway runs.
    done(&sign(&city, "catalogue", 1));
    city.logs("gateway", "the signed catalogue is handed on", 1).await;
    let why = refused(&fetch(&city, &held, "other.vkey", false));
    assert!(why.contains("not signed with the pinned key") && !held.exists(), "{why}");
    let said = done(&fetch(&city, &held, "operator.vkey", false));
    assert!(said.contains("version 1, digest ") && said.contains("put in place"), "{said}");
    let texts = |folder: &Path| catalogue::texts(folder).unwrap();
    assert_eq!(texts(&held), texts(&city.home.join("catalogue")));
    let said = done(&fetch(&city, &held, "operator.vkey", true));
    assert!(said.contains("was there already"), "{said}");

    // An agency that has the fetched folder as its catalogue takes the next one from there.
    edit(city.config_of(AGENCY), |document| document["catalogue"] = value("../fetched"));
    done(&sign(&city, "catalogue-new", 2));
    let gateway = city.home.join("gateway.toml");
    edit(&gateway, |document| document["catalogue"] = value("catalogue-new"));
    city.logs("gateway", "the signed catalogue is handed on", 2).await;
    let said = done(&fetch(&city, &held, "operator.vkey", true));
    assert!(said.contains("version 2, digest ") && said.contains("put in place"), "{said}");
    let new = catalogue::load(&city.home.join("catalogue-new")).unwrap();
    assert!(new.find(ADDED).is_some());
    let mut agency = city.agency(AGENCY).await;
    let stated = async || {
        let described = agency.describe(pb::DescribeRequest {}).await.unwrap();
        described.into_inner().catalogue_digest.to_vec()
    };
    becomes("the agency's fetched catalogue", new.digest().0.to_vec(), stated).await;

    // The version before it is not taken any more, and a file that was changed under its note is
    // not handed on.
    edit(&gateway, |document| document["catalogue"] = value("catalogue"));
    city.logs("gateway", "the signed catalogue is handed on", 3).await;
    let why = refused(&fetch(&city, &held, "operator.vkey", false));
    assert!(why.contains("version 1 is older than 2, which is held"), "{why}");
    assert_eq!(catalogue::load(&held).unwrap().digest(), new.digest());
    assert!(!city.log("gateway").contains("is not handed on"), "{}", city.log("gateway"));
    let file = city.home.join("catalogue/traffic.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}# altered\n")).unwrap();
    city.logs("gateway", "the catalogue's note is not handed on", 1).await;
    let why = refused(&sign(&city, "catalogue", 1));
    assert!(why.contains("version 1 was signed twice"), "{why}");
}
