//! What an operator or an agency's own system writes: configurations, catalogues, CSV
//! files, days.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use toml::Spanned;
use tributary::clock;
use tributary::config::agency::AgencyConfig;
use tributary::config::file::parse_toml;
use tributary::config::gateway::GatewayConfig;
use tributary::config::mapping::{QueryEntry, SourceEntry};
use tributary::domain::catalogue::{AgencyId, Catalogue, Source};
use tributary::domain::dates::{DateForm, Written as Day};
use tributary::domain::subject::SubjectFormat;
use tributary::domain::zone::{Moment, Zone};
use tributary::source::{Held, Holdings, Mapping, Written, of_csv, of_json};

use super::CATALOGUE;

/// A gateway's or an agency's file; an agency's is compiled against the catalogue.
pub fn config(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let path = Path::new("fuzz.toml");
    let gateway = parse_toml::<GatewayConfig>(path, text);
    let agency = parse_toml::<AgencyConfig>(path, text);
    if let Ok(agency) = &agency {
        let written = Written {
            file: Source { name: "fuzz.toml", text },
            folder: Path::new("/nowhere"),
            source: &agency.source,
            queries: &agency.query,
        };
        if let Ok(mapping) = Mapping::compile(&agency.id, &CATALOGUE, written) {
            assert!(mapping.items().is_subset(&CATALOGUE.owned_by(&agency.id)));
        }
    }
    gateway.is_ok() || agency.is_ok()
}

/// One file of a catalogue.
pub fn catalogue(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let source = || [Source { name: "fuzz.toml", text }];
    let Ok(read) = Catalogue::parse(&source()) else { return false };
    assert_eq!(Catalogue::parse(&source()).unwrap().digest(), read.digest());
    for item in read.items() {
        assert_eq!(read.find(&item.id).map(|found| found.number), Some(item.number));
    }
    true
}

/// A form of days, what is written in it, and a zone, each on a line.
pub fn day(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (form, written, zone) = (DateForm::new(line()), line(), Zone::new(line()));
    let Ok(form) = form else { return false };
    let number = written.parse().ok().and_then(|number| form.number(number));
    let day = |found: Day| match (found, &zone) {
        (Day::Day(day), _) => Some(day),
        (Day::Moment(moment), Ok(zone)) => zone.day(moment),
        (Day::Moment(_), Err(_)) => None,
    };
    let found = form.text(written).and_then(day);
    if let (Some(found), Some(number)) = (found, number.and_then(day)) {
        assert_eq!(found, number, "a number and the same number as a text are two days");
    }
    if let (Ok(zone), Some(found)) = (&zone, found)
        && let Some(Day::Moment(moment)) = form.text(written)
    {
        let utc = Zone::new("UTC").unwrap().day(moment);
        let apart = utc.map_or(0, |utc| (utc - found).whole_days().abs());
        assert!(apart <= 1, "{} is {apart} days from UTC", zone.name());
    }
    let _ = zone.map(|zone| zone.day(Moment::from_seconds(i64::MAX)));
    found.is_some()
}

#[derive(Deserialize)]
struct File {
    source: SourceEntry,
    query: Vec<Spanned<QueryEntry>>,
}

/// Every kind of value, in forms that have something to be read.
const MAPPING: &str = r#"
[source.csv]
folder = "."
may_be_empty = true
zone = "Asia/Shanghai"

[[query]]
name = "job"
file = "job.csv"
subject = "person_id"
as_of = "updated_on"
ended = "ended_on"
disputed = "disputed"
statement = "statement_ref"
[query.items]
"work.job.employed" = "employed"
"work.job.sector" = { column = "sector", codes = { G = "public", "2" = "private" } }
"work.job.started_on" = { column = "started_on", dates = "D.M.YYYY" }
"work.job.pay" = { column = "pay_fen", currency = "CNY", scale = 2 }
"work.job.level" = "level"
"work.job.share" = "share"
"work.job.tenure_months" = "tenure"
"work.default.count" = "defaults"
"#;

/// Whose rows are asked for.
pub const PERSON: &str = "110101199003070011";

static WORK: LazyLock<Catalogue> = LazyLock::new(|| {
    let text = include_str!("../../tests/source/catalogue.toml");
    Catalogue::parse(&[Source { name: "work.toml", text }]).unwrap()
});

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("tributary-fuzz-csv-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
});

/// A CSV file, from its bytes to a person's values.
pub fn csv(data: &[u8]) -> bool {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for encoding in [None, Some("gbk")] {
        let _ = of_csv(data.to_vec(), None, encoding, 0);
    }
    let _ = of_json(data);
    let folder = FOLDER.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("job.csv");
    std::fs::write(&path, data).unwrap();
    // As old as a file is that nobody is writing.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    let taken = read(&folder);
    std::fs::remove_dir_all(folder).unwrap();
    taken
}

fn read(folder: &Path) -> bool {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    let file: File = toml::from_str(MAPPING).unwrap();
    let agency = AgencyId::new("employment").unwrap();
    let written = Written {
        file: Source { name: "employment.toml", text: MAPPING },
        folder,
        source: &file.source,
        queries: &file.query,
    };
    let mapping = Mapping::compile(&agency, &WORK, written).unwrap();
    let items = mapping.items();
    let subject = SubjectFormat::new(".+", None).unwrap().parse(PERSON).unwrap();
    let held = RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let until = clock::now() + Duration::from_secs(5);
            Holdings::open(mapping).fetch(&subject, &items, until).await
        })
    });
    let Held::Answered { items: held, missing } = held else { return false };
    for item in &held {
        assert!(items.contains(item.number));
        let defined = WORK.item(item.number).unwrap();
        assert!(defined.value_type.check(item.value.expose()).is_ok());
    }
    assert!(missing.iter().all(|(item, _)| items.contains(*item)));
    true
}
