//! Checks of what a source says about itself.

use std::collections::BTreeSet;

use super::{MAX_QUERIES, SourceBench};
use crate::app::conformance::{Verdict, ensure, failed, skipped};
use crate::wire::proto::pb;

pub(super) async fn answers(bench: &SourceBench) -> Verdict {
    match bench.described.get_or_init(|| bench.describe()).await {
        Ok(_) => Ok(()),
        Err(status) => failed(format!("DescribeSource ends with {:?}", status.code())),
    }
}

pub(super) async fn queries(bench: &SourceBench) -> Verdict {
    let queries = &bench.described().await?.queries;
    ensure(!queries.is_empty(), "no query is described")?;
    let most = format!("{} queries are described; {MAX_QUERIES} are looked at", queries.len());
    ensure(queries.len() <= MAX_QUERIES, most)?;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let mut seen = BTreeSet::new();
    for query in queries {
        let name = query.name.escape_default();
        let usable = (1..=64).contains(&query.name.len()) && query.name.bytes().all(word);
        ensure(
            usable,
            format!("`{name}` is no query's name: use 1 to 64 letters, digits, '_', '-' and '.'"),
        )?;
        ensure(seen.insert(&query.name), format!("query `{name}` is described twice"))?;
    }
    Ok(())
}

pub(super) async fn columns(bench: &SourceBench) -> Verdict {
    for query in &bench.described().await?.queries {
        let name = query.name.escape_default();
        ensure(
            query.columns.len() >= 2,
            format!("query `{name}` has {} columns: a subject is not enough", query.columns.len()),
        )?;
        let mut seen = BTreeSet::new();
        for column in &query.columns {
            let written = column.name.escape_default();
            let usable = (1..=128).contains(&column.name.len())
                && !column.name.chars().any(|c| c.is_control() || matches!(c, '"' | '`'));
            ensure(usable, format!("query `{name}`: `{written}` is no column's name"))?;
            ensure(
                seen.insert(&column.name),
                format!("query `{name}` has column `{written}` twice"),
            )?;
        }
    }
    Ok(())
}

pub(super) async fn stable(bench: &SourceBench) -> Verdict {
    let first = bench.described().await?;
    match bench.describe().await {
        Ok(again) => ensure(again == *first, "the second description differs from the first"),
        Err(status) => failed(format!("the second time it ends with {:?}", status.code())),
    }
}

pub(super) async fn kinds(bench: &SourceBench) -> Verdict {
    let mut announced = false;
    for query in &bench.described().await?.queries {
        for column in &query.columns {
            let known = pb::ColumnKind::try_from(column.kind);
            let (query, name) = (query.name.escape_default(), column.name.escape_default());
            let Ok(kind) = known else {
                return failed(format!("query `{query}`, column `{name}`: kind {}", column.kind));
            };
            announced |= kind != pb::ColumnKind::Unspecified;
        }
    }
    if announced { Ok(()) } else { skipped("no column's kind is announced") }
}
