//! The caller's deadline: the `grpc-timeout` header, held to the server's cap.
//!
//! tonic ignores a malformed header; here, as there, it means that the caller
//! has stated none, and the cap holds. An absent or huge one likewise.

use std::time::{Duration, Instant};

use http::HeaderMap;
use tonic::metadata::MetadataMap;

/// The moment by which a call must be answered: the caller's timeout from `now`,
/// never later than the cap.
pub fn deadline(metadata: &MetadataMap, now: Instant, cap: Duration) -> Instant {
    let stated = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse);
    now + stated.map_or(cap, |stated| stated.min(cap))
}

/// How long a call may take: the caller's timeout, never more than the cap.
pub fn timeout(headers: &HeaderMap, cap: Duration) -> Duration {
    let stated = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse);
    stated.map_or(cap, |stated| stated.min(cap))
}

/// A `grpc-timeout` value: one to eight digits and a unit (gRPC over HTTP/2,
/// "Requests").
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_25_bad_absent_or_huge_timeouts_get_the_cap() {
        for text in ["", "5", "S", "-1S", "1.5S", "123456789S", "5s", "５S", "5 S"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));

        let now = crate::clock::now();
        let cap = Duration::from_secs(2);
        let mut metadata = MetadataMap::new();
        assert_eq!(deadline(&metadata, now, cap), now + cap);
        metadata.insert("grpc-timeout", "99999999H".parse().unwrap());
        assert_eq!(deadline(&metadata, now, cap), now + cap);
        metadata.insert("grpc-timeout", "250m".parse().unwrap());
        assert_eq!(deadline(&metadata, now, cap), now + Duration::from_millis(250));
    }
}
