//! What the disk of an agency's counters has lost, the audit log gives back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tributary::domain::audit::{Counted, Record};
use tributary::store::walk::walk;

use super::town::{AGENCY, Town};
use crate::kit::process::Process;
use crate::kit::waiting::becomes;

/// SQLite's files of the counters: the database and its log.
fn files(town: &Town) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(town.home.join("data")).unwrap();
    let name = format!("{AGENCY}-counters.db");
    let ours = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&name);
    entries.map(|entry| entry.unwrap().path()).filter(ours).collect()
}

/// Uses by grant and window, in the order of the log.
fn uses(town: &Town) -> BTreeMap<(String, u64), Vec<u32>> {
    let mut uses = BTreeMap::<_, Vec<u32>>::new();
    let walked = walk(&town.agency_log(), None, &mut |step| {
        let Some(Record::Section(section)) = step.record else { return };
        let Some(count) = &section.count else { return };
        if let Counted::Use(used) = count.counted {
            let grant = section.grant.as_ref().unwrap().to_string();
            uses.entry((grant, count.window)).or_default().push(used);
        }
    });
    assert!(walked.unwrap().faults.is_empty());
    uses
}

/// The machine fails, and of the counters only what was there at the start is on the
/// disk; the log is there whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_the_disk_lost_is_given_back_by_the_log() {
    let town = Town::new();
    let agency = Process::listening(&mut town.command("agency"));
    let gateway = town.gateway().await;
    let mut client = town.client(gateway.address).await.unwrap();
    becomes("an answer", "OK", async || town.ask(&mut client, 0).await).await;
    let early: Vec<_> =
        files(&town).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
    assert!(!early.is_empty());
    for _ in 0..5 {
        for person in [1, 2] {
            assert_eq!(town.ask(&mut client, person).await, "OK");
        }
    }
    drop(agency);
    files(&town).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    for (bytes, file) in early {
        // The index of SQLite's log is made anew.
        if !file.to_string_lossy().ends_with("-shm") {
            std::fs::write(file, bytes).unwrap();
        }
    }

    let agency = Process::listening(&mut town.command("agency"));
    becomes("an answer again", "OK", async || town.ask(&mut client, 1).await).await;
    assert_eq!(town.ask(&mut client, 2).await, "OK");
    gateway.stop().await;
    drop(agency);
    let uses = uses(&town);
    let mut six = 0;
    for (grant, numbers) in &uses {
        let expected: Vec<u32> = (1..=numbers.len() as u32).collect();
        assert_eq!(*numbers, expected, "{grant:?}: a number came twice");
        six += usize::from(numbers.len() >= 6);
    }
    assert!(six >= 2, "{uses:?}");
}
