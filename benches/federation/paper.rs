//! On paper, from the slopes: what a city and a country would need.

use std::fmt::Write as _;

use crate::page::slope;
use crate::report::Report;

/// Profiles of one person in a year: a loan, a flat, a job, and one to spare.
const A_YEAR: f64 = 4.0;
/// The busiest second over the mean one.
const PEAK: f64 = 10.0;
/// How much of a core is planned with.
const USED: f64 = 0.6;
/// What is asked: a whole profile.
const ITEMS: f64 = 493.0;
const SECONDS: f64 = 365.25 * 86_400.0;

/// Writes the section, where the slopes are there to make it from.
pub fn write(page: &mut String, report: &Report) -> anyhow::Result<()> {
    let Some(curve) = report.curves.iter().find(|curve| curve.name == "items") else {
        return Ok(());
    };
    let (each, fixed) = slope(curve, |point| point.gateway_cpu.median());
    let gateway = fixed + each * ITEMS;
    let (each, fixed) = slope(curve, |point| point.agencies_cpu.median());
    let agencies = fixed + each * ITEMS;
    write!(
        page,
        "\n## On paper\n\nA whole profile, {ITEMS:.0} items of eight agencies, costs the gateway \
         {gateway:.0} µs of one of these cores and the agencies together {agencies:.0} µs. With \
         {A_YEAR:.0} profiles a person and year, the busiest second {PEAK:.0} times the mean one, \
         and cores used to {:.0} %:\n\n| | people | profiles/s, mean | at the peak | gateway cores \
         at the peak | agencies' cores together |\n| --- | --: | --: | --: | --: | --: |\n",
        USED * 100.0
    )?;
    for (what, people) in [("a city", 7.5e6), ("a country", 1.4e9)] {
        let mean = people * A_YEAR / SECONDS;
        let peak = mean * PEAK;
        let cores = |micros: f64| (peak * micros / 1e6 / USED).max(0.01);
        writeln!(
            page,
            "| {what} | {:.1} million | {mean:.1} | {peak:.0} | {:.2} | {:.2} |",
            people / 1e6,
            cores(gateway),
            cores(agencies),
        )?;
    }
    page.push_str(
        "\nSo the size is settled by availability, not by speed: a city runs two small replicas \
         for the sake of the second; a country would run a few in each region, each with its own \
         log. What does not follow from these slopes: memory of many idle connections, databases \
         larger than memory, and networks with delay, which loopback has not.\n",
    );
    Ok(())
}
