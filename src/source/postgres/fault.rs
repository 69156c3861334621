//! What a PostgreSQL server's errors mean.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::source::fault::{Reason, SourceError};
use crate::source::server::said;

/// Sorts an error of the driver. Only the server's texts about the statement and
/// the account are repeated; others quote what it computed with.
/// Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(in crate::source) fn fault(error: &sqlx::Error) -> SourceError {
    let database = match said(error) {
        Ok(database) => database,
        Err(fault) => return fault,
    };
    let code = database.code().unwrap_or_default();
    let message = database.message();
    match (code.get(..2).unwrap_or_default(), &*code) {
        (_, "57014") => SourceError::new(Reason::Timeout, "the statement ran into its time limit"),
        (_, "55P03") => SourceError::new(Reason::Timeout, "a lock was not free in time"),
        // No such operator: as of a whole number and a text.
        (_, "42883") => {
            let detail = format!(
                "{message}; if people's numbers are whole numbers there, state \
                 `subject_type = \"integer\"`"
            );
            SourceError::new(Reason::Schema, detail)
        }
        (_, "42501") if hides_rows(database) => {
            let detail = format!(
                "{message}: rows that the account may not see would come as people without a \
                 record. Let it see all (`alter role … bypassrls`, or a policy-free view), or \
                 state `row_security = \"meant\"` in `[source.sql]` if nobody else's rows are \
                 this agency's"
            );
            SourceError::new(Reason::Schema, detail)
        }
        (_, "25006") => SourceError::new(Reason::Schema, "the statement tries to write"),
        ("42" | "0A" | "3F", _) => SourceError::new(Reason::Schema, message),
        ("28" | "3D", _) => {
            SourceError::new(Reason::Down, format!("the server refuses the account: {message}"))
        }
        ("21" | "22", _) => {
            let detail = format!("PostgreSQL could not compute the answer (code {code})");
            SourceError::new(Reason::Invalid, detail)
        }
        _ => SourceError::new(Reason::Down, format!("PostgreSQL failed (code {code})")),
    }
}

/// Whether row-level security would filter what a statement reads. The server's text
/// is in its own language; the name of its function is not.
fn hides_rows(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| error.routine() == Some("check_enable_rls"))
}

/// Whether the server, or a pooler before it, ended the session itself.
pub(super) fn ended(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| {
        matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
            || matches!(error.code(), "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "08006")
    })
}

/// Whether the driver lost its statement on the way: it asks about a type that it does
/// not know yet, and that ends a statement without a name. It asks once a connection.
pub(super) fn forgotten(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.and_then(DatabaseError::code).as_deref() == Some("26000")
}
