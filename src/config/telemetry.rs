//! The `[telemetry]` section: where liveness, readiness and metrics are served. Without it
//! nothing is.

use std::net::SocketAddr;

use serde::Deserialize;

use super::faults::Faults;

/// The section, alike for gateway and agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where to listen, over plain HTTP and for anybody who can connect: loopback, or a
    /// network of the operator's own. Port 0 takes a free one.
    pub listen: SocketAddr,
}

impl TelemetryConfig {
    /// Notes what is wrong with it, beside the process's own `listen`.
    pub fn check(self, own: SocketAddr, faults: &mut Faults) {
        let Self { listen } = self;
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file;
    use super::*;

    fn judged(listen: &str) -> (String, usize) {
        let text = format!("listen = \"{listen}\"");
        let (config, mut faults) =
            file::judge_toml::<TelemetryConfig>(Path::new("gateway.toml"), &text);
        config.unwrap().check("127.0.0.1:7100".parse().unwrap(), &mut faults);
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
}
