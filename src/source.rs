//! How an agency's own database answers, through a mapping and without code.
//!
//! A [`Mapping`] is compiled against the catalogue; [`Holdings`] asks with it. A
//! kind of source is a [`Source`], which gives rows of named columns for a set of
//! people. Everything above that is shared: batching, subjects, types, codes,
//! horizons, duplicates.
//!
//! Not here: whether the asking is allowed, which is `service`'s business, and
//! any cache of what was found, which exists nowhere.

mod batch;
mod cell;
mod check;
mod column;
mod convert;
mod csv;
mod fault;
mod grpc;
mod holdings;
mod horizon;
mod http;
mod introspection;
mod mapping;
mod mysql;
mod outline;
mod person;
mod place;
mod pool;
mod postgres;
mod proof;
mod query;
mod rows;
mod sample;
mod schema;
mod server;
mod sqlite;
mod statements;
mod subject;
#[cfg(test)]
mod testing;
mod unwrapped;
mod within;

use std::sync::Arc;
use std::time::Instant;

pub use cell::{Cell, Unfit};
pub use check::{Checked, Noted, Severity, check};
pub use fault::{Reason, SourceError};
use futures_util::future::{BoxFuture, FutureExt};
pub use grpc::{MAX_ANSWER_BYTES, local_channel};
pub use holdings::{Counts, Held, Holdings, Looked};
pub use introspection::{Kind, Plan, Review};
pub use mapping::{Mapping, Written};
pub use outline::{CsvSeen, JsonSeen, SampleError, of_csv, of_json};
pub use person::ItemShown;
pub use rows::RowSink;
pub use sample::ItemSampled;
pub use schema::{ColumnSeen, SchemaError, TableSeen, tables};

use crate::domain::sensitive::Sensitive;

/// A person's number as it is bound and compared; shared, since one statement's
/// people are named in several places.
pub type Key = Sensitive<Arc<str>>;

/// One kind of source: a database, or a service beside the agency.
///
/// Queries go by their place in the mapping that the source was made with.
pub trait Source: Send + Sync + 'static {
    /// Gives the rows of a query's selected columns for these people, at most
    /// `max_batch` of them and none twice. By `until` it has ended, and whatever
    /// it set in motion ends soon after.
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>>;

    /// Names each selected column that a query's answer lacks.
    fn missing_columns<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Vec<SourceError>, SourceError>>;

    /// What the source knows of a query's answer without asking about anyone.
    fn review<'a>(
        &'a self,
        _query: usize,
        _until: Instant,
    ) -> BoxFuture<'a, Result<Review, SourceError>> {
        async { Ok(Review::default()) }.boxed()
    }

    /// Gives rows of a query for anybody, a thousand at most, in whatever order is
    /// cheapest. `false` where the source gives none without being asked about people.
    fn sample<'a>(
        &'a self,
        _query: usize,
        _until: Instant,
        _sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<bool, SourceError>> {
        async { Ok(false) }.boxed()
    }

    /// What the account could write, in words; `None` when nothing.
    fn writable<'a>(
        &'a self,
        _until: Instant,
    ) -> BoxFuture<'a, Result<Option<String>, SourceError>> {
        async { Ok(None) }.boxed()
    }
}
