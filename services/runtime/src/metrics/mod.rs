//! Metrics: one façade per service over the OpenTelemetry API, so that names and labels stand in one place.
//!
//! Names are public interface; exporters add units. No address is ever a label: labels are words of this source, names of
//! the catalogue, or names that an operator gave to sinks and policies. Under the no-op meter a method returns at once;
//! hot loops count in plain integers and report sums.
//!
//! Shards of one process each make a façade of their own: counters and [`Level`]s of the same name add up. Instruments by
//! partition are [`Readings`], which [`DetectorMetrics::forget_partition`] takes back when the partition moves away.

mod facade;
mod instrument;
mod level;
mod readings;
mod reference;

pub use facade::{DetectorMetrics, EngineMetrics, INSTRUMENTS, ResultsMetrics, SensorMetrics};
pub use instrument::{Description, Instrument, Shape};
pub use level::Level;
pub use opentelemetry::metrics::Meter;
pub use readings::Readings;
pub use reference::reference;

/// Name of the instrumentation scope.
pub const SCOPE: &str = "weir";

/// The process's meter: a no-op one until [`telemetry::start`](crate::telemetry::start) has installed an exporter.
/// Instruments made before that stay no-ops.
#[must_use]
pub fn meter() -> Meter {
    opentelemetry::global::meter(SCOPE)
}

#[cfg(test)]
mod tests;
