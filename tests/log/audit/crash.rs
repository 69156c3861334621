//! Row 34 for real: a writer process that says which receipts it has, killed at
//! random moments. It is this test program itself, started anew.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tributary::domain::audit::{Edge, leaf_hash};
use tributary::store::audit_log::{AuditError, Options};
use tributary::store::verify::{Verdict, verify};
use tributary::store::walk::walk;

use super::support::{Dice, open, options, record, verifying_key};

const DIR: &str = "TRIBUTARY_TEST_CRASH_DIR";
const KILLS: &str = "TRIBUTARY_TEST_CRASH_KILLS";

/// Not a test of its own: the process that is killed.
#[test]
fn crash_writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let settings =
        Options { publish_every: Duration::from_millis(10), segment_bytes: 20_000, ..options() };
    let log = Arc::new(open(Path::new(&dir), settings).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        for writer in 0..8u64 {
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0.. {
                    let receipt =
                        log.append(vec![record(writer * 1_000_000 + number)]).await.unwrap();
                    let checkpoint = receipt.checkpoint().checkpoint();
                    let line = format!(
                        "ACK {} {} {} {}\n",
                        receipt.indexes().start,
                        receipt.leaf_hashes()[0],
                        checkpoint.size,
                        checkpoint.root
                    );
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        std::future::pending::<()>().await;
    });
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["audit::crash::crash_writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("ACK")));
    let refused = open(dir.path(), options());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(refused, Err(AuditError::Locked(_))), "{refused:?}");
    open(dir.path(), options()).unwrap();
}

#[test]
fn row_34_no_receipt_is_lost_when_the_process_is_killed() {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(34);
    let (mut acknowledged, mut roots) = (BTreeMap::new(), BTreeMap::new());
    let mut torn = 0;
    for kill in 0..kills {
        let mut child = start(dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told: Vec<String> = Vec::new();
        // Now and then it is killed while it recovers; else once it has answered.
        if dice.roll(5) == 0 {
            std::thread::sleep(Duration::from_millis(dice.roll(15)));
        } else {
            let answers = lines.by_ref().map(Result::unwrap).filter(|line| line.starts_with("ACK"));
            told.extend(answers.take(1 + dice.roll(8) as usize));
            std::thread::sleep(Duration::from_micros(dice.roll(30_000)));
        }
        child.kill().unwrap();
        told.extend(lines.map(Result::unwrap));
        child.wait().unwrap();
        for line in told {
            // A line that was being written at the end may be cut.
            let words: Vec<&str> = line.split(' ').collect();
            let ["ACK", index, leaf, size, root] = words[..] else { continue };
            if root.len() != 64 {
                continue;
            }
            let leaf = leaf.to_owned();
            let before = acknowledged.insert(index.parse::<u64>().unwrap(), leaf.clone());
            assert!(before.is_none_or(|before| before == leaf), "index {index} was given twice");
            let before = roots.insert(size.parse::<u64>().unwrap(), root.to_owned());
            assert!(before.is_none_or(|before| before == root), "two roots were signed at {size}");
        }
        torn += u32::from(all_are_there(dir.path(), kill, &acknowledged, &roots));
    }
    assert!(acknowledged.len() > kills as usize, "hardly anything was written");
    println!("{kills} kills, {} receipts, {torn} torn tails", acknowledged.len());
    open(dir.path(), options()).unwrap().close().unwrap();
    let report = verify(dir.path(), &verifying_key(), None, &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{report:?}");
}

/// Whether the log has a torn tail; everything acknowledged must be before it.
fn all_are_there(
    dir: &Path,
    kill: u32,
    acknowledged: &BTreeMap<u64, String>,
    roots: &BTreeMap<u64, String>,
) -> bool {
    let (mut edge, mut found, mut signed) = (Edge::default(), 0, 0);
    let walked = walk(dir, Some(&verifying_key()), &mut |step| {
        let leaf = leaf_hash(step.bytes);
        if let Some(is) = acknowledged.get(&step.index) {
            assert_eq!(*is, leaf.to_string(), "entry {} changed", step.index);
            found += 1;
        }
        edge.push(leaf).unwrap();
        if let Some(is) = roots.get(&edge.size()) {
            assert_eq!(*is, edge.root().unwrap().to_string());
            signed += 1;
        }
    })
    .unwrap();
    assert!(walked.faults.is_empty(), "after kill {kill}: {:?}", walked.faults);
    assert_eq!((found, signed), (acknowledged.len(), roots.len()), "after kill {kill}");
    walked.torn.is_some()
}
