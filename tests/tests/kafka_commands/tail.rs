//! `weir tail`: prints what is published, of what was asked for, from when it was asked for.

use weir_bus::kafka::Publisher;
use weir_bus::{Message, Value};
use weir_schemas::Anomaly;

use crate::support::{Lane, PATIENCE};
use crate::weir::{capture, weir};

/// The lines that `weir analyze` prints for the demo: real anomalies.
fn lines() -> Vec<String> {
    let run = weir(&["analyze", "--format", "jsonl", capture("demo.pcap.zst").to_str().unwrap()]);
    run.output.lines().map(str::to_owned).collect()
}

/// Puts the anomalies into the topic, all in one partition: that keeps their order.
fn publish(lane: &Lane, lines: &[String]) {
    let publisher = Publisher::open(&lane.settings, PATIENCE).unwrap();
    for line in lines {
        let anomaly: Anomaly = serde_json::from_str(line).unwrap();
        let key = anomaly.id.clone();
        publisher.publish(&Message::new(lane.topics.anomalies(), 0, key, Value::Anomaly(Box::new(anomaly)))).unwrap();
    }
    publisher.flush(PATIENCE).unwrap();
}

#[test]
fn lines_are_those_of_analyze_and_filters_choose_among_them() {
    let lane = Lane::new("tail");
    let lines = lines();
    assert!(lines.len() > 5, "{lines:?}");
    publish(&lane, &lines);
    let tail = |arguments: &[&str], count: usize| {
        let limit = count.to_string();
        let run = lane.weir(&[&["tail", "--since", "1h", "--limit", &limit], arguments].concat());
        assert_eq!(run.status, Some(0), "{run:?}");
        run.output.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tail(&["--format", "jsonl"], lines.len()), lines);

    let scans: Vec<String> = lines.iter().filter(|line| line.contains("\"detector\":\"port_scan\"")).cloned().collect();
    assert!(!scans.is_empty());
    let wanted = ["--format", "jsonl", "--detector", "port_scan", "--source", "10.0.0.0/24"];
    assert_eq!(tail(&wanted, scans.len()), scans);

    let text = tail(&["--detector", "port_scan"], 1);
    let [told] = &text[..] else { panic!("{text:?}") };
    for word in ["opened", "port_scan", "10.0.0.66"] {
        assert!(told.contains(word), "{word} not in {told}");
    }
}

#[test]
fn a_record_that_is_no_anomaly_is_left_out_and_told() {
    let lane = Lane::new("poison");
    let publisher = Publisher::open(&lane.settings, PATIENCE).unwrap();
    publisher.publish(&Message::new(lane.topics.anomalies(), 0, "x", Value::Bytes(b"{}".to_vec()))).unwrap();
    publisher.flush(PATIENCE).unwrap();
    let lines = lines();
    publish(&lane, &lines[..1]);
    let run = lane.weir(&["tail", "--since", "1h", "--limit", "1", "--format", "jsonl"]);
    assert_eq!((run.status, run.output.trim_end()), (Some(0), lines[0].as_str()), "{run:?}");
    assert!(run.complaint.contains("is no anomaly") && run.complaint.contains("offset=0"), "{run:?}");
}
