//! A process that says which uses were acknowledged, killed at random moments. It
//! is this test program itself, started anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tributary::store::frequency::Release;

use super::support::{Ask, Dice, Section, counted};

const SECTION: &str = "TRIBUTARY_TEST_COUNTERS";
const ROUND: &str = "TRIBUTARY_TEST_COUNTERS_ROUND";
const WINDOW: &str = "TRIBUTARY_TEST_COUNTERS_WINDOW";

const TASKS: u64 = 8;
const LIMIT: u32 = 60;
/// So often each task tries each window: together more often than it allows.
const TRIES: u64 = 10;

/// Acknowledged uses of each window, by their numbers.
type Acknowledged = BTreeMap<u64, BTreeSet<u32>>;

/// Not a test of its own: the process that is killed.
#[test]
fn crash_child() {
    let Ok(section) = std::env::var(SECTION) else { return };
    let round = std::env::var(ROUND).unwrap();
    let first: u64 = std::env::var(WINDOW).unwrap().parse().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let counters = Section(section).open().await;
        for task in 0..TASKS {
            let (counters, round) = (counters.clone(), round.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let window = first + number / TRIES;
                    let request = format!("{round}-{task}-{number}");
                    let ask = Ask::new("crash", &request).window(window).limit(LIMIT);
                    let line = match counted(&counters, &ask).await {
                        Release::Counted { used } => format!("ACK {window} {used} .\n"),
                        Release::Exhausted => continue,
                        other => panic!("{other:?}"),
                    };
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        std::future::pending::<()>().await;
    });
}

fn start(section: &Section, round: u64, window: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["frequency::crash::crash_child", "--exact", "--nocapture", "--test-threads=1"])
        .env(SECTION, &section.0)
        .env(ROUND, round.to_string())
        .env(WINDOW, window.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills a process that counts so many times; what it was told stays true.
pub async fn no_acknowledged_use_is_lost(section: &Section, kills: u64) {
    let mut dice = Dice(0x5eed);
    let mut acknowledged = Acknowledged::new();
    let mut total = 0;
    for round in 0..kills {
        // The window in which the last one died goes on.
        let window = acknowledged.keys().next_back().copied().unwrap_or_default();
        let mut child = start(section, round, window);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told: Vec<String> = Vec::new();
        // So many, however fast the disk.
        let answers = lines.by_ref().map(Result::unwrap).filter(|line| line.contains("ACK"));
        told.extend(answers.take(1 + dice.roll(40) as usize));
        std::thread::sleep(Duration::from_micros(dice.roll(60_000)));
        child.kill().unwrap();
        told.extend(lines.map(Result::unwrap));
        child.wait().unwrap();
        for line in told {
            let words: Vec<&str> = line.split(' ').collect();
            // A line that was being written at the end may be cut.
            let ["ACK", window, used, "."] = words[..] else { continue };
            let used: u32 = used.parse().unwrap();
            assert!(used <= LIMIT, "round {round}: use {used} of {LIMIT}");
            let new = acknowledged.entry(window.parse().unwrap()).or_default().insert(used);
            assert!(new, "round {round}: use {used} of window {window} was given twice");
            total += 1;
        }
        survives(section, round, window, &mut acknowledged).await;
    }
    assert!(total > 10 * kills, "hardly anything was counted: {total}");
    println!("{kills} kills, {total} acknowledged uses, {} windows", acknowledged.len());
}

/// Uses each window from `first` on once more: its number must come after every
/// acknowledged one, and not beyond what the dead process can have had under way.
async fn survives(section: &Section, round: u64, first: u64, acknowledged: &mut Acknowledged) {
    let counters = section.open().await;
    let last = acknowledged.keys().next_back().copied().unwrap_or_default();
    for window in first..=last {
        let known = acknowledged.entry(window).or_default();
        let most = known.last().copied().unwrap_or_default();
        let ask = Ask::new("crash", &format!("probe-{round}-{window}")).window(window).limit(LIMIT);
        match counted(&counters, &ask).await {
            Release::Counted { used } => {
                assert!(used > most && used <= LIMIT, "round {round}: {used} after {most}");
                known.insert(used);
            }
            Release::Exhausted => {
                // Numbers nobody was told: lost answers, at most one a task and kill.
                let untold = u64::from(LIMIT) - known.len() as u64;
                assert!(untold <= TASKS * (round + 1), "round {round}: {untold} uses vanished");
            }
            other => panic!("round {round}: {other:?}"),
        }
    }
}
