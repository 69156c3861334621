//! A town's configuration, catalogue and policies.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::city::{Asked, USES};
use crate::town::{KID, Party, Town};

/// Writes everything but the gateways' files, which need the agencies' addresses.
///
/// The last agency ends its streams at `stream_age`.
pub fn write(town: &Town, items: usize, stream_age: Option<&str>) -> anyhow::Result<()> {
    let home = &town.home;
    std::fs::write(home.join("catalogue/town.toml"), catalogue(town, items)?)?;
    let consumer = &town.consumer.issued.id;
    let rule = format!(
        "@id(\"all\")\npermit (principal == Consumer::\"{consumer}\", \
         action == Action::\"read\", resource);\n"
    );
    std::fs::write(home.join("policies/rules.cedar"), rule)?;
    let vocabulary = format!(
        "purposes = [\"credit_profile\"]\nconsumers = [\"{consumer}\"]\nagencies = [{}]\n",
        names(town)
    );
    std::fs::write(home.join("policies/vocabulary.toml"), vocabulary)?;
    std::fs::write(home.join("consent/issuer.toml"), issuer(town)?)?;
    for (place, agency) in town.agencies.iter().enumerate() {
        let mut text = self::agency(town, agency, place, items)?;
        if let Some(age) = stream_age.filter(|_| place + 1 == town.agencies.len()) {
            write!(text, "\n[limits]\nmax_stream_age = \"{age}\"\n")?;
        }
        std::fs::write(town.agency_file(place), text)?;
    }
    Ok(())
}

/// The items of the agency at a place: the same number for each, as near as can be.
pub fn items_of(place: usize, agencies: usize, items: usize) -> std::ops::Range<usize> {
    place * items / agencies..(place + 1) * items / agencies
}

/// An item's column.
pub fn column(item: usize) -> String {
    format!("i{item:03}")
}

fn names(town: &Town) -> String {
    let names = town.agencies.iter().map(|agency| format!("\"{}\"", agency.name));
    names.collect::<Vec<_>>().join(", ")
}

fn catalogue(town: &Town, items: usize) -> anyhow::Result<String> {
    let mut text = String::from(
        "domain = \"town\"\ntitle = { en = \"Town\", zh = \"镇\" }\n\n[[category]]\n\
         id = \"town.all\"\ntitle = { en = \"All\", zh = \"全部\" }\n",
    );
    for (place, agency) in town.agencies.iter().enumerate() {
        for item in items_of(place, town.agencies.len(), items) {
            // A third of each kind.
            let kind = match item % 3 {
                0 => "type = \"integer\"\nunit = \"count\"\nrange = [0, 10000]",
                1 => "type = \"date\"",
                _ => "type = \"boolean\"",
            };
            write!(
                text,
                "\n[[item]]\nid = \"town.all.measured_item_{item:03}\"\nnumber = {item}\n\
                 title = {{ en = \"Item {item}\", zh = \"项目{item}\" }}\n{kind}\n\
                 owners = [\"{}\"]\nsensitivity = \"ordinary\"\nmeaning = \"Item {item}.\"\n",
                agency.name
            )?;
        }
    }
    Ok(text)
}

fn issuer(town: &Town) -> anyhow::Result<String> {
    let mut text = format!(
        "id = \"{}\"\nsigning_key = \"signing.jwk\"\nstatus_key = \"status.jwk\"\n\
         status_uri = \"{}\"\nperson_secret = \"person.secret\"\nstate = \"state\"\n\n{SUBJECT}",
        town.consent.issued.id,
        town.status_uri(),
    );
    for agency in &town.agencies {
        let file = agency.folder.join("sealing.pub.jwk");
        write!(
            text,
            "\n[[sealing]]\nagency = \"{}\"\nkid = \"{KID}\"\nfile = \"{}\"\n",
            agency.name,
            file.display()
        )?;
    }
    Ok(text)
}

const SUBJECT: &str = "[subject]\npattern = \"[0-9]{17}[0-9X]\"\ncheck_digit = \"gb11643\"\n";

/// What gateway and agencies have alike.
fn common(town: &Town, party: &Party, agencies: &str) -> String {
    let home = town.home.display();
    let (certificate, key) = (party.issued.certificate.display(), party.issued.key.display());
    let anchors = town.consent.folder.join("ca.pem");
    format!(
        "listen = \"127.0.0.1:0\"\ncatalogue = \"{home}/catalogue\"\n\n[link]\n\
         certificate = \"{certificate}\"\nkey = \"{key}\"\n\n[grants]\n\n[[grants.issuer]]\n\
         id = \"{}\"\n\
         keys = [{{ kid = \"{KID}\", algorithm = \"EdDSA\", file = \"{home}/consent/signing.pub.jwk\" }}]\n\
         status_keys = [{{ kid = \"{KID}\", algorithm = \"EdDSA\", file = \"{home}/consent/status.pub.jwk\" }}]\n\
         status_uris = [\"{}\"]\nstatus_anchors = \"{}\"\nlegal_bases = [\"written_consent\"]\n\
         purposes = [\"credit_profile\"]\nagencies = [{agencies}]\nconsumers = [\"{}\"]\n\n\
         [[grants.purpose]]\ncode = \"credit_profile\"\nmax_lifetime = \"365days\"\n\
         max_frequency = {{ count = {USES}, per = \"day\" }}\nitems = [\"*\"]\n\n[policy]\n\
         rules = \"{home}/policies/rules.cedar\"\nvocabulary = \"{home}/policies/vocabulary.toml\"\n\n",
        town.consent.issued.id,
        town.status_uri(),
        anchors.display(),
        town.consumer.issued.id,
    )
}

fn trust(party: &Party, role: &str) -> String {
    let domain = party.issued.id.trust_domain();
    let anchors = party.folder.join("ca.pem");
    format!(
        "[[link.trust]]\ndomain = \"{domain}\"\nroles = [\"{role}\"]\nanchors = \"{}\"\n\n",
        anchors.display()
    )
}

fn log(town: &Town, name: &str, key: &Path) -> String {
    format!(
        "[audit]\nfolder = \"{}\"\norigin = \"{}\"\nkey = \"{}\"\n",
        town.logs.join(name).display(),
        town.origin(name),
        key.display(),
    )
}

fn agency(town: &Town, party: &Party, place: usize, items: usize) -> anyhow::Result<String> {
    let (name, folder, home) = (&party.name, party.folder.display(), town.home.display());
    let mut text = format!("id = \"{name}\"\ntitle = {{ en = \"{name}\", zh = \"{name}\" }}\n");
    text += &common(town, party, &format!("\"{name}\""));
    text += &trust(&town.gateway, "gateway");
    write!(text, "[[grants.opening_key]]\nkid = \"{KID}\"\nfile = \"{folder}/sealing.jwk\"\n\n")?;
    text += &log(town, name, &party.folder.join("audit.seed"));
    writeln!(text, "tag_key = \"{folder}/tags.seed\"\n\n[[audit.peer]]")?;
    let logs = (0..town.gateways).map(|number| {
        format!("\"{}\"", town.gateway.folder.join(format!("gateway-{number}.vkey")).display())
    });
    let logs = logs.collect::<Vec<_>>().join(", ");
    write!(text, "identity = \"{}\"\nlogs = [{logs}]\n\n", town.gateway.issued.id)?;
    let columns: Vec<String> = items_of(place, town.agencies.len(), items).map(column).collect();
    write!(
        text,
        "[counters]\nurl = \"sqlite:{home}/data/{name}-counters.db\"\n\n{SUBJECT}\n[source.sql]\n\
         url = \"sqlite:{home}/data/{name}.db\"\n\n[[query]]\nname = \"records\"\n\
         sql = \"select person_id, {}, updated_on from records where person_id in {{subjects}}\"\n\
         subject = \"person_id\"\nas_of = \"updated_on\"\n[query.items]\n",
        columns.join(", ")
    )?;
    for item in items_of(place, town.agencies.len(), items) {
        writeln!(text, "\"town.all.measured_item_{item:03}\" = \"{}\"", column(item))?;
    }
    Ok(text)
}

/// Writes a gateway's file, once its agencies listen.
pub fn gateway(town: &Town, number: usize, agencies: &[Asked]) -> anyhow::Result<PathBuf> {
    let mut text = common(town, &town.gateway, &names(town));
    text += &trust(&town.consumer, "consumer");
    for agency in &town.agencies {
        text += &trust(agency, "agency");
    }
    let name = format!("gateway-{number}");
    text += &log(town, &name, &town.gateway.folder.join(format!("{name}.seed")));
    for (asked, party) in agencies.iter().zip(&town.agencies) {
        write!(
            text,
            "\n[[audit.peer]]\nidentity = \"{}\"\nlogs = [\"{}\"]\n",
            asked.identity,
            party.folder.join("audit.vkey").display()
        )?;
    }
    for asked in agencies {
        write!(
            text,
            "\n[[agency]]\nid = \"{}\"\nidentity = \"{}\"\nendpoint = \"{}\"\n",
            asked.id, asked.identity, asked.endpoint
        )?;
    }
    let file = town.home.join(format!("{name}.toml"));
    std::fs::write(&file, text)?;
    Ok(file)
}
