//! Traces: which mark led to which finding, and that to which anomaly.
//!
//! Messages carry a W3C `traceparent` header. Where OTLP is configured each step is recorded as a span; where it is not,
//! the header is passed on, so that the steps around one that records nothing still belong together.

mod context;
mod span;

pub use context::{TRACEPARENT, TraceContext, TraceparentError};
pub use opentelemetry::trace::SpanKind;
pub use span::{Span, Tracer};
