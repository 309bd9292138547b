//! What the services report is what they counted.

// The numbers are counts far below 2^53, which a double holds exactly.
#![allow(clippy::float_cmp)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, SdkMeterProvider, Temporality};

use super::*;
use crate::command::reading::Reading;

/// A reader that the provider and the test share.
#[derive(Clone, Debug)]
struct SharedReader(Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<opentelemetry_sdk::metrics::Pipeline>) {
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

/// Sums and gauges by `name{label=value,…}`; of histograms the number of values.
fn points(reader: &SharedReader) -> BTreeMap<String, f64> {
    let mut collected = ResourceMetrics::default();
    reader.collect(&mut collected).unwrap();
    let mut points = BTreeMap::new();
    for metric in collected.scope_metrics().flat_map(ScopeMetrics::metrics) {
        let mut add = |labels: Vec<String>, value: f64| {
            let mut labels = labels;
            labels.sort();
            points.insert(format!("{}{{{}}}", metric.name(), labels.join(",")), value);
        };
        let text = |label: &opentelemetry::KeyValue| format!("{}={}", label.key, label.value);
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                sum.data_points().for_each(|point| add(point.attributes().map(text).collect(), point.value() as f64));
            }
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
                gauge.data_points().for_each(|point| add(point.attributes().map(text).collect(), point.value()));
            }
            AggregatedMetrics::F64(MetricData::Sum(sum)) => {
                sum.data_points().for_each(|point| add(point.attributes().map(text).collect(), point.value()));
            }
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram
                    .data_points()
                    .for_each(|point| add(point.attributes().map(text).collect(), point.count() as f64));
            }
            other => panic!("no instrument of ours makes {other:?}"),
        }
    }
    points
}

fn plan(capture: &str, partitions: u32, config: &Config) -> Plan {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    Plan {
        files: vec![folder.join(capture)],
        reading: Reading::default(),
        partitions,
        encode: false,
        profile: profile(config, None).unwrap(),
        site: "local".to_owned(),
        sensor: "file".to_owned(),
        summarise: false,
        baselines: Vec::new(),
    }
}

#[test]
fn metrics_equal_the_counters() {
    for (capture, partitions) in [("demo.pcap.zst", 1), ("demo.pcap.zst", 4), ("scan_udp.pcap.gz", 2)] {
        let reader = SharedReader(Arc::new(ManualReader::builder().build()));
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
        let config = Config::default();
        let plan = plan(capture, partitions, &config);
        let shutdown = Shutdown::new();
        let input = input::open(&plan.files, &Reading::default().options(&config, &shutdown).unwrap()).unwrap();
        let meter = provider.meter(metrics::SCOPE);
        let mut pipeline = Pipeline::measured(&config, plan, input, &shutdown, &meter).unwrap();
        let mut published: BTreeMap<&'static str, f64> = BTreeMap::new();
        while let Some(known) = pipeline.turn_of(1_000).unwrap() {
            for anomaly in known {
                *published.entry(anomaly.state.name()).or_default() += 1.0;
            }
        }
        let (read, table) = (pipeline.sensor.input_counters().clone(), pipeline.sensor.flow_counters());
        // The services' levels end with them.
        let points = points(&reader);
        let ended = pipeline.end(Vec::new());
        let value = |name: &str| points.get(name).copied().unwrap_or(0.0);
        let sum = |prefix: &str| -> f64 {
            points.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
        };

        assert_eq!(value("weir.sensor.packets{}"), read.packets as f64);
        assert_eq!(value("weir.sensor.bytes{}"), read.bytes as f64);
        assert_eq!(sum("weir.sensor.flows.exported{"), table.exported as f64);
        assert_eq!(sum("weir.sensor.decode_errors{"), read.decode_errors.values().sum::<u64>() as f64);
        assert_eq!(sum("weir.sensor.drops{"), read.drops as f64);
        assert_eq!(value("weir.sensor.flows.active{}"), 0.0);
        for (stage, counters) in [("source", &ended.source_counters), ("site", &ended.site_counters)] {
            let fates = [
                ("counted", counters.counted),
                ("overlap", counters.overlap),
                ("late", counters.late),
                ("clock_fault", counters.clock_fault),
                ("duplicate", counters.duplicate),
                ("dead", counters.dead),
                ("mark", counters.mark),
            ];
            for (result, count) in fates {
                let name = format!("weir.detector.records{{result={result},stage={stage}}}");
                assert_eq!(value(&name), count as f64, "{name}");
            }
            let of_stage = |name: &str| value(&format!("weir.detector.{name}{{stage={stage}}}"));
            assert_eq!(of_stage("panes.closed"), counters.panes_closed as f64);
            assert_eq!(of_stage("evicted"), counters.evicted as f64);
            assert!(of_stage("commits") > 0.0);
            assert_eq!(of_stage("commit.duration"), of_stage("commits"));
            let owned = if stage == "source" { partitions } else { partitions.min(2) };
            assert_eq!(of_stage("partitions.owned"), f64::from(owned));
            for (detector, judged) in &counters.judged {
                let results = [
                    ("fired", judged.fired),
                    ("quiet", judged.quiet),
                    ("cannot_judge", judged.cannot_judge.values().sum()),
                ];
                for (result, count) in results {
                    let name = format!("weir.engine.judged{{detector={detector},result={result}}}");
                    let other = if stage == "source" { &ended.site_counters } else { &ended.source_counters };
                    assert!(!other.judged.contains_key(detector), "{detector} judges in one stage");
                    assert_eq!(value(&name), count as f64, "{name}");
                }
            }
        }
        assert!(published["opened"] > 0.0);
        for (state, count) in &published {
            assert_eq!(value(&format!("weir.results.anomalies{{state={state}}}")), *count);
        }
        assert_eq!(sum("weir.engine.findings{"), published.values().sum::<f64>());
    }
}

#[test]
fn no_address_is_a_label() {
    let reader = SharedReader(Arc::new(ManualReader::builder().build()));
    let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
    let config = Config::default();
    let plan = plan("demo.pcap.zst", 1, &config);
    let shutdown = Shutdown::new();
    let input = input::open(&plan.files, &Reading::default().options(&config, &shutdown).unwrap()).unwrap();
    let meter = provider.meter(metrics::SCOPE);
    let mut pipeline = Pipeline::measured(&config, plan, input, &shutdown, &meter).unwrap();
    while pipeline.turn().unwrap().is_some() {}
    let points = points(&reader);
    assert!(points.len() > 20, "{points:?}");
    let is_label = |character: char| character.is_ascii_alphanumeric() || "_=,".contains(character);
    for name in points.keys() {
        let labels = name.split_once('{').unwrap().1.trim_end_matches('}');
        assert!(labels.chars().all(is_label), "{name}");
    }
}

#[test]
fn a_request_ends_the_run_with_what_was_read() {
    let config = Config::default();
    let shutdown = Shutdown::new();
    let mut pipeline = Pipeline::start(&config, plan("demo.pcap.zst", 1, &config), &shutdown).unwrap();
    // Half of the capture: past the first planted scan.
    for _ in 0..10 {
        assert!(pipeline.turn_of(1_000).unwrap().is_some());
    }
    shutdown.request();
    let mut states = Vec::new();
    while let Some(known) = pipeline.turn_of(1_000).unwrap() {
        states.extend(known.into_iter().map(|anomaly| anomaly.state));
    }
    assert!(pipeline.is_interrupted());
    assert!(states.contains(&weir_schemas::EpisodeState::Closed), "{states:?}");
    let ended = pipeline.end(Vec::new());
    // The file is in order: nothing waits in a buffer, and a turn reads what it is told to, less what is sent first.
    assert!((9_000..=10_000).contains(&ended.facts.packets), "{}", ended.facts.packets);
    assert_eq!(ended.source_counters.late, 0);
}

#[test]
fn another_seed_gives_the_same_findings() {
    let findings = |config: &Config, capture: &str| {
        let mut pipeline = Pipeline::start(config, plan(capture, 4, config), &Shutdown::new()).unwrap();
        let mut findings = Vec::new();
        while let Some(known) = pipeline.turn().unwrap() {
            findings.extend(known);
        }
        findings
    };
    let default = Config::default();
    let mut seeded = Config::default();
    seeded.engine.hash_seed = Some(weir_runtime::config::SecretSeed([0xa5; 16]));
    assert_ne!(engine_config(&seeded).seed, engine_config(&default).seed);

    let canonical = |mut anomaly: Anomaly| {
        anomaly.provenance = weir_schemas::finding::Provenance::default();
        weir_results::json_line(&anomaly)
    };
    // Nothing here is so numerous that a sketch must estimate it.
    for capture in ["sweep_arp.pcap.gz", "sweep_tcp.pcap.gz", "scan_slow_5m.pcap.gz"] {
        let set = |config: &Config| -> std::collections::BTreeSet<String> {
            findings(config, capture).into_iter().map(canonical).collect()
        };
        assert!(!set(&default).is_empty(), "{capture}");
        assert_eq!(set(&seeded), set(&default), "{capture}");
    }
    // Here thousands of ports and sources are estimated: the same episodes, the same life, the same severity.
    let life = |config: &Config| -> std::collections::BTreeSet<_> {
        let brief = |anomaly: Anomaly| (anomaly.id, anomaly.revision, anomaly.state.name(), anomaly.severity);
        findings(config, "demo.pcap.zst").into_iter().map(brief).collect()
    };
    assert_eq!(life(&seeded), life(&default));
}
