//! Configurations with which a process must not start: exit code 1, one clear
//! message with the value and the remedy, no panic.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use time::Duration;
use toml_edit::DocumentMut;
use tributary::clock;
use tributary::domain::peer::Role;
use tributary::link::pki::{Authority, CertificateRequest, Validity};

use crate::kit::federation::Federation;
use crate::kit::process::binary;

/// Runs a role that must fail; gives its message.
fn refused(role: &str, config: &Path) -> String {
    let output =
        binary().args([role, "--config"]).arg(config).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stdout.is_empty(), "it said that it listens");
    assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
    let messages: Vec<&str> = text.lines().filter(|line| line.starts_with("tributary: ")).collect();
    assert_eq!(messages.len(), 1, "{text}");
    text
}

fn expired(federation: &Federation) -> (PathBuf, PathBuf) {
    let now = clock::utc();
    let domain = "gateway.city.example".parse().unwrap();
    let authority = Authority::open(&federation.home.join("certs/dev"), &domain).unwrap();
    let validity = Validity::days(now - Duration::days(9), 1).unwrap();
    let issued =
        authority.issue(&CertificateRequest::local(Role::Gateway, "expired", validity)).unwrap();
    (issued.certificate, issued.key)
}

#[test]
fn a_process_that_cannot_start_says_why_and_what_to_do() {
    let federation = Federation::start();
    let gateway = &federation.described.gateway.config;
    let traffic = &federation.entry("traffic").config;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken_address(&taken);
    let (certificate, key) = expired(&federation);
    let open = federation.home.join("open.key");
    std::fs::copy(&key, &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = |path: &Path| toml_edit::value(path.to_str().unwrap());

    type Edit<'a> = Box<dyn FnOnce(&mut DocumentMut) + 'a>;
    type Case<'a> = (&'a str, &'a Path, &'a str, Edit<'a>, Vec<&'a str>);
    let cases: Vec<Case<'_>> = vec![
        (
            "an unknown agency in the gateway's list",
            gateway,
            "gateway",
            Box::new(|document| {
                let agencies = document["agency"].as_array_of_tables_mut().unwrap();
                agencies.get_mut(0).unwrap()["id"] = toml_edit::value("edukation");
            }),
            vec!["edukation", "education"],
        ),
        (
            "an unknown agency as the own name",
            traffic,
            "agency",
            Box::new(|document| document["id"] = toml_edit::value("trafic")),
            vec!["trafic", "traffic"],
        ),
        (
            "a port in use",
            gateway,
            "gateway",
            Box::new(|document| document["listen"] = toml_edit::value(&taken.0)),
            vec![&taken.0, "listen"],
        ),
        (
            "no certificate",
            gateway,
            "gateway",
            Box::new(|document| {
                document["link"]["certificate"] = toml_edit::value("nowhere.pem");
            }),
            vec!["nowhere.pem"],
        ),
        (
            "an expired certificate",
            gateway,
            "gateway",
            Box::new(|document| {
                document["link"]["certificate"] = path(&certificate);
                document["link"]["key"] = path(&key);
            }),
            vec!["expired"],
        ),
        (
            "row 43: a key that others can read",
            gateway,
            "gateway",
            Box::new(|document| document["link"]["key"] = path(&open)),
            vec!["open.key", "chmod"],
        ),
        (
            "another role's certificate",
            gateway,
            "gateway",
            Box::new(|document| {
                let own = "certs/dev/traffic.city.example/agency-traffic";
                document["link"]["certificate"] = toml_edit::value(format!("{own}.pem"));
                document["link"]["key"] = toml_edit::value(format!("{own}.key"));
            }),
            vec!["agency/traffic", "gateway"],
        ),
        (
            "an unknown item in a mapping",
            traffic,
            "agency",
            Box::new(|document| {
                let queries = document["query"].as_array_of_tables_mut().unwrap();
                let items = queries.get_mut(0).unwrap()["items"].as_table_mut().unwrap();
                items["traffic.licence.pionts_this_cycle"] = toml_edit::value("points_this_cycle");
            }),
            vec!["traffic.licence.pionts_this_cycle"],
        ),
        (
            "an unknown key",
            gateway,
            "gateway",
            Box::new(|document| document["lisen"] = toml_edit::value("127.0.0.1:0")),
            vec!["lisen"],
        ),
        (
            "no policy",
            gateway,
            "gateway",
            Box::new(|document| {
                document["policy"]["rules"] = toml_edit::value("policies/none.cedar");
            }),
            vec!["none.cedar"],
        ),
    ];
    for (name, original, role, edit, words) in cases {
        let text = refused(role, &federation.copy_of(original, edit));
        for word in words {
            assert!(text.contains(word), "{name}: `{word}` is not in: {text}");
        }
    }
    let text = refused("gateway", &federation.home.join("nothing.toml"));
    assert!(text.contains("nothing.toml"), "{text}");
    drop(taken.1);
}

/// An address and what keeps it taken.
fn taken_address(listener: &std::net::TcpListener) -> (String, std::net::TcpListener) {
    (listener.local_addr().unwrap().to_string(), listener.try_clone().unwrap())
}
