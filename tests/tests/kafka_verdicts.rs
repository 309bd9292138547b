//! The same verdicts: what `weir analyze` says of a capture in one process, the services say over Kafka, whatever the number
//! of partitions and detectors, and whenever those start.
#![cfg(feature = "kafka")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
#[path = "../end_to_end/weir.rs"]
mod weir;

use std::collections::BTreeSet;

use weir_bus::{Delivery, Value};
use weir_schemas::EpisodeState;
use weir_tests::broker;
use weir_tests::services::{Lane, canonical_of, trace_of};

use crate::weir::{binary, capture};

/// A way through the services.
struct Way {
    captures: &'static [&'static str],
    partitions: u32,
    detectors: usize,
}

/// A fast scan, a slow one of an hour, a flood, IPv6, and all detectors at once.
const WAYS: [Way; 7] = [
    Way { captures: &["scan_connect.pcap.gz"], partitions: 1, detectors: 1 },
    Way { captures: &["scan_slow_1h.pcap.gz"], partitions: 4, detectors: 2 },
    Way { captures: &["flood_spoofed.pcap.zst"], partitions: 12, detectors: 3 },
    Way { captures: &["scan_ipv6.pcap.gz", "benign_ipv6.pcap.zst"], partitions: 12, detectors: 2 },
    Way { captures: &["demo.pcap.zst"], partitions: 1, detectors: 1 },
    Way { captures: &["demo.pcap.zst"], partitions: 4, detectors: 2 },
    Way { captures: &["demo.pcap.zst"], partitions: 12, detectors: 3 },
];

fn go(way: &Way) {
    let Way { captures, partitions, detectors } = way;
    let lane = Lane::new(binary(), broker::shared().bootstrap(), broker::topics("verdicts")).created(*partitions);
    let files: Vec<_> = captures.iter().map(|name| capture(name)).collect();
    let what = format!("{captures:?}, {partitions} partitions, {detectors} detectors");

    // One is there before the first record; the others come when some is judged and some is not.
    let mut running = vec![lane.detector("d1"), lane.results(&[])];
    lane.publish("gate", &files);
    running.extend((2..=*detectors).map(|number| lane.detector(&format!("d{number}"))));
    lane.await_verdicts();

    let expected = lane.analyze("gate", &files);
    assert!(!expected.is_empty(), "{what}");
    let anomalies = lane.anomalies();
    assert_eq!(anomalies, expected, "anomalies of {what}");

    let findings = lane.findings();
    let mut of_analyze: Vec<String> = lane
        .read(&lane.topics.anomalies())
        .iter()
        .filter_map(|(_, delivery)| match &delivery.value {
            Value::Anomaly(anomaly) => Some(canonical_of(anomaly)),
            _ => None,
        })
        .collect();
    of_analyze.sort();
    assert_eq!(findings, of_analyze, "findings of {what}");
    assert_eq!(lane.read(&lane.topics.dead()), [], "{what}");
    assert_traced(&lane);
    for service in running {
        let ended = service.stop();
        assert_eq!(ended.status, Some(0), "{what}: {ended:?}");
    }
}

/// A mark's trace goes on in the findings that it brought about, and in the anomalies made of those. What a record brings about
/// before the first mark of its partition has none.
fn assert_traced(lane: &Lane) {
    let marks: BTreeSet<String> = lane
        .read(&lane.topics.flows())
        .iter()
        .filter(|(_, delivery)| !delivery.headers.is_empty())
        .map(|(_, delivery)| trace_of(delivery))
        .collect();
    let traces = |topic: &str| -> BTreeSet<String> {
        let read = lane.read(topic);
        let is_traced = |found: &Delivery| !found.headers.is_empty() || is_closing(&found.value);
        read.iter().filter(|(_, found)| is_traced(found)).map(|(_, found)| trace_of(found)).collect()
    };
    let (findings, anomalies) = (traces(&lane.topics.findings()), traces(&lane.topics.anomalies()));
    assert!(!findings.is_empty());
    assert!(findings.is_subset(&marks), "{findings:?} of {marks:?}");
    assert_eq!(findings, anomalies);
}

/// Episodes close with a pane, and panes with a mark.
fn is_closing(value: &Value) -> bool {
    match value {
        Value::Finding(finding) => finding.state == EpisodeState::Closed,
        Value::Anomaly(anomaly) => anomaly.state == EpisodeState::Closed,
        _ => false,
    }
}

#[test]
fn partitions_and_detectors_make_no_difference() {
    binary();
    broker::shared();
    std::thread::scope(|scope| {
        for way in &WAYS {
            scope.spawn(move || go(way));
        }
    });
}
