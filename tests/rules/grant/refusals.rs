//! Everything that must be refused, at the gateway and at the agency, with the
//! word that each answers. A case is one change to a grant that both accept.

use serde_json::Value;

use super::support::Attempt;

mod authority;
mod claims;
mod disclosures;
mod form;
mod signature;

pub type Case = (&'static str, &'static str, &'static str, fn(&mut Attempt));

pub fn run(cases: &[Case]) {
    assert_eq!(Attempt::new().reasons(), ("OK", "OK"));
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, gateway, agency, change)| {
            let mut attempt = Attempt::new();
            change(&mut attempt);
            let got = attempt.reasons();
            (got != (*gateway, *agency)).then(|| format!("{name}: {got:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub fn payload(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_payload = Some(Box::new(edit));
}

pub fn header(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_header = Some(Box::new(edit));
}

pub fn parts(attempt: &mut Attempt, edit: fn(Vec<String>) -> Vec<String>) {
    attempt.edit_parts = Some(Box::new(edit));
}

pub fn text(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_text = Some(Box::new(edit));
}

pub fn disclosure(attempt: &mut Attempt, edit: fn(String) -> String) {
    attempt.edit_disclosure = Some(Box::new(edit));
}

pub fn digests(attempt: &mut Attempt, edit: fn(Vec<Value>) -> Vec<Value>) {
    attempt.edit_digests = Some(Box::new(edit));
}

/// Another character at the same place.
pub fn flip(text: &str, place: usize) -> String {
    let other = if &text[place..=place] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &text[..place], &text[place + 1..])
}
