//! The W3C `traceparent` header. Source: W3C Recommendation "Trace Context", 23 November 2021, §3.2.

use std::fmt;
use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

/// Name of the header, in lower case as §3.2.1 has it.
pub const TRACEPARENT: &str = "traceparent";

/// Length of a header of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH: usize = 55;

/// A place in a trace: what is sent along, and what a child names as its parent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    is_sampled: bool,
}

/// Input: the header is no `traceparent`. Whoever reads it begins a trace of its own (§4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no W3C traceparent: {0}")]
pub struct TraceparentError(&'static str);

impl TraceContext {
    /// The begin of a trace, sampled, with random ids.
    #[must_use]
    pub fn new_root() -> Self {
        let ids = RandomIdGenerator::default();
        Self { trace: ids.new_trace_id(), span: ids.new_span_id(), is_sampled: true }
    }

    /// Another step of the same trace, with a random id of its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span: RandomIdGenerator::default().new_span_id(), ..*self }
    }

    /// Whether steps of this trace are to be recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// The trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace.to_string()
    }

    /// The step's id, 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        self.span.to_string()
    }

    /// The header of a message that is part of this step.
    #[must_use]
    pub fn header(&self) -> (String, Vec<u8>) {
        (TRACEPARENT.to_owned(), self.to_string().into_bytes())
    }

    /// What a message's headers carry. None if there is no `traceparent`, more than one, or a bad one: it is as if there
    /// were none (§4.3).
    #[must_use]
    pub fn of_headers(headers: &[(String, Vec<u8>)]) -> Option<Self> {
        let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(TRACEPARENT));
        let (_, value) = found.next().filter(|_| found.next().is_none())?;
        str::from_utf8(value).ok()?.parse().ok()
    }

    pub(super) fn of_span(context: &SpanContext) -> Self {
        Self { trace: context.trace_id(), span: context.span_id(), is_sampled: context.is_sampled() }
    }

    /// As the SDK's samplers see a parent in another process.
    pub(super) fn to_remote(self) -> SpanContext {
        let flags = if self.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        SpanContext::new(self.trace, self.span, flags, true, TraceState::NONE)
    }
}

impl fmt::Display for TraceContext {
    /// The header's value, version 00. Unknown flags are zero (§3.2.2.5).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceContext {
    type Err = TraceparentError;

    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        let fixed = text.as_bytes().get(..LENGTH).ok_or(TraceparentError("it is too short"))?;
        let has_dashes = [2, 35, 52].iter().all(|at| fixed[*at] == b'-');
        if !has_dashes {
            return Err(TraceparentError("its parts are not version-trace-parent-flags"));
        }
        let version = hex(&fixed[..2])?;
        if version == 0xff {
            return Err(TraceparentError("version ff is invalid"));
        }
        // A later version may add parts behind a dash (§4.3); version 00 ends here.
        let rest = &text.as_bytes()[LENGTH..];
        let may_follow = version > 0 && rest.first() == Some(&b'-');
        if !rest.is_empty() && !may_follow {
            return Err(TraceparentError("it is too long for its version"));
        }
        let trace = TraceId::from(hex(&fixed[3..35])?);
        let span = SpanId::from(hex(&fixed[36..52])? as u64);
        if trace == TraceId::INVALID || span == SpanId::INVALID {
            return Err(TraceparentError("an id is all zeroes"));
        }
        let flags = hex(&fixed[53..])?;
        Ok(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

/// Up to 32 lower-case hexadecimal digits (§3.2.2: HEXDIGLC).
fn hex(digits: &[u8]) -> Result<u128, TraceparentError> {
    let digit = |digit: &u8| match digit {
        b'0'..=b'9' => Ok(u128::from(digit - b'0')),
        b'a'..=b'f' => Ok(u128::from(digit - b'a' + 10)),
        _ => Err(TraceparentError("it holds something else than lower-case hexadecimal digits")),
    };
    digits.iter().try_fold(0, |number, next| Ok(number << 4 | digit(next)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<TraceContext, TraceparentError> {
        text.parse()
    }

    /// §3.2.3, "Examples of HTTP traceparent Headers".
    #[test]
    fn the_examples_of_the_recommendation_are_read() {
        let sampled = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(sampled.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(sampled.span_id(), "00f067aa0ba902b7");
        assert!(sampled.is_sampled());
        assert_eq!(sampled.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let not_sampled = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        assert!(!not_sampled.is_sampled());
        assert_eq!(not_sampled.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    }

    /// The cases of the W3C's own test suite for `traceparent` (versions, lengths, cases, zeroes, dashes).
    #[test]
    fn what_the_recommendation_forbids_is_refused() {
        let (trace, span) = ("12345678901234567890123456789012", "1234567890123456");
        let refused = [
            String::new(),
            format!("00-{trace}-{span}-0"),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-"),
            format!("00-{trace}-{span}-01."),
            format!("00-{trace}-{span}-01-what-the-future-will-be-like"),
            format!("00-{trace}-{span}-0100"),
            format!("cc-{trace}-{span}-01."),
            format!("cc-{trace}-{span}-01.what"),
            format!("ff-{trace}-{span}-01"),
            format!(".0-{trace}-{span}-01"),
            format!("0.-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-.{}-{span}-01", &trace[1..]),
            format!("00-{}.-{span}-01", &trace[1..]),
            format!("00-{}-{span}-01", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB"),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-.{}-01", &span[1..]),
            format!("00-{trace}-{span}-.0"),
            format!("00-{trace}-{span}-0."),
            format!("00-{trace}-{span}-0A"),
            format!("00_{trace}-{span}-01"),
            format!("00-{trace}_{span}-01"),
            format!("00-{trace}-{span}_01"),
            format!(" 00-{trace}-{span}-01"),
        ];
        for text in refused {
            assert!(parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn later_versions_and_flags_are_read_as_far_as_they_are_known() {
        let (trace, span) = ("12345678901234567890123456789012", "1234567890123456");
        let expected = parse(&format!("00-{trace}-{span}-01")).unwrap();
        for text in [
            format!("cc-{trace}-{span}-01"),
            format!("cc-{trace}-{span}-01-what-the-future-will-be-like"),
            format!("00-{trace}-{span}-03"),
            format!("00-{trace}-{span}-ff"),
        ] {
            assert_eq!(parse(&text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let root = TraceContext::new_root();
        let child = root.child();
        assert_eq!((root.trace_id(), true), (child.trace_id(), child.is_sampled()));
        assert_ne!(root.span_id(), child.span_id());
        assert_ne!(root.trace_id(), TraceContext::new_root().trace_id());
    }

    #[test]
    fn a_header_is_found_and_a_bad_one_is_none() {
        let root = TraceContext::new_root();
        let other = ("content-type".to_owned(), b"x".to_vec());
        assert_eq!(TraceContext::of_headers(&[other.clone(), root.header()]), Some(root));
        assert_eq!(TraceContext::of_headers(&[other]), None);
        assert_eq!(TraceContext::of_headers(&[root.header(), root.child().header()]), None);
        assert_eq!(TraceContext::of_headers(&[(TRACEPARENT.to_owned(), vec![0xff; 55])]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(trace in 1_u128.., span in 1_u64.., is_sampled: bool) {
            let context = TraceContext { trace: TraceId::from(trace), span: SpanId::from(span), is_sampled };
            prop_assert_eq!(parse(&context.to_string()), Ok(context));
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,60}", cut in 0_usize..56, character in any::<char>()) {
            let _ = parse(&text);
            let mut text = TraceContext::new_root().to_string();
            text.replace_range(cut.min(54)..=cut.min(54), &character.to_string());
            let valid = parse(&text).is_ok();
            let is_hex = character.is_ascii_digit() || ('a'..='f').contains(&character);
            prop_assert!(!valid || is_hex || character == '-', "{}", text);
        }
    }
}
