//! Spans: recorded where OTLP is configured, a header passed on where it is not.

use std::borrow::Cow;

use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

use super::context::TraceContext;

/// Begins spans. Cheap to clone; the default one records nothing.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    sdk: Option<SdkTracer>,
}

impl Tracer {
    /// Records spans with the SDK.
    pub(crate) fn recording(sdk: SdkTracer) -> Self {
        Self { sdk: Some(sdk) }
    }

    /// Whether spans are recorded anywhere.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.sdk.is_some()
    }

    /// Begins the step `name`, as `sensor.mark`, below `parent`; without one it begins a trace. It ends when it is dropped.
    #[must_use]
    pub fn span(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind, parent: Option<&TraceContext>) -> Span {
        let Some(sdk) = &self.sdk else {
            let context = parent.copied().unwrap_or_else(TraceContext::new_root);
            return Span { context, sdk: None };
        };
        // Never the thread's current context: parents come with messages.
        let surroundings = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.to_remote()),
            None => Context::new(),
        };
        let span = sdk.build_with_context(sdk.span_builder(name).with_kind(kind), &surroundings);
        Span { context: TraceContext::of_span(span.span_context()), sdk: Some(span) }
    }
}

/// A step that is under way.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    sdk: Option<SdkSpan>,
}

impl Span {
    /// What the messages of this step carry. Where nothing is recorded, that is the parent's.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Notes a fact of the step: partition, epoch, offsets. Never an address.
    pub fn note(&mut self, name: &'static str, value: impl Into<StringValue>) {
        if let Some(span) = &mut self.sdk {
            span.set_attribute(KeyValue::new(name, value.into()));
        }
    }

    /// The step failed.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.sdk {
            span.set_status(Status::error(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_exporter_the_header_is_passed_on() {
        let tracer = Tracer::default();
        let parent = TraceContext::new_root();
        let mut span = tracer.span("detector.commit", SpanKind::Internal, Some(&parent));
        span.note("partition", "3");
        span.fail("nothing");
        assert_eq!(span.context(), parent);
        assert!(!tracer.is_recording());
        let root = tracer.span("sensor.mark", SpanKind::Producer, None).context();
        assert!(root.is_sampled() && root != parent);
    }
}
