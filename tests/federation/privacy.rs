//! Canaries: what belongs to a person is in the agencies' databases and in the
//! answer, and nowhere else.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::kit::demo::City;
use crate::kit::sqlite_file;
use crate::kit::waiting::UNHURRIED as DEADLINE;

/// Every file below a folder.
fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// Every run of digits and points, the shape of numbers and amounts.
fn runs(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let numeric = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'X');
    let runs = bytes.split(move |byte| !numeric(byte)).filter(|run| run.len() >= 6);
    runs.filter_map(|run| std::str::from_utf8(run).ok())
}

/// Whether any of these numbers occurs, alone or within a longer run.
fn holds_any(bytes: &[u8], numbers: &HashSet<String>) -> bool {
    let length = numbers.iter().next().map_or(0, String::len);
    runs(bytes).any(|run| {
        run.as_bytes()
            .windows(length)
            .any(|window| std::str::from_utf8(window).is_ok_and(|window| numbers.contains(window)))
    })
}

/// Distinctive values of the people asked about: amounts of at least six digits.
fn amounts(city: &City) -> HashSet<String> {
    let database = sqlite_file::reader(&city.home.join("data/lending.db"));
    let query = "select card_total_limit_fen from card_account \
                 union all select card_balance_fen from card_account";
    let mut query = database.prepare(query).unwrap();
    let amounts = query.query_map([], |row| row.get::<_, Option<i64>>(0)).unwrap();
    amounts
        .filter_map(Result::unwrap)
        .filter(|fen| *fen > 1_000_000)
        .flat_map(|fen| [fen.to_string(), format!("{}.{:02}", fen / 100, fen % 100)])
        .collect()
}

/// What a process has written in its memory, as far as it can be read.
pub fn memory(pid: u32) -> Vec<u8> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) =
            (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        if to - from > 1 << 30 || memory.seek(SeekFrom::Start(from)).is_err() {
            continue;
        }
        let _ = (&mut memory).take(to - from).read_to_end(&mut found);
    }
    found
}

#[tokio::test]
async fn row_48_no_number_and_no_value_is_where_it_must_not_be() {
    let city = City::start(&["--bundle", "small_business_loan"]);
    let items: Vec<String> = city.client().await.bundle("small_business_loan").await.unwrap();
    // Requests run while the gateway's memory is read.
    let mut client = city.client().await;
    for person in 0..40 {
        let grant = city.grant(person);
        let answer = client.profile(&grant, items.clone(), DEADLINE).await.unwrap();
        assert!(answer.sections.iter().any(|section| section.answered > 0));
    }
    let (grants, wanted) = ((0..40).map(|p| city.grant(p)).collect::<Vec<_>>(), items.clone());
    let load = tokio::spawn(async move {
        for grant in grants {
            let _ = client.profile(&grant, wanted.clone(), DEADLINE).await;
        }
    });
    let memory = memory(city.described.gateway.pid);
    load.await.unwrap();
    let consumer = b"spiffe://scoring.city.example/consumer/scoring-service";
    assert!(memory.windows(consumer.len()).any(|window| window == consumer), "this is its memory");
    let subjects: HashSet<String> = city.described.subjects.iter().cloned().collect();
    assert!(!holds_any(&memory, &subjects), "a card number is in the gateway's memory");

    // The search index is derived from the log; it comes into being now.
    let searched = crate::kit::process::binary()
        .args(["audit", "index", "--check", "--key"])
        .arg(city.home.join("certs/dev/gateway.city.example/audit.vkey"))
        .arg(city.home.join("audit/gateway"))
        .output()
        .unwrap();
    assert!(searched.status.success(), "{searched:?}");

    let values = amounts(&city);
    assert!(values.len() > 20, "there are values to look for");
    let mut all = Vec::new();
    files(&city.home, &mut all);
    // Where they belong: the records, the grants' index for clients, the issuer.
    let may_know = ["data", "consent/state", "federation.json"].map(|name| city.home.join(name));
    all.retain(|file| !may_know.iter().any(|known| file.starts_with(known)));
    assert!(all.iter().any(|file| file.ends_with("logs/gateway.log")));
    assert!(all.iter().any(|file| file.starts_with(city.home.join("audit/gateway"))));
    assert!(all.iter().any(|file| file.ends_with("audit/gateway.index")));
    for file in all {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let name = file.display();
        assert!(!holds_any(&bytes, &subjects), "a card number is in {name}");
        let found = runs(&bytes).find(|run| values.contains(*run));
        assert!(found.is_none(), "a value is in {name}");
        // So begins every reference to a person's own statement.
        let statement = b"statement-".as_slice();
        let told = bytes.windows(statement.len()).any(|window| window == statement);
        assert!(!told, "a statement's reference is in {name}");
    }
}
