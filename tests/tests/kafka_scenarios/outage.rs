//! A broker that is away for a while: everything waits, nothing is lost, and nothing comes twice.

use std::time::Duration;

use weir_bus::Topics;
use weir_tests::broker::{Broker, Nodes};
use weir_tests::services::{Lane, Stage, until};

use crate::support::{file, stop};
use crate::weir::binary;

/// How long the broker stands still: 10 s, and as many as `WEIR_TEST_OUTAGE` says where the long form is asked for.
fn length() -> Duration {
    let seconds = std::env::var("WEIR_TEST_OUTAGE").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(10))
}

#[test]
fn a_broker_away_and_back_costs_time_only() {
    let broker = Broker::start(Nodes::One).unwrap();
    let lane = Lane::new(binary(), broker.bootstrap(), Topics::new("away.")).created(4);
    let files = [file("demo.pcap.zst")];
    let detector = lane.detector("d1");
    let results = lane.results(&[]);
    let sensor = lane.start(&["sensor", "--pace", "20x", "--sensor-id", "gate", files[0].to_str().unwrap()]);
    let positions = lane.operator().positions(&lane.group(Stage::Source), &lane.topics.flows(), 4);
    until("some is judged", || positions.committed().iter().any(|offset| *offset > Some(100)));

    // First it stands still: connections stay, nothing is answered.
    broker.pause_node(1).unwrap();
    std::thread::park_timeout(length());
    broker.continue_node(1).unwrap();
    lane.await_drained(Stage::Source);
    // Then it is gone, with whatever it had not written down.
    broker.kill_node(1).unwrap();
    detector.await_line("onnect");
    broker.restart_node(1).unwrap();

    let published = sensor.wait();
    assert_eq!(published.status, Some(0), "{published:?}");
    assert!(published.last_line().contains("failed=0 unconfirmed=0"), "{published:?}");
    lane.await_verdicts();
    assert_eq!(lane.anomalies(), lane.analyze("gate", &files));
    stop(detector);
    stop(results);
}
