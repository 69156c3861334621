//! The trace of a call, as whoever asks states it. One that is wrong is none, and nobody is
//! refused for it.

use bytes::Bytes;
use http::HeaderMap;

use crate::domain::trace::TraceContext;

/// The header of W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";

/// The trace that a call names in its headers. Two of them are none.
pub fn of_call(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    TraceContext::parse(first.to_str().ok()?)
}

/// The trace of a question on an Exchange stream.
pub fn encode(trace: Option<TraceContext>) -> Bytes {
    trace.map_or_else(Bytes::new, |trace| Bytes::copy_from_slice(&trace.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_header_is_read_and_two_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(of_call(&headers), None);
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.append("traceparent", text.parse().unwrap());
        let trace = of_call(&headers).unwrap();
        assert_eq!(trace.to_string(), text);
        assert_eq!(TraceContext::from_bytes(&encode(Some(trace))), Some(trace));
        headers.append("traceparent", text.parse().unwrap());
        assert_eq!(of_call(&headers), None);
        assert!(encode(None).is_empty());
    }
}
