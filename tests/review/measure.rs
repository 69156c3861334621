//! How long a million triples take. Run by hand, since a figure of one machine
//! proves nothing on another:
//!
//!   cargo test --test review million -- --ignored --nocapture

use std::fmt::Write as _;

use crate::support::City;
use tributary::domain::flows::open::each_flow;

#[test]
#[ignore = "a measurement"]
fn a_million_triples() {
    let city = City::new();
    let consumers: Vec<String> =
        (0..20).map(|at| format!("spiffe://bank.city.example/consumer/desk-{at}")).collect();
    let purposes: Vec<String> = (0..102).map(|at| format!("purpose_{at}")).collect();
    city.replace(
        "policies/vocabulary.toml",
        "purposes = [",
        &format!("purposes = [\"{}\", ", purposes.join("\", \"")),
    );
    city.replace(
        "policies/vocabulary.toml",
        "consumers = [",
        &format!("consumers = [\"{}\", ", consumers.join("\", \"")),
    );
    // Rules of their own for each consumer, and some for each purpose, at the
    // gateway and at every agency: as a federation of this size would have them.
    for house in ["gateway", "agencies/lending", "agencies/employment", "agencies/education"] {
        let mut rules = String::new();
        for (at, consumer) in consumers.iter().enumerate() {
            let mine: Vec<String> = purposes
                .iter()
                .skip(at * 5)
                .take(8)
                .map(|purpose| format!("context.purpose == Purpose::\"{purpose}\""))
                .collect();
            writeln!(
                rules,
                "@id(\"desk-{at}\")\npermit (principal == Consumer::\"{consumer}\", action == \
                 Action::\"read\", resource)\nwhen {{ ({}) && (resource in Domain::\"lending\" || \
                 resource in Category::\"employment.current\" || resource in \
                 Domain::\"education\") }};",
                mine.join(" || ")
            )
            .unwrap();
        }
        city.append(&format!("policies/{house}.cedar"), &rules);
    }
    let federation = city.load();
    let names = federation.gateway.engine.vocabulary();
    let triples = names.consumers.len() * names.purposes.len() * federation.catalogue.items().len();
    let began = tributary::clock::now();
    let (mut rows, mut open) = (0_usize, 0_usize);
    each_flow(&federation, &mut |flow| {
        rows += 1;
        open += flow.items.len();
    });
    println!(
        "{triples} triples, each on 3 bases from {} agencies: {rows} rows, {open} open, {:.1} s",
        federation.agencies.len(),
        began.elapsed().as_secs_f64()
    );
}
