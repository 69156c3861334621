//! Counters to test on, and what to ask of them.

use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use tributary::clock;
use tributary::config::counters::CountersConfig;
use tributary::domain::audit::{
    Blind, CountRecord, Counted, Decision, GrantId, Record, RequestId, SectionRecord, Timestamp,
};
use tributary::domain::catalogue::CatalogueDigest;
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::peer::SpiffeId;
use tributary::domain::section::SectionStatus;
use tributary::store::frequency::{CounterError, Counters, Recount, Release, Use};

/// The moment from which tests count seconds.
pub const START: i64 = 1_790_000_000;

pub fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(START).unwrap()
}

/// Everything that records say.
pub fn everything<'a>(records: impl IntoIterator<Item = &'a Record>) -> Recount {
    let mut recount = Recount::of_everything(start());
    records.into_iter().for_each(|record| recount.see(record));
    recount
}

/// A `[counters]` section.
#[derive(Clone)]
pub struct Section(pub String);

impl Section {
    pub fn sqlite(file: &Path) -> Self {
        Self(format!("url = \"sqlite:{}\"", file.display()))
    }

    pub fn postgres(url: &str) -> Self {
        Self(format!("url = \"{url}\""))
    }

    pub fn config(&self) -> CountersConfig {
        toml::from_str(&self.0).unwrap()
    }

    pub async fn try_open(&self) -> Result<Counters, CounterError> {
        self.try_open_with(Recount::at_start(Duration::ZERO, start())).await
    }

    /// With what a log has.
    pub async fn try_open_with(&self, recount: Recount) -> Result<Counters, CounterError> {
        let opened = Counters::open(&self.config(), Path::new("/"), recount).await;
        opened.map(|(counters, _)| counters)
    }

    /// Counts again what logs have; gives of how many windows uses were lacking.
    pub async fn count_again(&self, recount: Recount) -> u64 {
        Counters::count_again(&self.config(), Path::new("/"), recount).await.unwrap()
    }

    pub async fn open(&self) -> Counters {
        self.try_open().await.unwrap()
    }
}

/// A use, as a test says it.
#[derive(Debug, Clone)]
pub struct Ask {
    pub grant: String,
    pub window: u64,
    pub limit: u32,
    pub request: String,
    pub consumer: &'static str,
    /// The number of the one item that is asked for.
    pub items: u8,
    /// When the grant expires, in seconds after [`START`].
    pub expires: i64,
    /// Seconds after [`START`].
    pub at: i64,
}

impl Ask {
    pub fn new(grant: &str, request: &str) -> Self {
        Self {
            grant: grant.to_owned(),
            window: 0,
            limit: 2,
            request: request.to_owned(),
            consumer: "scoring",
            items: 1,
            expires: 30 * 86_400,
            at: 0,
        }
    }

    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    pub fn window(mut self, window: u64) -> Self {
        self.window = window;
        self
    }

    pub fn at(mut self, at: i64) -> Self {
        self.at = at;
        self
    }

    pub fn expires(mut self, expires: i64) -> Self {
        self.expires = expires;
        self
    }

    pub fn items(mut self, items: u8) -> Self {
        self.items = items;
        self
    }

    pub fn item_set(&self) -> ItemSet {
        [ItemNumber::new(self.items.into()).unwrap()].into_iter().collect()
    }

    pub fn consumer(mut self, consumer: &'static str) -> Self {
        self.consumer = consumer;
        self
    }
}

pub fn issuer() -> SpiffeId {
    "spiffe://consent.city.example/issuer/main".parse().unwrap()
}

pub fn consumer(name: &str) -> SpiffeId {
    format!("spiffe://scoring.city.example/consumer/{name}").parse().unwrap()
}

pub async fn release(counters: &Counters, ask: &Ask) -> Result<Release, CounterError> {
    let (issuer, consumer) = (issuer(), consumer(ask.consumer));
    let one = Use {
        issuer: &issuer,
        jti: &ask.grant,
        window: ask.window,
        limit: ask.limit,
        request_id: &ask.request,
        consumer: &consumer,
        items: &ask.item_set(),
        expires: OffsetDateTime::from_unix_timestamp(START + ask.expires).unwrap(),
        now: OffsetDateTime::from_unix_timestamp(START + ask.at).unwrap(),
    };
    counters.release(one, clock::now() + Duration::from_secs(90)).await
}

pub async fn counted(counters: &Counters, ask: &Ask) -> Release {
    release(counters, ask).await.unwrap_or_else(|error| panic!("{ask:?}: {error}"))
}

/// The record of a release, as an agency's log has it.
pub fn recorded(ask: &Ask, outcome: Release) -> Record {
    let counted = match outcome {
        Release::Counted { used } => Counted::Use(used),
        Release::Repeated { times } => Counted::Repeat(times),
        other => panic!("{other:?} is no release"),
    };
    let record = SectionRecord {
        time: Timestamp((START + ask.at) as u64 * 1_000_000),
        request: RequestId::new(&ask.request).unwrap(),
        consumer: consumer(ask.consumer),
        purpose: None,
        basis: None,
        grant: Some(GrantId::new(&ask.grant).unwrap()),
        agency: None,
        items: ask.item_set(),
        catalogue: CatalogueDigest([0; 32]),
        decision: Decision::Section(SectionStatus::Ok),
        rules: None,
        subject: None,
        count: Some(CountRecord {
            issuer: issuer(),
            window: ask.window,
            expires: (START + ask.expires) as u64,
            counted,
        }),
        blind: Blind([0; 16]),
    };
    record.into()
}

/// A small generator, so that a failure can be repeated.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
