//! What the errors of a MySQL or MariaDB server mean.

use sqlx::error::DatabaseError;

use crate::source::fault::{Reason, SourceError};
use crate::source::server::said;

pub(super) fn number(error: &dyn DatabaseError) -> u16 {
    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map_or(0, |error| error.number())
}

/// Sorts an error of the driver. Only the server's texts about the statement and
/// the account are repeated; others quote what it computed with.
/// Numbers: <https://mariadb.com/kb/en/mariadb-error-code-reference/>
pub(in crate::source) fn fault(error: &sqlx::Error) -> SourceError {
    let database = match said(error) {
        Ok(database) => database,
        Err(fault) => return fault,
    };
    let message = database.message();
    match (number(database), database.code().unwrap_or_default().get(..2)) {
        (1969 | 3024 | 1317, _) => {
            SourceError::new(Reason::Timeout, "the statement ran into its time limit")
        }
        (1205, _) => SourceError::new(Reason::Timeout, "a lock was not free in time"),
        (1792, _) => SourceError::new(Reason::Schema, "the statement tries to write"),
        (1044 | 1045 | 1049 | 1129 | 1130 | 1251 | 1698 | 1820 | 1862 | 2059, _) => {
            SourceError::new(Reason::Down, format!("the server refuses the account: {message}"))
        }
        // What the statement computed may be in the text of these.
        (code @ (1690 | 1242 | 1264 | 1292 | 1365 | 1366 | 1411), _)
        | (code, Some("21" | "22")) => {
            let detail = format!("the server could not compute the answer (code {code})");
            SourceError::new(Reason::Invalid, detail)
        }
        (1054 | 1060 | 1064 | 1137 | 1142 | 1143 | 1146 | 1248 | 1305 | 1356 | 1370, _)
        | (_, Some("42")) => SourceError::new(Reason::Schema, message),
        (code, _) => SourceError::new(Reason::Down, format!("the server failed (code {code})")),
    }
}

/// Whether the server ended the session itself: it stops, the session was killed, or
/// was idle for too long.
pub(super) fn ended(error: &dyn DatabaseError) -> bool {
    matches!(number(error), 1053 | 1077..=1080 | 1152 | 1158..=1161 | 1184 | 1927 | 4031)
}
