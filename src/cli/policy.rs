//! `tributary policy`: checks rules before they are put in force, and says who
//! may read an item and by which rule.
//!
//! Exit codes: 0 sound or allowed, 3 not allowed, 1 for an error. Decisions here
//! are those of one policy; an agency's own may be stricter than the gateway's.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::config::policy::{PolicyLoadError, read_texts, read_vocabulary, sources};
use crate::domain::catalogue::{AgencyId, Catalogue, Item};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::policy::engine::{Engine, Explanation, Question};
use crate::domain::policy::schema::schema;
use crate::domain::purpose::LegalBasis;

/// Sound, or allowed.
const ALLOWED: u8 = 0;
/// Findings.
const UNSOUND: u8 = 1;
/// Not allowed, which is an answer and no error.
const NOT_ALLOWED: u8 = 3;

/// Checks and explains policies.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every rule, as a load would
    Check {
        #[command(flatten)]
        files: Files,
        /// Also evaluate, and list how many items each consumer may read
        #[arg(long)]
        effects: bool,
    },
    /// Say whether a consumer may read an item, and by which rule
    Explain {
        /// SPIFFE id of the consumer
        consumer: SpiffeId,
        /// Id of the item, such as lending.card.balance
        item: String,
        /// Code of the purpose
        purpose: String,
        /// Legal basis: consent, written_consent or statute [default: each]
        #[arg(long)]
        basis: Option<LegalBasis>,
        /// The agency it is read from [default: each that owns the item]
        #[arg(long)]
        agency: Option<String>,
        #[command(flatten)]
        files: Files,
    },
    /// Say who may read an item, for what, and by which rule
    Who {
        /// Id of the item, such as lending.card.balance
        item: String,
        #[command(flatten)]
        files: Files,
    },
    /// Print the Cedar schema that rules are checked against, for editors
    Schema {
        #[command(flatten)]
        files: Files,
    },
}

#[derive(Debug, Args)]
struct Files {
    /// Folder of the catalogue
    #[arg(long, value_name = "DIR")]
    catalogue: PathBuf,
    /// A .cedar file, or a folder of them
    #[arg(long, value_name = "PATH")]
    policies: PathBuf,
    /// Purposes, consumers and agencies [default: vocabulary.toml beside the
    /// policies or one folder up]
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command and returns the exit code.
///
/// # Errors
/// A file cannot be read, a name is unknown, or the output cannot be written.
pub fn run(args: &PolicyArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    match &args.command {
        Command::Check { files, effects } => check(files, *effects, out),
        Command::Explain { consumer, item, purpose, basis, agency, files } => {
            let engine = files.engine()?;
            let item = find(&engine, item)?;
            let agencies = match agency {
                Some(agency) => {
                    vec![AgencyId::try_from(agency.clone()).map_err(anyhow::Error::msg)?]
                }
                None => item.owners.clone(),
            };
            let bases = basis.map_or(LegalBasis::ALL.to_vec(), |basis| vec![basis]);
            let mut answers = Vec::new();
            for basis in bases {
                for agency in &agencies {
                    let question = Question { consumer, purpose, basis, agency };
                    answers.push((basis, agency, engine.explain(&question, item.number)?));
                }
            }
            explain(files.json, &answers, out)
        }
        Command::Who { item, files } => who(files, item, out),
        Command::Schema { files } => {
            let catalogue = files.catalogue()?;
            let vocabulary = read_vocabulary(&files.vocabulary()?, &catalogue)?;
            out.write_all(schema(&catalogue, &vocabulary).as_bytes())?;
            Ok(ALLOWED)
        }
    }
}

fn check(files: &Files, effects: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let engine = match files.engine() {
        Ok(engine) => engine,
        Err(error) => match error.downcast::<PolicyLoadError>()? {
            PolicyLoadError::Findings(findings) => {
                if files.json {
                    let listed: Vec<Value> = findings
                        .iter()
                        .map(|finding| {
                            json!({
                                "file": finding.file, "line": finding.line,
                                "rule": finding.rule, "message": finding.message,
                            })
                        })
                        .collect();
                    print_json(out, &json!({ "sound": false, "findings": listed }))?;
                } else {
                    for finding in &findings {
                        writeln!(out, "{finding}")?;
                    }
                    writeln!(out, "{} findings: this policy would not be loaded", findings.len())?;
                }
                return Ok(UNSOUND);
            }
            error => return Err(error.into()),
        },
    };
    let rows = if effects { opened(&engine) } else { Vec::new() };
    if files.json {
        let listed: Vec<Value> = rows
            .iter()
            .map(|(consumer, purpose, basis, items)| {
                json!({ "consumer": consumer, "purpose": purpose, "basis": basis.as_str(), "items": items.len() })
            })
            .collect();
        let rules = engine.rule_ids();
        let digest = engine.digest().to_string();
        print_json(
            out,
            &json!({ "sound": true, "digest": digest, "rules": rules, "effects": listed }),
        )?;
    } else {
        writeln!(out, "sound: {} rules, digest {}", engine.rule_ids().len(), engine.digest())?;
        if effects {
            let mut table = table(["consumer", "purpose", "basis", "items"]);
            for (consumer, purpose, basis, items) in rows {
                let (basis, items) = (basis.to_string(), items.len().to_string());
                table.add_row([consumer, purpose, basis, items]);
            }
            writeln!(out, "{table}")?;
        }
    }
    Ok(ALLOWED)
}

/// For each consumer, purpose and basis the items that can be read from an
/// agency that owns them.
fn opened(engine: &Engine) -> Vec<(String, String, LegalBasis, ItemSet)> {
    let mut rows = Vec::new();
    for_each(engine, |consumer, purpose, basis| {
        let mut items = ItemSet::EMPTY;
        for agency in &engine.vocabulary().agencies {
            let decision = engine.decide(&Question { consumer, purpose, basis, agency });
            items = items.or(&decision.items.and(&engine.catalogue().owned_by(agency)));
        }
        rows.push((consumer.to_string(), purpose.to_owned(), basis, items));
    });
    rows
}

fn for_each(engine: &Engine, mut visit: impl FnMut(&SpiffeId, &str, LegalBasis)) {
    for consumer in &engine.vocabulary().consumers {
        for purpose in &engine.vocabulary().purposes {
            for basis in LegalBasis::ALL {
                visit(consumer, purpose.as_str(), basis);
            }
        }
    }
}

fn explain(
    as_json: bool,
    answers: &[(LegalBasis, &AgencyId, Explanation)],
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    let allowed = answers.iter().any(|(.., explanation)| explanation.allowed());
    if as_json {
        let listed: Vec<Value> = answers
            .iter()
            .map(|(basis, agency, explanation)| {
                let errors: Vec<Value> = explanation
                    .errors
                    .iter()
                    .map(|error| json!({ "rule": error.rule, "message": error.message }))
                    .collect();
                json!({
                    "basis": basis.as_str(), "agency": agency.as_str(),
                    "allowed": explanation.allowed(), "verdict": explanation.verdict.as_str(),
                    "rules": explanation.rules, "errors": errors,
                })
            })
            .collect();
        print_json(out, &json!({ "allowed": allowed, "answers": listed }))?;
    } else {
        let mut table = table(["basis", "agency", "verdict", "rules"]);
        for (basis, agency, explanation) in answers {
            let errors = explanation
                .errors
                .iter()
                .map(|error| format!("{} failed: {}", error.rule, error.message));
            let rules: Vec<String> = explanation.rules.iter().cloned().chain(errors).collect();
            let verdict = explanation.verdict.as_str().replace('_', " ");
            table.add_row([basis.to_string(), agency.to_string(), verdict, rules.join(", ")]);
        }
        writeln!(out, "{table}")?;
    }
    Ok(if allowed { ALLOWED } else { NOT_ALLOWED })
}

fn who(files: &Files, item: &str, out: &mut dyn Write) -> anyhow::Result<u8> {
    let engine = files.engine()?;
    let item = find(&engine, item)?;
    // Agencies that share an answer share a row.
    let mut rows: BTreeMap<(String, String, LegalBasis, Vec<String>), Vec<&str>> = BTreeMap::new();
    let mut unknown = None;
    for_each(&engine, |consumer, purpose, basis| {
        for agency in &item.owners {
            match engine.explain(&Question { consumer, purpose, basis, agency }, item.number) {
                Ok(answer) if answer.allowed() => rows
                    .entry((consumer.to_string(), purpose.to_owned(), basis, answer.rules))
                    .or_default()
                    .push(agency.as_str()),
                Ok(_) => {}
                Err(error) => unknown = Some(error),
            }
        }
    });
    if let Some(error) = unknown {
        return Err(error.into());
    }
    if files.json {
        let listed: Vec<Value> = rows
            .iter()
            .map(|((consumer, purpose, basis, rules), agencies)| {
                json!({
                    "consumer": consumer, "purpose": purpose, "basis": basis.as_str(),
                    "agencies": agencies, "rules": rules,
                })
            })
            .collect();
        print_json(out, &json!({ "item": &*item.id, "readers": listed }))?;
    } else if rows.is_empty() {
        writeln!(out, "nobody may read {}", item.id)?;
    } else {
        let mut table = table(["consumer", "purpose", "basis", "agencies", "rules"]);
        for ((consumer, purpose, basis, rules), agencies) in &rows {
            let basis = basis.to_string();
            table.add_row([consumer, purpose, &basis, &agencies.join(", "), &rules.join(", ")]);
        }
        writeln!(out, "{table}")?;
    }
    Ok(if rows.is_empty() { NOT_ALLOWED } else { ALLOWED })
}

impl Files {
    fn catalogue(&self) -> anyhow::Result<Catalogue> {
        let texts = read_texts(&self.catalogue, "toml")?;
        Catalogue::parse(&sources(&texts)).map_err(|findings| {
            let listed: Vec<String> = findings.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the catalogue is not sound:\n{}", listed.join("\n"))
        })
    }

    fn vocabulary(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.vocabulary {
            return Ok(path.clone());
        }
        let levels = if self.policies.is_file() { 1..3 } else { 0..2 };
        let folders = self.policies.ancestors();
        let near = folders.skip(levels.start).take(levels.len());
        if let Some(path) = near.map(|folder| folder.join("vocabulary.toml")).find(|p| p.is_file())
        {
            return Ok(path);
        }
        bail!(
            "no vocabulary.toml beside `{}` or one folder up; name one with --vocabulary",
            self.policies.display()
        )
    }

    fn engine(&self) -> anyhow::Result<Engine> {
        let catalogue = Arc::new(self.catalogue()?);
        let vocabulary = read_vocabulary(&self.vocabulary()?, &catalogue)?;
        let texts = read_texts(&self.policies, "cedar")?;
        let engine = Engine::load(catalogue, &sources(&texts), &vocabulary)
            .map_err(PolicyLoadError::Findings)?;
        Ok(engine)
    }
}

fn find<'a>(engine: &'a Engine, id: &str) -> anyhow::Result<&'a Item> {
    let catalogue = engine.catalogue();
    catalogue.find(id).with_context(|| {
        let near = catalogue.similar_to(id);
        let hint = if near.is_empty() {
            "see the catalogue for the items there are".to_owned()
        } else {
            format!("did you mean {}?", near.join(" or "))
        };
        format!("`{}` is not in the catalogue; {hint}", id.escape_default())
    })
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_header(header);
    table
}

fn print_json(out: &mut dyn Write, value: &Value) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}
