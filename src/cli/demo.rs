//! `tributary demo`: runs the federation and tells what happens.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use super::profile::duration;
use super::profile::table::{self, Legend};
use crate::app::client::GatewayClient;
use crate::app::demo::{self, Audience, Evidence, Options, Revocation, Running, Stage};
use crate::cli::output::{self, say, tell};
use crate::cli::signals::Orders;

/// The review page's name in the demo's folder.
const PAGE: &str = "review.html";

/// How long the end may take: each process has 23 seconds for its own.
const STOP_WITHIN: Duration = Duration::from_millis(24_500);

/// Makes a development PKI and synthetic people, starts seven agencies and a
/// gateway as processes of their own, fetches a profile, stops an agency, fetches
/// again, restarts it, and cleans up. Needs nothing but this program.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Print one JSON object instead of the story
    #[arg(long, conflicts_with = "serve")]
    json: bool,
    /// Keep the federation running until Ctrl-C, and write federation.json for
    /// clients
    #[arg(long)]
    serve: bool,
    /// Keep everything in this folder, which must be empty or new
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Put the agencies' records on this PostgreSQL server, by an account that may
    /// make databases and accounts: tributary_demo_…, dropped at the end
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// How many synthetic people
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    people: u32,
    /// The people's seed
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How often each of the demo's grants may be used in a day
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    grant_uses: u32,
    /// How long a fetch may take, and the gateway and the agencies allow it to: more
    /// on a slow machine
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    deadline: Duration,
    /// The bundle of items to fetch
    #[arg(long, default_value = "basic")]
    bundle: String,
}

pub(super) fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    // The terminal that it was started in is gone: nobody can stop it any more.
    let orders = Orders { within: STOP_WITHIN, stdin: false, hangup_stops: true };
    let mut stop = orders.take().context("cannot wait for Ctrl-C")?;
    super::block_on(async {
        let options = Options {
            people: usize::try_from(args.people)?,
            seed: args.seed,
            postgres: args.postgres.clone().map(Into::into),
            dir: args.dir.clone(),
            grant_uses: args.grant_uses,
            deadline: args.deadline,
            bundle: args.bundle.clone(),
        };
        let mut teller = Teller { quiet: args.json };
        let running = tokio::select! {
            biased;
            running = demo::start(&options, &mut teller) => running?,
            _ = stop.wait_for(|stop| *stop) => return Ok(interrupted()),
        };
        if args.serve {
            return serve(running, stop).await;
        }
        tokio::select! {
            biased;
            result = tell(&args, &options, running, &mut teller) => result,
            _ = stop.wait_for(|stop| *stop) => Ok(interrupted()),
        }
    })
}

/// Whatever was started ends with us; see `app::demo::processes`.
fn interrupted() -> ExitCode {
    tell!("stopped");
    ExitCode::from(130)
}

async fn tell(
    args: &DemoArgs,
    options: &Options,
    mut running: Running,
    teller: &mut Teller,
) -> anyhow::Result<ExitCode> {
    let legend = if args.json {
        Legend::default()
    } else {
        let mut client = GatewayClient::connect(&running.client_address()?).await?;
        Legend::new(client.items().await?)
    };
    let quiet = args.json;
    let show = |stage: &Stage, audience: &mut dyn Audience| {
        if !quiet {
            // The whole profile once; afterwards what changed.
            let first = stage.name == demo::FIRST_STAGE;
            let text = match first {
                true => table::render(&stage.response, &legend),
                false => table::render_sections(&stage.response),
            };
            audience.say(&text);
            audience.say(&format!("  ({:.1} ms)\n", stage.elapsed_ms));
        }
    };
    let result = async {
        let stages = running.stages(&options.bundle, teller, show).await?;
        let evidence = running.evidence(&options.bundle, teller).await?;
        tell_evidence(&evidence, teller);
        let revocation = running.revoke(&options.bundle, teller).await?;
        Ok::<_, demo::DemoError>((stages, evidence, revocation))
    }
    .await;
    teller.progress("stopping every process");
    let kept = options.dir.as_ref().map(|_| running.home().to_owned());
    let page = leave_page(args, &mut running).await;
    let (stages, evidence, revocation) = result?;
    let page = page?;
    if args.json {
        let mut out = crate::cli::output::stdout();
        let told = serde_json::json!({
            "stages": stages,
            "audit": evidence,
            "revocation": revocation,
        });
        writeln!(out, "{told}")?;
    } else {
        let Revocation { reason, after_ms, .. } = revocation;
        teller.say(&format!("  after {after_ms} ms the gateway refuses it: {reason}\n"));
        teller.say(
            "Every process is stopped. All people were synthetic; no value was kept anywhere.",
        );
        if let Some(page) = page {
            teller.say(&format!(
                "What could flow and what did, as a reviewer sees it: {}",
                page.display()
            ));
        }
        if let Some(home) = kept {
            teller.say(&format!("Configuration, databases and logs are in {}.", home.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_evidence(evidence: &Evidence, audience: &mut dyn Audience) {
    let Evidence { first_index, records, changed_file, changed_byte, .. } = evidence;
    let last = first_index + (*records as u64).saturating_sub(1);
    let proof = match evidence.proven {
        true => "each record is under the checkpoint; the log's public key is enough to check it",
        false => "the gateway gave none",
    };
    audience.say(&format!(
        "  log         {}\n  records     {first_index} to {last}\n  leaf hash   {} …\n  \
         checkpoint  signed, over {} entries\n  proof       {proof}\n",
        evidence.origin, evidence.leaf_hash, evidence.checkpoint_size,
    ));
    audience.say(&format!(
        "In a copy of the log, which is sound, byte {changed_byte} of {changed_file} is changed. \
         `tributary audit verify` finds it:"
    ));
    for fault in evidence.changed.faults.iter().take(3) {
        audience.say(&format!("  TAMPERED    {fault}"));
    }
    audience.say("");
}

/// Stops every process, then reviews what the gateway's log says. A demo whose
/// folder goes leaves the page among the temporary files; one for programs leaves
/// none there.
async fn leave_page(args: &DemoArgs, running: &mut Running) -> anyhow::Result<Option<PathBuf>> {
    running.stop().await;
    let home = running.home().to_owned();
    let page = match (&args.dir, args.json) {
        (Some(_), _) => home.join(PAGE),
        (None, true) => return Ok(None),
        (None, false) => {
            let mut file = tempfile::Builder::new();
            let file = file.prefix("tributary-review-").suffix(".html").tempfile()?;
            file.keep()?.1
        }
    };
    let (log, key) = running.gateway_log();
    let written = page.clone();
    let task = move || super::review::write_page(&home, Some((log, key)), &written);
    tokio::task::spawn_blocking(task).await??;
    Ok(Some(page))
}

async fn serve(mut running: Running, mut stop: watch::Receiver<bool>) -> anyhow::Result<ExitCode> {
    let home = running.home().to_owned();
    let file = home.join(demo::Federation::FILE);
    let subject = running.federation.subjects.first().cloned().unwrap_or_default();
    // A reader that has seen enough ends nothing: the federation goes on.
    let _ = say!(
        "The federation runs. {file} says how to reach it; for example:\n\n  \
         tributary profile get --federation {file} --subject {subject} --bundle basic\n\n\
         A reviewer's view of it:\n\n  \
         tributary review page {home} -o review.html\n\n\
         Ctrl-C stops every process.",
        file = file.display(),
        home = home.display()
    );
    let ended = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => None,
        // Agencies may be killed and restarted by whoever plays with them; only
        // without the gateway is there nothing left to serve.
        () = running.gateway_died() => Some("the gateway ended by itself; see logs/gateway.log"),
    };
    let _ = writeln!(std::io::stderr().lock(), "stopping every process");
    running.stop().await;
    match ended {
        Some(why) => anyhow::bail!(why),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Tells the story on standard output and progress on standard error.
struct Teller {
    quiet: bool,
}

impl Audience for Teller {
    fn progress(&mut self, text: &str) {
        let mut err = std::io::stderr().lock();
        let dim = err.is_terminal();
        let _ = match dim {
            true => writeln!(err, "\x1b[2m… {text}\x1b[0m"),
            false => writeln!(err, "… {text}"),
        };
    }

    fn say(&mut self, text: &str) {
        if !self.quiet {
            let _ = output::print(text);
        }
    }
}
