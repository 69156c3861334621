//! Which trace a request belongs to: what W3C Trace Context, level 1, has in its
//! `traceparent`. It joins the log lines and spans of whoever takes part in one request.
//!
//! It says nothing of a person, a grant or whoever asked, and decides nothing: a wrong one
//! is as good as none. `tracestate` is neither read nor passed on, since it may hold
//! anything.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::Deserialize;

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// The flag that says that somebody before records the trace.
const SAMPLED: u8 = 1;

/// A trace: sixteen bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// One step of a trace: eight bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// The trace of a request, and the step that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The step of whoever asks; of a new trace one that nobody else names.
    pub parent: SpanId,
    /// Whether whoever asks says that it records the trace.
    pub sampled: bool,
}

impl TraceId {
    /// None of zeros alone.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// None of zeros alone.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl TraceContext {
    /// Length of [`TraceContext::to_bytes`].
    pub const BYTES: usize = 25;

    /// A new trace of random bytes.
    pub fn of_random(bytes: [u8; 24]) -> Option<Self> {
        let (trace, parent) = (bytes.first_chunk()?, bytes.last_chunk()?);
        let (trace, parent) = (TraceId::new(*trace)?, SpanId::new(*parent)?);
        Some(Self { trace, parent, sampled: false })
    }

    /// Reads a `traceparent`. One of a later version is read as far as version 00 goes, as
    /// W3C has it.
    pub fn parse(text: &str) -> Option<Self> {
        let (known, more) = text.as_bytes().split_at_checked(LENGTH)?;
        let [version, trace, parent, flags] = parts(known)?;
        let [version] = hex(version)?;
        match version {
            0 if !more.is_empty() => return None,
            0xff => return None,
            _ if more.first().is_some_and(|next| *next != b'-') => return None,
            _ => {}
        }
        let [flags] = hex(flags)?;
        let (trace, parent) = (TraceId::new(hex(trace)?)?, SpanId::new(hex(parent)?)?);
        Some(Self { trace, parent, sampled: flags & SAMPLED != 0 })
    }

    /// The form between gateway and agency: trace, parent, flags.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let flags = [u8::from(self.sampled)];
        let fields = self.trace.0.iter().chain(&self.parent.0).chain(&flags);
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = *field;
        }
        bytes
    }

    /// Reads [`TraceContext::to_bytes`]; flags that nobody knows are passed over.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk()?;
        let (parent, rest) = rest.split_first_chunk()?;
        let [flags] = rest else { return None };
        let (trace, parent) = (TraceId::new(*trace)?, SpanId::new(*parent)?);
        Some(Self { trace, parent, sampled: flags & SAMPLED != 0 })
    }
}

/// A share of traces. Which ones they are is in their ids alone, so that whoever takes the
/// same share takes the same traces, and whoever takes less takes some of those (OpenTelemetry,
/// "Consistent probability sampling").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Ratio {
    /// Of [`Ratio::WHOLE`], what is left out.
    left_out: u64,
}

impl Ratio {
    /// Numbers that the last seven bytes of an id can be.
    const WHOLE: u64 = 1 << 56;

    /// Every trace.
    pub const ALL: Self = Self { left_out: 0 };

    /// One of a hundred.
    pub const HUNDREDTH: Self = Self { left_out: (0.99 * Self::WHOLE as f64) as u64 };

    /// Whether a trace is one of them.
    pub fn keeps(&self, trace: &TraceId) -> bool {
        let last = u128::from_be_bytes(trace.0) % u128::from(Self::WHOLE);
        last >= u128::from(self.left_out)
    }
}

impl TryFrom<f64> for Ratio {
    type Error = String;

    fn try_from(ratio: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(format!("must be a share from 0 to 1, not {ratio}"));
        }
        // Of numbers within 2^56, as exactly as a share can be written.
        Ok(Self { left_out: ((1.0 - ratio) * Self::WHOLE as f64) as u64 })
    }
}

/// The four fields of version 00, between their dashes.
fn parts(text: &[u8]) -> Option<[&[u8]; 4]> {
    let mut parts = text.split(|byte| *byte == b'-');
    let found = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

/// Lower-case hexadecimal digits, exactly as many as there are to be.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // Two for each byte, or `decode_mut` has no room for them.
    if digits.len() != 2 * N {
        return None;
    }
    HEXLOWER.decode_mut(digits, &mut bytes).ok()?;
    Some(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// As a `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.parent, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn written(text: &str) -> Option<String> {
        TraceContext::parse(text).map(|context| context.to_string())
    }

    #[test]
    fn a_traceparent_is_read_and_written_back() {
        for flags in ["00", "01"] {
            let text = format!("00-{TRACE}-{PARENT}-{flags}");
            let context = TraceContext::parse(&text).unwrap();
            assert_eq!(context.to_string(), text);
            assert_eq!(context.sampled, flags == "01");
            assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
        }
        // A flag without a meaning is not passed on.
        let sampled = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(written(&format!("00-{TRACE}-{PARENT}-ff")), Some(sampled.clone()));
        // What a later version adds is passed over.
        for later in ["cc-T-P-01", "cc-T-P-01-", "cc-T-P-01-what.the=future"] {
            let text = later.replace('T', TRACE).replace('P', PARENT);
            assert_eq!(written(&text), Some(sampled.clone()), "{text}");
        }
    }

    #[test]
    fn whatever_else_comes_is_as_good_as_none() {
        for wrong in [
            "",
            "00",
            "00-T-P",
            "00-T-P-",
            "00-T-P-1",
            "00-T-P-0g",
            "00-T-P-01-",
            "00-T-P-01-more",
            "00-T-P-01 ",
            " 00-T-P-01",
            "00-T-P-011",
            "cc-T-P-01.what",
            "ff-T-P-01",
            "0G-T-P-01",
            "CC-T-P-01",
            "0-T-P-01",
            "00-T-P01-",
            "00_T_P_01",
            "00-00000000000000000000000000000000-P-01",
            "00-T-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-P-01",
            "00-T-00F067AA0BA902B7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-P-011",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-P-1",
            "00-4bf92f3577b34da6-a3ce929d0e0e473-P-1",
        ] {
            let text = wrong.replace('T', TRACE).replace('P', PARENT);
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
        let context = TraceContext::parse(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
        let bytes = context.to_bytes();
        assert_eq!(TraceContext::from_bytes(&bytes[..24]), None);
        assert_eq!(TraceContext::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(TraceContext::from_bytes(&[0; TraceContext::BYTES]), None);
        assert_eq!(TraceContext::of_random([0; 24]), None);
    }

    #[test]
    fn a_share_of_traces_is_taken_by_their_ids_alone() {
        let trace = |last: u64| {
            let bytes = (u128::MAX << 56 | u128::from(last)).to_be_bytes();
            TraceId::new(bytes).unwrap()
        };
        let share = |ratio: f64| {
            let ratio = Ratio::try_from(ratio).unwrap();
            (0..1000).filter(|nth| ratio.keeps(&trace(nth * ((1 << 56) / 1000 + 1)))).count()
        };
        assert_eq!([0.0, 0.25, 1.0].map(share), [0, 250, 1000]);
        let (few, more) = (Ratio::try_from(0.1).unwrap(), Ratio::try_from(0.2).unwrap());
        let both = |nth: &u64| few.keeps(&trace(nth << 40)) && !more.keeps(&trace(nth << 40));
        assert_eq!((0..1 << 16).find(both), None, "taken by who takes less alone");
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Ratio::try_from(wrong).is_err(), "{wrong}");
        }
    }
}
