//! Which version's tables a database has.

/// What makes the tables of the first version ours. That one knew when a grant was
/// last used, not when it ends, and no purpose lets a grant live longer than 3,660
/// days.
pub(super) const UPGRADE: &str = "alter table uses rename column latest to expires; \
     update uses set expires = expires + 316224000; drop index if exists uses_latest; \
     create index uses_expires on uses (expires);";

/// The tables that a database has, by the columns of `uses`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    /// None yet.
    None,
    /// This version's.
    Ours,
    /// The first version's.
    Older,
    /// Something else.
    Foreign,
}

impl Tables {
    pub(super) fn of(columns: &[String]) -> Self {
        match columns {
            [] => Self::None,
            [key, used, last] if (&**key, &**used) == ("grant_window", "used") => match &**last {
                "expires" => Self::Ours,
                "latest" => Self::Older,
                _ => Self::Foreign,
            },
            _ => Self::Foreign,
        }
    }
}

/// The database has tables that are not, and cannot be made, as they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TablesError {
    /// The first version's, which the account may not change.
    #[error(
        "the counters' tables are an older version's, and this account may not change them; as the account that owns them, run: {}",
        UPGRADE
    )]
    Older,
    /// Nobody's that we know.
    #[error(
        "the counters' database has a table `uses` that this version does not know: give the counters a database of their own, or the version that made it"
    )]
    Foreign,
}
