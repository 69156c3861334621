//! The review's question over a large federation: what may flow at all, for a million
//! triples of consumer, purpose and item.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use divan::Bencher;
use tributary::domain::flows::federation::Federation;
use tributary::domain::flows::open::each_flow;

const CONSUMERS: usize = 20;
const PURPOSES: usize = 102;

/// Reads, changes and writes a file.
fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    std::fs::write(path, change(std::fs::read_to_string(path).unwrap())).unwrap();
}

/// The city with many more consumers and purposes, and rules of their own for each at
/// the gateway and at agencies, as a federation of this size would have them.
fn large() -> Federation {
    let folder = tempfile::tempdir().unwrap();
    let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/city");
    std::fs::write(
        folder.path().join("gateway.toml"),
        include_str!("../../src/app/demo/gateway.toml"),
    )
    .unwrap();
    for part in ["agencies", "catalogue", "policies", "policies/agencies"] {
        let (from, to) = (from.join(part), folder.path().join(part));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let quoted =
        |count, name: &str| (0..count).map(|at| format!("\"{name}{at}\", ")).collect::<String>();
    let desk = "spiffe://bank.city.example/consumer/desk-";
    edit(&folder.path().join("policies/vocabulary.toml"), |text| {
        let purposes = format!("purposes = [{}", quoted(PURPOSES, "purpose_"));
        let consumers = format!("consumers = [{}", quoted(CONSUMERS, desk));
        text.replacen("purposes = [", &purposes, 1).replacen("consumers = [", &consumers, 1)
    });
    for house in ["gateway", "agencies/lending", "agencies/employment", "agencies/education"] {
        edit(&folder.path().join(format!("policies/{house}.cedar")), |mut rules| {
            for at in 0..CONSUMERS {
                let mine = (at * 5..PURPOSES.min(at * 5 + 8))
                    .map(|purpose| format!("context.purpose == Purpose::\"purpose_{purpose}\""));
                writeln!(
                    rules,
                    "\n@id(\"desk-{at}\")\npermit (principal == Consumer::\"{desk}{at}\", action == \
                     Action::\"read\", resource)\nwhen {{ ({}) && (resource in Domain::\"lending\" || \
                     resource in Category::\"employment.current\" || resource in \
                     Domain::\"education\") }};",
                    mine.collect::<Vec<_>>().join(" || ")
                )
                .unwrap();
            }
            rules
        });
    }
    tributary::app::review::load(folder.path()).unwrap()
}

#[divan::bench(sample_count = 1)]
fn flows_of_a_million_triples(bencher: Bencher<'_, '_>) {
    let federation = large();
    let names = federation.gateway.engine.vocabulary();
    let triples = names.consumers.len() * names.purposes.len() * federation.catalogue.items().len();
    assert!(triples > 1_000_000, "{triples} triples");
    bencher.bench(|| {
        let mut open = 0;
        each_flow(&federation, &mut |flow| open += flow.items.len());
        open
    });
}
