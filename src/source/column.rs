//! One item's column, compiled: all that is needed to read its cells, and the
//! count of those that did not fit.

use std::sync::atomic::{AtomicU64, Ordering};

use super::cell::Unfit;
use super::convert::ItemForm;
use crate::domain::item::ItemNumber;

/// How one item is read.
#[derive(Debug)]
pub(super) struct Column {
    pub number: ItemNumber,
    /// For logs.
    pub id: Box<str>,
    /// How its cells are read.
    pub form: ItemForm,
    /// For an adverse item, its months.
    pub adverse_months: Option<u16>,
    pub unfit: AtomicU64,
}

impl Column {
    /// Counts a cell that does not fit. The log gets the first, the second, the
    /// fourth and so on: a source gone bad must not fill the disk.
    pub fn count(&self, query: &str, reason: Unfit) {
        let count = self.unfit.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if count.is_power_of_two() {
            tracing::warn!(query, item = &*self.id, %reason, count, "a cell does not fit its item");
        }
    }
}
