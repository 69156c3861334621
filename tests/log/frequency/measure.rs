//! How many uses are counted in a second. It says so and judges nothing.

use std::time::Duration;

use tributary::clock;
use tributary::store::frequency::Release;

use super::postgres;
use super::support::{Ask, Section, counted};

/// 64 tasks, each with its own grant, for so long; releases a second.
pub async fn rate(name: &str, section: &Section, during: Duration) {
    let counters = section.open().await;
    let start = clock::now();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let counters = counters.clone();
            tokio::spawn(async move {
                let mut done = 0u64;
                while start.elapsed() < during {
                    let ask = Ask::new(&format!("rate-{task}"), &format!("rate-{task}-{done}"));
                    let outcome = counted(&counters, &ask.limit(u32::MAX)).await;
                    assert!(matches!(outcome, Release::Counted { .. }), "{outcome:?}");
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    let rate = done as f64 / start.elapsed().as_secs_f64();
    println!("{name}: {rate:.0} releases a second, 64 at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let section = Section::sqlite(&folder.path().join("counters.db"));
    rate("SQLite", &section, Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn postgres() {
    let Some(server) = postgres::server("measure::postgres") else { return };
    let section = Section::postgres(&postgres::fresh(&server).await);
    rate("PostgreSQL", &section, Duration::from_secs(3)).await;
}
