//! The instruments, printed for operators: as OpenTelemetry and as Prometheus name them.

use std::fmt::Write as _;

use super::facade::INSTRUMENTS;
use super::instrument::{Description, Shape};

/// Every instrument with its name at `/metrics`, its labels and what it tells, as a Markdown table.
#[must_use]
pub fn reference() -> String {
    let mut text = "| instrument | at `/metrics` | labels | |\n|---|---|---|---|\n".to_owned();
    for instrument in INSTRUMENTS {
        let labels: Vec<String> = instrument.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} |",
            instrument.name,
            prometheus_name(instrument),
            labels.join(", "),
            instrument.text.trim_ascii()
        );
    }
    text
}

/// The name that the Prometheus exporter makes: dots become underscores, units are written out unless they are the last word,
/// counters end in `_total`. Source: OpenTelemetry specification, its page on compatibility with Prometheus, "Metric Metadata".
fn prometheus_name(instrument: &Description) -> String {
    let unit = match instrument.unit {
        "s" => "_seconds",
        "By" if instrument.name.rsplit('.').next() != Some("bytes") => "_bytes",
        _ => "",
    };
    let total = if instrument.shape == Shape::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", instrument.name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::SdkMeterProvider;

    use super::*;
    use crate::metrics::SCOPE;
    use crate::telemetry::Exposition;

    #[test]
    fn the_exporter_makes_the_names_that_are_printed() {
        let (exposition, reader) = Exposition::new().unwrap();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let meter = provider.meter(SCOPE);
        for Description { name, unit, shape, .. } in INSTRUMENTS {
            match shape {
                Shape::Counter => meter.u64_counter(*name).with_unit(*unit).build().add(1, &[]),
                Shape::Gauge => meter.f64_gauge(*name).with_unit(*unit).build().record(1.0, &[]),
                Shape::Histogram => meter.f64_histogram(*name).with_unit(*unit).build().record(1.0, &[]),
            }
        }
        let text = exposition.text().unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE weir_"));
        let made: BTreeSet<String> = types.map(|line| format!("weir_{}", line.split(' ').next().unwrap())).collect();
        let printed: BTreeSet<String> = INSTRUMENTS.iter().map(prometheus_name).collect();
        assert_eq!(made, printed);
    }

    #[test]
    fn the_observability_page_holds_the_reference() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/docs/60-observability.md");
        let page = std::fs::read_to_string(page).unwrap();
        let reference = reference();
        assert!(page.contains(&reference), "print it anew:\n{reference}");
    }
}
