//! Checks against the agency's own mapping and against cells that the plan
//! expects.

use std::path::Path;

use super::{SourceBench, refused, text};
use crate::app::conformance::plan::Expected;
use crate::app::conformance::{Verdict, ensure, failed, skipped};
use crate::clock;
use crate::config::agency::AgencyConfig;
use crate::config::catalogue;
use crate::config::mapping::LocalEndpoint;
use crate::domain::catalogue::Source;
use crate::domain::subject::SubjectFormat;
use crate::source::{Held, Holdings, Mapping, Written};
use crate::wire::proto::pb;
use crate::wire::proto::pb::source_cell::Kind;

/// The mapping, turned to the endpoint under test; with the format of numbers.
fn holdings(bench: &SourceBench) -> Verdict<(Holdings, SubjectFormat)> {
    let Some(path) = &bench.plan.mapping else {
        return skipped("the plan names no `mapping`");
    };
    let unusable = |error: &dyn std::fmt::Display| failed(format!("the mapping: {error}"));
    let (mut config, written) = match AgencyConfig::load(path) {
        Ok(loaded) => loaded,
        Err(error) => return unusable(&error),
    };
    let catalogue = match catalogue::load(&config.catalogue) {
        Ok(catalogue) => catalogue,
        Err(error) => return unusable(&error),
    };
    let Some(entry) = &mut config.source.grpc else {
        return failed("the mapping: its source is not [source.grpc]");
    };
    *entry.get_mut().endpoint.get_mut() = match &bench.endpoint {
        LocalEndpoint::Socket(path) => format!("unix:{}", path.display()),
        LocalEndpoint::Loopback(address) => address.to_string(),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let written = Written {
        file: Source { name: &name, text: &written },
        // The endpoint is absolute by now, or relative to where the kit runs.
        folder: Path::new(""),
        source: &config.source,
        queries: &config.query,
    };
    match Mapping::compile(&config.id, &catalogue, written) {
        Ok(mapping) => Ok((Holdings::open(mapping), config.subject.format)),
        Err(found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            failed(found.join("; "))
        }
    }
}

pub(super) async fn described(bench: &SourceBench) -> Verdict {
    let (holdings, _) = holdings(bench)?;
    match holdings.check().await {
        Ok(()) => Ok(()),
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            failed(errors.join("; "))
        }
    }
}

pub(super) async fn fits(bench: &SourceBench) -> Verdict {
    let (holdings, format) = holdings(bench)?;
    for (at, person) in bench.known().into_iter().enumerate() {
        let place = at + 1;
        let Ok(subject) = format.parse(person) else {
            return failed(format!("person {place} of the plan is not of the mapping's [subject]"));
        };
        let until = clock::now() + bench.plan.deadline;
        let held = holdings.fetch(&subject, &holdings.items(), until).await;
        if let Held::Failed { reason, .. } = held {
            return failed(format!("person {place} of the plan: {reason}"));
        }
    }
    let wrong: Vec<String> = holdings
        .counts()
        .iter()
        .filter(|count| count.unfit + count.foreign + count.duplicate + count.unusable > 0)
        .map(|count| {
            format!(
                "query `{}`: {} cells that do not fit their item, {} rows of others, {} \
                 duplicates, {} rows with unusable dates or marks",
                count.query, count.unfit, count.foreign, count.duplicate, count.unusable
            )
        })
        .collect();
    ensure(wrong.is_empty(), wrong.join("; "))
}

pub(super) async fn expected(bench: &SourceBench) -> Verdict {
    if bench.plan.expect.is_empty() {
        return skipped("the plan expects no cells");
    }
    for (at, expected) in bench.plan.expect.iter().enumerate() {
        cells(bench, at + 1, expected).await?;
    }
    Ok(())
}

async fn cells(bench: &SourceBench, place: usize, expected: &Expected) -> Verdict {
    let queries = bench.queries().await?;
    let name = expected.query.escape_default();
    let Some(query) = queries.into_iter().find(|query| query.name == expected.query) else {
        return failed(format!("expectation {place}: no query `{name}` is described"));
    };
    let subject = query.columns.iter().take(1).map(|column| column.name.clone());
    let request = pb::FetchRowsRequest {
        query: query.name.clone(),
        columns: subject.chain(expected.cells.keys().cloned()).collect(),
        subjects: vec![expected.subject.number().expose().clone()],
    };
    let rows = bench.fetch(request).await.map_err(|status| refused(query, &status))?;
    let [row] = rows.as_slice() else {
        return failed(format!("expectation {place}: {} rows, not one", rows.len()));
    };
    ensure(
        row.cells.len() == expected.cells.len() + 1,
        format!("expectation {place}: {} cells", row.cells.len()),
    )?;
    for ((column, value), cell) in expected.cells.iter().zip(row.cells.iter().skip(1)) {
        let column = column.escape_default();
        ensure(same(value, cell), format!("expectation {place}: `{column}` is another value"))?;
    }
    Ok(())
}

fn same(value: &toml::Value, cell: &pb::SourceCell) -> bool {
    match (value, &cell.kind) {
        (toml::Value::Boolean(value), Some(Kind::Boolean(cell))) => value == cell,
        (toml::Value::Integer(value), Some(Kind::Integer(cell))) => value == cell,
        // What was written and read back; anything nearer than that is no match.
        (toml::Value::Float(value), Some(Kind::Real(cell))) => value.to_bits() == cell.to_bits(),
        (toml::Value::String(value), _) => text(cell) == Some(value),
        _ => false,
    }
}
