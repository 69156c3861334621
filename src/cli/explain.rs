//! `tributary explain`: what a reason means and what to do about it. The pages are in
//! the program, so that no checkout is needed.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::catalogue::distance;
use crate::cli::output::tell;
use crate::domain::reason::Reason;

/// Exit code for a word that is no reason.
const UNKNOWN: u8 = 2;

/// Reasons that are named for a word that is none.
const NAMED: usize = 5;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The reason, such as GRANT_EXPIRED; without one every reason is listed
    reason: Option<String>,
}

/// Prints a reason's page, or every reason in a line.
///
/// # Errors
/// Standard output that cannot be written.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let mut out = crate::cli::output::stdout();
    let Some(word) = &args.reason else {
        let mut reasons = Reason::ALL.to_vec();
        reasons.sort_unstable_by_key(|reason| reason.as_str());
        let width = reasons.iter().map(|reason| reason.as_str().len()).max().unwrap_or_default();
        for reason in reasons {
            writeln!(out, "{:width$}  {}", reason.as_str(), reason.meaning())?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let wanted = word.trim().to_ascii_uppercase();
    if let Some(reason) = Reason::from_word(&wanted) {
        out.write_all(plain(reason.page()).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let near = near(&wanted);
    let hint = match near.is_empty() {
        true => "`tributary explain` lists every reason".to_owned(),
        false => format!("did you mean {}?", near.join(", ")),
    };
    let shown: String = word.chars().take(64).collect();
    tell!("tributary: `{}` is no reason; {hint}", shown.escape_debug());
    Ok(ExitCode::from(UNKNOWN))
}

/// A page without its Markdown marks.
fn plain(page: &str) -> String {
    page.strip_prefix("# ").unwrap_or(page).replace("**", "")
}

/// Reasons that may have been meant: those with the word in them, then those that are
/// spelt alike.
fn near(wanted: &str) -> Vec<&'static str> {
    let words = || Reason::ALL.iter().map(|reason| reason.as_str());
    let mut near: Vec<(usize, &str)> = words()
        .filter(|_| wanted.len() <= 64)
        .map(|word| {
            let holds = wanted.len() > 2 && word.contains(wanted);
            (if holds { 0 } else { distance(wanted, word) }, word)
        })
        .filter(|(distance, _)| *distance <= wanted.len() / 4)
        .collect();
    near.sort_unstable();
    near.into_iter().take(NAMED).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_named_and_strange_ones_are_not() {
        assert_eq!(near("GRANT_EXPIERD").first(), Some(&"GRANT_EXPIRED"));
        assert!(near("COUNTER").contains(&"COUNTER_DOWN"));
        assert!(near("STALE").contains(&"GRANT_STATUS_STALE"));
        assert!(near("XYZZY").is_empty());
        assert!(near(&"A".repeat(10_000)).is_empty());
    }
}
