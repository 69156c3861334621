//! However a served demo ends, no process of it is left behind.

use std::path::Path;

use crate::kit::demo::City;
use crate::kit::waiting::becomes;

/// Processes whose command line names a folder: the demo and its children.
fn processes_of(home: &Path) -> usize {
    let home = home.to_str().unwrap().as_bytes();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.windows(home.len()).any(|window| window == home))
        .count()
}

/// Ends a demo by a signal; gives its exit code.
async fn end_by(signal: &str) -> Option<i32> {
    let mut city = City::start(&[]);
    // The demo, the gateway, the consent service and seven agencies.
    assert_eq!(processes_of(&city.home), 10);
    // A request may be under way.
    let mut client = city.client().await;
    let items = client.bundle("basic").await.unwrap();
    let grant = city.grant(0);
    let asking = tokio::spawn(async move {
        while client.profile(&grant, items.clone(), crate::kit::waiting::UNHURRIED).await.is_ok() {}
    });
    city.demo.signal(signal);
    let home = city.home.clone();
    becomes("the end of every process", 0_usize, async || processes_of(&home)).await;
    asking.await.unwrap();
    // A process gives up its command line a moment before it can be waited for.
    city.demo.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_told_to_stop_it_stops_every_process() {
    assert_eq!(end_by("TERM").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_interrupted_it_stops_every_process() {
    assert_eq!(end_by("INT").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_leaves_nothing_running() {
    assert_eq!(end_by("KILL").await, None);
}
