//! Where metrics and spans go: to whoever scrapes `/metrics`, and by OTLP to a collector where one is configured.
//!
//! No service waits for a collector or ends for want of one: exporters have threads of their own, bounded queues, and log
//! a failure at most once a minute.

mod collector;
pub(crate) mod endpoint;
mod exposition;

use std::time::Duration;

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::SdkTracerProvider;

pub use endpoint::Endpoints;
pub use exposition::{Exposition, ExpositionError};

use crate::metrics::SCOPE;
use crate::trace::Tracer;
use collector::Collector;

/// How long an end waits for the last export.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// Who tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `service.name`: `weir-sensor`, `weir-detector`, `weir-results`.
    pub service: String,
    /// `service.instance.id`: the same over restarts, another for each process of a service.
    pub instance: String,
}

/// What keeps telemetry from starting.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Input: an endpoint, or an `OTEL_*` variable, that cannot be used. A retry does not help.
    #[error("{place}: {reason}")]
    Setting {
        /// Key or variable.
        place: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Input: an `OTEL_EXPORTER_OTLP_*` variable that the exporter refuses.
    #[error("OTLP export: {0}; mend telemetry.otlp_endpoint or the OTEL_EXPORTER_OTLP_* variables")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Bug: the registry of metrics refuses the exporter.
    #[error("metrics cannot be exposed: {0}; this is a bug in Weir")]
    Exposition(#[from] ExpositionError),
}

/// Telemetry of a process, until it is dropped.
#[derive(Debug)]
pub struct Telemetry {
    meters: SdkMeterProvider,
    spans: Option<SdkTracerProvider>,
    exposition: Exposition,
}

/// Starts telemetry for the process: façades made from now on record. The standard `OTEL_*` variables win over
/// `configured`, the value of `telemetry.otlp_endpoint`.
pub fn start(configured: Option<&str>, identity: &Identity) -> Result<Telemetry, TelemetryError> {
    let endpoints = Endpoints::resolve(configured, |name| std::env::var(name).ok())?;
    let telemetry = Telemetry::new(&endpoints, identity)?;
    global::set_meter_provider(telemetry.meters.clone());
    if let Some(endpoint) = endpoints.metrics.as_ref().or(endpoints.traces.as_ref()) {
        tracing::info!(endpoint, "metrics and spans are exported by OTLP");
    }
    Ok(telemetry)
}

impl Telemetry {
    /// Telemetry to these endpoints, not installed for the process.
    pub fn new(endpoints: &Endpoints, identity: &Identity) -> Result<Self, TelemetryError> {
        let resource = resource(identity);
        let (exposition, reader) = Exposition::new()?;
        let mut meters = SdkMeterProvider::builder().with_reader(reader).with_resource(resource.clone());
        let collector = Collector::default();
        if let Some(endpoint) = &endpoints.metrics {
            let exporter = MetricExporter::builder().with_http().with_http_client(collector.clone());
            meters = meters.with_periodic_exporter(exporter.with_endpoint(endpoint).build()?);
        }
        let mut spans = None;
        if let Some(endpoint) = &endpoints.traces {
            let exporter = SpanExporter::builder().with_http().with_http_client(collector);
            let exporter = exporter.with_endpoint(endpoint).build()?;
            spans = Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build());
        }
        Ok(Self { meters: meters.build(), spans, exposition })
    }

    /// The meter that façades are made of.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.meters.meter(SCOPE)
    }

    /// Begins spans; records them where OTLP is configured.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        self.spans.as_ref().map_or_else(Tracer::default, |spans| Tracer::recording(spans.tracer(SCOPE)))
    }

    /// What `/metrics` shows.
    #[must_use]
    pub fn exposition(&self) -> Exposition {
        self.exposition.clone()
    }
}

impl Drop for Telemetry {
    /// Exports once more. Where that fails, the collector's client has told; and there is no later to try it in.
    fn drop(&mut self) {
        if let Some(spans) = &self.spans {
            let _ = spans.shutdown_with_timeout(LAST_EXPORT);
        }
        let _ = self.meters.shutdown_with_timeout(LAST_EXPORT);
    }
}

/// Who tells, with `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` over our own values.
fn resource(identity: &Identity) -> Resource {
    let own = [
        KeyValue::new("service.namespace", "weir"),
        KeyValue::new("service.name", identity.service.clone()),
        KeyValue::new("service.instance.id", identity.instance.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let mut resource =
        Resource::builder_empty().with_attributes(own).with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty()) {
        resource = resource.with_service_name(name);
    }
    resource.build()
}

#[cfg(test)]
mod tests;
