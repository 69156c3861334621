//! `tributary agency init`: prints a starting mapping.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::app::agency_init::{self, StartingRequest};
use crate::cli::output::say;

/// Writes a starting mapping from a database's schema, a CSV file, or an answer of a
/// web service. No value is shown and nothing is guessed: whatever only you can know
/// reads TODO, which `agency check` refuses. Paths are written as they are right for
/// the place where the file lies.
///
/// Examples: tributary agency init --from postgres://reader@localhost/hr
///             --password-file db.password --table jobs --out hr.toml
///           tributary agency init --from csv:extracts/students.csv --encoding gbk
///           tributary agency init --from 'https://records.example/people/{subject}'
///             --sample answer.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct InitArgs {
    /// postgres://…, mysql://…, sqlite:FILE, csv:FILE, or https://HOST:PORT/PATH
    #[arg(long, value_name = "URL")]
    from: String,
    /// A file with the account's password, mode 0600; the mapping will name it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Authorities of the server's certificate, in PEM, beside the public ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A table to write a query for, or SCHEMA.TABLE; without it, every table
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// A file with an answer of the web service about somebody who is known
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// The CSV file's encoding, such as gbk or utf-16; without it UTF-8
    #[arg(long, value_name = "LABEL")]
    encoding: Option<String>,
    /// What stands between two cells of the CSV file; without it, what its first line has
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// Lines above the CSV file's header
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    skip_lines: usize,
    /// The column that holds people's numbers
    #[arg(long, value_name = "COLUMN")]
    subject: Option<String>,
    /// The column with the day on which a row was true
    #[arg(long, value_name = "COLUMN")]
    as_of: Option<String>,
    /// The agency's id, to list its items
    #[arg(long, requires = "catalogue")]
    id: Option<String>,
    /// The catalogue's folder
    #[arg(long, value_name = "DIR", requires = "id")]
    catalogue: Option<PathBuf>,
    /// Write this file, which must be new, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let request = StartingRequest {
        from: args.from.clone(),
        sample: args.sample.clone(),
        delimiter: args.delimiter,
        encoding: args.encoding.clone(),
        skip_lines: args.skip_lines,
        password_file: args.password_file.clone(),
        ca: args.ca.clone(),
        tables: args.tables.clone(),
        subject: args.subject.clone(),
        as_of: args.as_of.clone(),
        agency: args.id.clone().zip(args.catalogue.clone()),
    };
    let folder = args.out.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let text = super::super::block_on(async { Ok(agency_init::write(&request, folder).await?) })?;
    match &args.out {
        None => crate::cli::output::stdout().write_all(text.as_bytes())?,
        Some(path) => {
            let failed = || format!("cannot write {}", path.display());
            std::fs::File::create_new(path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(failed)?;
            say!(
                "wrote {}; state each TODO, then: tributary agency check -c {}",
                path.display(),
                path.display()
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
