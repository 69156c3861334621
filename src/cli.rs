//! The command line: one module a subcommand. It reads arguments, calls the
//! floors below, and prints.

mod agency;
pub mod audit;
pub mod catalogue;
mod conformance;
mod connection;
mod demo;
mod explain;
mod gateway;
pub mod grant;
mod html;
mod logs;
mod output;
pub mod pki;
pub mod policy;
mod profile;
pub mod review;
mod run;
mod signals;
mod status;
pub mod subject;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// A federation gateway: one person's credit profile, pulled on demand from the
/// agencies that hold it, over mutually authenticated links. It keeps no copy.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole federation on this machine and watch it answer
    Demo(demo::DemoArgs),
    /// Run the gateway
    Gateway(gateway::GatewayArgs),
    /// Run an agency beside its own database
    Agency(agency::AgencyArgs),
    /// Fetch a person's profile from a gateway
    Profile(profile::ProfileArgs),
    /// Show how a gateway and its agencies do
    ///
    /// For each agency its state and why, and for the last five minutes, hour and day the
    /// share of questions that it answered and how long it took: half, 95 and 99 of a
    /// hundred. The gateway's `[status]` section must name whoever asks.
    ///
    /// Exit code: 0 all are up, 3 the gateway is not ready or some agency is not up, 1 error.
    Status(status::StatusArgs),
    /// Issue, read, revoke and publish grants: the reference issuer
    Grant(grant::GrantArgs),
    /// Check policies, and explain who may read what by which rule
    Policy(policy::PolicyArgs),
    /// Review data flows: what can flow, what a change opens, what happened
    Review(review::ReviewArgs),
    /// Write a page for one person: who asked about them
    Subject(subject::SubjectArgs),
    /// Verify, search and prove the audit log
    Audit(audit::AuditArgs),
    /// Check, list, explain, compare, sign and fetch catalogues of items
    Catalogue(catalogue::CatalogueArgs),
    /// Check that a source or an agency in any language does what the protocol asks
    ///
    /// Level `source` asks a SourceService on this machine, as the agency beside it
    /// would; `enforcing` asks a whole AgencyService, as a gateway would. What the
    /// server does not announce is SKIPPED, and said. docs/conformance.md has the
    /// plan's keys and every number.
    ///
    /// Exit code: 0 no check failed, 3 some did, 1 the kit itself could not run.
    Conformance(conformance::ConformanceArgs),
    /// Say what a reason means and what to do about it
    ///
    /// Refusals, sections and log lines each state a reason, such as GRANT_EXPIRED.
    /// Without one, every reason is listed in a line.
    ///
    /// Exit code: 0 done, 2 no such reason.
    Explain(explain::ExplainArgs),
    /// Make a development PKI, and read certificates
    Pki(pki::PkiArgs),
}

/// Runs the program and gives its exit code: 0 done, 1 error, 2 wrong usage;
/// what else a command may answer stands in its help.
pub fn main() -> ExitCode {
    crate::files::keep_to_ourselves();
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Gateway(args) => gateway::run(args),
        Command::Agency(args) => agency::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Status(args) => status::run(&args),
        Command::Grant(args) => grant::main(args),
        Command::Policy(args) => policy::run(&args, &mut output::stdout()).map(ExitCode::from),
        Command::Review(args) => review::run(args),
        Command::Subject(args) => subject::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Catalogue(args) => catalogue::run(args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Pki(args) => pki::run(args).map(|()| ExitCode::SUCCESS),
    };
    let code = result.unwrap_or_else(|error| {
        if output::reader_left() {
            return ExitCode::SUCCESS;
        }
        // The whole chain on one line: what failed, and why.
        output::tell!("tributary: {error:#}");
        ExitCode::FAILURE
    });
    crate::telemetry::flush(LAST_LINES);
    code
}

/// How long the log's last lines may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs a future on a runtime of its own.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_options_of_a_command_clash() {
        super::Cli::command().debug_assert();
    }
}
