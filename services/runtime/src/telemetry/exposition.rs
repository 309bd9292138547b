//! The instruments as Prometheus reads them: text format 0.0.4.

use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::error::OTelSdkError;
use prometheus::{Registry, TextEncoder};

/// Bug: metrics cannot be collected or written.
#[derive(Debug, thiserror::Error)]
pub enum ExpositionError {
    /// The SDK refuses.
    #[error("{0}")]
    Sdk(#[from] OTelSdkError),
    /// A name or a value that the format has no form for.
    #[error("{0}")]
    Encode(#[from] prometheus::Error),
}

/// What `/metrics` shows. Clones show the same; the default one shows nothing.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// The type of [`Exposition::text`].
    pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

    /// The exposition, and the reader to make a meter provider with.
    pub fn new() -> Result<(Self, PrometheusExporter), ExpositionError> {
        let registry = Registry::new();
        // One scope, the same on every line: noise.
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
        Ok((Self { registry }, exporter.build()?))
    }

    /// All that was recorded up to now.
    pub fn text(&self) -> Result<String, ExpositionError> {
        let mut families = self.registry.gather();
        for family in &mut families {
            family.set_name(unit_once(family.name()));
        }
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&families, &mut text)?;
        Ok(text)
    }
}

/// The exporter adds a unit to every name; the rule is to add it to names that do not end in it already (OpenTelemetry
/// specification, its page on compatibility with Prometheus, "Metric Metadata").
fn unit_once(name: &str) -> String {
    let (base, total) = name.strip_suffix("_total").map_or((name, ""), |base| (base, "_total"));
    match base.strip_suffix("_bytes_bytes") {
        Some(base) => format!("{base}_bytes{total}"),
        None => name.to_owned(),
    }
}
