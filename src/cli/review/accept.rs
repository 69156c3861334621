//! `review accept`: writes into `flows.lock` what somebody answers for.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use time::Date;

use super::compared::{Compared, Judged, JudgedEdit};
use super::{Sides, forms};
use crate::config::audit::seed;
use crate::domain::audit::Origin;
use crate::domain::flows::acceptance::{Statement, digest_of_all};
use crate::domain::flows::change::Class;
use crate::domain::flows::lock::{Accepted, AcceptedEdit, Signed, day};

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary review accept main HEAD --path city --who 'J. Doe' \\
      --why 'Agreed with the bureau, minutes of 2026-11-02' --until 2027-06-30

  tributary review accept main HEAD --path city --who board --why 'Agreed' \\
      --until 2027-01-31 --key board.seed --key-name board

Where review.toml of the side before names acceptors, one of them signs, and none
who wrote a commit of the change. Commit flows.lock with the change.
Exit codes: 0 written, or nothing to accept; 1 error.";

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
    /// Sign it: the seed of an acceptor's key, as `audit keygen` makes it
    #[arg(long, value_name = "FILE", requires = "key_name")]
    key: Option<PathBuf>,
    /// The name of that key, as review.toml has it
    #[arg(long, value_name = "NAME", requires = "key")]
    key_name: Option<Origin>,
}

pub(super) fn run(args: &AcceptArgs) -> anyhow::Result<ExitCode> {
    let compared = Compared::read(&args.sides)?;
    let until = day(&args.until)
        .with_context(|| format!("`{}` is no day such as 2027-06-30", args.until))?;
    ensure!(until >= compared.today, "{} is over: name a day to come", args.until);
    if compared.needs_signature() || args.key.is_some() {
        return sign(args, &compared, until);
    }
    let mut lock = compared.lock.clone();
    let before = lock.accepted.len() + lock.edited.len();
    let judged = compared.judge(&Class::ALL);
    for Judged { change, accepted, .. } in judged.flows {
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
    for JudgedEdit { edit, accepted, .. } in judged.edits {
        if accepted.is_none() {
            lock.edited.push(AcceptedEdit {
                class: edit.class,
                houses: edit.houses.clone(),
                key: edit.key.clone(),
                says: edit.says.clone(),
                digest: edit.digest.clone(),
                who: args.who.clone(),
                why: args.why.clone(),
                until: args.until.clone(),
            });
        }
    }
    let added = lock.accepted.len() + lock.edited.len() - before;
    let path = &args.sides.lock;
    if added > 0 {
        lock.check()?;
        let text = toml::to_string_pretty(&lock)?;
        super::write(path, text.as_bytes(), super::Reader::Anybody)?;
    }
    writeln!(crate::cli::output::stdout(), "{added} changes accepted in {}", path.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Signs what is not accepted yet; what the signature does not accept is not written.
fn sign(args: &AcceptArgs, compared: &Compared, until: Date) -> anyhow::Result<ExitCode> {
    let (Some(path), Some(name)) = (&args.key, &args.key_name) else {
        bail!(
            "review.toml of {} names who may accept: sign with --key and --key-name",
            args.sides.old
        );
    };
    let judged = compared.judge(&Class::ALL);
    let flows = judged.flows.iter().filter(|judged| judged.accepted.is_none());
    let edits = judged.edits.iter().filter(|judged| judged.accepted.is_none());
    let changes: BTreeSet<String> = flows
        .map(|judged| compared.digest(judged.change))
        .chain(edits.map(|judged| judged.edit.digest.clone()))
        .collect();
    let added = changes.len();
    if added > 0 {
        let statement = Statement {
            base: digest_of_all(&compared.old),
            head: digest_of_all(&compared.new),
            changes,
            made: compared.today,
            until,
            who: args.who.clone(),
            why: args.why.clone(),
        };
        let note = statement.sign(name, &seed(path)?)?;
        compared.expected().judge(&note).context("this acceptance would not count")?;
        let mut lock = compared.lock.clone();
        lock.acceptance.push(Signed { note });
        let text = toml::to_string_pretty(&lock)?;
        super::write(&args.sides.lock, text.as_bytes(), super::Reader::Anybody)?;
    }
    let path = args.sides.lock.display();
    writeln!(crate::cli::output::stdout(), "{added} changes accepted and signed in {path}")?;
    Ok(ExitCode::SUCCESS)
}
