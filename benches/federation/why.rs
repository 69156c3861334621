//! Why targets are missed: what the parties' own CPU time allows, computed from the run,
//! and what a profile of it showed.

use std::fmt::Write as _;

use crate::report::{Kind, Report};
use crate::targets::BUSY;

/// Microseconds a profile of everybody in a row.
struct Cost {
    gateway: f64,
    agencies: f64,
    client: f64,
}

impl Cost {
    fn of(report: &Report, row: &str) -> Option<Self> {
        let figure = |name| report.figure(Kind::Rate(BUSY), row, name).median();
        let cost = Self {
            gateway: figure("gateway_cpu"),
            agencies: figure("agencies_cpu"),
            client: figure("client_cpu"),
        };
        cost.sum().is_finite().then_some(cost)
    }

    fn sum(&self) -> f64 {
        self.gateway + self.agencies + self.client
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
         together |\n| --- | --: | --: | --: | --: |\n"
    )?;
    for (name, cost) in [("direct", &direct), ("unary", &unary), ("stream", &stream)] {
        writeln!(
            page,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} |",
            cost.gateway,
            cost.agencies,
            cost.client,
            cost.sum()
        )?;
    }
    write!(
        page,
        "\nSo a gateway and a client that cost nothing at all would reach {:.2} times direct's \
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
    page.push_str(PROFILE);
    Ok(())
}

const PROFILE: &str = "
A profile of `unary` at 128 in flight (`perf record -a -F 999`, two cores, November 2026) gives
of all CPU time: the agencies' requests and SQLite 41 %, their counting of uses 16 %, their
audit logs 11 %; the gateway's requests 21 %, its audit log 6 %; the client 8 %. The gateway's
request thread spends 55 % on HTTP/2, TLS, system calls and the runtime; 9 % on building and
hashing the agencies' questions, 9 % on admitting (the grant, found again by its digest, and
the request), 6 % on reading sections, 4 % each on the answer, the records and confirming
authority, 1 % on the merge. No function stands out: `memcpy` has 9 %, SHA-256 8 %, the
allocator 7 %, AES-GCM 2 %. A disk's sync is a switch to the hypervisor and back, which is a
sixth of the audit writers' and a fourteenth of the counters' time.

Tried and not kept, since they made no difference beyond the noise of this machine: letting
other requests catch up before a use is counted or a record written (commits already take nine
sections each); a second runtime thread (slower); huge pages (as fast, and 30 MiB more). Not
tried: naming a grant to an agency by its digest instead of sending it again, which would save
perhaps a twentieth where grants are used again within thousands of others, and nothing where
they are not.
";
