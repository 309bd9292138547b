//! What is recorded is read back under the public names.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, GaugeDataPoint, MetricData, ResourceMetrics, ScopeMetrics, SumDataPoint,
};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality};

use super::*;

/// A reader that the provider and the test share.
#[derive(Clone, Debug)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// Name → (unit, sum of all points' values; of histograms, their number).
fn read_back(record: impl FnOnce(&Meter)) -> BTreeMap<String, (String, f64)> {
    let reader = SharedReader(Arc::new(ManualReader::builder().build()));
    let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
    record(&provider.meter(SCOPE));
    let mut collected = ResourceMetrics::default();
    reader.collect(&mut collected).unwrap();
    let metrics = collected.scope_metrics().flat_map(ScopeMetrics::metrics);
    metrics
        .map(|metric| {
            let value = match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    sum.data_points().map(|point| point.value() as f64).sum()
                }
                AggregatedMetrics::F64(MetricData::Sum(sum)) => sum.data_points().map(SumDataPoint::value).sum(),
                AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
                    gauge.data_points().map(GaugeDataPoint::value).sum()
                }
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    histogram.data_points().map(|point| point.count() as f64).sum()
                }
                other => panic!("no instrument of ours makes {other:?}"),
            };
            (metric.name().to_owned(), (metric.unit().to_owned(), value))
        })
        .collect()
}

#[test]
fn values_are_read_back_under_the_public_names() {
    let read = read_back(|meter| {
        let sensor = SensorMetrics::new(meter);
        sensor.packets(3);
        sensor.packets(4);
        sensor.decode_errors("truncated", 2);
        sensor.flows_active(9.0);
        DetectorMetrics::new(meter).commit_duration("source", Duration::from_millis(3));
        EngineMetrics::new(meter).judged("port_scan", "quiet", 5);
        ResultsMetrics::new(meter).deliveries("siem".to_owned(), "ok", 1);
    });
    let expected = [
        ("weir.detector.commit.duration", "s", 1.0),
        ("weir.engine.judged", "{judgement}", 5.0),
        ("weir.results.deliveries", "{delivery}", 1.0),
        ("weir.sensor.decode_errors", "{packet}", 2.0),
        ("weir.sensor.flows.active", "{flow}", 9.0),
        ("weir.sensor.packets", "{packet}", 7.0),
    ];
    let expected: BTreeMap<String, (String, f64)> =
        expected.iter().map(|(name, unit, value)| ((*name).to_owned(), ((*unit).to_owned(), *value))).collect();
    assert_eq!(read, expected);
}

#[test]
fn labels_tell_points_apart() {
    let reader = SharedReader(Arc::new(ManualReader::builder().build()));
    let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
    let metrics = EngineMetrics::new(&provider.meter(SCOPE));
    metrics.findings("port_scan", "high", 1);
    metrics.findings("port_scan", "low", 1);
    metrics.findings("port_scan", "low", 1);
    let mut collected = ResourceMetrics::default();
    reader.collect(&mut collected).unwrap();
    let metric = collected.scope_metrics().flat_map(ScopeMetrics::metrics).next().unwrap();
    let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
        panic!("a counter makes sums, not {:?}", metric.data());
    };
    let mut points: Vec<(Vec<String>, u64)> = sum
        .data_points()
        .map(|point| {
            let mut labels: Vec<String> =
                point.attributes().map(|label| format!("{}={}", label.key, label.value)).collect();
            labels.sort();
            (labels, point.value())
        })
        .collect();
    points.sort();
    let labels = |severity: &str| vec!["detector=port_scan".to_owned(), format!("severity={severity}")];
    assert_eq!(points, [(labels("high"), 1), (labels("low"), 2)]);
}

/// `{labels} value` of every point of one gauge, sorted.
fn gauge_points(reader: &SharedReader, name: &str) -> Vec<String> {
    let mut collected = ResourceMetrics::default();
    reader.collect(&mut collected).unwrap();
    let metric = collected.scope_metrics().flat_map(ScopeMetrics::metrics).find(|metric| metric.name() == name);
    let show = |mut labels: Vec<String>, value: f64| {
        labels.sort();
        format!("{} {value}", labels.join(","))
    };
    let label = |label: &opentelemetry::KeyValue| format!("{}={}", label.key, label.value);
    let mut points: Vec<String> = match metric.map(opentelemetry_sdk::metrics::data::Metric::data) {
        None => Vec::new(),
        Some(AggregatedMetrics::F64(MetricData::Gauge(gauge))) => {
            gauge.data_points().map(|point| show(point.attributes().map(label).collect(), point.value())).collect()
        }
        Some(AggregatedMetrics::F64(MetricData::Sum(sum))) => {
            sum.data_points().map(|point| show(point.attributes().map(label).collect(), point.value())).collect()
        }
        Some(other) => panic!("{name} is no gauge but {other:?}"),
    };
    points.sort();
    points
}

#[test]
fn shards_add_up_and_one_that_ends_takes_its_part_along() {
    let reader = SharedReader(Arc::new(ManualReader::builder().build()));
    let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
    let meter = provider.meter(SCOPE);
    let (one, other) = (DetectorMetrics::new(&meter), DetectorMetrics::new(&meter));
    let clone = one.clone();
    one.partitions_owned("source", 5.0);
    clone.partitions_owned("source", 7.0);
    other.partitions_owned("source", 4.0);
    let owned = || gauge_points(&reader, "weir.detector.partitions.owned");
    assert_eq!(owned(), ["stage=source 11"]);
    drop(clone);
    assert_eq!(owned(), ["stage=source 11"]);
    drop(one);
    assert_eq!(owned(), ["stage=source 4"]);
}

#[test]
fn a_partition_that_moved_away_has_no_readings() {
    let reader = SharedReader(Arc::new(ManualReader::builder().build()));
    let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
    let meter = provider.meter(SCOPE);
    let (source, site) = (DetectorMetrics::new(&meter), DetectorMetrics::new(&meter));
    source.consumer_lag("source", "0", 10.0);
    source.consumer_lag("source", "1", 11.0);
    site.consumer_lag("site", "0", 12.0);
    let lag = || gauge_points(&reader, "weir.detector.consumer.lag");
    assert_eq!(lag(), ["partition=0,stage=site 12", "partition=0,stage=source 10", "partition=1,stage=source 11"]);
    source.forget_partition("source", 0);
    assert_eq!(lag(), ["partition=0,stage=site 12", "partition=1,stage=source 11"]);
    drop(site);
    assert_eq!(lag(), ["partition=1,stage=source 11"]);
    let results = ResultsMetrics::new(&meter);
    results.consumer_time_lag("3", 0.5);
    results.forget_partition(3);
    assert_eq!(gauge_points(&reader, "weir.results.consumer.time_lag"), Vec::<String>::new());
}

#[test]
fn every_instrument_has_a_name_of_its_own_and_is_of_its_service() {
    let mut names: Vec<&str> = INSTRUMENTS.iter().map(|instrument| instrument.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for name in names {
        let service = name.strip_prefix("weir.").and_then(|rest| rest.split_once('.')).map(|(service, _)| service);
        assert!(matches!(service, Some("sensor" | "detector" | "engine" | "results")), "{name}");
    }
}
