//! One search by the index of the log, brought up to date before; of a log that
//! has gone on in another folder the index is another.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Weak;

use crate::store::audit_log::Folder;
use crate::store::index::{Found, Index, IndexError};
use crate::wire::audit as message;

/// Blocking. Whatever fails or is cut off leaves nothing half-used: the index is then
/// opened anew.
pub(super) fn find(
    index: &mut Option<(PathBuf, Index)>,
    log: &Folder,
    search: &message::Search,
    asker: &Weak<()>,
) -> Result<Found, IndexError> {
    let mut open = match index.take() {
        Some((of, open)) if of == log.dir => open,
        _ => Index::open(&log.dir, &log.key, &Index::beside(&log.dir))?,
    };
    open.update(&mut |_| match asker.strong_count() {
        0 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })?;
    let found = match open.search(&search.query, search.from, search.page) {
        Err(error @ IndexError::Differs(_)) => {
            tracing::warn!("the audit log's index is made anew: {error}");
            open.rebuild(error.to_string())?;
            return Err(error);
        }
        found => found?,
    };
    *index = Some((log.dir.clone(), open));
    Ok(found)
}
