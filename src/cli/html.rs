//! The head that every page of ours has: it fits a narrow screen, and lets nothing
//! run and nothing be fetched, whatever a name in the page holds.

use maud::{Markup, PreEscaped, html};

/// The head, with the page's title and its own style.
pub(super) fn head(title: &str, style: &'static str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta http-equiv="Content-Security-Policy"
                content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
            link rel="icon" href="data:,";
            title { (title) }
            style { (PreEscaped(style)) }
        }
    }
}
