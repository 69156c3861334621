//! The caller's deadline: the `grpc-timeout` header, held to the server's cap.
//!
//! Without one, and with a huge one, the cap holds. A malformed one is refused before
//! anything reads it here ([`stated`]).

use std::time::{Duration, Instant};

use http::HeaderMap;
use tonic::metadata::MetadataMap;

/// The moment by which a call must be answered: the caller's timeout from `now`,
/// never later than the cap.
pub fn deadline(metadata: &MetadataMap, now: Instant, cap: Duration) -> Instant {
    now + timeout(metadata.as_ref(), cap)
}

/// The caller's timeout.
///
/// # Errors
/// When it cannot be read, or stands there twice.
pub fn stated(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let mut values = headers.get_all("grpc-timeout").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(parse);
    if values.next().is_some() { Err(Malformed) } else { parsed.map(Some).ok_or(Malformed) }
}

/// A `grpc-timeout` that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// How long a call may take: the caller's timeout, never more than the cap.
pub fn timeout(headers: &HeaderMap, cap: Duration) -> Duration {
    stated(headers).ok().flatten().map_or(cap, |stated| stated.min(cap))
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
    fn row_25_absent_or_huge_timeouts_get_the_cap_and_bad_ones_are_none() {
        for text in ["", "5", "S", "-1S", "1.5S", "123456789S", "5s", "５S", "5 S"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        let mut twice = HeaderMap::new();
        assert_eq!(stated(&twice), Ok(None));
        for _ in 0..2 {
            twice.append("grpc-timeout", http::HeaderValue::from_static("1S"));
        }
        assert_eq!(stated(&twice), Err(Malformed));
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
