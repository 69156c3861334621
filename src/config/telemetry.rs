//! The `[telemetry]` section: where liveness, readiness and metrics are served, and where
//! traces are sent. Without it nothing is.

use std::net::SocketAddr;

use http::Uri;
use serde::Deserialize;

use super::faults::Faults;
use crate::domain::trace::Ratio;

/// Whether this program was built with what sends traces.
const SENDS: bool = cfg!(feature = "traces");

/// The section, alike for gateway and agency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where to listen, over plain HTTP and for anybody who can connect: loopback, or a
    /// network of the operator's own. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The collector of traces, `http://HOST:PORT`, which takes OTLP over gRPC; without it
    /// none are sent.
    pub traces: Option<String>,
    /// The share of traces that is sent, from 0 to 1; 0.01 unless set.
    pub traces_ratio: Option<Ratio>,
}

/// Where traces are sent, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// Its address.
    pub address: Uri,
    /// The share of traces.
    pub ratio: Ratio,
}

impl TelemetryConfig {
    /// Notes what is wrong with it, beside the process's own `listen`.
    pub fn check(&self, own: SocketAddr, faults: &mut Faults) {
        let listen = self.listen;
        self.check_traces(SENDS, faults);
        if listen == own && listen.port() != 0 {
            let message = format!("is {listen}, as `listen` is: each needs its own");
            faults.add("telemetry.listen", message);
        }
        if !listen.ip().is_loopback() {
            let message = format!(
                "is {listen}, so that whoever reaches it reads the metrics without a \
                 certificate: use 127.0.0.1, or see that only the operator's network reaches it"
            );
            faults.doubt("telemetry.listen", message);
        }
    }

    /// Where traces are sent, if they are.
    pub fn collector(&self) -> Option<Collector> {
        let address = address(self.traces.as_deref()?)?;
        let ratio = self.traces_ratio.unwrap_or(Ratio::HUNDREDTH);
        Some(Collector { address, ratio })
    }

    fn check_traces(&self, sends: bool, faults: &mut Faults) {
        let Some(traces) = &self.traces else {
            if self.traces_ratio.is_some() {
                let message =
                    "says how many traces are sent, and `traces` does not say where: add it";
                faults.add("telemetry.traces_ratio", message);
            }
            return;
        };
        if !sends {
            let message = "is set, and this program was built without what sends traces: build \
                           it with `cargo build --features traces`, or leave the key out";
            return faults.add("telemetry.traces", message);
        }
        match address(traces) {
            None => faults.add(
                "telemetry.traces",
                "must be the collector's `http://HOST:PORT`, such as http://127.0.0.1:4317, \
                 and nothing more",
            ),
            Some(address) if !is_loopback(&address) => faults.doubt(
                "telemetry.traces",
                format!(
                    "is {traces}, so that spans leave this machine unencrypted: send them to a \
                     collector on 127.0.0.1, or see that only the operator's network carries them"
                ),
            ),
            Some(_) => {}
        }
    }
}

/// A collector's address: host and port, over plain HTTP.
fn address(text: &str) -> Option<Uri> {
    let address: Uri = text.parse().ok()?;
    let authority = address.authority()?;
    let plain = address.scheme_str() == Some("http")
        && address.path_and_query().is_none_or(|path| path.as_str() == "/")
        && !authority.as_str().contains('@')
        && authority.port_u16().is_some_and(|port| port != 0);
    plain.then_some(address)
}

fn is_loopback(address: &Uri) -> bool {
    let host = address.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file;
    use super::*;

    fn judged(listen: &str) -> (String, usize) {
        judged_text(&format!("listen = \"{listen}\""))
    }

    fn judged_text(text: &str) -> (String, usize) {
        let (config, mut faults) =
            file::judge_toml::<TelemetryConfig>(Path::new("gateway.toml"), text);
        config.as_ref().unwrap().check("127.0.0.1:7100".parse().unwrap(), &mut faults);
        let doubts = faults.doubts().len();
        (faults.finish(config).err().map(|error| error.to_string()).unwrap_or_default(), doubts)
    }

    #[test]
    fn loopback_is_taken_and_others_are_told_or_refused() {
        assert_eq!(judged("127.0.0.1:9464"), Default::default());
        assert_eq!(judged("0.0.0.0:9464"), (String::new(), 1));
        let (refused, _) = judged("127.0.0.1:7100");
        assert!(refused.contains("is 127.0.0.1:7100, as `listen` is"), "{refused}");
    }

    #[test]
    fn a_collector_is_a_host_and_a_port_and_a_share_is_one() {
        let judged = |traces: &str, sends: bool| {
            let text = format!("listen = \"127.0.0.1:9464\"\ntraces = \"{traces}\"");
            let (config, mut faults) =
                file::judge_toml::<TelemetryConfig>(Path::new("gateway.toml"), &text);
            config.as_ref().unwrap().check_traces(sends, &mut faults);
            let (doubts, collector) = (faults.doubts().len(), config.as_ref().unwrap().collector());
            let refused = faults.finish(config).err().map(|error| error.to_string());
            (refused.unwrap_or_default(), doubts, collector)
        };
        for loopback in ["http://127.0.0.1:4317", "http://localhost:4317/", "http://[::1]:4317"] {
            let (refused, doubts, collector) = judged(loopback, true);
            assert_eq!((refused.as_str(), doubts), ("", 0), "{loopback}");
            assert_eq!(collector.unwrap().ratio, Ratio::try_from(0.01).unwrap());
        }
        assert_eq!(judged("http://collector.example:4317", true).1, 1);
        for wrong in [
            "",
            "127.0.0.1:4317",
            "https://127.0.0.1:4317",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "http://127.0.0.1:4317/v1/traces",
            "http://127.0.0.1:4317?a=b",
            "http://name:word@127.0.0.1:4317",
        ] {
            let (refused, _, collector) = judged(wrong, true);
            assert!(refused.contains("traces` must be the collector's"), "{wrong}: {refused}");
            assert_eq!(collector, None, "{wrong}");
        }
        let (refused, ..) = judged("http://127.0.0.1:4317", false);
        assert!(refused.contains("built without what sends traces"), "{refused}");

        let listen = "listen = \"127.0.0.1:9464\"";
        let (refused, _) = judged_text(&format!("{listen}\ntraces_ratio = 1.5"));
        assert!(refused.contains("must be a share from 0 to 1, not 1.5"), "{refused}");
        let (refused, _) = judged_text(&format!("{listen}\ntraces_ratio = 0.5"));
        assert!(refused.contains("`traces` does not say where"), "{refused}");
    }
}
