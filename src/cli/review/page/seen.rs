//! The page's last tables: who may look at the log, who may accept a change and what
//! they accepted, and what no comparison of files sees.

use maud::{Markup, html};

use super::Review;
use crate::cli::review::compared::refused;
use crate::domain::flows::keys::{FileKind, ValueForm};
use crate::domain::flows::settings::{Seen, read};

/// Reviewers and acceptors, with what was accepted.
pub(super) fn reviewers(review: &Review) -> Markup {
    let files = review.federation.files.iter().filter(|text| text.kind == FileKind::Gateway);
    let settings: Vec<_> = files.flat_map(read).collect();
    let may = settings.iter().filter(|(_, setting)| setting.pattern == "review.reviewer[].may");
    let may: Vec<(&str, &str)> = may
        .map(|(_, setting)| (setting.names.first().map_or("", String::as_str), &*setting.shown))
        .collect();
    let acceptors = &review.federation.acceptors;
    html! {
        section aria-labelledby="reviewers" {
            h2 #reviewers { "Who may look, and who may accept" }
            div.scroll tabindex="0" role="group" aria-labelledby="reviewers" {
                table.stack {
                    thead { tr { @for head in ["who", "may", "known by"] { th scope="col" { (head) } } } }
                    tbody {
                        @for (id, may) in &may { tr {
                            th scope="row" { (id) }
                            td data-h="may" { "read of the log: " @if may.is_empty() { "nothing" } @else { (may) } }
                            td data-h="known by" { "its certificate" }
                        } }
                        @for acceptor in &acceptors.all { tr {
                            th scope="row" { (acceptor.name) }
                            td data-h="may" {
                                "accept changes, for at most " (acceptors.longest.whole_days()) " days"
                            }
                            td.id data-h="known by" { (acceptor.key) }
                        } }
                        @if may.is_empty() && acceptors.all.is_empty() { tr {
                            th scope="row" { "nobody" }
                            td data-h="may" { "read the log over the network, or is named to accept a change" }
                            td {}
                        } }
                    }
                }
            }
            @if let Some(compared) = &review.compared {
                @let valid: Vec<_> = compared.signed.iter().flatten().collect();
                @let wrong = refused(compared);
                @if !valid.is_empty() || !wrong.is_empty() {
                    h3 { "Acceptances" }
                    ul {
                        @for statement in &valid { li {
                            span.yes { "✓" } " " (statement) " (" (statement.changes.len()) " changes, signed)"
                        } }
                        @for line in &wrong { li { span.badge.no { "✕ refused" } " " (line) } }
                    }
                }
            }
        }
    }
}

/// What is not in any file that was compared.
pub(super) fn unseen(review: &Review) -> Markup {
    let mut private = Vec::new();
    let mut missing = Vec::new();
    for text in &review.federation.files {
        for (path, seen) in &text.public {
            if !matches!(seen, Seen::Digest(_)) {
                missing.push(format!("{} names {path}", text.file));
            }
        }
        for (key, setting) in read(text) {
            let secret = [
                "key",
                "file",
                "tag_key",
                "password_file",
                "token_file",
                "secret_file",
                "url_file",
                "signing_key",
                "status_key",
                "person_secret",
                "key_file",
            ];
            let last = setting.pattern.rsplit('.').next().unwrap_or_default();
            let open = setting.row(text.kind).is_some_and(|row| row.form == ValueForm::Public);
            if secret.contains(&last) && !open && text.kind != FileKind::Review {
                private.push(format!("{}: {key} = {}", text.file, setting.shown));
            }
        }
    }
    html! {
        section aria-labelledby="unseen" {
            h2 #unseen { "What no comparison of files sees" }
            ul {
                li { "what a database, its views and its rights hold and give; what a service or a \
                      program answers" }
                li { "the command line and the environment with which a process is started, and its \
                      program: compare versions and the digests of what was installed" }
                li { "what stands in private keys and passwords. They are named, and never opened:"
                    @if !private.is_empty() { details {
                        summary { (private.len()) " files" }
                        ul { @for line in &private { li { code { (line) } } } }
                    } }
                }
                @if !missing.is_empty() { li {
                    "anchors, pins and lists that are not at hand here, so that only their names were \
                     compared:"
                    details {
                        summary { (missing.len()) " files" }
                        ul { @for line in &missing { li { code { (line) } } } }
                    }
                } }
            }
        }
    }
}
