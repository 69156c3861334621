//! `review accept`: writes into `flows.lock` what somebody answers for.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::compared::{Compared, Judged};
use super::{Sides, forms};
use crate::domain::flows::change::Class;
use crate::domain::flows::lock::{Accepted, day};

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review accept main HEAD --path city --who 'J. Doe' \\
      --why 'Agreed with the bureau, minutes of 2026-11-02' --until 2027-06-30

Commit flows.lock with the change. Exit codes: 0 written, or nothing to accept;
1 error.";

#[derive(Debug, Args)]
pub(super) struct AcceptArgs {
    #[command(flatten)]
    sides: Sides,
    /// Who answers for it
    #[arg(long)]
    who: String,
    /// Why it is right
    #[arg(long)]
    why: String,
    /// The last day on which this counts, such as 2027-06-30
    #[arg(long, value_name = "DAY")]
    until: String,
}

pub(super) fn run(args: &AcceptArgs) -> anyhow::Result<ExitCode> {
    let compared = Compared::read(&args.sides)?;
    let until = day(&args.until)
        .with_context(|| format!("`{}` is no day such as 2027-06-30", args.until))?;
    ensure!(until >= compared.today, "{} is over: name a day to come", args.until);
    let mut lock = compared.lock.clone();
    let before = lock.accepted.len();
    for Judged { change, accepted, .. } in compared.judge(&Class::ALL) {
        if accepted.is_none() {
            lock.accepted.push(Accepted {
                class: change.class,
                consumer: change.consumer.clone(),
                purpose: change.purpose.clone(),
                agency: change.agency.clone(),
                bases: change.bases.clone(),
                items: forms::ids(compared.catalogues(), &change.items),
                who: args.who.clone(),
                why: args.why.clone(),
                until: args.until.clone(),
            });
        }
    }
    let added = lock.accepted.len() - before;
    let path = &args.sides.lock;
    if added > 0 {
        lock.check()?;
        let text = toml::to_string_pretty(&lock)?;
        super::write(path, text.as_bytes(), super::Reader::Anybody)?;
    }
    writeln!(crate::cli::output::stdout(), "{added} changes accepted in {}", path.display())?;
    Ok(ExitCode::SUCCESS)
}
