//! How a file is delivered: rewritten in place, cut, shrunk, in another encoding,
//! without a header, with a file beside it that says that it is whole. Nobody is
//! said to be unknown because of it, and no cell is shown. Synthetic people.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use time::macros::date;
use tributary::clock;
use tributary::domain::reason::Reason as Stated;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::domain::value::Value;
use tributary::source::{Held, Holdings};

use crate::kit::waiting::becomes;
use crate::shared::ask;
use crate::town::mapping;
use crate::weather::failed;

const QUERY: &str = "
[[query]]
name = \"job\"
file = \"job.csv\"
subject = \"person_id\"
as_of = \"updated_on\"
[query.items]
\"work.job.level\" = { column = \"level\", unit = \"level\" }
";

const HEAD: &str = "person_id,updated_on,note,level\n";

/// Makes a file as old as an extract of this morning.
pub fn settled(path: &Path) {
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::from(clock::utc()) - Duration::from_secs(600)).unwrap();
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, keys: &str) -> Holdings {
        let source = format!("[source.csv]\nfolder = \".\"\nstatement_timeout = \"60s\"\n{keys}\n");
        Holdings::open(mapping(&(source + QUERY), self.0.path()))
    }

    /// Writes in place, as a program that does not rename does.
    fn write(&self, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join("job.csv"), bytes).unwrap();
    }

    fn rename(&self, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join("new"), bytes).unwrap();
        std::fs::rename(self.0.path().join("new"), self.0.path().join("job.csv")).unwrap();
    }

    /// An extract that was there before the agency started.
    fn old(&self, bytes: impl AsRef<[u8]>) {
        self.write(bytes);
        settled(&self.0.path().join("job.csv"));
    }
}

/// What is held: the level, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Is(i64),
    Absent(Absence),
    NoRecord,
    Failed(SectionStatus, Stated),
}

async fn level(holdings: &Holdings, person: &str) -> Level {
    match ask(holdings, person, &[5]).await {
        Held::NoRecord => Level::NoRecord,
        Held::Failed { status, reason } => Level::Failed(status, reason),
        Held::Answered { items, missing } => match items.first() {
            Some(item) => match item.value.expose() {
                Value::Integer(level) => Level::Is(*level),
                other => panic!("{other:?}"),
            },
            None => Level::Absent(missing[0].1),
        },
    }
}

const DOWN: Level = Level::Failed(SectionStatus::Unavailable, Stated::SourceDown);
const INVALID: Level = Level::Absent(Absence::Invalid);

fn rows(people: std::ops::Range<u32>, level: u32) -> String {
    people.map(|at| format!("p{at},2025-01-15,,{level}\n")).collect()
}

#[tokio::test]
async fn row_55_a_file_rewritten_in_place_leaves_the_last_good_one_in_use() {
    let folder = Folder::new();
    folder.old(HEAD.to_owned() + &rows(0..100, 12));
    let holdings = folder.open("");
    assert_eq!(level(&holdings, "p99").await, Level::Is(12));
    // Begun; half way; cut within the last cell; cut within the last row.
    for part in [
        HEAD.to_owned(),
        HEAD.to_owned() + &rows(0..50, 13),
        (HEAD.to_owned() + &rows(0..100, 13)).trim_end_matches("3\n").to_owned(),
        (HEAD.to_owned() + &rows(0..100, 13)).trim_end_matches(",,13\n").to_owned(),
        String::new(),
    ] {
        folder.write(&part);
        settled(&folder.0.path().join("job.csv"));
        for person in ["p0", "p99"] {
            assert_eq!(level(&holdings, person).await, Level::Is(12), "{}", part.len());
        }
        assert_eq!(level(&holdings, "nobody").await, Level::NoRecord);
    }
    folder.write(HEAD.to_owned() + &rows(0..100, 13));
    becomes("the whole file", Level::Is(13), async || level(&holdings, "p99").await).await;
}

#[tokio::test]
async fn row_55_at_the_start_a_file_that_may_be_cut_is_no_answer() {
    for part in [HEAD.to_owned(), HEAD.to_owned() + "p0,2025-01-15,,1", "person_id,upd".to_owned()]
    {
        let folder = Folder::new();
        folder.old(&part);
        let holdings = folder.open("");
        for person in ["p0", "nobody"] {
            let found = level(&holdings, person).await;
            let failed = matches!(found, Level::Failed(SectionStatus::Unavailable, _));
            assert!(failed, "{part:?}: {found:?}");
        }
    }
    // One that is being written now is waited for.
    let folder = Folder::new();
    folder.write(HEAD.to_owned() + &rows(0..3, 7));
    let holdings = folder.open("");
    assert_eq!(level(&holdings, "p2").await, Level::Is(7));
}

#[tokio::test]
async fn row_55_who_is_gone_from_a_shorter_file_is_invalid_until_a_second_one_confirms_it() {
    let folder = Folder::new();
    folder.old(HEAD.to_owned() + &rows(0..20, 1));
    let holdings = folder.open("");
    assert_eq!(level(&holdings, "p19").await, Level::Is(1));
    folder.rename(HEAD.to_owned() + &rows(0..19, 2));
    becomes("the shorter file", Level::Is(2), async || level(&holdings, "p0").await).await;
    assert_eq!(level(&holdings, "p19").await, INVALID);
    assert_eq!(level(&holdings, "nobody").await, Level::NoRecord);
    folder.rename(HEAD.to_owned() + &rows(0..19, 3));
    becomes("the confirmation", Level::NoRecord, async || level(&holdings, "p19").await).await;
    assert_eq!(level(&holdings, "p0").await, Level::Is(3));
    // A tenth and more of the rows at once is no extract of the same people.
    folder.rename(HEAD.to_owned() + &rows(0..17, 4));
    settled(&folder.0.path().join("job.csv"));
    for person in ["p0", "p18"] {
        assert_eq!(level(&holdings, person).await, Level::Is(3), "{person}");
    }
}

#[tokio::test]
async fn row_55_the_last_good_file_is_not_used_beyond_freshness() {
    let folder = Folder::new();
    folder.old(HEAD.to_owned() + &rows(0..20, 1));
    let holdings = folder.open("freshness = \"2s\"");
    assert_eq!(level(&holdings, "p0").await, Level::Is(1));
    folder.old(HEAD.to_owned() + &rows(0..5, 2));
    assert_eq!(level(&holdings, "p0").await, Level::Is(1));
    becomes("its end", DOWN, async || level(&holdings, "p0").await).await;
}

#[tokio::test]
async fn a_done_file_says_that_a_delivery_is_whole() {
    let folder = Folder::new();
    let done = folder.0.path().join("job.csv.done");
    folder.old(HEAD.to_owned() + &rows(0..20, 1));
    let holdings = folder.open("done_file = \"{file}.done\"");
    assert_eq!(level(&holdings, "p0").await, DOWN, "no done file");
    std::fs::write(&done, "").unwrap();
    becomes("the first delivery", Level::Is(1), async || level(&holdings, "p0").await).await;
    // The next one is under way, and the done file is that of the last.
    settled(&done);
    folder.write(HEAD.to_owned() + &rows(0..19, 2));
    assert_eq!(level(&holdings, "p0").await, Level::Is(1));
    std::fs::write(&done, "").unwrap();
    becomes("the second delivery", Level::Is(2), async || level(&holdings, "p0").await).await;
    assert_eq!(level(&holdings, "p19").await, Level::NoRecord, "confirmed at once");
}

#[tokio::test]
async fn row_55_forms_that_offices_write_are_read_and_wrong_ones_named() {
    let utf16 = |text: &str, mark: &str| -> Vec<u8> {
        (mark.to_owned() + text).encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let plain = HEAD.to_owned() + "p0,2025-01-15,学历,7\n";
    let gbk = plain.replace("学历", "@").into_bytes();
    let gbk = gbk.split(|byte| *byte == b'@').collect::<Vec<_>>().join(&b"\xd1\xa7\xc0\xfa"[..]);
    for (keys, bytes) in [
        ("", plain.clone().into_bytes()),
        ("", format!("\u{feff}{}", plain.replace('\n', "\r\n")).into_bytes()),
        ("encoding = \"gbk\"", gbk.clone()),
        ("encoding = \"GB18030\"", gbk.clone()),
        ("encoding = \"utf-16\"", utf16(&plain, "\u{feff}")),
        ("encoding = \"utf-16\"", utf16(&plain, "")),
        ("encoding = \"latin1\"", HEAD.bytes().chain(*b"p0,2025-01-15,n\xe9,7\n").collect()),
        ("skip_lines = 2", format!("2024年统计表,,,\n\n{plain}").into_bytes()),
        ("", plain.replace("学历", "\"one\ntwo\"").into_bytes()),
        ("line_breaks = true", plain.replace("学历", "\"one\ntwo\"").into_bytes()),
        ("delimiter = \";\"", plain.replace(',', ";").into_bytes()),
        ("delimiter = \"\\t\"", plain.replace(',', "\t").into_bytes()),
    ] {
        let folder = Folder::new();
        folder.old(&bytes);
        let holdings = folder.open(keys);
        assert_eq!(level(&holdings, "p0").await, Level::Is(7), "{keys}");
    }
    let null = Folder::new();
    null.old(HEAD.to_owned() + "p0,2025-01-15,,N/A\np1,2025-01-15,,-\np2,2025-01-15,,7\n");
    let holdings = null.open("null = [\"N/A\", \"-\"]");
    assert_eq!(level(&holdings, "p0").await, Level::Absent(Absence::NotRecorded));
    assert_eq!(level(&holdings, "p2").await, Level::Is(7));
    for (keys, bytes, phrase) in [
        ("", gbk.clone(), "not in UTF-8: state the `encoding`"),
        ("", utf16(&plain, "\u{feff}"), "encoding = \"utf-16\""),
        ("encoding = \"gbk\"", plain.clone().into_bytes(), "it is in UTF-8"),
        (
            "line_breaks = false",
            plain.replace("学历", "\"a\nb\"").into_bytes(),
            "line_breaks = true",
        ),
        ("", plain.replace(',', ";").into_bytes(), "has 1 cells"),
        ("", rows(0..2, 7).into_bytes(), "no column `person_id`"),
    ] {
        let folder = Folder::new();
        folder.old(&bytes);
        let holdings = folder.open(keys);
        let schema = failed(SectionStatus::Unavailable, Stated::SourceSchema);
        assert_eq!(ask(&holdings, "p0", &[5]).await, schema, "{phrase}");
        let errors = holdings.check().await.unwrap_err();
        assert!(errors[0].to_string().contains(phrase), "{phrase}: {}", errors[0]);
    }
}

/// Where the log of a test goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn row_55_no_cell_and_no_header_cell_is_in_a_message_or_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    // One thread, so that whatever is logged comes here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let said = tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let mut said = String::new();
            let canary = "990000198001011234";
            for text in [
                format!("{canary},2025-01-15,canary-note,7\n"),
                format!("{HEAD}{canary}\n"),
                format!("{HEAD}{canary},2025-01-15,\"canary-note\n"),
                format!("{HEAD}{canary},2025-01-15,\"canary-note\"x,7\n"),
                format!("{HEAD}{canary},2025-01-15,canary-note"),
                format!("{HEAD}{canary},2025-01-15,canary-note,12,13\n"),
                format!("canary-note,{HEAD}{canary},{canary},2025-01-15,canary-note\n"),
            ] {
                let folder = Folder::new();
                folder.old(&text);
                let holdings = folder.open("");
                said += &format!("{:?}\n", level(&holdings, canary).await);
                said += &format!("{:?}\n", holdings.check().await);
            }
            said
        })
    });
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("SOURCE_TORN") && logged.contains("SOURCE_SCHEMA"), "{logged}");
    for text in [said, logged] {
        assert!(!text.contains("990000198001011234") && !text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_file_may_date_its_rows() {
    let folder = Folder::new();
    folder.old("person_id,level\np0,4\n");
    // Half past midnight in Shanghai, the evening before in Greenwich.
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_709_569_800);
    let file = std::fs::File::options().append(true).open(folder.0.path().join("job.csv")).unwrap();
    file.set_modified(moment).unwrap();
    let query = QUERY.replace("updated_on", "file");
    for (zone, day) in [("Asia/Shanghai", date!(2024 - 03 - 05)), ("UTC", date!(2024 - 03 - 04))] {
        let source = format!(
            "[source.csv]\nfolder = '.'\nzone = '{zone}'\nstatement_timeout = '60s'\n{query}"
        );
        let holdings = Holdings::open(mapping(&source, folder.0.path()));
        match ask(&holdings, "p0", &[5]).await {
            Held::Answered { items, .. } => assert_eq!(items[0].as_of, day, "{zone}"),
            other => panic!("{zone}: {other:?}"),
        }
    }
}
