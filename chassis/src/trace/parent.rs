//! The `traceparent` header: which trace, which span in it, and whether it is recorded
//! (W3C Trace Context, section 3.2).

use std::{fmt, str::FromStr};

use axum::http::HeaderValue;
use thiserror::Error;

/// The length of version 00.
const LENGTH: usize = 55;

/// Recorded by who has called.
const SAMPLED: u8 = 0x01;

/// The flags that are passed on: recorded, and that the trace's id is random.
const KNOWN_FLAGS: u8 = 0x03;

/// A span as others name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace: TraceId,
    span: SpanId,
    flags: u8,
}

/// A trace; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// A span; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

/// Not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, in lower case, no id zero")]
pub struct NotATraceParent;

impl TraceId {
    /// `None` for zero.
    pub fn new(id: u128) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    /// As it is sent.
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The bits that samplers decide by: random in every scheme, and the ones that OpenTelemetry's
    /// own samplers look at first.
    pub fn chance(self) -> u32 {
        let [.., a, b, c, d, _, _, _, _] = self.bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl SpanId {
    /// `None` for zero.
    pub fn new(id: u64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    /// As it is sent.
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl TraceParent {
    /// A span of a trace, with the flags that it was called with.
    pub fn new(trace: TraceId, span: SpanId, flags: u8) -> Self {
        Self { trace, span, flags: flags & KNOWN_FLAGS }
    }

    /// Which trace.
    pub fn trace(self) -> TraceId {
        self.trace
    }

    /// Which span.
    pub fn span(self) -> SpanId {
        self.span
    }

    /// The flags, as they are sent.
    pub fn flags(self) -> u8 {
        self.flags
    }

    /// Whether who has called records it.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same, recorded or not.
    #[must_use]
    pub fn sampled(self, sampled: bool) -> Self {
        let flags = if sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
        Self { flags, ..self }
    }

    /// A span that this one has caused.
    #[must_use]
    pub fn child(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// As a header.
    pub fn header(self) -> HeaderValue {
        // Digits and hyphens always are a header.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    /// Versions to come may be longer; their beginning is read as version 00.
    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let (known, rest) = text.split_at_checked(LENGTH).ok_or(NotATraceParent)?;
        let mut fields = known.split('-');
        let mut field = |length| {
            let digits = fields.next().filter(|field| field.len() == length && is_hex(field));
            digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()).ok_or(NotATraceParent)
        };
        let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let trace = TraceId::new(trace).filter(|_| is_whole).ok_or(NotATraceParent)?;
        let span = u64::try_from(span).ok().and_then(SpanId::new).ok_or(NotATraceParent)?;
        Ok(Self::new(trace, span, u8::try_from(flags).map_err(|_| NotATraceParent)?))
    }
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_read_is_written_the_same() {
        let parent: TraceParent = GIVEN.parse().unwrap();
        assert_eq!(parent.to_string(), GIVEN);
        assert_eq!(parent.header(), GIVEN);
        assert!(parent.is_sampled());
        assert!(!parent.sampled(false).is_sampled());
        assert_eq!(parent.trace().chance(), 0xa3ce_929d);
    }

    #[test]
    fn a_version_to_come_is_read_as_far_as_it_is_known() {
        for later in [GIVEN.replace("00-4", "01-4"), GIVEN.replace("00-4", "cc-4") + "-what-ever"] {
            assert_eq!(later.parse::<TraceParent>().unwrap().to_string(), GIVEN, "{later}");
        }
        let flags = GIVEN.replace("b7-01", "b7-ff").parse::<TraceParent>().unwrap();
        assert_eq!(flags.flags(), 0x03, "only what is known is passed on");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let long = "x".repeat(LENGTH);
        for wrong in [
            "",
            "00",
            &long,
            &"é".repeat(LENGTH),
            &GIVEN[..54],
            &format!("{GIVEN}-more"),
            &format!("{GIVEN}0"),
            &GIVEN.to_uppercase(),
            &GIVEN.replace('-', "_"),
            &GIVEN.replace("00-4", "ff-4"),
            &(GIVEN.replace("00-4", "01-4") + "0"),
            &GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GIVEN.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GIVEN.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(NotATraceParent), "{wrong}");
        }
    }
}
