//! What is wrong with a policy, and where.

use std::fmt;

use crate::domain::finding::Finding;

/// Something wrong in a policy or in the vocabulary that it is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFinding {
    /// The file's name.
    pub file: String,
    /// The line, from 1; 0 when it concerns the whole file.
    pub line: usize,
    /// The rule's `@id`, where it has one.
    pub rule: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl PolicyFinding {
    /// A finding about a file as a whole.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, rule: None, message: message.into() }
    }

    /// The finding as those of other files are.
    pub fn as_finding(&self) -> Finding {
        let rule = self.rule.as_ref().map(|rule| format!("rule `{rule}`: "));
        let message = format!("{}{}", rule.unwrap_or_default(), self.message);
        Finding { file: self.file.clone(), line: self.line, message }
    }
}

impl fmt::Display for PolicyFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_finding().fmt(f)
    }
}
