//! The transaction in which every question to PostgreSQL is asked.
//!
//! It reads only, and whatever it sets ends with it: a pooler in transaction mode gives
//! the same session to somebody else next. What another one left in the session is put
//! back to the account's own for as long as it lasts.

use std::fmt::Write as _;
use std::time::Duration;

use crate::domain::zone::Zone;

/// Limits of which the stricter one holds: the mapping's, or what the server's
/// administrator set for the account.
const LIMITS: [&str; 3] =
    ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];

/// What decides where a name leads and how a value is written, which another client of
/// a pooler may have left changed.
const OWN: [&str; 8] = [
    "role",
    "search_path",
    "datestyle",
    "intervalstyle",
    "extra_float_digits",
    "bytea_output",
    "standard_conforming_strings",
    "transform_null_equals",
];

/// How a transaction begins.
///
/// What the statement makes of moments is of the same days as what becomes of them
/// afterwards, so it has the source's zone.
pub(super) fn begin(timeout: Duration, zone: Option<&Zone>, hidden_rows_are_meant: bool) -> String {
    let mut text = String::from("begin read only");
    for setting in OWN {
        let _ = write!(text, "; set local {setting} to default");
    }
    // A zone's name has letters, digits and a few signs, and no quote.
    let _ = write!(text, "; set local timezone to '{}'", zone.map_or("UTC", Zone::name));
    // Off: a statement whose rows would be filtered is an error.
    let row_security = if hidden_rows_are_meant { "on" } else { "off" };
    let _ = write!(text, "; set local row_security to {row_security}; select ");
    let ours = format!("{}ms", timeout.as_millis());
    let stricter = LIMITS.map(|limit| {
        format!(
            "set_config('{limit}', case when current_setting('{limit}')::interval \
             between '1us' and '{ours}' then current_setting('{limit}') else '{ours}' end, true)"
        )
    });
    text.push_str(&stricter.join(", "));
    text
}

/// How it ends. Nothing was written; so nothing of what was set stays either.
pub(super) const END: &str = "rollback";
