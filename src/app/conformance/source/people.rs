//! Checks of whose rows come: the people asked about, all of them, nobody else.

use std::collections::BTreeSet;

use super::{SourceBench, sorted, subject};
use crate::app::conformance::{Verdict, ensure};

pub(super) async fn known(bench: &SourceBench) -> Verdict {
    let queries = bench.queries().await?;
    for (at, person) in bench.known().into_iter().enumerate() {
        let mut found = false;
        for query in &queries {
            found |= !bench.rows(query, &[person]).await?.is_empty();
        }
        ensure(found, format!("person {} of the plan has no row in any query", at + 1))?;
    }
    Ok(())
}

pub(super) async fn subject_cell(bench: &SourceBench) -> Verdict {
    let known = bench.known();
    for (query, rows) in bench.known_rows().await? {
        for (at, row) in rows.iter().enumerate() {
            let name = query.name.escape_default();
            let Some(subject) = subject(row) else {
                return ensure(false, format!("query `{name}`, row {}: no text first", at + 1));
            };
            // Of the same letters but not the same bytes: near, and not it.
            let near = |person: &&str| person.trim().eq_ignore_ascii_case(subject.trim());
            ensure(
                known.contains(&subject) || !known.iter().any(near),
                format!("query `{name}`, row {}: the subject is written in another way", at + 1),
            )?;
        }
    }
    Ok(())
}

pub(super) async fn nobody_else(bench: &SourceBench) -> Verdict {
    let queries = bench.queries().await?;
    for person in bench.known() {
        for query in &queries {
            for (at, row) in bench.rows(query, &[person]).await?.iter().enumerate() {
                ensure(
                    subject(row).is_none_or(|subject| same_person(subject, person)),
                    format!(
                        "query `{}`, row {} is of a person who was not asked about",
                        query.name.escape_default(),
                        at + 1
                    ),
                )?;
            }
        }
    }
    Ok(())
}

/// Also when written in another way, which is check 111's business.
fn same_person(written: &str, person: &str) -> bool {
    written.trim().eq_ignore_ascii_case(person.trim())
}

pub(super) async fn one_row(bench: &SourceBench) -> Verdict {
    for (query, rows) in bench.known_rows().await? {
        let mut seen = BTreeSet::new();
        for row in &rows {
            let twice = format!("query `{}` gives a person two rows", query.name.escape_default());
            ensure(subject(row).is_none_or(|subject| seen.insert(subject)), twice)?;
        }
    }
    Ok(())
}

pub(super) async fn unknown(bench: &SourceBench) -> Verdict {
    nothing_for(bench, &[bench.unknown()], "an unknown number").await
}

pub(super) async fn beside(bench: &SourceBench) -> Verdict {
    let (query, person) = bench.someone().await?;
    let rows = bench.rows(query, &[bench.unknown(), person]).await?;
    let found = rows.iter().any(|row| subject(row).is_some_and(|s| same_person(s, person)));
    ensure(found, "the known person's row is lost when an unknown one is asked about as well")
}

pub(super) async fn batch(bench: &SourceBench) -> Verdict {
    for query in bench.queries().await? {
        let together = sorted(bench.rows(query, &bench.known()).await?);
        let mut alone = Vec::new();
        for person in bench.known() {
            alone.extend(bench.rows(query, &[person]).await?);
        }
        ensure(
            together == sorted(alone),
            format!("query `{}` answers a batch otherwise", query.name.escape_default()),
        )?;
    }
    Ok(())
}

pub(super) async fn none(bench: &SourceBench) -> Verdict {
    nothing_for(bench, &[], "an empty batch").await
}

pub(super) async fn exact(bench: &SourceBench) -> Verdict {
    let (_, person) = bench.someone().await?;
    let shorter: String = person.chars().skip(1).collect();
    let head: String = person.chars().take(4).collect();
    let mut others = vec![
        format!("{person} "),
        format!(" {person}"),
        format!("{person}\u{0}"),
        format!("0{person}"),
        format!("{head}%"),
        "%".to_owned(),
        "_".repeat(person.chars().count()),
        "*".to_owned(),
        String::new(),
        shorter,
    ];
    let cases = [person.to_lowercase(), person.to_uppercase()];
    others.extend(cases.into_iter().filter(|other| other != person));
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    nothing_for(bench, &others, "a number near a known one").await
}

pub(super) async fn injection(bench: &SourceBench) -> Verdict {
    let long = "9".repeat(4096);
    let hostile = [
        "' or '1'='1",
        "' or 1=1 --",
        "\" or \"\"=\"",
        "'; drop table people; --",
        "') union select 1,2,3 --",
        "1 or 1=1",
        "\\' or 1=1 #",
        "${jndi:ldap://x}",
        "$.person",
        "{subjects}",
        "\r\n",
        "\u{202e}",
        &long,
    ];
    for each in hostile {
        nothing_for(bench, &[each], "a number that is a piece of a statement").await?;
    }
    bench.goes_on().await
}

async fn nothing_for(bench: &SourceBench, people: &[&str], what: &str) -> Verdict {
    for query in bench.queries().await? {
        let rows = bench.rows(query, people).await?;
        let name = query.name.escape_default();
        ensure(rows.is_empty(), format!("query `{name}` gives {} rows for {what}", rows.len()))?;
    }
    Ok(())
}
