//! Why targets are missed: what the parties' own CPU time allows, computed from the run,
//! and what a profile of it showed.

use std::fmt::Write as _;

use crate::report::{Kind, Report};
use crate::rounds::OPEN_LOAD;
use crate::targets::BUSY;

/// Microseconds a profile of everybody in a row, and how many a second.
struct Cost {
    rate: f64,
    gateway: f64,
    agencies: f64,
    client: f64,
}

impl Cost {
    fn of(report: &Report, row: &str) -> Option<Self> {
        Self::at(report, row, BUSY)
    }

    fn at(report: &Report, row: &str, in_flight: usize) -> Option<Self> {
        let figure = |name| report.figure(Kind::Rate(in_flight), row, name).median();
        let cost = Self {
            rate: figure("rate"),
            gateway: figure("gateway_cpu"),
            agencies: figure("agencies_cpu"),
            client: figure("client_cpu"),
        };
        cost.sum().is_finite().then_some(cost)
    }

    fn sum(&self) -> f64 {
        self.gateway + self.agencies + self.client
    }

    /// Cores that were busy for it.
    fn cores(&self) -> f64 {
        self.rate * self.sum() / 1e6
    }
}

/// Writes the section, where the rows are there to make it from.
pub fn write(page: &mut String, report: &Report) -> anyhow::Result<()> {
    let cost = |row| Cost::of(report, row);
    let (Some(direct), Some(unary), Some(stream)) = (cost("direct"), cost("unary"), cost("stream"))
    else {
        return Ok(());
    };
    write!(
        page,
        "\n## Where the time goes\n\nWith every core busy, a rate is settled by the CPU time that \
         everybody together takes for a profile, in µs:\n\n| row | gateway | agencies | client | \
         together | cores busy |\n| --- | --: | --: | --: | --: | --: |\n"
    )?;
    for (name, cost) in [("direct", &direct), ("unary", &unary), ("stream", &stream)] {
        writeln!(
            page,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} |",
            cost.gateway,
            cost.agencies,
            cost.client,
            cost.sum(),
            cost.cores()
        )?;
    }
    write!(
        page,
        "\nWhat is missing of the cores is mostly waiting for the disk, which all the logs and \
         counters share (compare the logs in memory, below).\n\nSo a gateway and a client that cost nothing at all would reach {:.2} times direct's \
         rate here, and no gateway before these agencies could reach more: what the agencies do for each section is the \
         same whoever asks, and is most of the cost.",
        direct.sum() / unary.agencies
    )?;
    if let Some(bare) = cost("bare") {
        write!(
            page,
            " Of direct's {:.0} µs at the agencies {:.0} are left (row `bare`) when they read the \
             same databases and check, count and record nothing: the difference is the price of \
             grants verified there too, uses counted durably and a log that is on disk before \
             anything is released. The targets were set from measurements without any of these, \
             so they ask of a gateway what its agencies' own work does not leave room for.",
            direct.agencies, bare.agencies
        )?;
    }
    page.push('\n');
    if let Some(alone) = Cost::at(report, "unary", 1) {
        let busy = unary.sum();
        write!(
            page,
            "\nThe more requests are under way, the more of them share a sync, a signature, a \
             transaction, a system call, the waking of a thread: a profile through the gateway \
             costs everybody together {:.0} µs with one in flight and {busy:.0} with {BUSY}. So \
             {:.0} % of the rate that {BUSY} in flight reach is no light load: at such a rate fewer \
             are in flight, each costs more, and the cores are nearly as busy; requests wait for \
             cores, and that is what the gateway adds then. For the same reason a section of 64 \
             agencies costs more than one of four: with as much in flight on the same two cores, \
             each agency's batches are smaller, and each process derives its tiles every second.\n",
            alone.sum(),
            OPEN_LOAD * 100.0,
        )?;
    }
    page.push_str(PROFILE);
    Ok(())
}

const PROFILE: &str = "
A profile of `unary` at 128 in flight (`perf record -a -F 999`, release build, two cores,
November 2026) gives of all CPU time: the agencies' requests and SQLite 35 %, their counting of
uses 10 %, their audit logs 12 %; the gateway's requests 20 %, its audit log 6 %; the client
12 %; idle 5 %. The gateway's request thread spends half of its time on HTTP/2, TLS, system calls
and the runtime; 9 % on reading sections, 8 % on putting questions, 5 % each on the records, the
answer, and ruling and confirming authority, 4 % on admitting, 2 % each on the merge and on
random bytes. No function stands out: the allocator has 7 %, `memcpy` 5 %, the generator of
random bytes 2 %, SHA-256 and AES-GCM 1 % each. An agency's is as flat.

What each change since the first page gave, release builds, one after the other: the newest
counts side by side, agencies 73 to 64 µs a section at 128 in flight; one disk write for a
release instead of two, a third more profiles at 1 and 16 in flight and an eighth at 128 where
only that was changed; grants by digest, 4,390 to 5,650 profiles a second, the gateway 110 to
85 µs and an agency 64 to 48. Those were runs of a few seconds. In the longer one of this page
the tables of counts have grown to some hundred thousand requests, which are remembered for a
week; the keys of a transaction then share fewer pages, and each count is written to the disk
as two pages again, if later and together.

Tried and not kept: letting other requests catch up before a use is counted or a record
written, and waiting a millisecond before a sync for company (as many profiles through the
gateway, and longer waits at 70 % load); a second runtime thread (slower); huge pages (as fast,
and 30 MiB more).
";
