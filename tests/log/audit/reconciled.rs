//! Two logs held against each other: whatever was changed in one of them is named, and
//! what honest processes record of lost answers, repeats and crashes is not.

use std::hash::RandomState;
use std::time::Duration;

use proptest::prelude::*;
use tributary::domain::audit::export::{CountLine, Line, SectionLine};
use tributary::domain::audit::reconcile::{
    Bounds, Compared, Comparison, LogLine, Reconciled, Rereadable, reconcile, reconcile_logs,
};
use tributary::domain::audit::{ReasonWord, Record, RefusalsRecord, Timestamp};

const SECOND: u64 = 1_000_000;
const START: u64 = 1_790_000_000 * SECOND;
const AGENCIES: [&str; 2] = ["education", "lending"];

/// A line at a second after the start, to be numbered by its log.
fn line(request: &str, agency: &str, second: u64, decision: &str) -> SectionLine {
    let (decision, reason) = match decision.split_once(' ') {
        Some((decision, reason)) => (decision, Some(reason.to_owned())),
        None => (decision, None),
    };
    SectionLine {
        origin: String::new(),
        index: 0,
        time: String::new(),
        time_us: START + second * SECOND,
        request: request.to_owned(),
        consumer: "spiffe://scoring.city.example/consumer/scoring".to_owned(),
        purpose: Some("credit_scoring".to_owned()),
        legal_basis: Some("consent".to_owned()),
        grant: Some("grant-1".to_owned()),
        agency: Some(agency.to_owned()),
        items: vec![3, 6, 9],
        catalogue: "c".repeat(64),
        decision: decision.to_owned(),
        reason,
        policy: None,
        rules: Vec::new(),
        subject_tag: None,
        count: None,
    }
}

fn counted(line: SectionLine, used: u32, released: u32) -> SectionLine {
    let issuer = "spiffe://consent.city.example/issuer/main".to_owned();
    let count = CountLine { issuer, window: 1, expires: 2_000_000_000, used, released };
    SectionLine { count: Some(count), ..line }
}

/// Gives lines the places that a log gives them.
fn log(origin: &str, lines: impl IntoIterator<Item = SectionLine>) -> Vec<Line> {
    let mut lines: Vec<SectionLine> = lines.into_iter().collect();
    lines.sort_by_key(|line| line.time_us);
    let placed = lines.into_iter().zip(7..).map(|(line, index)| {
        let time = Timestamp(line.time_us).to_string();
        Line::Section(Box::new(SectionLine { origin: origin.to_owned(), index, time, ..line }))
    });
    placed.collect()
}

fn run(gateway: &[Line], agencies: &[Vec<Line>]) -> Vec<Compared> {
    let agencies: Vec<&[Line]> = agencies.iter().map(Vec::as_slice).collect();
    reconcile(&[gateway], &agencies, Duration::from_secs(5), &RandomState::new())
}

fn classes(gateway: &[SectionLine], agencies: &[&[SectionLine]]) -> Vec<Comparison> {
    let agencies: Vec<Vec<Line>> = agencies
        .iter()
        .enumerate()
        .map(|(number, lines)| log(&format!("a{number}.example/log"), lines.to_vec()))
        .collect();
    let findings = run(&log("gateway.example/log", gateway.to_vec()), &agencies);
    findings.iter().map(|finding| finding.class).collect()
}

#[test]
fn an_answer_that_was_lost_and_repeated_by_another_replica_is_one_use() {
    let gateway = [line("r", "lending", 12, "OK")];
    let first = counted(line("r", "lending", 10, "OK"), 1, 1);
    let second = counted(line("r", "lending", 11, "OK"), 0, 2);
    assert_eq!(
        classes(&gateway, &[std::slice::from_ref(&first), std::slice::from_ref(&second)]),
        [Comparison::Matched, Comparison::Repeated]
    );
    // In one log, with a stream lost in between, nobody can say that it never came.
    assert_eq!(
        classes(&gateway, &[&[first.clone(), second.clone()]]),
        [Comparison::Matched, Comparison::Late]
    );
    // Two uses are two releases.
    let use_of_its_own = counted(line("r", "lending", 11, "OK"), 2, 1);
    assert_eq!(
        classes(&gateway, &[std::slice::from_ref(&first), &[use_of_its_own]]),
        [Comparison::Matched, Comparison::Unmatched]
    );
    // The first replica died before it answered.
    let gone = line("r", "lending", 10, "REFUSED ABANDONED");
    assert_eq!(
        classes(&gateway, &[&[gone], &[second]]),
        [Comparison::Matched, Comparison::Matched]
    );
}

#[test]
fn refusals_are_held_against_each_other_like_releases() {
    let agency = [line("r", "lending", 10, "REFUSED FREQUENCY_EXHAUSTED")];
    let said = |decision| classes(&[line("r", "lending", 10, decision)], &[&agency]);
    assert_eq!(said("DENIED"), [Comparison::Matched]);
    assert_eq!(said("OK"), [Comparison::Different]);
    assert_eq!(said("NO_RECORD"), [Comparison::Different]);
    assert_eq!(said("TIMEOUT"), [Comparison::Late]);
    assert_eq!(classes(&[], &[&agency]), [Comparison::Omitted]);
    // An agency that was not reached, or refused without a record, has none.
    let other = line("s", "lending", 10, "OK");
    for silent in ["TIMEOUT", "UNAVAILABLE", "DENIED", "REFUSED ABANDONED"] {
        let gateway = [line("r", "lending", 10, silent), other.clone()];
        assert_eq!(
            classes(&gateway, &[std::slice::from_ref(&other)]),
            [Comparison::Matched],
            "{silent}"
        );
    }
}

#[test]
fn a_refusal_that_the_gateway_counted_needs_no_record_of_its_own() {
    let agency = log("a.example/log", [line("r", "lending", 10, "REFUSED FREQUENCY_EXHAUSTED")]);
    let counted = |peer: &str, second: u64| {
        let record = Record::Refusals(RefusalsRecord {
            time: Timestamp(START + (second + 60) * SECOND),
            since: Timestamp(START + second * SECOND),
            peer: peer.parse().unwrap(),
            reason: ReasonWord::new("FREQUENCY_EXHAUSTED").unwrap(),
            count: 12,
        });
        vec![Line::new("gateway.example/log", 9, &record, false)]
    };
    let consumer = "spiffe://scoring.city.example/consumer/scoring";
    assert_eq!(run(&counted(consumer, 0), std::slice::from_ref(&agency)), []);
    for wrong in [counted(consumer, 90), counted("spiffe://bank.example/consumer/loan", 0)] {
        let found = run(&wrong, std::slice::from_ref(&agency));
        assert_eq!(found[0].class, Comparison::Omitted);
    }
}

#[test]
fn an_agency_counts_each_use_once() {
    let gateway = [line("r", "lending", 10, "OK"), line("s", "lending", 20, "OK")];
    let agency = |second: (u32, u64)| {
        let first = counted(gateway[0].clone(), 1, 1);
        let mut other = counted(gateway[1].clone(), second.0, 1);
        other.count.as_mut().unwrap().expires += second.1;
        classes(&gateway, &[&[first, other]])
    };
    let matched = [Comparison::Matched, Comparison::Matched];
    assert_eq!(agency((2, 0)), matched);
    // A number that was used up and never released.
    assert_eq!(agency((3, 0)), matched);
    assert_eq!(agency((1, 0)), [&matched[..], &[Comparison::Different]].concat());
    assert_eq!(agency((2, 1)), [&matched[..], &[Comparison::Different]].concat());
}

#[test]
fn sides_that_decided_under_different_catalogues_are_told_and_contradict_nothing() {
    let gateway = line("r1", "lending", 1, "OK");
    let agency = SectionLine { catalogue: "e".repeat(64), ..gateway.clone() };
    let found = run(
        &log("gateway.example/log", [gateway.clone()]),
        &[log("a.example/log", [agency.clone()])],
    );
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!(found.class, Comparison::OtherCatalogue);
    assert!(!found.class.is_contradiction());
    let words = found.words();
    for catalogue in [&gateway.catalogue, &agency.catalogue] {
        assert!(words.contains(catalogue), "{words}");
    }
    // Beside it every other difference is found as before.
    let other = SectionLine { items: vec![3], ..agency };
    assert_eq!(classes(&[gateway], &[&[other]]), [Comparison::Different]);
}

#[test]
fn a_difference_is_shown_with_both_sides() {
    let theirs = counted(line("r", "lending", 10, "OK"), 1, 1);
    let ours = counted(SectionLine { items: vec![3], ..line("r", "lending", 10, "OK") }, 2, 1);
    let found = run(&log("g.example/log", [ours]), &[log("a.example/log", [theirs])]);
    let words = found[0].words();
    assert_eq!(found[0].class, Comparison::Different);
    assert!(words.contains("items: the gateway has 3, the agency 3 6 9"), "{words}");
    assert!(words.contains("count: the gateway has"), "{words}");
}

/// What honest processes record of one question, at the gateway and at the agency.
fn honest() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("OK", "OK"),
        ("OK", "OK"),
        ("NO_RECORD", "NO_RECORD"),
        ("DENIED", "REFUSED FREQUENCY_EXHAUSTED"),
        ("UNAVAILABLE", "UNAVAILABLE"),
        ("TIMEOUT", "TIMEOUT"),
    ])
}

/// A gateway's log and its agencies': each request is put to one or two of them, and an
/// id is sometimes another consumer's too, or repeated.
fn logs() -> impl Strategy<Value = (Vec<SectionLine>, Vec<Vec<SectionLine>>)> {
    let request = (0..12_u64, honest(), honest(), any::<bool>(), any::<bool>());
    prop::collection::vec(request, 1..24).prop_map(|requests| {
        let (mut gateway, mut agencies) = (Vec::new(), vec![Vec::new(), Vec::new()]);
        for ((id, first, second, bank, both), number) in requests.into_iter().zip(0..) {
            let said = [first, second];
            for at in 0..if both { 2 } else { 1 } {
                let change = |decision| {
                    let mut line = line(&format!("r{id}"), AGENCIES[at], number * 7, decision);
                    line.grant = Some(format!("grant-{}", id % 3));
                    if bank {
                        line.consumer = "spiffe://bank.city.example/consumer/loan".to_owned();
                    }
                    line
                };
                gateway.push(change(said[at].0));
                let mut theirs = change(said[at].1);
                theirs.time_us -= 300_000;
                agencies[at].push(theirs);
            }
        }
        (gateway, agencies)
    })
}

/// What a line can be changed into.
fn edited(line: &SectionLine, how: usize, to: usize) -> SectionLine {
    let mut edited = line.clone();
    match how {
        0 => edited.request = format!("other-{to}"),
        1 => edited.consumer = format!("spiffe://other.example/consumer/c{to}"),
        2 => edited.grant = [None, Some("grant-9".to_owned())][to % 2].clone(),
        3 => {
            edited.items = [vec![], vec![3], vec![3, 6], vec![3, 6, 9, 12], vec![1]][to % 5].clone()
        }
        4 => edited.purpose = [None, Some("small_business_loan".to_owned())][to % 2].clone(),
        5 => edited.legal_basis = [None, Some("statute".to_owned())][to % 2].clone(),
        6 => edited.catalogue = "d".repeat(64),
        7 => {
            edited.agency =
                Some(AGENCIES[usize::from(line.agency.as_deref() == Some(AGENCIES[0]))].to_owned())
        }
        8 => {
            let all = [
                "OK",
                "NO_RECORD",
                "DENIED",
                "UNAVAILABLE",
                "TIMEOUT",
                "INVALID",
                "REFUSED",
                "WITHHELD",
            ];
            let others: Vec<_> = all.iter().filter(|word| **word != line.decision).collect();
            edited.decision = (*others[to % others.len()]).to_owned();
        }
        // Further than all lines of a run together: many repeats of one question may else
        // each be taken for the next, and honest processes could have recorded that.
        _ => edited.time_us += 3_600 * SECOND,
    }
    edited
}

fn named(findings: &[Compared], line: &SectionLine) -> bool {
    findings.iter().any(|finding| {
        finding.class != Comparison::Matched
            && finding.request == line.request
            && Some(&finding.agency) == line.agency.as_ref()
    })
}

/// Whether the agency's log tells it: an agency that was not reached has nothing to tell.
fn told(line: &SectionLine) -> bool {
    ["OK", "NO_RECORD", "DENIED", "UNAVAILABLE", "TIMEOUT"].contains(&line.decision.as_str())
}

proptest! {
    #[test]
    fn row_64_whatever_is_changed_is_named_and_nothing_else(
        (gateway, agencies) in logs(),
        at in any::<prop::sample::Index>(),
        how in 0_usize..13,
        to in any::<usize>(),
    ) {
        let theirs: Vec<Vec<Line>> = agencies
            .iter()
            .zip(AGENCIES)
            .map(|(lines, name)| log(&format!("{name}.example/log"), lines.clone()))
            .collect();
        let ours = log("gateway.example/log", gateway.clone());
        let honest = run(&ours, &theirs);
        prop_assert!(honest.iter().all(|finding| finding.class == Comparison::Matched), "{honest:?}");

        let chosen = at.index(ours.len());
        let Line::Section(line) = &ours[chosen] else { unreachable!() };
        prop_assume!(told(line));
        let (mut changed, line) = (ours.clone(), *line.clone());
        match how {
            10 => drop(changed.remove(chosen)),
            11 => {
                let index = ours.last().unwrap().index() + 1;
                changed.push(Line::Section(Box::new(SectionLine { index, ..line.clone() })));
            }
            12 => {
                prop_assume!(chosen > 0);
                changed.swap(chosen, chosen - 1);
            }
            how => changed = log("gateway.example/log", ours.iter().enumerate().map(|(at, one)| {
                let Line::Section(one) = one else { unreachable!() };
                if at == chosen { edited(one, how, to) } else { *one.clone() }
            })),
        }
        let findings = run(&changed, &theirs);
        let before = (how == 12).then(|| &ours[chosen - 1]);
        let before = before.is_some_and(|before| matches!(before, Line::Section(before) if named(&findings, before)));
        prop_assert!(named(&findings, &line) || before, "{line:?}\n{findings:?}");
    }
}

/// What honest processes record that is more than one answer to one question: answers
/// that were taken back, uses that were counted, and a gateway that was killed.
fn eventful() -> impl Strategy<Value = (Vec<Line>, Vec<Vec<Line>>)> {
    let request = (0..9_u64, honest(), any::<bool>(), 0..6_u8);
    let requests = prop::collection::vec(request, 1..24);
    (requests, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(requests, killed, kills)| {
        let (mut gateway, mut agencies) = (Vec::new(), vec![Vec::new(), Vec::new()]);
        let killed = killed.index(requests.len()) as u64;
        for ((id, (ours, theirs), other, event), number) in requests.into_iter().zip(0..) {
            let at = usize::from(other);
            // Of two askings that are alike it cannot be told which of them was lost.
            let lost = kills && number == killed;
            let name = if lost { "lost".to_owned() } else { format!("r{id}") };
            let mut line = line(&name, AGENCIES[at], number * 7, ours);
            line.grant = Some(format!("grant-{}", id % 3));
            let mut answer = SectionLine { time_us: line.time_us - 300_000, ..line.clone() };
            let (decision, reason) = match theirs.split_once(' ') {
                Some((decision, reason)) => (decision, Some(reason.to_owned())),
                None => (theirs, None),
            };
            (answer.decision, answer.reason) = (decision.to_owned(), reason);
            if decision == "OK" {
                answer = counted(answer, number as u32 + 1, 1);
            }
            agencies[at].push(answer.clone());
            // Authority ended after it was answered: at the agency, whose gateway then
            // hears that, or at the gateway.
            let ended = event == 0 && ours == "OK";
            let taken_back = |of: &SectionLine| SectionLine {
                time_us: of.time_us + SECOND,
                decision: "WITHHELD".to_owned(),
                reason: Some("GRANT_REVOKED".to_owned()),
                ..of.clone()
            };
            if ended && other {
                agencies[at].push(taken_back(&answer));
                line.decision = "DENIED".to_owned();
            }
            if lost {
                continue;
            }
            gateway.push(line.clone());
            if ended && !other {
                gateway.push(taken_back(&line));
            }
        }
        let mut gateway = log("gateway.example/2026", gateway);
        let opened = Record::Started { time: Timestamp(START - SECOND), clean: true };
        gateway.insert(0, Line::new("gateway.example/2026", 0, &opened, false));
        if kills {
            let time = Timestamp(START + killed * 7 * SECOND + 3 * SECOND);
            let started = Record::Started { time, clean: false };
            let at = gateway.partition_point(|line| line.time() < time);
            gateway.insert(at, Line::new("gateway.example/2026", 0, &started, false));
        }
        let gateway = placed("gateway.example/2026", gateway, 7);
        let agencies = agencies.into_iter().zip(AGENCIES);
        let agencies = agencies.map(|(lines, name)| log(&format!("{name}.example/2026"), lines));
        (gateway, agencies.collect())
    })
}

/// Lines under an origin, numbered from a number on.
fn placed(of: &str, lines: Vec<Line>, from: u64) -> Vec<Line> {
    let mut lines = lines;
    for (line, at) in lines.iter_mut().zip(from..) {
        match line {
            Line::Section(section) => (section.origin, section.index) = (of.to_owned(), at),
            Line::Started { origin, index, .. } => (*origin, *index) = (of.to_owned(), at),
            other => unreachable!("no such line is made here: {other:?}"),
        }
    }
    lines
}

/// A log in parts: as they were exported, or each a log of its own, as from year to year.
/// Not where it says.
fn parts(
    log: &[Line],
    cuts: &[prop::sample::Index],
    of_their_own: bool,
    not_at: Option<usize>,
) -> Vec<Vec<Line>> {
    if log.is_empty() {
        return Vec::new();
    }
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(log.len() + 1)).collect();
    at.retain(|cut| Some(*cut) != not_at);
    at.extend([0, log.len()]);
    at.sort_unstable();
    at.dedup();
    let parts = at.windows(2).zip(2026..).map(|(ends, year)| {
        let part = log[ends[0]..ends[1]].to_vec();
        let (origin, ..) = log[0].place();
        let name = origin.rsplit_once('/').unwrap().0;
        if of_their_own { placed(&format!("{name}/{year}"), part, 0) } else { part }
    });
    let mut parts: Vec<_> = parts.collect();
    // In whatever order they are named.
    parts.reverse();
    parts
}

/// Findings without the places in the logs, in an order.
fn plain(findings: &[Compared]) -> Vec<String> {
    let plain = findings.iter().map(|finding| {
        let mut finding = finding.clone();
        finding.line = finding.line.map(|line| line.split_once(": ").unwrap().1.to_owned());
        format!("{finding:?}")
    });
    let mut plain: Vec<String> = plain.collect();
    plain.sort();
    plain
}

fn bounded(gateways: &[&[Line]], agencies: &[&[Line]], bounds: &Bounds) -> Reconciled {
    reconcile_logs(gateways, agencies, bounds, &RandomState::new()).unwrap()
}

fn slices(logs: &[Vec<Line>]) -> Vec<&[Line]> {
    logs.iter().map(Vec::as_slice).collect()
}

proptest! {
    #[test]
    fn logs_in_parts_come_to_the_same_as_whole_ones(
        (gateway, agencies) in eventful(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        of_their_own in any::<bool>(),
        tampered in prop::option::of((0_usize..3, any::<prop::sample::Index>(), 0_usize..14, any::<usize>())),
    ) {
        let mut logs = [gateway, agencies[0].clone(), agencies[1].clone()];
        // Two parts have the order of their indexes, however they are named.
        let mut swapped = None;
        if let Some((which, at, how, to)) = tampered {
            prop_assume!(!logs[which].is_empty());
            let log_of = &mut logs[which];
            let chosen = at.index(log_of.len());
            match (how, log_of[chosen].clone()) {
                (10, _) => drop(log_of.remove(chosen)),
                (11, line) if !of_their_own => {
                    let index = log_of.last().unwrap().index() + 1;
                    let origin = line.place().0.to_owned();
                    log_of.extend(placed(&origin, vec![line.clone()], index));
                }
                (12, _) if !of_their_own && chosen > 0 => {
                    log_of.swap(chosen, chosen - 1);
                    swapped = Some((which, chosen));
                }
                (13, Line::Section(mut line)) => {
                    if let Some(count) = &mut line.count {
                        (count.used, count.expires) = (1, count.expires + to as u64 % 2);
                    }
                    log_of[chosen] = Line::Section(line);
                }
                (how, Line::Section(line)) if how < 9 => {
                    log_of[chosen] = Line::Section(Box::new(edited(&line, how, to)));
                }
                _ => {}
            }
        } else {
            let whole = run(&logs[0], &logs[1..]);
            let wrong: Vec<_> = whole.iter().filter(|found| found.class.is_contradiction()).collect();
            prop_assert!(wrong.is_empty(), "{wrong:?}");
        }
        let whole = run(&logs[0], &logs[1..]);
        let mut all = logs.iter().enumerate().map(|(at, log)| {
            let whole = swapped.and_then(|(which, chosen)| (which == at).then_some(chosen));
            parts(log, &cuts, of_their_own, whole)
        });
        let gateways = all.next().unwrap();
        let agencies: Vec<Vec<Line>> = all.flatten().collect();
        let (gateways, agencies) = (slices(&gateways), slices(&agencies));
        let split = reconcile(&gateways, &agencies, Duration::from_secs(5), &RandomState::new());
        prop_assert_eq!(plain(&split), plain(&whole));
        // However little is held at a time, and though what is alike is set aside unseen.
        let little = Bounds { marks: 5, lines: 3, ..Bounds::new(Duration::from_secs(5)) };
        let little = bounded(&gateways, &agencies, &little);
        let found: Vec<Compared> =
            whole.iter().filter(|found| found.class != Comparison::Matched).cloned().collect();
        let named: Vec<Compared> = little
            .findings
            .iter()
            .filter(|found| found.class != Comparison::Matched)
            .cloned()
            .collect();
        prop_assert_eq!(plain(&named), plain(&found));
        for class in Comparison::ALL {
            let count = whole.iter().filter(|found| found.class == class).count() as u64;
            prop_assert_eq!(little.count(class), count, "{:?}", class);
        }
    }
}

/// A side's log of so many records, made while it is read. Of each hundred requests the
/// gateway says of one that it got no answer.
struct Made {
    records: u64,
    agency: bool,
}

impl Rereadable for Made {
    type Error = std::convert::Infallible;

    fn each(&self, take: &mut dyn FnMut(LogLine<'_>)) -> Result<(), Self::Error> {
        for number in 0..self.records {
            let decision = if number % 100 == 7 && !self.agency { "TIMEOUT" } else { "OK" };
            let mut line = line(&format!("r{number}"), "lending", number, decision);
            line.grant = Some(format!("grant-{number}"));
            let line = if self.agency { counted(line, 1, 1) } else { line };
            let lines = log(if self.agency { "a.example/log" } else { "g.example/log" }, [line]);
            take(LogLine::Exported(&placed(lines[0].place().0, lines.clone(), number)[0]));
        }
        Ok(())
    }
}

#[test]
fn what_is_held_does_not_grow_with_the_logs() {
    let bounds = Bounds { marks: 900, lines: 40, named: 25, ..Bounds::new(Duration::from_secs(5)) };
    for records in [300, 6_000] {
        let [gateway, agency] = [false, true].map(|agency| [Made { records, agency }]);
        let found = reconcile_logs(&gateway, &agency, &bounds, &RandomState::new()).unwrap();
        assert!(found.marks <= bounds.marks + 1, "{found:?}");
        assert!(found.lines <= bounds.lines, "{found:?}");
        let late = records / 100;
        assert_eq!(found.count(Comparison::Late), late);
        assert_eq!(found.count(Comparison::Matched), records - late);
        let named: Vec<&str> =
            found.findings.iter().map(|finding| finding.request.as_str()).collect();
        let first: Vec<String> = (0..late.min(25)).map(|at| format!("r{}", at * 100 + 7)).collect();
        assert_eq!(named, first, "the earliest of them");
        assert_eq!(found.unnamed(Comparison::Late), late - late.min(25));
        // 24 bytes for each record of either side and each count, 900 of them at a time, and
        // again for each twenty pairs that differ.
        let least = (records * 3).div_ceil(900) + (late * 2).div_ceil(40);
        let passes = u64::from(found.passes);
        assert!(least <= passes && passes <= 3 * least, "{least} passes at least: {found:?}");
    }
}

#[test]
fn parts_of_one_log_that_lie_over_each_other_are_named() {
    let all = log("g.example/log", (0..6).map(|at| line(&format!("r{at}"), "lending", at, "OK")));
    let agency =
        log("a.example/log", (0..6).map(|at| line(&format!("r{at}"), "lending", at, "OK")));
    let over = [&all[..4], &all[3..]];
    let found = reconcile(&over, &[&agency], Duration::from_secs(5), &RandomState::new());
    let disordered = found.iter().filter(|finding| finding.class == Comparison::Disordered).count();
    assert!(disordered > 0, "{found:?}");
    let beside = [&all[..4], &all[4..]];
    let found = reconcile(&beside, &[&agency], Duration::from_secs(5), &RandomState::new());
    assert!(found.iter().all(|finding| finding.class == Comparison::Matched), "{found:?}");
}
