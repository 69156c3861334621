//! Cuts a policy text into its rules and remembers where each one stands.
//!
//! Each rule is then parsed alone, so that one load names every broken rule and
//! its line. Whatever is cut wrongly does not parse, and the load fails: the cut
//! decides on positions, never on meaning. Rules that nest deeper or run longer
//! than a person could follow are refused before they are parsed, since Cedar's
//! parser recurses and would exhaust the stack.

use crate::domain::lines::line_at;

/// Deepest accepted nesting of brackets; rules that people write stay under 6.
const MAX_DEPTH: usize = 24;

/// Longest accepted chain, in operators of one rule: `a || b || c` has two. Cedar
/// nests each operator in the one before, and a debug build needs 14 KiB of stack
/// for each.
const MAX_LINKS: usize = 80;

/// Longest accepted rule in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// One rule as it is written, from its first character to its `;`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RuleText<'a> {
    /// The rule's text.
    pub text: &'a str,
    /// The line of its first character, from 1.
    pub line: usize,
    /// How deep its brackets nest.
    depth: usize,
    /// How many operators it may chain.
    links: usize,
}

impl RuleText<'_> {
    /// Why the rule must not even be parsed.
    pub(super) fn fault(&self) -> Option<String> {
        [
            (self.text.len(), MAX_LENGTH, "bytes"),
            (self.depth, MAX_DEPTH, "levels of brackets"),
            (self.links, MAX_LINKS, "operators"),
        ]
        .into_iter()
        .find(|(found, limit, _)| found > limit)
        .map(|(found, limit, what)| {
            format!(
                "the rule has {found} {what}; keep to {limit} and split it into several rules, or \
                 list items as in `[a, b, c].contains(resource)`"
            )
        })
    }

    /// The line of an offset into the rule's text.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.line + line_at(self.text, offset) - 1
    }

    /// The line where an operand stands; the rule's first when it is written
    /// in another way.
    pub(super) fn line_of(&self, operand: &str) -> usize {
        self.text.find(operand).map_or(self.line, |offset| self.line_at(offset))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Comment,
    Text,
    Escape,
}

/// Cuts at each `;` that stands in no comment and no quoted text.
pub(super) fn split(text: &str) -> Vec<RuleText<'_>> {
    let mut statements = Vec::new();
    let mut within = Within::Code;
    let mut current: Option<Cut> = None;
    let mut line = 1;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        within = match (within, byte) {
            (Within::Code, b'/') if bytes.peek().is_some_and(|(_, next)| *next == b'/') => {
                Within::Comment
            }
            // Cedar ends a comment at either character.
            (Within::Comment, b'\n' | b'\r') => Within::Code,
            (Within::Text, b'\\') => Within::Escape,
            (Within::Escape, _) => Within::Text,
            (Within::Code, b'"') => Within::Text,
            (Within::Text, b'"') => Within::Code,
            (within, _) => within,
        };
        if current.is_none() && within != Within::Comment && !byte.is_ascii_whitespace() {
            current = Some(Cut { from: at, line, open: 0, depth: 0, links: 0, last: 0 });
        }
        if byte == b'\n' {
            line += 1;
        }
        if within != Within::Code {
            continue;
        }
        if byte == b';' {
            statements.extend(current.take().and_then(|cut| cut.ends(text, at + 1)));
        } else if let Some(cut) = &mut current {
            cut.count(byte);
        }
    }
    statements.extend(current.and_then(|cut| cut.ends(text, text.len())));
    statements
}

/// A rule whose end is not found yet.
struct Cut {
    from: usize,
    line: usize,
    open: usize,
    depth: usize,
    links: usize,
    last: u8,
}

impl Cut {
    fn count(&mut self, byte: u8) {
        match byte {
            b'(' | b'{' => self.open += 1,
            b'[' => {
                self.open += 1;
                self.links += 1;
            }
            b')' | b']' | b'}' => self.open = self.open.saturating_sub(1),
            b'.' | b'+' | b'-' | b'*' => self.links += 1,
            b'&' | b'|' if self.last == byte => self.links += 1,
            // `if a then b else if c ...` nests without brackets.
            b'f' if self.last == b'i' => self.links += 1,
            _ => {}
        }
        self.depth = self.depth.max(self.open);
        self.last = byte;
    }

    fn ends(self, text: &str, end: usize) -> Option<RuleText<'_>> {
        let text = text.get(self.from..end)?;
        Some(RuleText { text, line: self.line, depth: self.depth, links: self.links })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(usize, &str)> {
        split(text).iter().map(|statement| (statement.line, statement.text)).collect()
    }

    #[test]
    fn comments_and_quoted_semicolons_cut_nothing() {
        let text = "// a; b\n\n@id(\"x;\\\"y\") // c;\npermit;\r\n// end;\n  forbid ;";
        let expected = [(3, "@id(\"x;\\\"y\") // c;\npermit;"), (6, "forbid ;")];
        assert_eq!(cut(text), expected);
    }

    #[test]
    fn what_follows_the_last_semicolon_is_not_lost() {
        assert_eq!(cut("a;\nb"), [(1, "a;"), (2, "b")]);
        assert_eq!(cut("a; // b"), [(1, "a;")]);
        assert_eq!(cut("// c\rb;"), [(1, "b;")]);
        assert_eq!(cut(" \n"), []);
    }
}
