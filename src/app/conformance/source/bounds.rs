//! Checks of what a source refuses, how much it takes at once, and that it goes
//! on after bad input.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tonic::{Code, Status};

use super::rows::subjects;
use super::{SourceBench, question, refused};
use crate::app::conformance::{Verdict, ensure, failed, raw, skipped};
use crate::wire::proto::pb;

const FETCH: &str = "/tributary.v1.SourceService/FetchRows";

/// Calls that are made at once.
const AT_ONCE: usize = 32;

/// Subjects of a full batch where none is announced: an agency's usual limit.
const USUAL_BATCH: usize = 256;

fn said_no(answer: Result<Vec<pb::SourceRow>, Status>, what: &str) -> Verdict {
    match answer {
        Ok(_) => failed(format!("{what} is answered")),
        Err(status) => match status.code() {
            Code::InvalidArgument | Code::NotFound => Ok(()),
            code => failed(format!("{what} ends with {code:?}, not INVALID_ARGUMENT or NOT_FOUND")),
        },
    }
}

pub(super) async fn unknown_query(bench: &SourceBench) -> Verdict {
    let mut asked = question(bench.queries().await?.first().copied().unwrap_or(&EMPTY), &[]);
    asked.query = "no_such_query".to_owned();
    asked.subjects = vec![bench.unknown().to_owned()];
    said_no(bench.fetch(asked).await, "an unknown query")
}

static EMPTY: pb::SourceQuery = pb::SourceQuery { name: String::new(), columns: Vec::new() };

pub(super) async fn unknown_column(bench: &SourceBench) -> Verdict {
    for query in bench.queries().await? {
        for column in ["no_such_column", "\" from sqlite_schema --", "1"] {
            let mut asked = question(query, &bench.known());
            asked.columns.truncate(1);
            asked.columns.push(column.to_owned());
            said_no(bench.fetch(asked).await, "an unknown column")?;
        }
    }
    Ok(())
}

pub(super) async fn no_columns(bench: &SourceBench) -> Verdict {
    for query in bench.queries().await? {
        let mut asked = question(query, &bench.known());
        asked.columns.clear();
        match bench.fetch(asked).await {
            Ok(rows) => ensure(
                rows.iter().all(|row| row.cells.is_empty()),
                "cells come though no column was asked for",
            )?,
            Err(status) => said_no(Err(status), "a question for no columns")?,
        }
    }
    Ok(())
}

pub(super) async fn silent_refusal(bench: &SourceBench) -> Verdict {
    let (query, person) = bench.someone().await?;
    let mut texts = Vec::new();
    for (name, column) in [("no_such_query", None), (query.name.as_str(), Some("no_such_column"))] {
        let mut asked = question(query, &[person]);
        asked.query = name.to_owned();
        asked.columns.extend(column.map(str::to_owned));
        if let Err(status) = bench.fetch(asked).await {
            texts.push(status.message().to_owned());
        }
    }
    ensure(!texts.iter().any(|text| text.contains(person)), "a refusal's text holds the subject")
}

/// A batch of this size with one known person in it.
fn batch<'a>(numbers: &'a [String], person: &'a str) -> Vec<&'a str> {
    let others = numbers.iter().skip(1).map(String::as_str);
    others.chain([person]).collect()
}

fn strangers(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("nobody-{at:08}")).collect()
}

pub(super) async fn full_batch(bench: &SourceBench) -> Verdict {
    let announced = usize::try_from(bench.described().await?.max_subjects).unwrap_or(usize::MAX);
    let size = if announced == 0 { USUAL_BATCH } else { announced.min(1024) };
    let (query, person) = bench.someone().await?;
    let numbers = strangers(size);
    let rows = bench.rows(query, &batch(&numbers, person)).await?;
    ensure(
        subjects(&rows) == [person],
        format!("of {size} subjects the one known person is not the one who is answered"),
    )
}

pub(super) async fn beyond_batch(bench: &SourceBench) -> Verdict {
    let announced = usize::try_from(bench.described().await?.max_subjects).unwrap_or(usize::MAX);
    match announced {
        0 => return skipped("no greatest number of subjects is announced"),
        1..=10_000 => {}
        _ => return skipped("more subjects are announced than the kit sends"),
    }
    let (query, person) = bench.someone().await?;
    let numbers = strangers(announced + 1);
    match bench.fetch(question(query, &batch(&numbers, person))).await {
        Ok(_) => failed(format!("{} subjects are answered", announced + 1)),
        Err(status) => match status.code() {
            Code::InvalidArgument | Code::ResourceExhausted => Ok(()),
            code => failed(format!("too many subjects end with {code:?}, not INVALID_ARGUMENT")),
        },
    }
}

pub(super) async fn concurrent(bench: &SourceBench) -> Verdict {
    let (query, person) = bench.someone().await?;
    let people = [person, bench.unknown()];
    let calls = people.iter().cycle().take(AT_ONCE).map(|person| async move {
        bench.fetch(question(query, &[person])).await.map(|rows| (*person, rows))
    });
    for answer in join_all(calls).await {
        let (asked, rows) = answer.map_err(|status| refused(query, &status))?;
        let own = if asked == person { vec![person] } else { Vec::new() };
        ensure(subjects(&rows) == own, "an answer is that of another call at the same time")?;
    }
    Ok(())
}

pub(super) async fn cancelled(bench: &SourceBench) -> Verdict {
    let (query, person) = bench.someone().await?;
    for nth in 0..AT_ONCE {
        let call = bench.fetch(question(query, &[person]));
        // Dropping the call resets its stream, wherever the service is with it: each
        // time a little later, for a service or a machine that is slow.
        let patience = Duration::from_micros(500) * u32::try_from(nth + 1).unwrap_or(1);
        drop(tokio::time::timeout(patience, call).await);
    }
    let rows = bench.rows(query, &[person]).await?;
    ensure(subjects(&rows) == [person], "after cancelled calls the answer is another")
}

pub(super) async fn garbage(bench: &SourceBench) -> Verdict {
    bench.described().await?;
    for bytes in [vec![0xff; 64], vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        let call = raw::unary(bench.channel.clone(), FETCH, Bytes::from(bytes));
        match tokio::time::timeout(bench.plan.deadline, call).await {
            Ok(Ok(_)) => return failed("a message that is none is answered"),
            Ok(Err(_)) => {}
            Err(_) => return failed("a message that is none is never answered"),
        }
    }
    bench.goes_on().await
}
