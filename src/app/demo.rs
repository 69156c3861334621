//! The demo: a whole federation on this machine, with synthetic people.
//!
//! Seven agencies, a gateway and a consent service, each a process of its own,
//! mutual TLS on every link, real databases: SQLite, or PostgreSQL when a server is
//! named. It asks as any consumer would, through the
//! network, and has no way in of its own.

mod cases;
mod city;
mod consent;
mod evidence;
mod federation;
mod life;
pub mod people;
mod postgres;
mod processes;
mod seed;
mod stages;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use city::DemoError;
pub use evidence::Evidence;
pub use federation::{
    AgencyEntry, ConsumerEntry, Federation, GatewayEntry, GrantEntry, IssuerEntry, TestPerson,
};
use people::People;
pub use stages::{FIRST_STAGE, Revocation, SectionOutcome, Stage};

use crate::domain::sensitive::Sensitive;

/// What kind of demo to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many synthetic people.
    pub people: usize,
    /// Their seed.
    pub seed: u64,
    /// Where to put it; a temporary folder, removed at the end, when not given.
    pub dir: Option<PathBuf>,
    /// A PostgreSQL server for the agencies' records, by an account that may make
    /// databases and accounts; SQLite files when not given.
    pub postgres: Option<Sensitive<String>>,
    /// How often each grant may be used in a day.
    pub grant_uses: u32,
    /// How long a fetch of the demo may take. The gateway and the agencies allow at
    /// least as much.
    pub deadline: Duration,
    /// The bundle that the stages fetch.
    pub bundle: String,
}

/// What the demo tells while it goes on.
pub trait Audience {
    /// Something is being done.
    fn progress(&mut self, text: &str);
    /// Something happened that the demo is there to show.
    fn say(&mut self, text: &str);
}

/// A federation that runs; dropping it stops every process.
#[derive(Debug)]
pub struct Running {
    city: city::City,
    postgres: Option<postgres::Postgres>,
    processes: processes::Processes,
    /// How to reach it.
    pub federation: Federation,
    /// The first person's grant.
    grant: Option<consent::Granted>,
    /// How long a fetch may take.
    deadline: Duration,
    // Last: the folder goes when the processes are gone.
    home: Home,
}

#[derive(Debug)]
enum Home {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Home {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

/// Makes the PKI and the people, starts every process, and waits until all are
/// healthy.
///
/// # Errors
/// What could not be made or started.
pub async fn start(options: &Options, audience: &mut dyn Audience) -> Result<Running, DemoError> {
    let home = match &options.dir {
        Some(dir) => Home::Kept(city::claim(dir)?),
        None => Home::Temporary(tempfile::Builder::new().prefix("tributary-demo-").tempdir()?),
    };
    let people = People::new(options.seed, options.people);
    audience.progress("writing configuration, catalogue and certificates");
    let city = city::City::build(home.path(), options)?;
    let kind = if options.postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    audience
        .progress(&format!("making {} synthetic people in seven {kind} databases", options.people));
    let mut postgres = None;
    if let Some(address) = &options.postgres {
        postgres = Some(postgres::Postgres::reach(address.expose()).await?);
    }
    let started = start_in(home, city, people, postgres.as_mut(), options, audience).await;
    match (started, postgres) {
        (Ok(running), postgres) => Ok(Running { postgres, ..running }),
        (Err(error), None) => Err(error),
        (Err(error), Some(mut postgres)) => {
            postgres.clear().await;
            Err(error)
        }
    }
}

async fn start_in(
    home: Home,
    city: city::City,
    people: People,
    postgres: Option<&mut postgres::Postgres>,
    options: &Options,
    audience: &mut dyn Audience,
) -> Result<Running, DemoError> {
    match postgres {
        None => seed::fill(&city, people).await?,
        Some(postgres) => seed::fill_postgres(&city, people, postgres).await?,
    }
    let mut processes = processes::Processes::new(home.path())?;
    audience.progress("starting the consent service and issuing grants");
    processes.start_consent(&city).await?;
    let shown = people.places().start..people.places().end.min(seed::SHOWN);
    let (grants, grant) = consent::issue(&city, people, shown, options, crate::clock::utc())?;
    for agency in &city.agencies {
        audience.progress(&format!("starting the agency {agency}"));
        let address = processes.start(agency, "agency", &city.agency_config(agency)).await?;
        city.set_agency_address(agency, address)?;
    }
    audience.progress("starting the gateway");
    let config = city.gateway_config();
    let address = processes.start(city::GATEWAY, "gateway", &config).await?;
    city.set_gateway_address(address)?;
    let federation = federation::describe(&city, &processes, grants, cases::described(people))?;
    federation.write(home.path())?;
    let running = Running {
        city,
        postgres: None,
        processes,
        federation,
        grant,
        deadline: options.deadline,
        home,
    };
    audience.progress("waiting until the gateway has a link to every agency");
    running.wait_until_healthy().await?;
    Ok(running)
}

impl Running {
    /// The folder of configuration, databases, certificates and logs.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Stops every process, in order, within bounds.
    pub async fn stop(&mut self) {
        self.processes.stop_all().await;
        if let Some(postgres) = &mut self.postgres {
            postgres.clear().await;
        }
    }

    /// The gateway's log, and the file of its key.
    pub fn gateway_log(&self) -> (PathBuf, PathBuf) {
        self.city.gateway_log()
    }

    /// Waits until the gateway ends by itself.
    pub async fn gateway_died(&mut self) {
        self.processes.died(city::GATEWAY).await;
    }
}
