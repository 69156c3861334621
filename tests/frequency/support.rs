//! Counters to test on, and what to ask of them.

use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;
use tributary::clock;
use tributary::config::counters::CountersConfig;
use tributary::domain::peer::SpiffeId;
use tributary::store::frequency::{CounterError, Counters, Release, Use};

/// The moment from which tests count seconds.
pub const START: i64 = 1_790_000_000;

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
        Counters::open(&self.config(), Path::new("/")).await
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
    /// What stands for grant and items.
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
        digest: [ask.items; 32],
        expires: OffsetDateTime::from_unix_timestamp(START + ask.expires).unwrap(),
        now: OffsetDateTime::from_unix_timestamp(START + ask.at).unwrap(),
    };
    counters.release(one, clock::now() + Duration::from_secs(90)).await
}

pub async fn counted(counters: &Counters, ask: &Ask) -> Release {
    release(counters, ask).await.unwrap_or_else(|error| panic!("{ask:?}: {error}"))
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
