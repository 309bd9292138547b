//! Metrics: one façade per service over the OpenTelemetry API, so that names and labels stand in one place.
//!
//! Names are public interface; exporters add units. No address is ever a label: labels are words of this source, names of
//! the catalogue, or names that an operator gave to sinks and policies. Under the no-op meter a method returns at once;
//! hot loops count in plain integers and report sums.

mod facade;
mod instrument;

pub use facade::{DetectorMetrics, EngineMetrics, ResultsMetrics, SensorMetrics};
pub use instrument::Instrument;
pub use opentelemetry::metrics::Meter;

/// Name of the instrumentation scope.
pub const SCOPE: &str = "weir";

/// The process's meter: a no-op one until an exporter has been installed.
#[must_use]
pub fn meter() -> Meter {
    opentelemetry::global::meter(SCOPE)
}

#[cfg(test)]
mod tests;
