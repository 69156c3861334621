//! Reasons come from one enum: no file writes one as text, each is stated somewhere,
//! and each has its page and its line in the index.

use std::fs;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use tributary::domain::reason::Reason;

use super::{File, Source, attributes_of, is_test_only, ours, parse};

/// Where the table is, which alone may write the words.
const TABLE: &str = "src/domain/reason";

/// Collects what a file writes as text though it is a reason.
struct Texts(Vec<String>);

impl Texts {
    fn take(&mut self, text: &str, is_named: bool) {
        if is_named || Reason::from_word(text).is_some() {
            self.0.push(text.to_owned());
        }
    }

    /// Text inside a macro; `reason = "…"` is one whatever stands there.
    fn take_tokens(&mut self, tokens: TokenStream) {
        let mut before = [String::new(), String::new()];
        for tree in tokens {
            match &tree {
                TokenTree::Group(group) => self.take_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.take(&text.value(), before == ["reason", "="]);
                    }
                }
                _ => {}
            }
            before = [std::mem::take(&mut before[1]), tree.to_string()];
        }
    }
}

impl<'ast> Visit<'ast> for Texts {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    /// Documentation may name reasons.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.take(&literal.value(), false);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.take_tokens(call.tokens.clone());
    }
}

/// Reasons that stand as text outside the table.
fn written_out(sources: &[Source], files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !path.starts_with(TABLE)) {
        // Files of tests are not among those.
        if files.iter().any(|file| file.path == *path) {
            let mut texts = Texts(Vec::new());
            texts.visit_file(&syn::parse_file(text).unwrap());
            found.extend(texts.0.into_iter().map(|word| format!("{path}: \"{word}\"")));
        }
    }
    found
}

/// Reasons that no file states.
fn unused(files: &[File]) -> Vec<Reason> {
    let outside = || files.iter().filter(|file| !file.path.starts_with(TABLE));
    let states = |reason: &Reason| {
        let name = format!("{reason:?}");
        let names = |path: &Vec<String>| matches!(path.as_slice(), [.., kind, variant] if kind == "Reason" && *variant == name);
        outside().any(|file| file.paths.iter().any(names))
    };
    Reason::ALL.iter().copied().filter(|reason| !states(reason)).collect()
}

#[test]
fn no_reason_is_written_as_text() {
    let sources = ours();
    let found = written_out(&sources, &parse(&sources));
    assert!(found.is_empty(), "take it from `domain::reason`:\n{}", found.join("\n"));
}

#[test]
fn each_reason_is_stated_somewhere() {
    assert_eq!(unused(&parse(&ours())), [], "take its row and its page away");
}

/// With `REASONS=overwrite` it writes what it wants.
#[test]
fn each_reason_has_its_page_and_its_line_in_the_index() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors");
    let overwrite = std::env::var("REASONS").is_ok_and(|value| value == "overwrite");
    let mut wrong = Vec::new();
    let mut hold = |name: &str, found: &str, wanted: String| {
        if found != wanted && overwrite {
            fs::write(folder.join(name), wanted).unwrap();
        } else if found != wanted {
            wrong.push(format!("{name} is to be:\n{wanted}"));
        }
    };
    let mut reasons = Reason::ALL.to_vec();
    reasons.sort_unstable_by_key(|reason| reason.as_str());
    for reason in &reasons {
        let rest: Vec<&str> = reason.page().splitn(4, "\n\n").skip(2).collect();
        let [meaning, rest] = rest[..] else { panic!("{reason}: no meaning and no remedy") };
        let stated = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(stated, reason.meaning(), "{reason}: the meaning on its page");
        assert!(rest.contains("**What to do:** "), "{reason}: its page has no remedy");
        assert!(rest.ends_with('\n') && !rest.ends_with("\n\n"), "{reason}: the end of its page");
        let wanted = format!("# {reason}\n\n{}\n\n{meaning}\n\n{rest}", reason.facts());
        hold(&format!("{reason}.md"), reason.page(), wanted);
    }
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let opening = index.split("| reason |").next().unwrap();
    let rows = reasons.iter().map(|reason| {
        let (again, actor) = (reason.retry_after().is_some(), reason.actor());
        let again = if again { "yes" } else { "" };
        format!("| [{reason}]({reason}.md) | {} | {again} | {actor} |\n", reason.meaning())
    });
    let head =
        "| reason | what it means | passes by itself | who must act |\n| --- | --- | --- | --- |\n";
    hold("README.md", &index, format!("{opening}{head}{}", rows.collect::<String>()));
    assert!(wrong.is_empty(), "REASONS=overwrite writes this:\n{}", wrong.join("\n"));
    let pages = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut pages: Vec<String> = pages.map(|name| name.into_string().unwrap()).collect();
    pages.retain(|name| name != "README.md");
    pages.sort_unstable();
    let mut wanted: Vec<String> = reasons.iter().map(|reason| format!("{reason}.md")).collect();
    wanted.sort_unstable();
    assert_eq!(pages, wanted, "pages of no reason");
}

/// The checks themselves, shown sources that break the rules.
mod the_test_can_fail {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let sources = [(path.to_owned(), text.to_owned())];
        written_out(&sources, &parse(&sources))
    }

    #[test]
    fn a_reason_as_text_however_it_is_written() {
        for text in [
            r#"fn f() -> R { R::new(Code::Internal, "PANIC") }"#,
            r#"const WORD: &str = "AUDIT_DOWN";"#,
            r#"fn f() { tracing::error!(reason = "some_word", "it failed") }"#,
            r#"fn f() { tracing::error!(at, reason = "PANIC", "it failed") }"#,
            r#"fn f() { vec![g("GRANT_SIZE")] }"#,
            r#"fn f(word: &str) -> bool { matches!(word, "OVERLOADED") }"#,
            r#"fn f(word: &str) -> bool { match word { "OVERLOADED" => true, _ => false } }"#,
        ] {
            assert_eq!(found("src/service/edge.rs", text).len(), 1, "{text}");
            assert!(found("src/domain/reason/table.rs", text).is_empty());
        }
    }

    #[test]
    fn what_is_no_reason_passes() {
        for text in [
            r#"//! Refused with "AUDIT_DOWN"."#,
            r#"/** "PANIC" */ fn f() { g("NO_RECORD") }"#,
            r#"#[allow(dead_code, reason = "PANIC")] fn f() {}"#,
            r#"fn f() { tracing::error!(reason = %Reason::Panic, "it failed") }"#,
            r#"#[cfg(test)] mod tests { const WORD: &str = "PANIC"; }"#,
        ] {
            assert_eq!(found("src/service/edge.rs", text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_reason_that_nothing_states() {
        let stated = |path: &str, text: &str| {
            let unused = unused(&parse(&[(path.to_owned(), text.to_owned())]));
            !unused.contains(&Reason::Panic)
        };
        assert!(stated("src/a.rs", "fn f() { g(Reason::Panic) }"));
        assert!(stated("src/a.rs", "fn f() { tracing::error!(reason = %Reason::Panic) }"));
        assert!(!stated("src/a.rs", "fn f() { Other::Panic; Reason::Age; }"));
        assert!(!stated("src/domain/reason/table.rs", "fn f() { g(Reason::Panic) }"));
        assert!(!stated("src/a.rs", "#[cfg(test)] fn f() { g(Reason::Panic) }"));
    }
}
