//! What a peer may take of us: times, counts and sizes, all finite. Those of inbound links
//! that an operator may set are in [`DoorConfig`].

use std::time::Duration;

use crate::config::door::DoorConfig;

/// Bounds on inbound connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLimits {
    /// From the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// Handshakes at once. When one more comes, the oldest is closed: an honest
    /// one takes milliseconds, so the oldest is the stalled one.
    pub handshakes: usize,
    /// Connections at once, handshakes included.
    pub connections: usize,
    /// Connections at once of one trust domain. An eighth of all is kept for domains that
    /// have few.
    pub connections_per_domain: usize,
    /// Connections at once of one peer.
    pub connections_per_peer: usize,
    /// Bytes that one peer may make us hold.
    pub peer_bytes: usize,
    /// Bytes that all peers together may make us hold.
    pub all_peers_bytes: usize,
    /// From the TLS handshake to the first request.
    pub silence: Duration,
    /// A connection's age at which it is asked to go (GOAWAY). Each connection
    /// gets up to a tenth less, so that they do not all go at once.
    pub age: Duration,
    /// From GOAWAY until the connection is closed hard; the bound of a graceful
    /// stop too.
    pub drain: Duration,
    /// From the moment when the peer is no longer believed until its connection
    /// is closed hard. Requests are refused from the start.
    pub distrust: Duration,
    /// Requests at once on one connection. A unary caller needs one for each
    /// request in flight.
    pub streams: u32,
    /// Streams reset because the peer broke the protocol, before GOAWAY.
    pub local_resets: usize,
    /// Streams that the peer opened and reset before we saw them, before GOAWAY.
    pub pending_resets: usize,
    /// Size of a request's headers in bytes, as HTTP/2 counts them.
    pub header_list: u32,
    /// How long nothing may come before a PING.
    pub keepalive: Duration,
    /// How long a PING may stay unanswered.
    pub keepalive_timeout: Duration,
    /// Bytes that wait to be sent on one stream.
    pub send_buffer: usize,
    /// HTTP/2 flow-control window of a connection in bytes.
    pub connection_window: u32,
    /// HTTP/2 flow-control window of a stream in bytes.
    pub stream_window: u32,
    /// How long a message that was begun may stand still.
    pub standstill: Duration,
    /// How long an answer may wait to be taken.
    pub unread: Duration,
    /// Frames without work in a second; five times as many may come at once.
    pub idle_frames: u32,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self::from(&DoorConfig::default())
    }
}

impl From<&DoorConfig> for LinkLimits {
    fn from(door: &DoorConfig) -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            handshake: door.handshake,
            handshakes: 128,
            connections: door.connections,
            connections_per_domain: door.connections_per_domain,
            connections_per_peer: door.connections_per_peer,
            peer_bytes: door.peer_mib.saturating_mul(MIB),
            all_peers_bytes: door.all_peers_mib.saturating_mul(MIB),
            silence: Duration::from_secs(5),
            age: Duration::from_secs(30 * 60),
            drain: Duration::from_secs(20),
            distrust: Duration::from_secs(2),
            streams: door.streams,
            local_resets: 256,
            pending_resets: 20,
            header_list: 16 * 1024,
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            send_buffer: 64 * 1024,
            // HTTP/2's library ends a connection on which it holds so many small frames that
            // what they cost beyond their bytes is half of this. Some clients make two
            // frames of each message, and a stream that waits may be full of such.
            connection_window: 2 * 1024 * 1024,
            stream_window: 192 * 1024,
            standstill: door.message_standstill,
            unread: door.answer_unread,
            idle_frames: door.idle_frames,
        }
    }
}

impl LinkLimits {
    /// The age at which this connection goes: the same for the same number, and
    /// spread over the last tenth.
    pub(super) fn age_of(&self, connection: u64) -> Duration {
        let hundredths = u32::try_from(connection % 100).unwrap_or(0);
        self.age - self.age / 1_000 * hundredths
    }
}

/// Bounds on outbound connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectLimits {
    /// Name lookup and TCP connection.
    pub connect: Duration,
    /// TLS handshake, and the server's first HTTP/2 frame after it.
    pub handshake: Duration,
    /// How long nothing may come before a PING.
    pub keepalive: Duration,
    /// How long a PING may stay unanswered.
    pub keepalive_timeout: Duration,
    /// Size of an answer's headers in bytes, as HTTP/2 counts them.
    pub header_list: u32,
    /// HTTP/2 flow-control window of a connection in bytes.
    pub connection_window: u32,
    /// HTTP/2 flow-control window of a stream in bytes.
    pub stream_window: u32,
}

impl Default for ConnectLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            handshake: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            header_list: 16 * 1024,
            connection_window: 1024 * 1024,
            stream_window: 256 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_spread_over_the_last_tenth() {
        let limits = LinkLimits::default();
        assert_eq!(limits.age_of(0), limits.age);
        for connection in 0..1_000 {
            let age = limits.age_of(connection);
            assert!(age <= limits.age && age >= limits.age * 9 / 10, "{age:?}");
        }
        assert_ne!(limits.age_of(1), limits.age_of(2));
    }
}
