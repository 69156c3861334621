//! Loads rules: from texts to a Cedar policy set that passed every check, or to
//! the list of everything that is wrong with them.
//!
//! Stricter than Cedar: each rule carries a unique `@id`, templates are refused,
//! every operand must exist, and Cedar's warnings (a rule that can never apply,
//! look-alike characters) fail the load, since each of them is a mistake.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use cedar_policy::{Policy, PolicyId, PolicySet, ValidationError, ValidationMode, Validator};
use miette::Diagnostic;
use serde_json::Value;

use super::finding::PolicyFinding;
use super::operand::Operands;
use super::schema::World;
use super::statement::{RuleText, split};
use super::vocabulary::Vocabulary;
use crate::domain::audit::{RuleId, RuleSet};
use crate::domain::catalogue::{Catalogue, Source};

const BUILT_IN: Source<'static> = Source { name: "built-in", text: include_str!("built_in.cedar") };

/// Ids that only the product's own rules carry begin so.
const OWN: &str = "tributary.";

/// Most rules of one policy: each one is evaluated for each item, and has a bit in
/// the records.
const MAX_RULES: usize = 1000;
const _: () = assert!(MAX_RULES <= RuleSet::LIMIT, "each rule has a bit in a record");

const MAX_ID: usize = RuleId::LIMIT;

/// Rules that passed every check.
#[derive(Debug)]
pub(super) struct Rules {
    pub set: PolicySet,
    /// Each rule's form without annotations, by id, for the digest.
    pub forms: BTreeMap<String, Value>,
    /// Where each rule stands, by id.
    pub places: BTreeMap<String, RulePlace>,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlace {
    /// The file's name; `built-in` for rules that ship with the product.
    pub file: String,
    /// The line of the rule's first character, from 1.
    pub line: usize,
}

impl Rules {
    /// Every rule's id, in order: a rule's number is its place here.
    pub(super) fn names(&self) -> Result<Vec<Arc<RuleId>>, Vec<PolicyFinding>> {
        let named = self.forms.keys().map(|id| {
            let named = RuleId::new(id).map(Arc::new);
            named.map_err(|error| vec![PolicyFinding::of_file("policy", error.to_string())])
        });
        named.collect()
    }
}

pub(super) fn load(
    catalogue: &Catalogue,
    vocabulary: &Vocabulary,
    world: &World,
    texts: &[Source<'_>],
) -> Result<Rules, Vec<PolicyFinding>> {
    let mut loader = Loader {
        operands: Operands::new(catalogue, vocabulary),
        rules: Vec::new(),
        places: HashMap::new(),
        findings: Vec::new(),
    };
    for source in std::iter::once(&BUILT_IN).chain(texts) {
        for statement in split(source.text) {
            loader.statement(source.name, statement);
        }
    }
    let set = loader.validate(world);
    let forms = loader.forms();
    if loader.findings.is_empty() {
        let places = loader.places.into_iter().map(|(id, place)| {
            let place = RulePlace { file: place.file.to_owned(), line: place.statement.line };
            (id, place)
        });
        return Ok(Rules { set, forms, places: places.collect() });
    }
    loader.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    loader.findings.dedup();
    Err(loader.findings)
}

#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    statement: RuleText<'a>,
}

struct Loader<'a> {
    operands: Operands<'a>,
    rules: Vec<Policy>,
    places: HashMap<String, Place<'a>>,
    findings: Vec<PolicyFinding>,
}

impl<'a> Loader<'a> {
    fn find(&mut self, file: &str, line: usize, rule: Option<&str>, message: String) {
        let rule = rule.map(str::to_owned);
        self.findings.push(PolicyFinding { file: file.to_owned(), line, rule, message });
    }

    fn statement(&mut self, file: &'a str, statement: RuleText<'a>) {
        if let Some(message) = statement.fault() {
            return self.find(file, statement.line, None, message);
        }
        let rule = match Policy::parse(None, statement.text) {
            Ok(rule) => rule,
            Err(errors) => {
                for error in errors.iter() {
                    let template = error.to_string().contains("got a template");
                    let message = if template {
                        "`?principal` and `?resource` are not supported; name the consumer or \
                         the item instead"
                            .to_owned()
                    } else {
                        told(error)
                    };
                    self.find(file, line(statement, error), None, message);
                }
                return;
            }
        };
        let Some(id) = self.id(file, statement, &rule) else { return };
        let operands: HashSet<_> = rule.entity_literals().into_iter().collect();
        for operand in operands {
            if let Some(message) = self.operands.fault(&operand) {
                let at = statement.line_of(&operand.to_string());
                self.find(file, at, Some(&id), message);
            }
        }
        if self.rules.len() == MAX_RULES {
            let message = format!("this is rule {}; keep to at most {MAX_RULES}", MAX_RULES + 1);
            self.find(file, statement.line, Some(&id), message);
        }
        self.rules.push(rule.new_id(PolicyId::new(&id)));
        self.places.insert(id, Place { file, statement });
    }

    /// The rule's `@id`, if it is there, well formed and new.
    fn id(&mut self, file: &str, statement: RuleText<'_>, rule: &Policy) -> Option<String> {
        let id = rule.annotation("id").unwrap_or_default();
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        let message = if id.is_empty() {
            "the rule has no name; write @id(\"a-name\") above it, for records and explanations"
                .to_owned()
        } else if id.len() > MAX_ID || !id.bytes().all(allowed) {
            let shown: String = id.chars().take(MAX_ID).collect();
            format!(
                "@id(\"{}\") is not a name; use at most {MAX_ID} lower-case letters, digits, '.', \
                 '_' and '-'",
                shown.escape_default()
            )
        } else if id.starts_with(OWN) && file != BUILT_IN.name {
            format!("@id(\"{id}\") is reserved for the rules that ship with the product; rename it")
        } else if let Some(first) = self.places.get(id) {
            let (file, line) = (first.file, first.statement.line);
            format!("@id(\"{id}\") already names the rule at {file}:{line}; rename one of them")
        } else {
            return Some(id.to_owned());
        };
        self.find(file, statement.line, None, message);
        None
    }

    fn validate(&mut self, world: &World) -> PolicySet {
        let set = match PolicySet::from_policies(self.rules.iter().cloned()) {
            Ok(set) => set,
            Err(error) => {
                self.findings.push(PolicyFinding::of_file("policy", told(&error)));
                return PolicySet::new();
            }
        };
        let result = Validator::new(world.schema.clone()).validate(&set, ValidationMode::Strict);
        for error in result.validation_errors() {
            match error {
                // `operand` has said so, and better.
                ValidationError::InvalidEnumEntity(_)
                | ValidationError::UnrecognizedActionId(_) => {}
                ValidationError::IncompatibleTypes(_) | ValidationError::UnexpectedType(_) => {
                    let message = format!(
                        "{}; note that purposes, bases and agencies are written as in \
                         `context.purpose == Purpose::\"credit_profile\"`",
                        told(error)
                    );
                    self.invalid(error.policy_id(), error, message);
                }
                error => self.invalid(error.policy_id(), error, told(error)),
            }
        }
        for warning in result.validation_warnings() {
            self.invalid(warning.policy_id(), warning, told(warning));
        }
        set
    }

    fn invalid(&mut self, rule: &PolicyId, error: &dyn Diagnostic, message: String) {
        let rule: &str = rule.as_ref();
        let message = message.trim_start_matches(&format!("for policy `{rule}`, ")).to_owned();
        let (file, line) = match self.places.get(rule) {
            Some(place) => (place.file, line(place.statement, error)),
            None => ("policy", 0),
        };
        self.find(file, line, Some(rule), message);
    }

    fn forms(&mut self) -> BTreeMap<String, Value> {
        let mut forms = BTreeMap::new();
        let mut failed = Vec::new();
        for rule in &self.rules {
            match rule.to_json() {
                Ok(mut form) => {
                    if let Some(fields) = form.as_object_mut() {
                        fields.remove("annotations");
                    }
                    forms.insert(rule.id().to_string(), form);
                }
                Err(error) => failed.push(PolicyFinding::of_file("policy", told(&error))),
            }
        }
        self.findings.append(&mut failed);
        forms
    }
}

/// An error with its causes and Cedar's advice, in one line.
fn told<E: Diagnostic + ?Sized>(error: &E) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        append(&mut text, ": ", inner);
        cause = inner.source();
    }
    if let Some(help) = error.help() {
        append(&mut text, "; ", help);
    }
    text
}

fn append(text: &mut String, link: &str, more: impl Display) {
    let more = more.to_string();
    // Transparent errors repeat themselves as their own cause.
    if !text.contains(&more) {
        text.push_str(link);
        text.push_str(&more);
    }
}

/// The line that an error points at; the rule's first when it points nowhere.
fn line<E: Diagnostic + ?Sized>(statement: RuleText<'_>, error: &E) -> usize {
    let label = error.labels().and_then(|mut labels| labels.next());
    label.map_or(statement.line, |label| statement.line_at(label.offset()))
}
