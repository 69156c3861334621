//! The `[door]` section, the same for gateways and agencies: what peers may take of the
//! process before anybody looks at what they ask.
//!
//! Every key has a default. What the door does with them is the business of `link`.

use std::time::Duration;

use serde::Deserialize;

use super::faults::Faults;

/// Bounds on what peers may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorConfig {
    /// Connections at once.
    pub connections: usize,
    /// Of those, connections of one trust domain.
    pub connections_per_domain: usize,
    /// Of those, connections of one peer.
    pub connections_per_peer: usize,
    /// Requests at once on one connection.
    pub streams: u32,
    /// MiB that one peer may make the process hold.
    pub peer_mib: usize,
    /// MiB that all peers together may make the process hold.
    pub all_peers_mib: usize,
    /// Time for a handshake.
    #[serde(with = "humantime_serde")]
    pub handshake: Duration,
    /// How long a message that was begun may stand still.
    #[serde(with = "humantime_serde")]
    pub message_standstill: Duration,
    /// How long an answer may wait to be taken.
    #[serde(with = "humantime_serde")]
    pub answer_unread: Duration,
    /// Frames without work in a second, of one connection; five times as many at once.
    pub idle_frames: u32,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            connections: 1_024,
            connections_per_domain: 512,
            connections_per_peer: 32,
            streams: 256,
            peer_mib: 32,
            all_peers_mib: 160,
            handshake: Duration::from_secs(5),
            message_standstill: Duration::from_secs(10),
            answer_unread: Duration::from_secs(10),
            idle_frames: 2_000,
        }
    }
}

/// No time of these may be shorter or longer.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

impl DoorConfig {
    /// Notes what is wrong with the section.
    pub fn check(&self, faults: &mut Faults) {
        let streams = usize::try_from(self.streams).unwrap_or(usize::MAX);
        let idle_frames = usize::try_from(self.idle_frames).unwrap_or(usize::MAX);
        let counts = [
            ("connections", self.connections, 8, 65_536),
            ("connections_per_domain", self.connections_per_domain, 1, self.connections),
            ("connections_per_peer", self.connections_per_peer, 1, self.connections_per_domain),
            ("streams", streams, 1, 1_024),
            ("peer_mib", self.peer_mib, 4, 4_096),
            ("all_peers_mib", self.all_peers_mib, self.peer_mib, 65_536),
            ("idle_frames", idle_frames, 100, 1_000_000),
        ];
        for (key, value, least, most) in counts {
            if !(least..=most.max(least)).contains(&value) {
                let message = format!("must be {least} to {}, not {value}", most.max(least));
                faults.add(&format!("door.{key}"), message);
            }
        }
        let times = [
            ("handshake", self.handshake),
            ("message_standstill", self.message_standstill),
            ("answer_unread", self.answer_unread),
        ];
        for (key, value) in times {
            if !(SHORTEST..=LONGEST).contains(&value) {
                let message = format!("must be {SHORTEST:?} to {LONGEST:?}, not {value:?}");
                faults.add(&format!("door.{key}"), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file;
    use super::*;

    #[derive(Deserialize)]
    struct Text {
        #[serde(default)]
        door: DoorConfig,
    }

    fn judged(text: &str) -> String {
        let (read, mut faults) = file::judge_toml::<Text>(Path::new("g.toml"), text);
        if let Some(read) = &read {
            read.door.check(&mut faults);
        }
        faults.finish(read).err().map_or_else(String::new, |faults| faults.to_string())
    }

    #[test]
    fn every_key_has_a_default_that_is_within_its_bounds() {
        assert_eq!(judged(""), "");
        assert_eq!(judged("[door]\npeer_mib = 4\nall_peers_mib = 4\nanswer_unread = \"1m\""), "");
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_its_line_and_its_bounds() {
        for (key, told) in [
            ("connections = 7", "`door.connections` must be 8 to 65536, not 7"),
            ("connections_per_domain = 2000", "`door.connections_per_domain` must be 1 to 1024"),
            ("connections_per_peer = 0", "`door.connections_per_peer` must be 1 to 512, not 0"),
            ("streams = 0", "`door.streams` must be 1 to 1024, not 0"),
            ("peer_mib = 3", "`door.peer_mib` must be 4 to 4096, not 3"),
            ("all_peers_mib = 31", "`door.all_peers_mib` must be 32 to 65536, not 31"),
            ("idle_frames = 99", "`door.idle_frames` must be 100 to 1000000, not 99"),
            ("handshake = \"0s\"", "`door.handshake` must be 1s to 60s, not 0ns"),
            ("message_standstill = \"61s\"", "`door.message_standstill` must be 1s to 60s"),
            ("answer_unread = 5", "`door.answer_unread` must be a duration with its unit"),
            ("peer_mb = 32", "`door.peer_mb` is no key: did you mean `peer_mib`?"),
        ] {
            let found = judged(&format!("[door]\n{key}"));
            assert!(found.contains(&format!("g.toml:2: {told}")), "{key}: {found}");
        }
    }
}
