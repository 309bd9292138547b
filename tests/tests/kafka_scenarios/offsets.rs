//! Rows of the table of offsets: what operators, time and retention do to positions and state.

use tempfile::TempDir;
use weir_bus::kafka::Publisher;
use weir_bus::{Message, Value};
use weir_schemas::Record;
use weir_tests::services::{Lane, PATIENCE, Service, Stage};

use crate::support::{file, judge_more, lane, later, stop};

const PARTITIONS: u32 = 4;

/// A lane whose detector has judged a capture and stopped. Results goes on.
fn judged(test: &str) -> (Lane, Service) {
    let lane = lane(test, PARTITIONS);
    let results = lane.results(&[]);
    let detector = lane.detector("d1");
    judge_more(&lane, 0, "sweep_tcp.pcap.gz");
    stop(detector);
    (lane, results)
}

/// Checks that each partition of the source stage tells of its recovery in one line, as this row of the table.
fn assert_told(detector: &Service, row: &str) {
    let mut told = detector.lines_with(&format!("restored ({row})"));
    told.retain(|line| line.contains("stage=\"source\""));
    assert_eq!(told.len(), PARTITIONS as usize, "{:#?}", detector.lines());
    assert!(told.iter().all(|line| line.contains("ERROR")), "{told:#?}");
}

#[test]
fn an_operator_who_resets_to_the_earliest_gets_no_anomaly_twice() {
    let (lane, results) = judged("reset");
    let before = lane.anomalies();
    lane.operator().reset_group(&lane.group(Stage::Source), &lane.topics.flows(), PARTITIONS, 0);
    let detector = lane.detector("d1");
    assert_told(&detector, "operator");
    lane.await_verdicts();
    assert_eq!(lane.anomalies(), before);
    judge_more(&lane, 1, "scan_connect.pcap.gz");
    stop(detector);
    stop(results);
}

#[test]
fn a_deleted_group_goes_on_from_its_state() {
    let (lane, results) = judged("expired");
    lane.operator().delete_group(&lane.group(Stage::Source));
    lane.operator().delete_group(&lane.group(Stage::Site));
    let findings = lane.findings();
    let detector = lane.detector("d1");
    assert_told(&detector, "group_expired");
    lane.await_verdicts();
    assert_eq!(lane.findings(), findings, "nothing is judged again");
    judge_more(&lane, 1, "scan_connect.pcap.gz");
    stop(detector);
    stop(results);
}

#[test]
fn a_state_topic_made_anew_is_a_loss_that_is_told() {
    let (lane, results) = judged("lost");
    let state = lane.topics.state_source();
    lane.operator().delete_topic(&state);
    lane.operator().create(&[(state, PARTITIONS, vec![("cleanup.policy", "compact")])]);
    let detector = lane.start(&lane.detector_arguments("d1"));
    // It may be late rather than lost: it is waited for, for a minute.
    detector.await_line("is not visible yet");
    detector.await_ready();
    assert_told(&detector, "state_lost");
    judge_more(&lane, 1, "scan_connect.pcap.gz");
    stop(detector);
    stop(results);
}

/// Publishes what a sensor makes of a capture up to its last record of a flow, as if it had been killed then: the pane of that
/// record stays open. All of it is in one partition.
fn publish_unended(lane: &Lane, sensor: &str, name: &str) {
    let whole = crate::support::lane("whole", 1);
    whole.publish(sensor, &[file(name)]);
    let mut records = whole.read(&whole.topics.flows());
    let last = records.iter().rposition(|(_, found)| matches!(found.value, Value::Record(Record::Flow(_)))).unwrap();
    records.truncate(last + 1);
    let publisher = Publisher::open(&lane.settings, PATIENCE).unwrap();
    for (_, delivery) in records {
        publisher.publish(&Message::new(lane.topics.flows(), 0, "unended", delivery.value)).unwrap();
    }
    publisher.flush(PATIENCE).unwrap();
}

#[test]
fn what_retention_took_is_told_and_the_rest_is_judged() {
    let lane = lane("overtaken", 1);
    let detector = lane.detector("d1");
    let results = lane.results(&[]);
    publish_unended(&lane, "gate", "scan_connect.pcap.gz");
    lane.await_drained(Stage::Source);
    stop(detector);
    lane.await_verdicts();
    let before = lane.anomalies();
    let flows = lane.topics.flows();
    let (_, end) = lane.operator().bounds(&flows, 0);
    lane.operator().delete_before(&flows, 0, end);

    let detector = lane.detector("d1");
    let told = detector.lines_with("restored (retention_overtaken)");
    assert_eq!(told.len(), 1, "{:#?}", detector.lines());
    assert!(told[0].contains("ERROR") && told[0].contains("judged incomplete"), "{told:?}");

    // The same sensor again: its old self is not waited for.
    let folder = TempDir::new().unwrap();
    let files = [later(&folder, 1, "sweep_tcp.pcap.gz")];
    let more = lane.analyze("gate", &files);
    assert!(!more.is_empty());
    lane.publish("gate", &files);
    lane.await_verdicts();
    let anomalies = lane.anomalies();
    for verdict in before.iter().chain(&more) {
        assert!(anomalies.contains(verdict), "{verdict:?} not in {anomalies:#?}");
    }
    stop(detector);
    stop(results);
}
