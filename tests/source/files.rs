//! What befalls files and services alone: a torn extract, one that comes anew, an
//! answer without an end.

use std::sync::atomic::Ordering;

use tributary::domain::reason::Reason as Stated;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::domain::value::Value;
use tributary::source::{Held, Holdings};

use crate::deliveries::settled;
use crate::kit::waiting::becomes;
use crate::shared::{ask, job, text};
use crate::site::{Kind, Site};
use crate::town::{held, numbers};
use crate::weather::failed;
use crate::web::HUGE;

const HEAD: &str = "person_id,employed,sector,started_on,pay_fen,level,share,tenure,updated_on\n";

fn level(answer: Held) -> Value {
    *held(answer).0[0].value.expose()
}

/// Waits until the file that is there now was read: a question does not wait long.
async fn reads(holdings: &Holdings, level: i64) {
    let asked = async || match ask(holdings, "p1", &[5]).await {
        Held::Answered { items, .. } => items.first().map(|item| *item.value.expose()),
        _ => None,
    };
    becomes("the new file", Some(Value::Integer(level)), asked).await;
}

#[tokio::test]
async fn a_file_is_read_anew_and_a_torn_one_leaves_the_last_good_one() {
    let site = Site::new(Kind::Csv, "files").await.unwrap();
    let holdings = site.open(&site.mapping().replace("folder", "max_shrink = 50\nfolder"));
    let line = |person: &str, level: u32| format!("{person},1,G,,,{level},,,2025-01-15\n");
    site.replace_file("job", &(HEAD.to_owned() + &line("p1", 3)));
    reads(&holdings, 3).await;
    site.replace_file("job", &(HEAD.to_owned() + &line("p1", 4) + &line("p2", 5)));
    reads(&holdings, 4).await;
    // Still being written.
    site.replace_file("job", &(HEAD.to_owned() + &line("p1", 9) + "p2,1,G,,"));
    assert_eq!(level(ask(&holdings, "p1", &[5]).await), Value::Integer(4));
    assert_eq!(level(ask(&holdings, "p2", &[5]).await), Value::Integer(5));
    // A torn line in the middle costs its own person.
    site.replace_file("job", &(HEAD.to_owned() + "p2,1,G\n" + &line("p1", 6)));
    reads(&holdings, 6).await;
    let (items, missing) = held(ask(&holdings, "p2", &[5, 71]).await);
    assert_eq!((items.len(), numbers(&missing)[0]), (0, (5, Absence::Invalid)));
    // Without a column that is mapped: named, and the last good one stays in use.
    site.replace_file("job", "person_id,updated_on\np1,2025-01-15\n");
    let lacks = async || match holdings.check().await {
        Err(errors) => errors[0].to_string().contains("has no column `employed`"),
        Ok(()) => false,
    };
    becomes("the lack", true, lacks).await;
    assert_eq!(level(ask(&holdings, "p1", &[5]).await), Value::Integer(6));
    std::fs::remove_file(site.folder().join("job.csv")).unwrap();
    let down = failed(SectionStatus::Unavailable, Stated::SourceDown);
    // What is gone is not answered.
    becomes("the loss", down, async || ask(&holdings, "p1", &[5]).await).await;
    site.replace_file("job", &(HEAD.to_owned() + &line("p1", 7)));
    reads(&holdings, 7).await;
}

#[tokio::test]
async fn a_file_that_was_never_good_says_why() {
    let site = Site::new(Kind::Csv, "files").await.unwrap();
    let holdings = site.holdings();
    let huge = "x".repeat(2 * 1024 * 1024);
    for (file, why) in [
        ("p1,1".to_owned(), "has no column"),
        (HEAD.to_owned() + "p1,1", "still being written"),
        (HEAD.to_owned() + "p1,1,G,,,,,,2025-01-15", "does not end with a line break"),
        (HEAD.to_owned() + "p1,\"1\np2,1,G,,,,,,2025-01-15\n", "is not closed"),
        (HEAD.to_owned() + "p1\np2,1,G,,,,,,2025-01-15\n", "nobody can say whose"),
        (HEAD.to_owned() + &huge, "more than max_mib"),
    ] {
        let mapping = site.mapping().replace("folder", "max_mib = 1\nfolder");
        site.replace_file("job", &file);
        settled(&site.folder().join("job.csv"));
        let errors = site.open(&mapping).check().await.unwrap_err();
        assert!(errors[0].to_string().contains(why), "{why}: {}", errors[0]);
    }
    drop(holdings);
}

#[tokio::test]
async fn an_answer_of_100_mib_is_cut_and_the_others_go_on() {
    let site = Site::new(Kind::Http, "a huge answer").await.unwrap();
    site.put("job", &[job("p1")]).await;
    let default = vec![text(HUGE), text("2"), None, None, None, text("2025-01-15")];
    site.put("defaults", &[default]).await;
    let holdings = site.open(&site.mapping().replace("token_file", "max_mib = 2\ntoken_file"));
    let down = failed(SectionStatus::Unavailable, Stated::SourceDown);
    assert_eq!(ask(&holdings, HUGE, &[5]).await, down);
    let taken = site.web.as_ref().unwrap().taken.load(Ordering::SeqCst);
    assert!((2..60).contains(&taken), "{taken} MiB were taken");
    assert_eq!(held(ask(&holdings, "p1", &[5]).await).0.len(), 1);
}

#[tokio::test]
async fn what_a_service_says_instead_of_rows_is_told_apart() {
    let site = Site::new(Kind::Http, "a service's refusals").await.unwrap();
    let wrong = site.mapping().replace("/job\"", "/no-such-table\"").replace("nobody = [404]", "");
    let holdings = site.open(&wrong);
    let schema = failed(SectionStatus::Unavailable, Stated::SourceSchema);
    assert_eq!(ask(&holdings, "p1", &[5]).await, schema);
    let errors = holdings.check().await.unwrap_err();
    assert!(errors[0].to_string().contains("status 404"), "{}", errors[0]);
}
